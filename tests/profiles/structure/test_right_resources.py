"""What the structural check lets pass."""

from __future__ import annotations

import gzip
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from profiles.lossless import parse
from profiles.structure import Validator
from tests.profiles.structure.samples import ALL, sample

SYNTHEA = Path(__file__).parents[3] / ".." / "shared" / "fhir" / "synthea"


def test_every_official_example_passes(validator: Validator, official_examples: list[dict[str, Any]]) -> None:
    wrong = {f"{r['resourceType']}/{r.get('id')}": found for r in official_examples if (found := validator.check(r))}
    assert wrong == {}


@pytest.mark.skipif(not SYNTHEA.is_dir(), reason="the Synthea records are not beside this checkout")
def test_synthea_transactions_pass_with_their_urn_and_conditional_references(validator: Validator) -> None:
    for path in islice(sorted(SYNTHEA.glob("*.json.gz"), key=lambda p: p.stat().st_size), 12):
        assert validator.check(parse(gzip.decompress(path.read_bytes()))) == [], path.name


@pytest.mark.parametrize("name", ALL)
def test_our_own_samples_pass(validator: Validator, name: str) -> None:
    assert validator.check(sample(name)) == []


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/1",
        "Patient/1/_history/2",
        "http://example.org/fhir/Patient/a.b-c",
        "https://example.org:8080/x/y/Patient/1",
        "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
        "urn:oid:1.2.3",
        "Patient?identifier=http://example.org|1",
        "http://example.org/some/thing",
        "https://example.org/registry?person=1",
    ],
)
def test_every_form_of_reference_is_allowed(validator: Validator, reference: str) -> None:
    condition = sample("CONDITION")
    condition["subject"]["reference"] = reference
    assert validator.check(condition) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("onsetDateTime", "2024-02-29"),
        ("onsetDateTime", "2000-02-29T23:59:60Z"),
        ("onsetDateTime", "1970"),
        ("onsetDateTime", "2026-12"),
        ("onsetDateTime", "2026-01-02T03:04:05.123456789-14:00"),
        ("onsetString", "  a line\n\tand another  "),
        ("onsetString", "𠮷野家 \u3000"),
    ],
)
def test_values_at_the_edge_of_their_type_pass(validator: Validator, key: str, value: str) -> None:
    condition = sample("CONDITION")
    del condition["onsetAge"]
    condition[key] = value
    assert validator.check(condition) == []


@pytest.mark.parametrize("number", [b"1.00", b"0", b"-0.000", b"1e2", b"1E-10", b"123456789012345678901234567890.5"])
def test_decimals_are_taken_as_they_are_written(validator: Validator, number: bytes) -> None:
    observation = sample("OBSERVATION")
    observation["valueQuantity"]["value"] = parse(number)
    assert validator.check(observation) == []


def test_a_required_primitive_may_have_extensions_instead_of_a_value(validator: Validator) -> None:
    observation = sample("OBSERVATION")
    del observation["status"]
    observation["_status"] = {"extension": [{"url": "http://example.org/absent", "valueCode": "unknown"}]}
    assert validator.check(observation) == []


def test_ids_are_allowed_on_elements(validator: Validator) -> None:
    patient = sample("PATIENT")
    patient["name"][0]["id"] = "n1"
    patient["_gender"] = {"id": "g1"}
    assert validator.check(patient) == []


def test_base64_may_be_broken_into_lines(validator: Validator) -> None:
    binary = sample("BINARY")
    binary["data"] = "SGVs\r\nbG8="
    assert validator.check(binary) == []


def test_a_contained_resource_may_refer_to_its_container_and_neighbour(validator: Validator) -> None:
    patient = sample("PATIENT")
    patient["contained"].append(
        {
            "resourceType": "PractitionerRole",
            "id": "r1",
            "organization": {"reference": "#o1"},
            "location": [{"reference": "#l1"}],
        }
    )
    patient["contained"].append({"resourceType": "Location", "id": "l1", "name": "Ward"})
    assert validator.check(patient) == []


def test_characters_by_number_and_tables_are_allowed_in_the_narrative(validator: Validator) -> None:
    patient = sample("PATIENT")
    patient["text"]["div"] = (
        '<div xmlns="http://www.w3.org/1999/xhtml" lang="zh">&#xA0;&#160;&lt;'
        '<table border="1"><tr><td>x</td></tr></table>'
        '<img src="#i" alt="i"/><a href="https://example.org">y</a><!-- z --></div>'
    )
    assert validator.check(patient) == []
