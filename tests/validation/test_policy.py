"""The policy file: what it means, and what is said where it cannot be understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_server.validation.policy import FILE, Policy, Rule, read_policy


def policy(folder: Path, value: Any) -> Policy:
    (folder / FILE).write_text(value if isinstance(value, str) else json.dumps(value))
    return read_policy(folder)


def test_without_a_file_claims_are_warned_of(tmp_path: Path) -> None:
    assert read_policy(tmp_path).rule("Patient", "emr") == Rule("warn")


def test_the_narrowest_rule_holds(tmp_path: Path) -> None:
    found = policy(
        tmp_path,
        {
            "default": "off",
            "types": {"Observation": "enforce", "Patient": {"mode": "warn", "profiles": ["urn:p"]}},
            "clients": {"old": "off", "lab": {"types": {"Observation": "warn"}}, "new": {"default": "enforce"}},
        },
    )
    assert found.rule("Encounter").mode == "off"
    assert found.rule("Observation").mode == "enforce"
    assert found.rule("Patient", "someone") == Rule("warn", ("urn:p",))
    assert found.rule("Observation", "old").mode == "off"
    assert found.rule("Observation", "lab").mode == "warn"
    assert found.rule("Encounter", "lab").mode == "off"
    assert found.rule("Encounter", "new").mode == "enforce"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{", "JSON"),
        ([], "object"),
        ({"default": "maybe"}, "maybe"),
        ({"types": []}, "types"),
        ({"types": {"Nonsense": "enforce"}}, "Nonsense"),
        ({"clients": {"x": {"types": {"patient": "off"}}}}, "'patient'"),
        ({"types": {"Patient": 1}}, "types.Patient"),
        ({"types": {"Patient": {"mode": "warn", "profiles": [1]}}}, "canonical"),
        ({"types": {"Patient": {"mode": "warn", "guide": "yes"}}}, "types.Patient.guide"),
        ({"clients": {"x": {"colour": "red"}}}, "clients.x"),
        ({"colour": "red"}, "colour"),
        ({"unknown_extensions": "fatal"}, "unknown_extensions"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_with_the_reason(tmp_path: Path, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        policy(tmp_path, value)
