"""From the parameters of a search URL to a query.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fhir_server.errors import BadRequest

from .contained import containers
from .context import Context, UnknownParameter
from .criteria import criterion
from .extract import Extractor
from .include import includes
from .sort import sorts
from .tree import And, Contains, Include, Node, Query, SearchRequest, Sort, Total

MAX_COUNT = 1_000
DEFAULT_COUNT = 20
_MOST_PARAMETERS = 200
_LONGEST = 1_000_000  # characters of one value
_SUMMARIES = frozenset({"true", "false", "text", "data", "count"})
_CONTAINED = frozenset({"true", "false", "both"})
_CONTAINED_TYPES = frozenset({"container", "contained"})
_NAMING = frozenset({"_sort", "_include", "_revinclude"})  # their values name parameters, which may be unknown
_OF_HTTP = frozenset({"_format", "_pretty"})


@dataclass(slots=True)
class _Building:
    """What has been read so far."""

    context: Context
    types: tuple[str, ...]
    max_count: int
    count: int
    criteria: list[tuple[str, str]] = field(default_factory=list)
    sort: tuple[Sort, ...] = ()
    includes: list[Include] = field(default_factory=list)
    total: Total = Total.NONE
    summary: str | None = None
    elements: tuple[str, ...] = ()
    contained: str = "false"
    contained_type: str = "container"
    cursor: str | None = None


def parse(
    types: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    extractor: Extractor,
    *,
    lenient: bool = False,
    base_url: str = "",
    now: int | None = None,
    max_count: int = MAX_COUNT,
    default_count: int = DEFAULT_COUNT,
) -> SearchRequest:
    """The search that ``pairs`` (decoded names and values) ask for.

    ``types`` are the resource types searched; none: the system, narrowed by ``_type``.
    ``now`` is in microseconds (default: the clock), for ``ap``. ``lenient`` puts unknown
    parameters and modifiers into ``ignored``. Raises BadRequest (unknown parameter or modifier,
    bad value), NotSupported (what is not offered).
    """
    clock = time.time_ns() // 1000 if now is None else now
    bases = (*extractor.base_urls, base_url.rstrip("/")) if base_url else extractor.base_urls
    known = (extractor.definitions, extractor.indexed, extractor.interval)
    context = Context(*known, clock, bases, extractor.shield, extractor.codes)
    if len(pairs) > _MOST_PARAMETERS or any(len(value) > _LONGEST for _, value in pairs):
        raise BadRequest(f"a search has at most {_MOST_PARAMETERS} parameters of at most {_LONGEST} characters")
    searched = _searched(context, tuple(types), pairs)
    building = _Building(context, searched, max_count, default_count)
    applied: list[tuple[str, str]] = []
    ignored: list[str] = []
    nodes: dict[str, list[Node]] = {type: [] for type in searched}
    for name, value in pairs:
        try:
            used = _apply(building, name, value, nodes)
        except UnknownParameter:
            if not lenient:
                raise
            ignored.append(f"{name}={value}" if name.partition(":")[0] in _NAMING else name)
            continue
        if used:
            applied.append((name, context.shield.conceal(value)))
    where = tuple((type, found[0] if len(found) == 1 else And(tuple(found))) for type, found in nodes.items())
    fragments: tuple[Contains, ...] = ()
    if building.contained != "false":
        where, inside = containers(where, building.contained == "both", context.definitions.resource_types)
        fragments = inside if building.contained_type == "contained" else ()
    named = tuple(dict.fromkeys(building.includes))
    query = Query(where, building.sort, named, building.count, building.total, fragments)
    return SearchRequest(
        query,
        building.summary,
        building.elements,
        building.contained,
        building.contained_type,
        building.cursor,
        tuple(applied),
        tuple(dict.fromkeys(ignored)),
    )


def _searched(context: Context, types: tuple[str, ...], pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The types to search: those given, or of a system search those of ``_type``, or all."""
    named = [one.strip() for name, value in pairs if name == "_type" for one in value.split(",") if one.strip()]
    for one in named:
        context.resource_type(one, f"_type={one}")
    if types:
        return tuple(type for type in types if not named or type in named)
    return tuple(dict.fromkeys(named)) or tuple(sorted(context.definitions.resource_types))


def _apply(building: _Building, name: str, value: str, nodes: dict[str, list[Node]]) -> bool:
    """Take in one parameter; False when it belongs to other parts of the request."""
    if name in _OF_HTTP:
        return False
    if not name:
        raise BadRequest("a search parameter has no name")
    code, _, modifier = name.partition(":")
    if (result := _RESULTS.get(name)) is not None:
        result(building, value)
        return name != "_cursor"
    if code in ("_include", "_revinclude"):
        building.includes += includes(building.context, building.types, code, modifier, value)
        return True
    made = [(type, criterion(building.context, type, name, value)) for type in building.types]
    for type, node in made:
        nodes[type].append(node)
    return True


def _count(building: _Building, value: str) -> None:
    if not value.isascii() or not value.isdecimal() or len(value) > 9:
        raise BadRequest(f"_count is a whole number, not '{value}'", "http._count")
    building.count = min(int(value), building.max_count)
    if building.count == 0:
        building.total = Total.ACCURATE


def _summary(building: _Building, value: str) -> None:
    if value not in _SUMMARIES:
        raise BadRequest(f"_summary is one of {', '.join(sorted(_SUMMARIES))}, not '{value}'", "http._summary")
    building.summary = value
    if value == "count":
        building.count, building.total = 0, Total.ACCURATE


def _total(building: _Building, value: str) -> None:
    if value not in tuple(Total):
        raise BadRequest(f"_total is none, estimate or accurate, not '{value}'", "http._total")
    if building.count:
        building.total = Total(value)


def _elements(building: _Building, value: str) -> None:
    names = [one.strip() for one in value.split(",")]
    if not all(names):
        raise BadRequest("_elements has an empty name", "http._elements")
    building.elements = tuple(dict.fromkeys((*building.elements, *names)))


def _sort(building: _Building, value: str) -> None:
    building.sort = (*building.sort, *sorts(building.context, building.types, value))


def _contained(building: _Building, value: str) -> None:
    if value not in _CONTAINED:
        raise BadRequest(f"_contained is true, false or both, not '{value}'", "http._contained")
    building.contained = value


def _contained_type(building: _Building, value: str) -> None:
    if value not in _CONTAINED_TYPES:
        raise BadRequest(f"_containedType is container or contained, not '{value}'", "http._containedType")
    building.contained_type = value


def _cursor(building: _Building, value: str) -> None:
    building.cursor = value


def _type(building: _Building, value: str) -> None:
    """Read before the others, as it says which types they are for."""


_RESULTS: Mapping[str, Callable[[_Building, str], None]] = {
    "_type": _type,
    "_count": _count,
    "_summary": _summary,
    "_total": _total,
    "_elements": _elements,
    "_sort": _sort,
    "_contained": _contained,
    "_containedType": _contained_type,
    "_cursor": _cursor,
}
