"""Values that are right by their form and costly by their meaning are answered quickly, like all others."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.robustness.api import Resource
from tests.robustness.hostile import Target, refused_or_good

QUICK = 5.0  # seconds of any of these on a busy machine; what is wrong takes minutes or for ever
UCUM = "http://unitsofmeasure.org"


def patient(**elements: Any) -> Resource:
    return {"resourceType": "Patient", **elements}


def measured(code: str) -> Resource:
    quantity = {"value": 1, "system": UCUM, "code": code}
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "valueQuantity": quantity}


COSTLY: dict[str, Resource] = {
    "a power of ten": measured("10*999999999"),
    "a negative power of ten": measured("10*-999999999"),
    "a power of a unit": measured("m999999999"),
    "a product of powers": measured(".".join(["10*99"] * 16)),
    "a unit in many brackets": measured("(" * 40 + "m" + ")" * 40),
    "a long unit": measured("m." * 50_000 + "m"),
    "a family name like a book": patient(name=[{"family": "王" * 300_000}]),
    "given names like a book": patient(name=[{"family": "乐", "given": ["重行长" * 100_000]}]),
    "a name of one character and its marks": patient(name=[{"family": "e" + "\u0301" * 500_000}]),
    "2,000 names": patient(name=[{"family": f"n{n}", "given": ["小明"]} for n in range(2_000)]),
    "20,000 given names": patient(name=[{"family": "王", "given": [f"g{n}" for n in range(20_000)]}]),
    "20,000 identifiers": patient(identifier=[{"system": f"urn:s:{n}", "value": str(n)} for n in range(20_000)]),
    "20,000 labels": patient(meta={"tag": [{"system": "urn:s", "code": str(n)} for n in range(20_000)]}),
    "20,000 extensions": patient(extension=[{"url": "urn:x", "valueString": str(n)} for n in range(20_000)]),
    "5,000 contained resources": patient(
        contained=[{"resourceType": "Organization", "id": f"o{n}"} for n in range(5_000)],
        generalPractitioner=[{"reference": f"#o{n}"} for n in range(5_000)],
    ),
    "a time of a million digits": patient(meta={"lastUpdated": f"2026-01-01T00:00:00.{'9' * 1_000_000}Z"}),
    "a link of a million characters": patient(photo=[{"url": "http://" + "a/" * 500_000}]),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_costly_value_is_indexed_quickly_or_refused(target: Target, name: str) -> None:
    resource = COSTLY[name]
    type_ = resource["resourceType"]
    with target.unharmed(unchanged=False):
        start = time.monotonic()
        answer = target.api.post(type_, resource)
        assert time.monotonic() - start < QUICK
        if refused_or_good(answer):
            path = f"{type_}/{answer.json['id']}"
            assert target.api.get(path, Accept="application/fhir+xml").status == 200
            assert target.api.get(f"{type_}?_id={answer.json['id']}&_summary=true").status == 200
            assert target.api.delete(path).status == 204


@pytest.mark.parametrize("code", ["10*999999999", "m999999999", "10^-999999999", "(" * 1000 + "m" + ")" * 1000])
def test_a_costly_unit_is_searched_quickly(target: Target, code: str) -> None:
    with target.unharmed():
        start = time.monotonic()
        refused_or_good(target.api.get(f"Observation?value-quantity=gt1|{UCUM}|{code}"))
        assert time.monotonic() - start < QUICK
