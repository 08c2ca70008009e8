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
