"""Search paths of one type fused to closures: a shared prefix is walked once, absent elements cost nothing.

The steps of all parameters form a tree of JSON keys; each node becomes one function that
looks at the keys present in the value before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from profiles.definitions import Definitions

from .paths import As, ExistsAndNotFalse, Field, Index, Resolves, Steps, WhereEquals
from .plan import child_elements
from .rows import Rows
from .sinks import Factory, Setting, Sink
from .types import date, number, quantity, reference, special, string, token, uri

SINKS: dict[str, dict[str, Factory]] = {
    "date": date.SINKS,
    "number": number.SINKS,
    "quantity": quantity.SINKS,
    "reference": reference.SINKS,
    "special": special.SINKS,
    "string": string.SINKS,
    "token": token.SINKS,
    "uri": uri.SINKS,
}


@dataclass(slots=True)
class Leaf:
    """An index key that wants the values here."""

    kind: str
    key: str
    present: str
    setting: Setting


@dataclass(slots=True)
class Branching:
    """A place in a resource: who wants its value, and what is wanted below it."""

    type: str
    leaves: list[Leaf] = field(default_factory=list)
    fields: dict[str, Branching] = field(default_factory=dict)
    wheres: dict[tuple[str, str], Branching] = field(default_factory=dict)
    places: dict[int, Branching] = field(default_factory=dict)


def add(node: Branching, definitions: Definitions, steps: Steps, leaf: Leaf) -> None:
    """Let ``leaf`` have what ``steps`` lead to from ``node``."""
    if not steps:
        node.leaves.append(leaf)
        return
    step, rest = steps[0], steps[1:]
    match step:
        case Field(name):
            wanted = rest[0].type.lower() if rest and isinstance(rest[0], As) else None
            for element in child_elements(definitions, node.type).values():
                if name not in (element.name, element.key):
                    continue
                if wanted is not None and element.type.lower() != wanted:
                    continue
                child = node.fields.setdefault(element.key, Branching(element.type))
                add(child, definitions, rest[1:] if wanted is not None else rest, leaf)
        case As(type_):
            if node.type.lower() == type_.lower():
                add(node, definitions, rest, leaf)
        case WhereEquals(name, value):
            add(node.wheres.setdefault((name, value), Branching(node.type)), definitions, rest, leaf)
        case Index(place):
            add(node.places.setdefault(place, Branching(node.type)), definitions, rest, leaf)
        case Resolves(type_):
            add(node, definitions, rest, replace(leaf, setting=replace(leaf.setting, target=type_)))
        case ExistsAndNotFalse():
            pass  # looks at what may be absent: the extractor does that


def function(node: Branching) -> Sink | None:
    """The function that hands a value (or a list of values) to everybody who wants it; None if nobody does."""
    made_of = [(leaf, sink) for leaf in node.leaves if (sink := _sink(leaf, node.type)) is not None]
    if len(made_of) == 1 and not (node.wheres or node.fields or node.places) and made_of[0][0].setting.target is None:
        ((leaf, sink),) = made_of  # by far the most frequent case gets one function less
        return _each_present(sink, leaf.present)
    parts = [_present(sink, leaf) for leaf, sink in made_of]
    parts += [_where(name, value, made) for (name, value), child in node.wheres.items() if (made := function(child))]
    if below := dispatch(node):
        parts.append(_below(below))
    one = _together(parts)
    each = _each(one) if one is not None else None
    places = [(place, made) for place, child in node.places.items() if (made := function(child))]
    if not places:
        return each
    return _at_places(places, each)


def dispatch(node: Branching) -> dict[str, Sink]:
    """The functions for the keys below ``node``."""
    return {key: made for key, child in node.fields.items() if (made := function(child)) is not None}


def _sink(leaf: Leaf, type_: str) -> Sink | None:
    """The function that makes the rows of one leaf; None where its parameter takes no values of this type."""
    factory = SINKS[leaf.kind].get(type_)
    if leaf.kind == "string" and type_ == "string" and leaf.key in ("family", "given"):
        factory = string.family_name if leaf.key == "family" else string.given_name
    return factory(leaf.key, leaf.setting) if factory is not None else None


def _present(rows: Sink, leaf: Leaf) -> Sink:
    """The same, which also marks the parameter as present."""
    code = leaf.present
    if leaf.setting.target is not None:
        return _present_if_rows(rows, code)

    def sink(value: Any, out: Rows) -> None:
        out.present.add(code)
        rows(value, out)

    return sink


def _each_present(rows: Sink, code: str) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        if type(value) is list:
            for item in value:
                if item is not None:
                    out.present.add(code)
                    rows(item, out)
        elif value is not None:
            out.present.add(code)
            rows(value, out)

    return sink


def _present_if_rows(rows: Sink, code: str) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        before = len(out.ref) + len(out.tok)
        rows(value, out)
        if len(out.ref) + len(out.tok) > before:
            out.present.add(code)

    return sink


def _together(parts: list[Sink]) -> Sink | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    if len(parts) == 2:
        first, second = parts

        def both(value: Any, out: Rows) -> None:
            first(value, out)
            second(value, out)

        return both
    all_parts = tuple(parts)

    def every(value: Any, out: Rows) -> None:
        for part in all_parts:
            part(value, out)

    return every


def _each(one: Sink) -> Sink:
    def each(value: Any, out: Rows) -> None:
        if type(value) is list:
            for item in value:
                if item is not None:
                    one(item, out)
        elif value is not None:
            one(value, out)

    return each


def _where(name: str, wanted: str, then: Sink) -> Sink:
    def where(value: Any, out: Rows) -> None:
        if value.get(name) == wanted:
            then(value, out)

    return where


def _below(functions: dict[str, Sink]) -> Sink:
    if len(functions) == 1:
        ((key, only),) = functions.items()

        def single(value: Any, out: Rows) -> None:
            if key in value:
                only(value[key], out)

        return single
    get: Callable[[str], Sink | None] = functions.get

    def below(value: Any, out: Rows) -> None:
        for name, item in value.items():
            then = get(name)
            if then is not None:
                then(item, out)

    return below


def _at_places(places: list[tuple[int, Sink]], each: Sink | None) -> Sink:
    def at_places(value: Any, out: Rows) -> None:
        if each is not None:
            each(value, out)
        for place, then in places:
            if type(value) is list and place < len(value):
                then(value[place], out)

    return at_places
