"""What parsing a search needs to know, and the small rules of search values.

https://hl7.org/fhir/R4/search.html#escaping
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fhir_server.errors import BadRequest
from profiles.definitions import Definitions

from .codes import CodeSource
from .plan import Indexed, Source
from .shield import Shield
from .times import Reader
from .tree import And, Node, Not, Or, Param, Prefix

MAX_NODES = 4_000  # conditions of one search: untyped chains multiply
_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)(?=[-+.\d])")
_UNESCAPE = re.compile(r"\\([\\,|$])")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


class UnknownParameter(BadRequest):
    """The type has no such search parameter, or the parameter no such modifier; ``handling=lenient`` ignores it."""

    code = "not-supported"


@dataclass(slots=True)
class Context:
    """The surroundings of one search: definitions, zone, time and where this server lives.

    ``params`` gives the parameters of a type; ``now`` is in microseconds; ``base_urls`` end without a slash.
    ``shield`` hashes the numbers that are indexed as hashes; ``codes`` knows value sets and hierarchies of codes.
    ``nodes`` counts the conditions so far, ``systems`` are the code systems that were named.
    """

    definitions: Definitions
    params: Callable[[str], Mapping[str, Indexed]]
    interval: Reader
    now: int
    base_urls: Sequence[str] = ()
    shield: Shield = field(default_factory=Shield)
    codes: CodeSource | None = None
    nodes: int = 0
    systems: set[str] = field(default_factory=set)

    def param(self, type: str, code: str) -> Indexed:
        """The parameter ``code`` of ``type``. Raises UnknownParameter, which lists the known ones."""
        found = self.params(type).get(code)
        if found is None:
            known = ", ".join(sorted(self.params(type).keys() - {"_query"}))
            raise UnknownParameter(f"{type} has no search parameter '{code}'; it has {known}", f"http.{code}")
        return found

    def resource_type(self, name: str, where: str) -> str:
        """``name`` if it is a resource type. Raises BadRequest that names ``where``."""
        if name not in self.definitions.resource_types:
            raise BadRequest(f"'{name}' in '{where}' is no resource type", f"http.{where}")
        return name

    def spend(self, nodes: int = 1) -> None:
        """Count conditions. Raises BadRequest when the search has too many."""
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise BadRequest(
                f"the search expands to more than {MAX_NODES} conditions; name the types in its chains and references,"
                " or ask for fewer values at once",
                code="too-costly",
            )


def split(text: str, separator: str) -> list[str]:
    """The parts between unescaped separators, escapes kept."""
    if separator not in text:
        return [text]
    if "\\" not in text:
        return text.split(separator)
    parts: list[str] = []
    part: list[str] = []
    escaped = False
    for c in text:
        if c == separator and not escaped:
            parts.append("".join(part))
            part = []
            continue
        part.append(c)
        escaped = c == "\\" and not escaped
    return [*parts, "".join(part)]


def unescape(text: str) -> str:
    r"""``\,`` ``\|`` ``\$`` and ``\\`` as the characters that they stand for."""
    return _UNESCAPE.sub(r"\1", text) if "\\" in text else text


def prefixed(text: str) -> tuple[Prefix, str]:
    """The comparison prefix of an ordered value (``eq`` when it has none) and the rest."""
    found = _PREFIX.match(text)
    return (Prefix(found[1]), text[2:]) if found is not None else (Prefix.EQ, text)


def any_of(nodes: Iterable[Node]) -> Node:
    """At least one of ``nodes``."""
    found = tuple(nodes)
    return found[0] if len(found) == 1 else Or(found)


def all_of(nodes: Iterable[Node]) -> Node:
    """All of ``nodes``."""
    found = tuple(nodes)
    return found[0] if len(found) == 1 else And(found)


def per_source(indexed: Indexed, make: Callable[[Param, Source], Node]) -> Node:
    """The node that ``make`` gives for each index key of the parameter, joined by or."""
    return any_of(make(Param(indexed.type, s.key), s) for s in indexed.sources)


def negated(node: Node) -> Node:
    """Not ``node``."""
    return node.node if isinstance(node, Not) else Not(node)


def no_modifier(indexed: Indexed, modifier: str, known: Iterable[str]) -> UnknownParameter:
    """The refusal of a modifier that this kind of parameter does not have."""
    names = ", ".join(f":{m}" for m in known) or "none"
    return UnknownParameter(
        f"search parameter '{indexed.code}' of {indexed.type} ({indexed.kind}) has no modifier ':{modifier}';"
        f" it has {names}",
        f"http.{indexed.code}",
    )


def bad_value(indexed: Indexed, text: str, wanted: str) -> BadRequest:
    """The refusal of a value that cannot be read."""
    return BadRequest(
        f"'{text}' is no value for search parameter '{indexed.code}' of {indexed.type} ({indexed.kind}): {wanted}",
        f"http.{indexed.code}",
    )


def is_id(text: str) -> bool:
    """Whether ``text`` can be a logical id. https://hl7.org/fhir/R4/datatypes.html#id"""
    return _ID.fullmatch(text) is not None
