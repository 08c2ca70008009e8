"""Search paths made from the search parameters and from what is in a world: every way to ask by every value kind.

Each path is a URL below the base. Values come from the index rows of the world's own resources, so that every
question is about something that is there, for some requesters hidden.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from fhir_server.search.extract import Extractor
from fhir_server.search.plan import Indexed
from fhir_server.search.rows import Rows

Resource = dict[str, Any]
Values = Mapping[tuple[str, str], Sequence[str]]  # by type and parameter
_TELLING = frozenset({"_security", "code", "category", "status", "name", "birthdate", "date", "patient", "identifier"})


def values_of(resources: Iterable[Resource], extractor: Extractor) -> dict[tuple[str, str], list[str]]:
    """For each type and search parameter the values (as in a URL) that some resource has, in order of appearance."""
    found: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for resource in resources:
        type = resource["resourceType"]
        rows = extractor.rows(resource)
        for code, param in extractor.indexed(type).items():
            for value in _values(param, rows):
                found[type, code][value] = None
    return {key: list(values) for key, values in found.items()}


def _values(param: Indexed, rows: Rows) -> Iterator[str]:
    keys = {source.key: source.target for source in param.sources}
    match param.kind:
        case "token" | "uri":
            yield from (f"{s}|{code}" if s else code for key, s, code in rows.tok if key in keys)
        case "string":
            yield from (exact for key, _, exact in rows.str if key in keys and exact and "\x1f" not in exact)
        case "date":
            yield from (_day(low) for key, low, _ in rows.dat if key in keys)
        case "number" | "quantity":
            yield from (f"{low:g}" for key, low, *_ in rows.qty if key in keys)
        case "reference":
            yield from (f"{type}/{id}" for key, type, id in rows.ref if key in keys and keys[key] in (None, type))


def _day(low: int) -> str:
    return datetime.fromtimestamp(low / 1e6, UTC).strftime("%Y-%m-%d")


def some(values: Sequence[str], most: int) -> list[str]:
    """At most ``most`` of the values, the first, the last and those between at even distances."""
    if len(values) <= most:
        return list(values)
    return [values[round(n * (len(values) - 1) / (most - 1))] for n in range(most)] if most > 1 else [values[0]]


def _ask(type: str, *pairs: tuple[str, str]) -> str:
    return f"{type}?" + "&".join(f"{quote(name, safe=':._')}={quote(value, safe='/:|,')}" for name, value in pairs)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("$", "\\$")


class Paths:
    """The paths of one world."""

    def __init__(self, resources: Iterable[Resource], extractor: Extractor, most: int = 2) -> None:
        self.extractor = extractor
        self.values = values_of(resources, extractor)
        self.types = sorted({type for type, _ in self.values})
        self.most = most
        self._pointing: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for (type, code), values in sorted(self.values.items()):
            if self._kind(type, code) == "reference":
                for target in sorted({value.partition("/")[0] for value in values}):
                    self._pointing[target].append((type, code))

    def _kind(self, type: str, code: str) -> str:
        return self.extractor.indexed(type)[code].kind

    def _params(self, type: str) -> list[str]:
        return sorted(code for kind, code in self.values if kind == type)

    def all(self) -> dict[str, list[str]]:
        """Every path, by the kind of attack."""
        return {
            "type": [_ask(type) for type in self.types],
            "parameter": list(self.by_parameter()),
            "missing": list(self.missing()),
            "sort": list(self.sorts()),
            "include": list(self.includes()),
            "chain": list(self.chains()),
            "has": list(self.has()),
            "filter": list(self.filters()),
            "list": list(self.lists()),
        }

    def by_parameter(self) -> Iterator[str]:
        for (type, code), values in sorted(self.values.items()):
            kind = self._kind(type, code)
            for value in some(values, self.most):
                yield from self._by_value(type, code, kind, _escaped(value))

    def _by_value(self, type: str, code: str, kind: str, value: str) -> Iterator[str]:
        match kind:
            case "token":
                yield _ask(type, (code, value))
                yield _ask(type, (f"{code}:not", value))
            case "string":
                yield _ask(type, (code, value))
                yield _ask(type, (f"{code}:exact", value))
                yield _ask(type, (f"{code}:contains", value[-2:]))
            case "date":
                yield from (_ask(type, (code, prefix + value)) for prefix in ("ge", "lt", "ne"))
            case "number" | "quantity":
                yield from (_ask(type, (code, prefix + value)) for prefix in ("gt", "le", "ap"))
            case _:
                yield _ask(type, (code, value))

    def missing(self) -> Iterator[str]:
        for type in self.types:
            for code in self._params(type):
                if code[0] != "_":
                    yield from (_ask(type, (f"{code}:missing", answer)) for answer in ("true", "false"))

    def sorts(self) -> Iterator[str]:
        """Values of hidden items must not move what is seen; a small page makes every continuation sort again."""
        for type in self.types:
            for code in [*self._params(type), "_lastUpdated", "_id"]:
                if code[0] != "_" and self._kind(type, code) == "special":
                    continue
                if code in ("_profile", "_security", "_tag", "_source"):
                    continue
                yield from (_ask(type, ("_sort", sign + code), ("_count", "3")) for sign in ("", "-"))

    def includes(self) -> Iterator[str]:
        for type in self.types:
            for code in self._params(type):
                if self._kind(type, code) == "reference":
                    yield _ask(type, ("_include", f"{type}:{code}"), ("_count", "5"))
            yield _ask(type, ("_include", "*"))
            for other, code in self._pointing[type]:
                yield _ask(type, ("_revinclude", f"{other}:{code}"), ("_count", "5"))
        yield _ask(
            "Patient",
            ("_revinclude", "Provenance:target"),
            ("_revinclude", "DocumentReference:patient"),
            ("_revinclude:iterate", "Provenance:target"),
            ("_revinclude:iterate", "List:item"),
        )
        yield _ask("Provenance", ("_include", "Provenance:target"), ("_include:iterate", "DocumentReference:patient"))
        yield _ask("List", ("_include", "List:item"), ("_include:iterate", "Observation:subject"))

    def chains(self) -> Iterator[str]:
        for (type, code), values in sorted(self.values.items()):
            if self._kind(type, code) != "reference":
                continue
            for target in sorted({value.partition("/")[0] for value in values}):
                for inner in self._revealing(target):
                    value = _escaped(self.values[target, inner][-1])
                    yield _ask(type, (f"{code}:{target}.{inner}", value))

    def has(self) -> Iterator[str]:
        """Inference: who is pointed at by something that the requester may not see?"""
        for target in self.types:
            for type, code in self._pointing[target]:
                for inner in self._revealing(type):
                    for value in some(self.values[type, inner], 2):
                        yield _ask(target, (f"_has:{type}:{code}:{inner}", _escaped(value)))
        yield _ask("Patient", ("_has:Observation:patient:_has:Provenance:target:recorded", "gt2000"))
        yield _ask("Observation", ("subject:Patient._has:Condition:patient:code", "condition"))

    def _revealing(self, type: str) -> list[str]:
        """Parameters whose value would tell something; ids, and what is on the resource itself."""
        kinds = ("token", "string", "date", "quantity", "reference")
        found = [code for code in self._params(type) if self._kind(type, code) in kinds]
        wanted = {
            "_id",
            "_security",
            "code",
            "category",
            "status",
            "name",
            "birthdate",
            "date",
            "patient",
            "identifier",
        }
        return [code for code in found if code in wanted]

    def filters(self) -> Iterator[str]:
        for (type, code), values in sorted(self.values.items()):
            kind = self._kind(type, code)
            if code[0] == "_" or kind not in ("token", "reference", "date"):
                continue
            value = values[-1]
            if kind == "token" and "|" in value:
                value = value.partition("|")[2]
            if not value.replace("-", "").replace("/", "").replace(".", "").isalnum():
                continue
            operator = "gt" if kind == "date" else "eq"
            yield _ask(type, ("_filter", f"{code} {operator} {value}"))
            yield _ask(type, ("_filter", f"not({code} {operator} {value})"))

    def lists(self) -> Iterator[str]:
        for (type, _), values in sorted(self.values.items()):
            if type == "List":
                for item in sorted({value.partition("/")[0] for value in values if "/" in value}):
                    if item in self.types:
                        yield from (_ask(item, ("_list", f"{number}-list")) for number in ("r1", "r4", "r7", "r10"))
