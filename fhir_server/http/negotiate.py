"""Content negotiation: in which format a body came, and in which one the answer goes.

https://hl7.org/fhir/R4/http.html#mime-type, https://www.rfc-editor.org/rfc/rfc9110#name-content-negotiation
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fhir_server.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from fhir_server.http.exchange import Request

FHIR_JSON = "application/fhir+json"
FHIR_XML = "application/fhir+xml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
JSON_TYPES = (FHIR_JSON, "application/json", "text/json", "application/json+fhir")
XML_TYPES = (FHIR_XML, "application/xml", "text/xml", "application/xml+fhir")
_FORMATS = {"json": FHIR_JSON, "xml": FHIR_XML}
_VERSIONS = frozenset({"", "4.0", "4.0.0", "4.0.1"})
_TRUE = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Format:
    """The media type of an answer and whether it is XML."""

    media_type: str
    xml: bool

    @property
    def content_type(self) -> str:
        """The Content-Type header."""
        return f"{self.media_type}; charset=utf-8"


JSON = Format(FHIR_JSON, False)
XML = Format(FHIR_XML, True)
_OFFERED = {
    **{name: Format(name, False) for name in JSON_TYPES},
    **{name: Format(name, True) for name in XML_TYPES},
    FHIR_JSON: JSON,
    FHIR_XML: XML,
}


@dataclass(frozen=True, slots=True)
class Range:
    """One media range of an Accept header."""

    media_type: str
    parameters: tuple[tuple[str, str], ...]
    quality: float

    def covers(self, media_type: str) -> bool:
        """Whether ``media_type`` (without parameters) is in the range."""
        main, _, sub = self.media_type.partition("/")
        return self.media_type in ("*/*", media_type) or (sub == "*" and media_type.startswith(f"{main}/"))


@lru_cache(maxsize=512)
def media_type(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The lower-case type and the parameters of a Content-Type or of one media range."""
    name, *rest = text.split(";")
    parameters = []
    for part in rest:
        key, _, value = part.partition("=")
        if key.strip():
            parameters.append((key.strip().lower(), value.strip().strip('"')))
    return name.strip().lower(), tuple(parameters)


@lru_cache(maxsize=512)
def ranges(accept: str) -> tuple[Range, ...]:
    """The media ranges of an Accept header, the most wanted first; a range that cannot be read is passed over."""
    found = []
    for part in accept.split(","):
        name, parameters = media_type(part)
        if not name:
            continue
        values = dict(parameters)
        try:
            quality = min(max(float(values.pop("q", "1")), 0.0), 1.0)
        except ValueError:
            continue
        found.append(Range("*/*" if name == "*" else name, tuple(values.items()), quality))
    # A stable sort keeps the sender's order among equals; exact types go before wildcards.
    return tuple(sorted(found, key=lambda r: (-r.quality, r.media_type.count("*"))))


@lru_cache(maxsize=512)
def _accepted(accept: str) -> Format | None:
    refused = {r.media_type for r in ranges(accept) if r.quality == 0}
    for wanted in ranges(accept):
        if wanted.quality == 0 or dict(wanted.parameters).get("fhirversion", "") not in _VERSIONS:
            continue
        for name, offered in _OFFERED.items():
            if wanted.covers(name) and name not in refused:
                return offered
    return None


@lru_cache(maxsize=128)
def _named(text: str) -> Format | None:
    if text in _FORMATS:
        return _OFFERED[_FORMATS[text]]
    name, parameters = media_type(text.replace("/fhir ", "/fhir+"))  # a plus in a URL that was not encoded
    if dict(parameters).get("fhirversion", "") not in _VERSIONS:
        return None
    return _OFFERED.get(name)


def answer_format(request: Request) -> Format:
    """The format of the answer: ``_format`` if given, else by the Accept header, else FHIR JSON.

    Raises NotAcceptable when neither JSON nor XML will do.
    """
    for name, value in request.query:
        if name == "_format":
            found = _named(value)
            if found is None:
                raise NotAcceptable(f"_format '{value}' is not offered; JSON and XML are", "http._format")
            return found
    accept = request.headers.get("accept")
    if not accept:
        return JSON
    found = _accepted(accept)
    if found is None:
        raise NotAcceptable(f"None of '{accept}' is offered; {FHIR_JSON} and {FHIR_XML} are", "http.Accept")
    return found


def is_pretty(request: Request) -> bool:
    """Whether the answer is to be indented for human eyes (``_pretty``)."""
    text = request.param("_pretty")
    if text is None:
        return False
    if text not in _TRUE:
        raise BadRequest(f"_pretty must be true or false, not '{text}'", "http._pretty")
    return _TRUE[text]


def body_is_xml(request: Request) -> bool:
    """Whether the body of ``request`` is FHIR XML rather than FHIR JSON.

    Without a Content-Type the first character decides. Raises UnsupportedMediaType for other types, for
    another FHIR version and for another character set than UTF-8.
    """
    content_type = request.headers.get("content-type")
    if content_type is None:
        return request.body[:64].lstrip().startswith((b"<", b"\xef\xbb\xbf<"))
    name, parameters = media_type(content_type)
    values = dict(parameters)
    if name not in _OFFERED:
        raise UnsupportedMediaType(
            f"A body of type '{name}' is not understood; {FHIR_JSON} and {FHIR_XML} are", "http.Content-Type"
        )
    if values.get("fhirversion", "") not in _VERSIONS:
        raise UnsupportedMediaType(
            f"FHIR version {values['fhirversion']} is not spoken here; 4.0 is", "http.Content-Type"
        )
    if values.get("charset", "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType("The character set must be UTF-8", "http.Content-Type")
    return _OFFERED[name].xml
