"""The XHTML of a narrative: well-formed, a div, only the harmless elements and attributes, no named entities of HTML.

https://hl7.org/fhir/R4/narrative.html#xhtml (invariant txt-1).
Empty narratives (txt-2) are let pass, as the specification's own examples have them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml"
_MAX_DEPTH = 200

_ELEMENTS = frozenset(
    """a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i
    img li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var""".split()  # noqa: SIM905
)
_ATTRIBUTES = frozenset(
    """abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset
    cite class colspan compact coords dir frame headers height href hreflang hspace id lang longdesc name nowrap rel
    rev rowspan rules scope shape span src start style summary tabindex title type valign value vspace width
    xml:lang xml:space xmlns""".split()  # noqa: SIM905
)
_ADDRESSES = frozenset(("href", "src", "cite", "longdesc"))
_ACTIVE_STYLE = re.compile(r"javascript:|expression\s*\(|@import|-moz-binding", re.IGNORECASE)
_ACTIVE_SCHEMES = ("javascript:", "vbscript:", "data:text", "data:application")


class _Refused(Exception):
    """The XHTML breaks a rule; the text says which."""


class _Rules:
    """Handlers of one parse: they refuse what may not stand in a narrative."""

    def __init__(self) -> None:
        self.depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _Refused(f"the XHTML is nested more than {_MAX_DEPTH} levels deep")
        if self.depth == 1 and (name != "div" or attributes.get("xmlns") != XHTML):
            raise _Refused(f"the narrative must be one div element in the namespace {XHTML}")
        if name not in _ELEMENTS:
            raise _Refused(f"the XHTML element '{name[:40]}' is not allowed in a narrative")
        for key, value in attributes.items():
            if key not in _ATTRIBUTES or (key == "xmlns" and value != XHTML):
                raise _Refused(f"the XHTML attribute '{key[:40]}' of '{name}' is not allowed in a narrative")
            if (key in _ADDRESSES and _is_active(value)) or (key == "style" and _ACTIVE_STYLE.search(value)):
                raise _Refused(f"the attribute '{key}' of '{name}' would run code")

    def end(self, _name: str) -> None:
        self.depth -= 1

    def doctype(self, *_: object) -> None:
        raise _Refused("the XHTML must not hold a document type declaration")

    def declaration(self, *_: object) -> None:
        raise _Refused("the XHTML must not begin with an XML declaration")

    def instruction(self, target: str, _data: str) -> None:
        raise _Refused(f"the XHTML must not hold the processing instruction '{target[:40]}'")


def _is_active(address: str) -> bool:
    plain = "".join(address.split()).lower()
    return plain.startswith(_ACTIVE_SCHEMES)


def check_narrative(div: str) -> str | None:
    """None if the XHTML may stand in Narrative.div, else the cause in words."""
    # Generated narratives repeat; long ones would only fill the memory.
    return _check_repeated(div) if len(div) < 1000 else _check(div)


@lru_cache(maxsize=512)
def _check_repeated(div: str) -> str | None:
    return _check(div)


def _check(div: str) -> str | None:
    rules = _Rules()
    parser = expat.ParserCreate()
    parser.StartElementHandler = rules.start
    parser.EndElementHandler = rules.end
    parser.StartDoctypeDeclHandler = rules.doctype
    parser.XmlDeclHandler = rules.declaration
    parser.ProcessingInstructionHandler = rules.instruction
    try:
        parser.Parse(div.encode("utf-8"), True)
    except expat.ExpatError as error:
        return f"the XHTML is not well-formed: {error}"
    except (_Refused, UnicodeEncodeError) as error:
        return str(error)
    return None
