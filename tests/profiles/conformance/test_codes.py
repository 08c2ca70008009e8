"""What validation asks of codes: what is known, what is refused, and where nobody can tell."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.conformance import Codes
from profiles.conformance.code_forms import LOINC, SNOMED, has_form, is_expression_constraint

SYSTEM = "http://test.example/cs"
OTHER = "http://other.example/cs"
SET = "http://test.example/vs"

TREE: dict[str, Any] = {
    "resourceType": "CodeSystem",
    "url": SYSTEM,
    "content": "complete",
    "concept": [
        {
            "code": "a",
            "display": "Ay",
            "property": [{"code": "size", "valueString": "1"}],
            "concept": [{"code": "aa"}, {"code": "ab", "concept": [{"code": "aba"}]}],
        },
        {"code": "b", "display": "Bee", "designation": [{"language": "zh", "value": "乙"}]},
    ],
}


def outcome(code: str, compose: dict[str, Any], system: str | None = SYSTEM) -> str:
    valueset = {"resourceType": "ValueSet", "url": SET, "compose": compose}
    return Codes([TREE, valueset]).validate(SET, system, code).outcome


@pytest.mark.parametrize(
    ("compose", "code", "expected"),
    [
        ({"include": [{"system": SYSTEM}]}, "aba", "valid"),
        ({"include": [{"system": SYSTEM}]}, "c", "invalid"),
        ({"include": [{"system": SYSTEM, "concept": [{"code": "a"}]}]}, "b", "invalid"),
        (
            {"include": [{"system": SYSTEM}], "exclude": [{"system": SYSTEM, "concept": [{"code": "a"}]}]},
            "a",
            "invalid",
        ),
        (
            {"include": [{"system": SYSTEM, "filter": [{"property": "concept", "op": "is-a", "value": "a"}]}]},
            "aba",
            "valid",
        ),
        (
            {"include": [{"system": SYSTEM, "filter": [{"property": "concept", "op": "is-a", "value": "a"}]}]},
            "b",
            "invalid",
        ),
        (
            {"include": [{"system": SYSTEM, "filter": [{"property": "concept", "op": "descendent-of", "value": "a"}]}]},
            "a",
            "invalid",
        ),
        ({"include": [{"system": SYSTEM, "filter": [{"property": "size", "op": "=", "value": "1"}]}]}, "a", "valid"),
        ({"include": [{"system": SYSTEM, "filter": [{"property": "size", "op": "=", "value": "2"}]}]}, "a", "invalid"),
        (
            {"include": [{"system": SYSTEM, "filter": [{"property": "size", "op": "odd", "value": "2"}]}]},
            "a",
            "unknown",
        ),
        ({"include": [{"valueSet": ["http://test.example/none"]}]}, "a", "unknown"),
        ({"include": [{"system": OTHER}]}, "a", "invalid"),
    ],
)
def test_value_sets(compose: dict[str, Any], code: str, expected: str) -> None:
    assert outcome(code, compose) == expected


def test_a_code_system_that_is_not_at_hand_is_unknown_and_a_list_of_its_codes_is_not() -> None:
    assert outcome("x", {"include": [{"system": OTHER}]}, OTHER) == "unknown"
    listed = {"include": [{"system": OTHER, "concept": [{"code": "x"}]}]}
    assert outcome("x", listed, OTHER) == "valid"
    assert outcome("y", listed, OTHER) == "invalid"


def test_a_bare_code_may_be_of_any_system_of_the_value_set() -> None:
    compose = {
        "include": [{"system": SYSTEM, "concept": [{"code": "a"}]}, {"system": OTHER, "concept": [{"code": "x"}]}]
    }
    assert outcome("x", compose, None) == "valid"
    assert outcome("z", compose, None) == "invalid"


def test_lookup_of_codes_and_displays() -> None:
    codes = Codes([TREE])
    assert codes.lookup(SYSTEM, "b", display="乙").valid
    assert codes.lookup(SYSTEM, "b", display=" bee ").valid
    wrong = codes.lookup(SYSTEM, "b", display="Sea")
    assert wrong.invalid and wrong.reason.startswith("display")
    assert codes.lookup(SYSTEM, "z").invalid
    assert codes.lookup(OTHER, "z").outcome == "unknown"
    assert codes.lookup("http://terminology.hl7.org/CodeSystem/v3-ActCode", "AMB").valid
    assert codes.lookup("http://terminology.hl7.org/CodeSystem/v3-ActCode", "XYZ").invalid


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("urn:ietf:bcp:13", "text/plain; charset=utf-8", "valid"),
        ("urn:ietf:bcp:13", "xml", "valid"),
        ("urn:ietf:bcp:13", "plain text", "invalid"),
        ("urn:ietf:bcp:47", "zh-Hans-CN", "valid"),
        ("urn:ietf:bcp:47", "z", "invalid"),
        ("http://unitsofmeasure.org", "furlongs", "unknown"),
        (SNOMED, "73211009", "unknown"),
        (SNOMED, "73211008", "invalid"),
    ],
)
def test_lookup_of_codes_that_are_not_listed(system: str, code: str, expected: str) -> None:
    assert Codes().lookup(system, code).outcome == expected


def test_of_another_version_than_is_known_nobody_can_tell() -> None:
    codes = Codes([{**TREE, "version": "1"}])
    assert codes.lookup(SYSTEM, "z", "1").invalid
    assert codes.lookup(SYSTEM, "z", "2").outcome == "unknown"


def test_a_supplement_is_no_code_system() -> None:
    supplement = {"resourceType": "CodeSystem", "url": OTHER, "content": "supplement", "supplements": SYSTEM}
    assert Codes([supplement]).lookup(OTHER, "a").invalid


def test_what_is_given_hides_other_versions_of_it_and_of_equal_ones_the_last_counts() -> None:
    url = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    first = {"resourceType": "CodeSystem", "url": url, "content": "complete", "concept": [{"code": "first"}]}
    last = {**first, "concept": [{"code": "last"}]}
    codes = Codes([first, last])
    assert codes.lookup(url, "last").valid
    assert codes.lookup(url, "first").invalid
    assert codes.lookup(url, "AMB").invalid


@pytest.mark.parametrize("value", [None, 1, "a", [1], {"a": 1}, [{"a": 1}], [{"code": 1, "system": 1, "concept": 1}]])
@pytest.mark.parametrize("key", ["concept", "compose", "expansion", "content", "version", "property", "contained"])
def test_definitions_that_are_not_built_as_they_should_be_break_nothing(key: str, value: Any) -> None:
    valueset = {"resourceType": "ValueSet", "url": SET, "compose": {"include": [{"system": SYSTEM}]}}
    compose = {**valueset, "compose": {"include": value, "exclude": value}}
    for given in ([{**TREE, key: value}, valueset], [TREE, {**valueset, key: value}], [TREE, compose]):
        codes = Codes(given)
        codes.has(SET)
        assert codes.validate(SET, SYSTEM, "a").outcome in ("valid", "invalid", "unknown")
        codes.validate(SET, None, "a")
        codes.lookup(SYSTEM, "a", display="Ay")


def test_the_value_sets_of_r4_are_known_with_and_without_version() -> None:
    codes = Codes()
    for version in ("", "|4.0.1", "|5.0.0"):
        url = f"http://hl7.org/fhir/ValueSet/observation-status{version}"
        assert codes.validate(url, None, "final").valid
        assert codes.validate(url, None, "finished").invalid


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        (SNOMED, "73211009", True),
        (SNOMED, "73211008", False),  # its check digit is wrong
        (SNOMED, "73211009x", False),
        (SNOMED, "12", False),
        (SNOMED, "73211009:363698007=39057004", None),
        (LOINC, "8867-4", True),
        (LOINC, "8867-5", False),
        (LOINC, "LA6576-8", True),
        (LOINC, "pulse", False),
        (OTHER, "anything", None),
    ],
)
def test_the_form_of_codes(system: str, code: str, expected: bool | None) -> None:
    assert has_form(system, code) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<< 73211009", True),
        ("<< 73211009 |Diabetes| OR (< 1 MINUS ^ 700043003)", True),
        ("1 << 2", False),
        ("<< ", False),
        ("(<< 1", False),
        ("<< 1 : 2 = 3", None),
    ],
)
def test_expression_constraints(text: str, expected: bool | None) -> None:
    assert is_expression_constraint(text) is expected
