"""What a query must find, by brute force over index rows: the truth that stores are tested against.

Independent of any engine: every node is judged resource by resource in plain Python.
A parameter with several values matches if any one row does; ``Not`` holds for resources that
lack the value, while ``ne`` needs a value to be there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fhir_server.search import tree
from fhir_server.search.normalise import normalise
from fhir_server.search.rows import Rows
from fhir_server.search.tree import Prefix, StringMode, UriMode

Key = tuple[str, str]
EARTH_KM = 6371.0088
MILLISECOND = 1000


@dataclass
class World:
    """All resources: their rows, and where searches ask for them their texts and last update (µs)."""

    rows: Mapping[Key, Rows]
    texts: Mapping[Key, tuple[str, str]] = field(default_factory=dict)
    updated: Mapping[Key, int] = field(default_factory=dict)


def evaluate(query: tree.Query, world: World | Mapping[Key, Rows]) -> set[Key]:
    """The (type, id) of every match of the query, without order, page or includes."""
    everything = world if isinstance(world, World) else World(world)
    return {
        (type_, id_)
        for type_, node in query.where
        for (kind, id_), rows in everything.rows.items()
        if kind == type_ and matches(node, (kind, id_), rows, everything)
    }


def date_matches(prefix: Prefix, low: int, high: int, a: int, b: int) -> bool:
    """The stored [low, high) against the searched [a, b).

    eq: the searched holds the stored; ne: it does not; gt: stored goes on after the searched;
    lt: stored begins before it; ge, le: those or eq; sa, eb: all of it after, before; ap: they overlap.
    """
    inside = a <= low and high <= b
    return {
        Prefix.EQ: inside,
        Prefix.NE: not inside,
        Prefix.GT: high > b,
        Prefix.LT: low < a,
        Prefix.GE: high > b or inside,
        Prefix.LE: low < a or inside,
        Prefix.SA: low >= b,
        Prefix.EB: high <= a,
        Prefix.AP: low < b and high > a,
    }[prefix]


def quantity_matches(prefix: Prefix, low: float, high: float, value: float, least: float, most: float) -> bool:
    """The stored closed [low, high] against ``value``, which stands for [least, most).

    eq: the stored is within; ne: it is not; gt, ge, lt, le: some part of it is above, at or
    above, below, at or below the value; sa, eb: all of it is; ap: it overlaps [least, most).
    """
    inside = least <= low and high < most
    return {
        Prefix.EQ: inside,
        Prefix.NE: not inside,
        Prefix.GT: high > value,
        Prefix.LT: low < value,
        Prefix.GE: high >= value,
        Prefix.LE: low <= value,
        Prefix.SA: low > value,
        Prefix.EB: high < value,
        Prefix.AP: low < most and high >= least,
    }[prefix]


def kilometres(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """The great-circle distance of two points in degrees."""
    one, two = math.radians(latitude), math.radians(other_latitude)
    half_up = math.sin((two - one) / 2) ** 2
    half_along = math.sin(math.radians(other_longitude - longitude) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, half_up + math.cos(one) * math.cos(two) * half_along)))


def matches(node: tree.Node, key: Key, rows: Rows, world: World) -> bool:
    """Whether the resource ``key`` with these rows satisfies ``node``."""
    match node:
        case tree.And(nodes):
            return all(matches(one, key, rows, world) for one in nodes)
        case tree.Or(nodes):
            return any(matches(one, key, rows, world) for one in nodes)
        case tree.Not(inner):
            return not matches(inner, key, rows, world)
        case tree.Id(ids):
            return key[1] in ids
        case tree.LastUpdated(prefix, low, high):
            at = world.updated[key]
            return date_matches(prefix, at, at + MILLISECOND, low, high)
        case tree.Missing(param, missing):
            return (param.key not in rows.present) is missing
        case tree.Composite(_, components):
            return any(all(matches(one, key, element, world) for one in components) for element in elements(rows))
        case tree.Chain(param, target, inner, canonical):
            found = {to for to in rows.ref if to[0] == param.key and to[1] == target}
            if canonical:
                found |= {(param.key, *to) for to, other in world.rows.items() if names(rows, param.key, other)}
            linked = any(kind == target and satisfies(inner, (kind, id_), world) for _, kind, id_ in found)
            return linked or matches(node.contained, key, rows, world)
        case tree.Contains(kind, inner):
            return any(type_ == kind and matches(inner, key, part, world) for _, type_, part in rows.contained)
        case tree.Has(param, inner, canonical):
            return any(
                ((param.key, *key) in other.ref or (canonical and names(other, param.key, rows)))
                and matches(inner, (kind, id_), other, world)
                for (kind, id_), other in world.rows.items()
                if kind == param.type
            )
        case tree.InList(list_id):
            members = world.rows.get(("List", list_id))
            return members is not None and ("item", *key) in members.ref
        case tree.InCompartment(type_, id_, keys, itself):
            own = itself and key == (type_, id_)
            return own or any(code in keys and (kind, to) == (type_, id_) for code, kind, to in rows.ref)
        case tree.Text(scope, query):
            return has_words(world.texts.get(key, ("", ""))[0 if scope == "_text" else 1], query)
    return value_matches(node, rows)


def names(rows: Rows, key: str, target: Rows) -> bool:
    """Whether a reference ``key`` of ``rows`` is the canonical URL of ``target``, and of its version if it says one."""
    for code, version, url in rows.tok:
        if code != key or ("url", "", url) not in target.tok:
            continue
        if version and ("version", "", version) in target.tok:
            return True
        if not version and not any(k == key and v and u == url for k, v, u in rows.tok):
            return True
    return False


def value_matches(node: tree.Node, rows: Rows) -> bool:
    """The nodes that look at one kind of row."""
    match node:
        case tree.Token(param, system, code):
            return any(k == param.key and system in (None, s) and code in (None, c) for k, s, c in rows.tok)
        case tree.Tokens(param, system, codes):
            return any(k == param.key and system in (None, s) and c in codes for k, s, c in rows.tok)
        case tree.Uri(param, mode, value):
            return any(k == param.key and s == "" and uri_matches(mode, stored, value) for k, s, stored in rows.tok)
        case tree.String(param, mode, value):
            return any(k == param.key and string_matches(mode, v, exact, value) for k, v, exact in rows.str)
        case tree.Date(param, prefix, low, high):
            return any(k == param.key and date_matches(prefix, first, last, low, high) for k, first, last in rows.dat)
        case tree.Quantity(param, prefix, value, low, high, system, code):
            return any(
                k == param.key
                and system in (None, s)
                and code in (None, c)
                and quantity_matches(prefix, least, most, value, low, high)
                for k, least, most, s, c in rows.qty
            )
        case tree.Reference(param, type_, id_):
            return any(k == param.key and type_ in (None, kind) and to == id_ for k, kind, to in rows.ref)
        case tree.Near(param, latitude, longitude, km):
            return any(k == param.key and kilometres(latitude, longitude, a, b) <= km for k, a, b in rows.geo)
    raise TypeError(f"no such node: {node!r}")


def satisfies(node: tree.Node, key: Key, world: World) -> bool:
    """Whether the resource is there and satisfies the node."""
    rows = world.rows.get(key)
    return rows is not None and matches(node, key, rows, world)


def string_matches(mode: StringMode, stored: str, exact: str, value: str) -> bool:
    """``stored`` is normalised as ``value`` is, but for EXACT, which compares what was written."""
    return {
        StringMode.PREFIX: stored.startswith(value),
        StringMode.CONTAINS: value in stored,
        StringMode.EXACT: exact == value,
        StringMode.EQUAL: stored == value,
        StringMode.SUFFIX: stored.endswith(value),
    }[mode]


def uri_matches(mode: UriMode, stored: str, value: str) -> bool:
    """BELOW: the stored starts with the value; ABOVE: the value starts with the stored."""
    return {
        UriMode.EXACT: stored == value,
        UriMode.BELOW: stored.startswith(value),
        UriMode.ABOVE: value.startswith(stored),
    }[mode]


def elements(rows: Rows) -> Iterator[Rows]:
    """The composite elements as rows of their own."""
    for number in sorted({number for number, _, _ in rows.elements}):
        element = Rows()
        for other, table, row in rows.elements:
            if other == number:
                getattr(element, table).append(row)
        yield element


_HAN = re.compile("([぀-ヿ㐀-䶿一-鿿豈-﫿\U00020000-\U0003ffff])")


def words(text: str) -> list[str]:
    """Folded words; every Chinese character is one."""
    return re.findall(r"\w+", _HAN.sub(r" \1 ", normalise(text)))


def has_words(text: str, query: str) -> bool:
    """Every blank-separated part of the query occurs as a run of words, the last one perhaps only begun."""
    there = words(text)
    wanted = [run for part in query.split() if (run := words(part))]

    def occurs(run: list[str]) -> bool:
        return any(
            there[at : at + len(run) - 1] == run[:-1] and there[at + len(run) - 1].startswith(run[-1])
            for at in range(len(there) - len(run) + 1)
        )

    return bool(wanted) and all(occurs(run) for run in wanted)
