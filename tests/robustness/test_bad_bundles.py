"""A bad entry undoes its whole transaction, and spoils nothing beside it in a batch.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.robustness.api import Resource
from tests.robustness.hostile import Target, refused


def entry(resource: Resource, method: str = "POST", url: str = "", **request: str) -> Resource:
    return {"resource": resource, "request": {"method": method, "url": url or resource["resourceType"], **request}}


GOOD: Resource = {"resourceType": "Patient", "name": [{"text": "好"}]}
BAD_ENTRIES: dict[str, Any] = {
    "null": None,
    "a number": 5,
    "a text": "Patient",
    "an array": [],
    "nothing in it": {},
    "no request": {"resource": GOOD},
    "request null": {"resource": GOOD, "request": None},
    "request text": {"resource": GOOD, "request": "POST Patient"},
    "no url": {"resource": GOOD, "request": {"method": "POST"}},
    "an unknown method": entry(GOOD, "PURGE"),
    "a method in lower case": entry(GOOD, "post"),
    "an unknown type": entry({"resourceType": "Foo"}, url="Foo"),
    "another type than its url": entry(GOOD, url="Observation"),
    "a POST without resource": {"request": {"method": "POST", "url": "Patient"}},
    "a PUT without id": entry(GOOD, "PUT", "Patient"),
    "a PUT with another id": entry({**GOOD, "id": "a"}, "PUT", "Patient/b"),
    "a PUT of a bad id": entry({**GOOD, "id": "a_b"}, "PUT", "Patient/a_b"),
    "a url of another server": entry(GOOD, url="http://example.org/fhir/Patient"),
    "a url above the base": entry({**GOOD, "id": "a"}, "PUT", "../../Patient/a"),
    "a bad percent-encoding": entry(GOOD, "PUT", "Patient?identifier=%ff%fe"),
    "a NUL in the url": entry({**GOOD, "id": "a"}, "PUT", "Patient/\x00"),
    "an unknown criterion": entry(GOOD, "PUT", "Patient?foo=bar"),
    "an empty condition": entry(GOOD, ifNoneExist=""),
    "a bad condition": entry(GOOD, ifNoneExist="birthdate=banana"),
    "a wrong version": entry({**GOOD, "id": "witness"}, "PUT", "Patient/witness", ifMatch='W/"77"'),
    "a version that is none": entry({**GOOD, "id": "witness"}, "PUT", "Patient/witness", ifMatch="banana"),
    "a condition as an object": {"resource": GOOD, "request": {"method": "POST", "url": "Patient", "ifNoneExist": {}}},
    "a wrong element": entry({**GOOD, "gender": "mann"}),
    "a nested transaction": entry({"resourceType": "Bundle", "type": "transaction"}, url="/"),
    "a read of nothing": {"request": {"method": "GET", "url": "Patient/none"}},
    "a read of an unknown type": {"request": {"method": "GET", "url": "Foo/1"}},
    "a read of an unknown place": {"request": {"method": "GET", "url": "Patient/1/2/3"}},
    "a search by an unknown parameter": {"request": {"method": "GET", "url": "Patient?foo=bar"}},
    "a search for a date that is none": {"request": {"method": "GET", "url": "Patient?birthdate=banana"}},
    "a patch of nothing": entry({"resourceType": "Parameters"}, "PATCH", "Patient/none"),
    "a patch that is none": entry({"resourceType": "Patient"}, "PATCH", "Patient/witness"),
    "a full URL that is none": {"fullUrl": 5, **entry(GOOD)},
    "a full URL with a version": {"fullUrl": "http://a/Patient/1/_history/1", **entry(GOOD)},
    "a conditional reference without match": entry(
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "x"},
            "subject": {"reference": "Patient?identifier=none"},
        }
    ),
    "an unknown operation": {"request": {"method": "POST", "url": "Patient/$purge"}, "resource": GOOD},
    "an unknown member": {**entry(GOOD), "resuorce": 1},
}


@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_one_bad_entry_undoes_its_whole_transaction(target: Target, name: str) -> None:
    entries = [entry({**GOOD, "id": f"t{n}"}, "PUT", f"Patient/t{n}") for n in range(4)]
    with target.unharmed():
        for place in (0, 2, 4):
            mixed = [*entries[:place], BAD_ENTRIES[name], *entries[place:]]
            issues = refused(target.api.post("", {"resourceType": "Bundle", "type": "transaction", "entry": mixed}))
            named = str([issue.get("expression") for issue in issues]) + str([issue["diagnostics"] for issue in issues])
            assert f"entry[{place}]" in named, issues


BUNDLES: dict[str, Any] = {
    "no type": {"entry": []},
    "a type that is none": {"type": "banana"},
    "a number as type": {"type": 5},
    "a searchset": {"type": "searchset"},
    "entries as an object": {"type": "transaction", "entry": {}},
    "entries as a text": {"type": "transaction", "entry": "x"},
    "the same resource twice": {"type": "transaction", "entry": [entry({**GOOD, "id": "d"}, "PUT", "Patient/d")] * 2},
    "the same full URL twice": {
        "type": "transaction",
        "entry": [{"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", **entry(GOOD)}] * 2,
    },
    "30,000 entries": {
        "type": "transaction",
        "entry": [{"request": {"method": "GET", "url": "Patient/witness"}}] * 30_000,
    },
    "30,000 entries in a batch": {
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "Patient/witness"}}] * 30_000,
    },
}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bad_bundle_is_refused(target: Target, name: str) -> None:
    with target.unharmed():
        refused(target.api.post("", {"resourceType": "Bundle", **BUNDLES[name]}))


@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_a_bad_entry_of_a_batch_is_answered_beside_the_good_ones(target: Target, name: str) -> None:
    reading = {"request": {"method": "GET", "url": "Patient/witness"}}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [reading, BAD_ENTRIES[name], reading]}
    with target.unharmed(unchanged=name not in ("a conditional reference without match",)):
        answer = target.api.post("", bundle)
        if answer.status != 200:
            refused(answer)
            return
        found = [entry["response"]["status"][:3] for entry in answer.json["entry"]]
        assert found[0] == found[2] == "200"
        assert found[1][0] == "4" or name == "a conditional reference without match", answer.json["entry"][1]
