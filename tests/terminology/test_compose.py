"""What is in a value set: one code asked, and all listed, say the same, for every way of putting one together."""

from __future__ import annotations

import random
import time
from itertools import pairwise
from typing import Any

import pytest

from terminology.compose import Composer
from terminology.errors import BadDefinition, NotKnown, TerminologyError, TooCostly, Unsupported
from terminology.registry import Terminology, from_resources
from terminology.valuesets import valueset_of
from terminology.versions import Pins

Raw = dict[str, Any]
SYSTEM: Raw = {
    "resourceType": "CodeSystem",
    "url": "urn:s",
    "version": "2",
    "status": "active",
    "content": "complete",
    "property": [{"code": "kind", "type": "code"}],
    "concept": [
        {
            "code": "a",
            "display": "Apple",
            "property": [{"code": "kind", "valueCode": "x"}],
            "concept": [
                {"code": "a1", "display": "One", "property": [{"code": "kind", "valueCode": "y"}]},
                {"code": "a2", "concept": [{"code": "a21", "property": [{"code": "inactive", "valueBoolean": True}]}]},
            ],
        },
        {
            "code": "b",
            "display": "Bean",
            "property": [{"code": "kind", "valueCode": "x"}, {"code": "parent", "valueCode": "a1"}],
        },
        {"code": "c"},
    ],
}  # fmt: skip
OLD: Raw = {**SYSTEM, "version": "1", "concept": [{"code": "a"}, {"code": "gone"}]}
CODES = ["a", "a1", "a2", "a21", "b", "c", "gone", "zz"]


def valueset(*include: Raw, url: str = "urn:v", **more: Any) -> Raw:
    compose = {"include": list(include), **more}
    return {"resourceType": "ValueSet", "url": url, "status": "active", "compose": compose}


def by(property: str, op: str, value: str) -> Raw:
    return {"system": "urn:s", "filter": [{"property": property, "op": op, "value": value}]}


KNOWN = from_resources([SYSTEM, OLD, valueset(by("concept", "is-a", "a"), url="urn:under-a")])


def listed(resource: Raw, known: Terminology = KNOWN, pins: Pins | None = None, active: bool = False) -> list[str]:
    composer = Composer(known, pins or Pins())
    parts = composer.members(valueset_of(resource), active=active)
    return [code for part in parts for code in part.system.codes(part.places)]


def asked(resource: Raw) -> list[str]:
    composer = Composer(KNOWN)
    return [code for code in CODES if composer.member(valueset_of(resource), "urn:s", code) is not None]


FILTERS = [
    (("concept", "is-a", "a"), ["a", "a1", "a2", "a21", "b"]),
    (("concept", "descendent-of", "a"), ["a1", "a2", "a21", "b"]),
    (("concept", "is-not-a", "a"), ["c"]),
    (("concept", "generalizes", "b"), ["a", "a1", "b"]),
    (("concept", "child-of", "a"), ["a1", "a2"]),
    (("concept", "descendent-leaf", "a"), ["a21", "b"]),
    (("concept", "is-a", "nothing"), []),
    (("concept", "is-not-a", "nothing"), ["a", "a1", "a2", "a21", "b", "c"]),
    (("kind", "=", "x"), ["a", "b"]),
    (("kind", "in", "x,y"), ["a", "a1", "b"]),
    (("kind", "not-in", "x"), ["a1", "a2", "a21", "c"]),
    (("kind", "exists", "true"), ["a", "a1", "b"]),
    (("kind", "exists", "false"), ["a2", "a21", "c"]),
    (("code", "regex", "a[0-9]"), ["a1", "a2"]),
    (("display", "regex", ".*e.*"), ["a", "a1", "b"]),
    (("display", "=", "Bean"), ["b"]),
    (("code", "in", "a,c,zz"), ["a", "c"]),
    (("concept", "=", "a2"), ["a2"]),
    (("parent", "=", "a"), ["a1", "a2"]),
    (("child", "exists", "true"), ["a", "a1", "a2"]),
    (("inactive", "=", "true"), ["a21"]),
]


@pytest.mark.parametrize(("filter", "wanted"), FILTERS)
def test_a_filter_selects(filter: tuple[str, str, str], wanted: list[str]) -> None:
    resource = valueset(by(*filter))
    assert listed(resource) == wanted
    assert asked(resource) == wanted


@pytest.mark.parametrize(
    ("resource", "wanted"),
    [
        (valueset({"system": "urn:s"}), ["a", "a1", "a2", "a21", "b", "c"]),
        (valueset({"system": "urn:s"}, inactive=False), ["a", "a1", "a2", "b", "c"]),
        (valueset({"system": "urn:s"}, exclude=[by("kind", "=", "x")]), ["a1", "a2", "a21", "c"]),
        (valueset({"system": "urn:s"}, exclude=[{"valueSet": ["urn:under-a"]}]), ["c"]),
        (valueset({"valueSet": ["urn:under-a"]}, {"system": "urn:s", "concept": [{"code": "c"}, {"code": "a"}]}),
         ["a", "a1", "a2", "a21", "b", "c"]),
        (valueset({**by("kind", "=", "x"), "valueSet": ["urn:under-a"]}), ["a", "b"]),
        (valueset({"system": "urn:s", "version": "1"}), ["a", "gone"]),
        (valueset({"system": "urn:s", "version": "1"}, {"system": "urn:s", "concept": [{"code": "c"}]}),
         ["a", "gone", "c"]),
        (valueset({"system": "urn:s", "concept": [{"code": "b"}, {"code": "zz"}, {"code": "a1"}]}), ["b", "a1"]),
    ],
)  # fmt: skip
def test_includes_and_excludes_make_up_a_value_set(resource: Raw, wanted: list[str]) -> None:
    assert listed(resource) == wanted
    assert asked(resource) == [code for code in CODES if code in wanted]


def test_random_value_sets_are_the_same_asked_and_listed() -> None:
    chosen = random.Random(3)
    for _ in range(300):
        pool = [by(*one) for one, _ in FILTERS]
        pool += [{"system": "urn:s"}, {"valueSet": ["urn:under-a"]}, {"system": "urn:s", "concept": [{"code": "b"}]}]
        made = chosen.sample(pool, chosen.choice([1, 2, 3]))
        more = {"exclude": chosen.sample(pool, 1)} if chosen.random() < 0.5 else {}
        resource = valueset(*made, **more)
        assert sorted(listed(resource)) == sorted(asked(resource)), resource
        assert len(set(listed(resource))) == len(listed(resource))


def test_pins_choose_versions() -> None:
    resource = valueset({"system": "urn:s"})
    assert listed(resource, pins=Pins(default={"urn:s": "1"})) == ["a", "gone"]
    assert listed(valueset({"system": "urn:s", "version": "2"}), pins=Pins(force={"urn:s": "1"})) == ["a", "gone"]


def test_codes_of_an_unknown_system_are_as_the_value_set_lists_them() -> None:
    resource = valueset({"system": "urn:unknown", "concept": [{"code": "x", "display": "X"}]})
    assert listed(resource) == ["x"]
    composer = Composer(KNOWN)
    assert composer.member(valueset_of(resource), "urn:unknown", "x") is not None
    assert composer.member(valueset_of(resource), "urn:unknown", "y") is None


def test_a_stored_expansion_is_taken_where_there_is_no_compose() -> None:
    resource = {
        "resourceType": "ValueSet",
        "url": "urn:e",
        "expansion": {"contains": [
            {"system": "urn:s", "code": "b"},
            {"abstract": True, "display": "group", "contains": [{"system": "urn:o", "code": "o1", "display": "O"}]},
        ]},
    }  # fmt: skip
    assert sorted(listed(resource)) == ["b", "o1"]
    assert asked(resource) == ["b"]


@pytest.mark.parametrize(
    ("resource", "error"),
    [
        (valueset({"system": "urn:unknown"}), NotKnown),
        (valueset({"system": "urn:s", "version": "9"}), NotKnown),
        (valueset({"valueSet": ["urn:nothing"]}), NotKnown),
        (valueset(by("concept", "is-a", "")), BadDefinition),
        (valueset(by("kind", "is-a", "x")), Unsupported),
        (valueset(by("kind", "resembles", "x")), Unsupported),
        (valueset(by("code", "regex", "(")), BadDefinition),
        (valueset({"system": "http://unitsofmeasure.org"}), Unsupported),
        (valueset({"valueSet": ["urn:v"]}), BadDefinition),
    ],
)
def test_what_cannot_be_listed_is_refused(resource: Raw, error: type[TerminologyError]) -> None:
    known = from_resources([SYSTEM, resource])  # the last one is the value set that it refers to, and so itself
    with pytest.raises(error):
        listed(valueset({"valueSet": ["urn:v"]}, url="urn:w"), known)
    with pytest.raises(error):
        listed(resource, known)


def test_imports_that_multiply_are_given_up() -> None:
    names = [f"urn:d{n}" for n in range(40)]
    twice = [valueset({"valueSet": [b]}, {"valueSet": [b]}, url=a) for a, b in pairwise(names)]
    known = from_resources([SYSTEM, *twice, valueset({"system": "urn:s"}, url=names[-1])])
    for evaluate in (
        lambda composer, one: composer.member(one, "urn:s", "zz"),
        lambda composer, one: composer.check(one),
    ):
        with pytest.raises(TooCostly):
            evaluate(Composer(known), valueset_of(twice[0]))
    (part,) = Composer(known).members(valueset_of(twice[0]))  # here each is worked out once
    assert len(part.places) == 6


def test_of_duplicate_codes_the_first_counts_and_circles_of_parents_end() -> None:
    odd = {
        **SYSTEM,
        "url": "urn:odd",
        "concept": [
            {"code": "x", "display": "first", "property": [{"code": "parent", "valueCode": "y"}]},
            {"code": "y", "property": [{"code": "parent", "valueCode": "x"}]},
            {"code": "x", "display": "second"},
        ],
    }
    system = from_resources([odd]).system("urn:odd")
    assert system is not None
    found = system.find("x")
    assert found is not None and found.display == "first"
    assert system.codes(sorted(system.descendants(found.ordinal))) == ["y"]


MANY: Raw = {
    "resourceType": "CodeSystem",
    "url": "urn:many",
    "status": "active",
    "content": "complete",
    "concept": [{"code": f"c{number}"} for number in range(20_000)],
}
BIG = valueset({"system": "urn:many"}, url="urn:big")


def test_an_import_is_worked_out_once_however_often_it_is_named() -> None:
    known = from_resources([MANY, BIG, valueset({"valueSet": ["urn:big"]}, url="urn:again")])
    composer = Composer(known)
    twice = {"valueSet": ["urn:again", "urn:big"]}
    asked = valueset({"valueSet": ["urn:big"] * 60}, {"valueSet": ["urn:again"]}, twice)
    start = time.thread_time()
    parts = composer.members(valueset_of(asked))
    assert sum(len(part.places) for part in parts) == 20_000
    assert time.thread_time() - start < 0.3


def test_too_many_codes_compared_are_refused() -> None:
    known = from_resources([MANY, BIG])
    asked = valueset(*({"valueSet": ["urn:big"]} for _ in range(1_000)))
    start = time.thread_time()
    with pytest.raises(TooCostly):
        Composer(known).members(valueset_of(asked))
    assert time.thread_time() - start < 2


def test_one_code_is_asked_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    composer = Composer(from_resources([MANY]))
    scans = [{"property": "code", "op": "regex", "value": f"c.{{0,{number}}}"} for number in range(1, 400)]
    many = valueset_of(valueset({"system": "urn:many", "filter": scans}))
    assert composer.member(many, "urn:many", "c1") is not None
    ticks = iter(range(1_000))
    monkeypatch.setattr("terminology.compose.monotonic", lambda: composer._until - 100 + next(ticks))
    with pytest.raises(TooCostly):
        composer.member(many, "urn:many", "c1")


def test_too_many_codes_filtered_are_refused() -> None:
    scan = {"property": "display", "op": "regex", "value": "((x{50}){50})*"}
    with pytest.raises(TooCostly):
        Composer(from_resources([MANY])).members(
            valueset_of(valueset(*({"system": "urn:many", "filter": [scan]} for _ in range(20))))
        )
