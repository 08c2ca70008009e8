"""Hostile resources and profiles cost little and break nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from profiles.conformance import Options, ProfileSet
from tests.profiles.conformance.build import URL, element, profile

PROFILES = ProfileSet.load([profile("Patient", element("Patient.name.family", min=1))])
LONG = 300_000


def narrative(inside: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "text": {"status": "generated", "div": inside}}


@pytest.mark.parametrize(
    "resource",
    [
        narrative("<" * LONG),
        narrative("<a href='#" * (LONG // 10)),
        narrative(" id=" * (LONG // 4)),
        {"resourceType": "Patient", "implicitRules": "a/" * LONG},
        {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "http://" + "a/" * LONG}]},
        {"resourceType": "Patient", "name": [{"id": "x"}] * 20_000},
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "1" * LONG}]},
        },
        {
            "resourceType": "Bundle",
            "type": "document",
            "entry": [
                {"fullUrl": f"urn:uuid:{n:08}-0000-4000-8000-000000000000", "resource": narrative('<a href="#x">')}
                for n in range(500)
            ],
        },
    ],
    ids=["tags", "links", "anchors", "uri", "full url", "ids", "code", "bundle"],
)
def test_long_and_strange_texts_take_no_time(resource: dict[str, Any]) -> None:
    start = time.process_time()
    PROFILES.check(resource, (), Options(in_words="error", security=True, examples=False))
    assert time.process_time() - start < 2


@pytest.mark.parametrize("value", [None, 1, True, "a", [], [None], {}, {"resourceType": "Patient"}, [[1]], {"a": 1}])
@pytest.mark.parametrize(
    "key", ["meta", "text", "extension", "name", "_birthDate", "birthDate", "contained", "link", "managingOrganization"]
)
def test_values_of_the_wrong_kind_break_nothing(key: str, value: Any) -> None:
    PROFILES.check({"resourceType": "Patient", key: value}, [URL])


@pytest.mark.parametrize("value", [None, 1, "a", [], [None], {}, [{}], [{"path": 1}], [{"path": "Patient.x.y.z"}]])
@pytest.mark.parametrize("key", ["differential", "snapshot", "baseDefinition", "type", "context"])
def test_broken_profiles_break_nothing(key: str, value: Any) -> None:
    broken = {**profile("Patient", element("Patient.name", min=1)), key: value}
    for given in (broken, {**broken, key: {"element": value}}):
        found = ProfileSet.load([given]).check({"resourceType": "Patient"}, [URL])
        assert all(issue.diagnostics for issue in found)
        ProfileSet.load().check(given)


@pytest.mark.parametrize("value", [None, 1, "a", [1], {"a": 1}, [{"a": 1}], [[]]])
@pytest.mark.parametrize(
    "key",
    ["min", "max", "type", "slicing", "binding", "constraint", "maxLength", "minValueDate", "patternHumanName", "id"],
)
def test_broken_elements_break_nothing(key: str, value: Any) -> None:
    resource = {"resourceType": "Patient", "name": [{"text": "a", "family": "b"}], "telecom": [{"value": "1"}]}
    for path in ("Patient.name", "Patient.name.text"):
        given = profile("Patient", element(path, **{key: value}), element(path, "one", **{key: value}))
        found = ProfileSet.load([given]).check(resource, [URL])
        assert all(issue.diagnostics for issue in found)


def test_deep_nesting_comes_to_an_end() -> None:
    value: dict[str, Any] = {"url": "http://test.example/e", "valueString": "a"}
    for _ in range(3000):
        value = {"url": "http://test.example/e", "extension": [value]}
    found = PROFILES.check({"resourceType": "Patient", "extension": [value]})
    assert any(issue.severity == "error" for issue in found)


def test_many_warnings_do_not_hide_an_error() -> None:
    entries = [
        {"fullUrl": f"urn:uuid:{n:08}-0000-4000-8000-000000000000", "resource": {"resourceType": "Patient"}}
        for n in range(1000)
    ]
    entries[-1]["resource"] = {"resourceType": "Patient", "contact": [{"gender": "male"}]}
    found = PROFILES.check({"resourceType": "Bundle", "type": "collection", "entry": entries})
    assert [issue.expression for issue in found if issue.severity == "error"] == [
        ("Bundle.entry[999].resource.contact[0]",)
    ]


BOMB = "(1).repeat($this + 1).count() > 0"


def constrained(*expressions: str) -> ProfileSet:
    stated = [
        {"key": f"x-{n}", "severity": "error", "human": "x", "expression": text} for n, text in enumerate(expressions)
    ]
    return ProfileSet.load([profile("Patient", element("Patient", constraint=stated))])


def warnings(profiles: ProfileSet, resource: dict[str, Any]) -> list[str]:
    found = profiles.beyond_structure(resource, [URL])
    assert all(issue.severity != "error" for issue in found)
    return [issue.diagnostics.partition(" ")[0] for issue in found if "cannot be evaluated" in issue.diagnostics]


def test_the_expressions_of_a_profile_share_what_they_may_cost() -> None:
    profiles = constrained(*[BOMB + f" or {n} > 0" for n in range(10)])
    start = time.process_time()
    assert warnings(profiles, {"resourceType": "Patient"}) == [f"x-{n}" for n in range(10)]
    assert time.process_time() - start < 1


def test_small_expressions_share_it_too() -> None:
    inner = f"({' | '.join(str(n) for n in range(40))}).all($this >= 0)"
    stated = [{"key": "x", "severity": "error", "human": "x", "expression": f"{inner} or {n} > 0"} for n in range(200)]
    profiles = ProfileSet.load([profile("Patient", element("Patient.name", constraint=stated))])
    names = [{"text": "王"} for _ in range(100)]
    found = profiles.beyond_structure({"resourceType": "Patient", "name": names}, [URL])
    assert any("take too long on this resource" in issue.diagnostics for issue in found)


def test_an_invariant_that_took_too_long_rests_for_resources_of_that_size(monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = constrained(BOMB, "gender.exists()")
    small, large = {"resourceType": "Patient"}, {"resourceType": "Patient", "gender": "male", "active": True}
    assert warnings(profiles, large) == ["x-0", "x-1"]
    assert warnings(profiles, large) == ["x-0"]  # the other one is evaluated now
    assert warnings(profiles, small) == ["x-0", "x-1"]  # a smaller one may be quick
    later = time.monotonic() + 120
    monkeypatch.setattr("profiles.conformance.invariants.time.monotonic", lambda: later)
    assert warnings(profiles, large) == ["x-0", "x-1"]


def test_a_large_resource_is_held_to_its_profile_throughout() -> None:
    stated = [{"key": "x", "severity": "error", "human": "x", "expression": "family.exists() or text != '王'"}]
    profiles = ProfileSet.load([profile("Patient", element("Patient.name", constraint=stated))])
    names = [{"text": "李", "use": "usual"} for _ in range(15_000)] + [{"text": "王"}]
    found = profiles.beyond_structure({"resourceType": "Patient", "name": names}, [URL])
    assert [issue.expression for issue in found if URL in issue.diagnostics] == [("Patient.name[15000]",)]
    assert not any("too long" in issue.diagnostics for issue in found)
