"""SearchParameters whose expressions are hopeless are given up, and stop nobody.

https://hl7.org/fhir/R4/search.html#custom
"""

from __future__ import annotations

import time

import pytest

from tests.robustness.api import Api, Broken, Resource
from tests.robustness.hostile import Target, refused_or_good

REINDEXED = 20.0  # seconds of a write, which waits for the reindexing of the few resources that there are


@pytest.mark.parametrize(
    "expression",
    [
        "Patient.name.where(family.matches('(a+)+$')).given",
        "Patient.name.family.repeat($this & 'a')",
        "Patient.name" + ".given" * 2_000,
        "Patient.name.select($this | $this | $this)" + ".select($this.combine($this))" * 25,
        "Patient.name.given.aggregate($total & $total & $this, 'a')",
        "(" * 5_000 + "Patient" + ")" * 5_000,
        "Patient.name.family.replace('', 'a')" + ".replace('a', 'aaaaaaaaaa')" * 12,
        "Patient.name.where(family.toString().length().power(99999999) > 1).given",
    ],
    ids=lambda text: text[:40],
)
def test_a_costly_search_parameter_stops_nobody(target: Target, expression: str) -> None:
    parameter: Resource = {
        "resourceType": "SearchParameter",
        "url": "http://example.org/SearchParameter/costly",
        "name": "Costly",
        "status": "active",
        "description": "x",
        "code": "costly",
        "base": ["Patient"],
        "type": "string",
        "expression": expression,
    }
    name = {"family": "a" * 60 + "b", "given": ["x"] * 30}
    victim: Resource = {"resourceType": "Patient", "id": "victim", "name": [name]}
    try:
        if not refused_or_good(target.api.put("SearchParameter/costly", {**parameter, "id": "costly"})):
            return
        end = time.monotonic() + 1.5
        while target.api.get("Patient?costly=x").status == 400 and time.monotonic() < end:
            time.sleep(0.05)  # until the server takes it up, if it does at all
        with target.unharmed(unchanged=False):
            start = time.monotonic()
            assert target.api.put("Patient/victim", victim).good
            assert time.monotonic() - start < REINDEXED  # the writer is shared with the reindexing
            refused_or_good(target.api.get("Patient?costly=x"))
    finally:
        try:
            target.api.delete("SearchParameter/costly")
        except Broken:
            Api(target.fork.url).delete("SearchParameter/costly")
