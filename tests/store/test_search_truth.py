"""Searches against brute force: random records, random conditions of every kind, the same answers."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.search import tree
from fhir_server.search.rows import Rows
from fhir_server.search.text import full_text
from fhir_server.search.tree import Node, Param, Prefix
from profiles.lossless import parse
from tests.search.oracle import World, evaluate
from tests.store.conftest import EVERYTHING, Bench, run

TYPES = ("Patient", "Observation", "Encounter", "Organization", "Location", "ValueSet", "RiskAssessment", "List")
FAMILIES = ["王", "欧阳", "单", "Müller", "O'Neil", "smith", "Smith"]
DATES = ["2020", "2020-05", "2020-05-06", "2020-05-06T07:08:09Z", "2020-05-06T07:08:09.123+08:00", "2021-01-01"]
SYSTEMS = ["http://loinc.org", "http://snomed.info/sct", ""]
NOBODY_WROTE = "\x1f"
UNITS = [("kg", "kg"), ("g", "g"), ("mg/dL", "mg/dL"), ("", "")]


class Maker:
    """Random resources of a few types, poor in values so that they collide often."""

    def __init__(self, random_: random.Random) -> None:
        self.random = random_
        self.one = random_.choice

    def maybe(self, chance: float, make: Callable[[], Any], key: str) -> dict[str, Any]:
        return {key: make()} if self.random.random() < chance else {}

    def coding(self) -> dict[str, Any]:
        system = self.one(SYSTEMS)
        head = {"system": system} if system else {}
        return {
            **head,
            "code": self.one("abc"),
            **self.maybe(0.3, lambda: self.one(["血压", "Blood pressure"]), "display"),
        }

    def concept(self) -> dict[str, Any]:
        return {
            "coding": [self.coding() for _ in range(self.one([1, 1, 2]))],
            **self.maybe(0.3, lambda: "text b", "text"),
        }

    def quantity(self) -> dict[str, Any]:
        unit, code = self.one(UNITS)
        value = parse(self.one([b"1", b"1.0", b"5.4", b"100", b"2000", b"0.002", b"-3"]))
        more = {"system": "http://unitsofmeasure.org", "code": code} if code else {}
        return {
            "value": value,
            **more,
            **({"unit": unit} if unit else {}),
            **self.maybe(0.15, lambda: self.one("<>"), "comparator"),
        }

    def reference(self, type: str, count: int = 4) -> dict[str, str]:
        return {"reference": f"{type}/{type.lower()}{self.random.randrange(count)}"}

    def period(self) -> dict[str, str]:
        return {
            **self.maybe(0.7, lambda: self.one(DATES), "start"),
            **self.maybe(0.5, lambda: self.one(DATES), "end"),
        } or {"start": "2020"}

    def make(self, type: str, id: str) -> dict[str, Any]:
        more: dict[str, Any] = getattr(self, f"_{type.lower()}")()
        tag = self.maybe(0.2, lambda: {"tag": [self.coding()]}, "meta")
        return {"resourceType": type, "id": id, **tag, **more}

    def _patient(self) -> dict[str, Any]:
        name = {"family": self.one(FAMILIES), "given": [self.one(["小明", "Ann", "Jörg", "伟"])]}
        return {
            **self.maybe(0.9, lambda: [name], "name"),
            **self.maybe(0.7, lambda: self.one(["male", "female"]), "gender"),
            **self.maybe(0.7, lambda: self.one(["1980", "1980-02", "1980-02-03"]), "birthDate"),
            **self.maybe(0.4, lambda: [{"system": "urn:x", "value": self.one("123")}], "identifier"),
            **self.maybe(0.4, lambda: self.reference("Organization"), "managingOrganization"),
            **self.maybe(0.3, lambda: [{"city": self.one(["长汀县", "Paris"]), "text": "x 路"}], "address"),
            **self.maybe(0.2, lambda: {"status": "generated", "div": "<div>高血压 two words</div>"}, "text"),
        }

    def _observation(self) -> dict[str, Any]:
        value = self.one(["valueQuantity", "valueCodeableConcept", "valueString", None])
        made = {
            "valueQuantity": self.quantity,
            "valueCodeableConcept": self.concept,
            "valueString": lambda: self.one(["阳性", "positive"]),
        }
        date = self.one(["effectiveDateTime", "effectivePeriod", None])
        parts = [{"code": self.concept(), "valueQuantity": self.quantity()} for _ in range(self.one([0, 0, 1, 3]))]
        return {
            "status": self.one(["final", "amended"]),
            "code": self.concept(),
            **({value: made[value]()} if value else {}),
            **({date: self.one(DATES) if date == "effectiveDateTime" else self.period()} if date else {}),
            **self.maybe(0.9, lambda: self.reference(self.one(["Patient", "Location"])), "subject"),
            **self.maybe(0.3, lambda: [self.reference("Organization"), self.reference("Patient")], "performer"),
            **self.maybe(0.3, lambda: self.reference("Encounter"), "encounter"),
            **({"component": parts} if parts else {}),
        }

    def _encounter(self) -> dict[str, Any]:
        return {
            "status": "finished",
            "class": self.coding(),
            "subject": self.reference("Patient"),
            **self.maybe(0.8, self.period, "period"),
            **self.maybe(
                0.4,
                lambda: {"value": 30, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"},
                "length",
            ),
        }

    def _organization(self) -> dict[str, Any]:
        return {
            "name": self.one(["长汀县医院", "Smith Clinic"]),
            **self.maybe(0.5, lambda: self.reference("Organization"), "partOf"),
        }

    def _location(self) -> dict[str, Any]:
        where = {
            "latitude": parse(self.one([b"25.1", b"25.2", b"-1"])),
            "longitude": parse(self.one([b"116.3", b"116.31"])),
        }
        return {"name": "x", **self.maybe(0.7, lambda: where, "position")}

    def _valueset(self) -> dict[str, Any]:
        urls = ["http://a.org/fhir", "http://a.org/fhir/ValueSet/1", "http://a.org/fhirx", "urn:oid:1.2"]
        return {"status": "draft", "url": self.one(urls), **self.maybe(0.5, lambda: self.one("12"), "version")}

    def _riskassessment(self) -> dict[str, Any]:
        chance = parse(self.one([b"0.1", b"0.10", b"0.25", b"1"]))
        return {"status": "final", "subject": self.reference("Patient"), "prediction": [{"probabilityDecimal": chance}]}

    def _list(self) -> dict[str, Any]:
        entries = [{"item": self.reference(self.one(["Patient", "Observation"]))} for _ in range(3)]
        return {"status": "current", "mode": "working", "entry": entries}


class Asker:
    """Random conditions, mostly made from values that are in the world."""

    def __init__(self, random_: random.Random, bench: Bench, world: World) -> None:
        self.random, self.bench, self.world = random_, bench, world
        self.one = random_.choice

    def rows_of(self, type: str) -> Rows:
        return self.one([rows for (kind, _), rows in self.world.rows.items() if kind == type] or [Rows()])

    def value(self, type: str) -> Node:
        """A condition on one value of one kind."""
        rows, kind = self.rows_of(type), self.one(["tok", "str", "dat", "qty", "ref", "geo", "present", "elements"])
        found = list(getattr(rows, kind))
        if not found:
            return tree.Id((f"{type.lower()}{self.random.randrange(6)}", "nobody"))
        if kind == "present":
            return tree.Missing(Param(type, self.one(sorted(rows.present))), self.random.random() < 0.5)
        row = self.one(found)
        if kind == "elements":
            number = row[0]
            same = [(table, part) for other, table, part in found if other == number]
            by_key = {part[0]: (table, part) for table, part in same}
            base = row[2][0].rsplit("$", 1)[0]
            parts = [by_key[key] for key in sorted(by_key) if key.startswith(base + "$")]
            return tree.Composite(Param(type, base), tuple(self.row(type, table, part) for table, part in parts))
        return self.row(type, kind, row)

    def row(self, type: str, kind: str, row: tuple[Any, ...]) -> Node:
        """A condition that the row satisfies, or nearly."""
        param = Param(type, row[0])
        prefix = self.one(list(Prefix))
        match kind:
            case "tok":
                return self.one(
                    [
                        tree.Token(param, row[1], row[2]),
                        tree.Token(param, None, row[2]),
                        tree.Token(param, row[1], None),
                        tree.Token(param, self.one(SYSTEMS), row[2]),
                        tree.Tokens(param, self.one([row[1], None]), (row[2], *"xyz")),
                        tree.Uri(param, self.one(list(tree.UriMode)), row[2] + self.one(["", "/1"])),
                    ]
                )
            case "str":
                mode = self.one(list(tree.StringMode))
                if row[0].endswith(":text"):
                    mode = tree.StringMode.PREFIX
                text = row[2] if mode is tree.StringMode.EXACT else row[1]
                if text == NOBODY_WROTE:  # the mark of forms such as pinyin
                    text = self.one(FAMILIES)
                cut = {
                    tree.StringMode.PREFIX: text[: self.one([1, 2, 99])],
                    tree.StringMode.CONTAINS: text[self.one([0, 1]) : self.one([2, 99])],
                    tree.StringMode.SUFFIX: text[self.one([0, 1]) :],
                }
                return tree.String(param, mode, cut.get(mode, text) or text)
            case "dat":
                low = row[1] + self.one([0, 0, -86_400_000_000, 1])
                high = self.one([row[2], low + 86_400_000_000, low + 1])
                return tree.Date(param, prefix, low, max(high, low + 1))
            case "qty":
                value = self.one([row[1], row[2], 5.0])
                value = max(-1e9, min(value, 1e9))
                least, most = value - self.one([0.5, 0.05]), value + self.one([0.5, 0.05])
                unit = self.one([(row[3], row[4]), (None, None), (None, row[4])])
                return tree.Quantity(param, prefix, value, least, most, *unit)
            case "ref":
                return tree.Reference(param, self.one([row[1], None]), row[2])
        return tree.Near(param, row[1] + self.one([0, 0.05]), row[2], self.one([1.0, 7.0, 500.0]))

    def condition(self, type: str, depth: int = 3) -> Node:
        """A condition of any kind."""
        kind = self.random.random()
        if depth == 0 or kind < 0.45:
            return self.value(type)
        if kind < 0.6:
            return tree.And(tuple(self.condition(type, depth - 1) for _ in range(self.one([0, 1, 2, 3]))))
        if kind < 0.7:
            return tree.Or(tuple(self.condition(type, depth - 1) for _ in range(self.one([0, 1, 2, 3]))))
        if kind < 0.76:
            return tree.Not(self.condition(type, depth - 1))
        if kind < 0.86:
            refs = self.rows_of(type).ref
            if refs:
                key, target, _ = self.one(refs)
                return tree.Chain(Param(type, key), target, self.condition(target, depth - 1))
        if kind < 0.93:
            source = self.one(TYPES)
            refs = [ref for ref in self.rows_of(source).ref if ref[1] == type]
            if refs:
                return tree.Has(Param(source, self.one(refs)[0]), self.condition(source, depth - 1))
        return self.special(type)

    def special(self, type: str) -> Node:
        keys = tuple(sorted({ref[0] for ref in self.rows_of(type).ref}))
        at = self.one(list(self.world.updated.values()))
        return self.one(
            [
                tree.InList(f"list{self.random.randrange(3)}"),
                tree.InCompartment("Patient", f"patient{self.random.randrange(5)}", keys, self.random.random() < 0.3),
                tree.LastUpdated(self.one(list(Prefix)), at, at + self.one([1, 1000, 3000])),
                tree.Text(self.one(["_text", "_content"]), self.one(["血压", "two", "press b", "阳性", "路"])),
            ]
        )


def build(seed: int, bench: Bench) -> World:
    """Write random resources, change and delete some, and tell what is there at the end."""
    random_ = random.Random(seed)
    maker = Maker(random_)
    present: dict[tuple[str, str], dict[str, Any]] = {}
    updated: dict[tuple[str, str], int] = {}
    for _ in range(3):
        for type in TYPES:
            for number in range(6):
                if random_.random() < 0.6:
                    made = maker.make(type, f"{type.lower()}{number}")
                    (stored,) = bench.put(made)
                    present[type, made["id"]], updated[type, made["id"]] = made, stored.updated
        for key in random_.sample(sorted(present), k=len(present) // 8):
            bench.delete(*key)
            del present[key]
    return World(
        {key: bench.extractor.rows(made) for key, made in present.items()},
        {key: full_text(made) for key, made in present.items()},
        {key: updated[key] for key in present},
    )


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=False)
@given(seed=st.integers(0, 2**32))
def test_every_condition_finds_what_brute_force_finds(seed: int) -> None:
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            world = build(seed, bench)
            asker = Asker(random.Random(seed + 1), bench, world)
            for _ in range(60):
                type = asker.one(TYPES)
                node = asker.condition(type)
                check(bench, world, type, node)
        finally:
            bench.store.close()


def check(bench: Bench, world: World, type: str, node: Node) -> None:
    query = tree.Query(((type, node),), count=4)
    expected = evaluate(query, world)
    found: list[tuple[str, str]] = []
    cursor = None
    while True:
        page = run(bench.store.search(query, EVERYTHING, cursor))
        found += [(match.type, match.id) for match in page.matches]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(found) == len(set(found)), node
    assert set(found) == expected, node
    assert run(bench.store.count(query, EVERYTHING)) == len(expected), node


SORTS = {
    "Patient": ["family", "birthdate", "gender", "organization", "_id", "_lastUpdated", "identifier"],
    "Observation": ["date", "code", "value-quantity", "subject", "status", "value-string", "_lastUpdated"],
}


@pytest.mark.parametrize("seed", range(4))
def test_sorted_pages_follow_the_keys_and_put_missing_values_last(tmp_path: Path, seed: int) -> None:
    bench = Bench(tmp_path)
    world = build(seed, bench)
    random_ = random.Random(seed)
    for type, codes in SORTS.items():
        for _ in range(8):
            chosen = random_.sample(codes, k=random_.choice([1, 2, 3]))
            spelled = [random_.choice(["", "-"]) + code for code in chosen]
            ids = bench.ids(type, f"_count=3&_sort={','.join(spelled)}")
            assert sorted(ids) == sorted(id for kind, id in world.rows if kind == type)
            keys = [[sort_key(world, bench, type, id, code) for code in spelled] for id in ids]
            assert keys == sorted(keys), spelled
    bench.store.close()


class Down:
    """A value that sorts the other way round."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: Down) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Down) and self.value == other.value


def sort_key(world: World, bench: Bench, type: str, id: str, spelled: str) -> tuple[bool, Any]:
    """Missing, and the least value (greatest when descending)."""
    code, down = spelled.lstrip("-"), spelled.startswith("-")
    rows = world.rows[type, id]
    values: list[Any]
    if code == "_id":
        values = [id]
    elif code == "_lastUpdated":
        values = [world.updated[type, id]]
    else:
        key = bench.query(type, f"_sort={code}").sort[0].key
        values = [c for k, _, c in rows.tok if k == key] + [v for k, v, _ in rows.str if k == key]
        values += [low for k, low, _ in rows.dat if k == key] + [low for k, low, *_ in rows.qty if k == key]
        values += [to for k, _, to in rows.ref if k == key]
    if not values:
        return (True, 0)
    return (False, Down(max(values)) if down else min(values))
