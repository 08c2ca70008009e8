"""Searches over HTTP: how their Bundles look, page and say what was not understood."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def tag(client: httpx.Client) -> str:
    """A tag that five patients and one observation of each carry."""
    code = f"search-{uuid.uuid4()}"
    meta = {"tag": [{"code": code}]}
    for n in range(5):
        patient = {"resourceType": "Patient", "id": f"{code[:20]}-{n}", "meta": meta, "name": [{"family": f"F{n}"}]}
        observation = {
            "resourceType": "Observation",
            "id": f"{code[:20]}-{n}",
            "meta": meta,
            "status": "final",
            "code": {"text": "x"},
            "subject": {"reference": f"Patient/{code[:20]}-{n}"},
        }
        assert client.put(f"Patient/{patient['id']}", json=patient).status_code == 201
        assert client.put(f"Observation/{observation['id']}", json=observation).status_code == 201
    return code


def link(bundle: dict[str, Any], relation: str) -> str | None:
    return next((one["url"] for one in bundle["link"] if one["relation"] == relation), None)


def names(bundle: dict[str, Any], mode: str = "match") -> list[str]:
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in bundle.get("entry", [])
        if entry["search"]["mode"] == mode
    ]


def test_a_searchset_holds_the_stored_resources(client: httpx.Client, tag: str) -> None:
    answer = client.get(f"Patient?_tag={tag}")
    bundle = answer.json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    assert len(names(bundle)) == 5
    entry = bundle["entry"][0]
    assert client.get(entry["fullUrl"]).json() == entry["resource"]
    assert link(bundle, "self") == f"{str(client.base_url).rstrip('/')}/Patient?_tag={tag}"
    assert link(bundle, "next") is None


def test_a_search_can_be_posted(client: httpx.Client, tag: str) -> None:
    for url, body in (("Patient/_search", f"_tag={tag}&family=F1"), (f"Patient/_search?_tag={tag}", "family=F1")):
        bundle = client.post(url, content=body, headers=FORM).json()
        assert names(bundle) == [f"Patient/{tag[:20]}-1"]
        assert "_search" not in (link(bundle, "self") or "")
    xml = client.post("Patient/_search", content=f"_tag={tag}&_format=xml", headers=FORM)
    assert xml.headers["content-type"].startswith("application/fhir+xml")
    assert client.post("Patient/_search", json={"a": 1}).status_code == 415
    assert client.post("Patient/_search", content=b"name=\xff", headers=FORM).status_code == 400


def test_pages_are_walked_by_their_next_links(client: httpx.Client, tag: str) -> None:
    url: str | None = f"Patient?_tag={tag}&_count=2&_sort=family&_total=accurate"
    seen: list[str] = []
    pages = 0
    while url:
        bundle = client.get(url).json()
        assert bundle["total"] == 5
        seen += names(bundle)
        pages += 1
        url = link(bundle, "next")
    assert pages == 3
    assert seen == [f"Patient/{tag[:20]}-{n}" for n in range(5)]


def test_a_cursor_belongs_to_its_search(client: httpx.Client, tag: str) -> None:
    following = link(client.get(f"Patient?_tag={tag}&_count=2").json(), "next")
    assert following is not None
    cursor = parse_qs(urlsplit(following).query)["_cursor"][0]
    assert client.get("Patient", params={"_cursor": cursor}).status_code == 400
    assert client.get("Patient", params={"_tag": tag, "_count": "2", "_cursor": "nonsense"}).status_code == 400
    assert client.get("Patient", params={"_tag": tag, "_count": "2", "_cursor": cursor}).status_code == 200


def test_pages_keep_the_format(client: httpx.Client, tag: str) -> None:
    answer = client.get(f"Patient?_tag={tag}&_count=2&_format=xml")
    assert answer.headers["content-type"].startswith("application/fhir+xml")
    assert b'<Bundle xmlns="http://hl7.org/fhir">' in answer.content
    assert b"_format=xml" in answer.content


def test_includes_are_marked_as_such(client: httpx.Client, tag: str) -> None:
    bundle = client.get(f"Observation?_tag={tag}&_include=Observation:subject").json()
    assert len(names(bundle)) == 5
    assert sorted(names(bundle, "include")) == [f"Patient/{tag[:20]}-{n}" for n in range(5)]


def test_the_whole_system_is_searched(client: httpx.Client, tag: str) -> None:
    both = client.get(f"?_type=Patient,Observation&_tag={tag}&_count=100").json()
    assert len(names(both)) == 10
    assert link(both, "self") == f"{str(client.base_url).rstrip('/')}?_type=Patient,Observation&_tag={tag}&_count=100"
    every = client.get(f"?_tag={tag}&_count=100").json()
    assert sorted(names(every)) == sorted(names(both))
    posted = client.post("_search", content=f"_type=Patient&_tag={tag}", headers=FORM).json()
    assert len(names(posted)) == 5
    assert client.get("?_type=Nonsense").status_code == 400


def test_a_compartment_is_searched(client: httpx.Client, tag: str) -> None:
    id = f"{tag[:20]}-3"
    assert names(client.get(f"Patient/{id}/Observation").json()) == [f"Observation/{id}"]
    assert names(client.get(f"Patient/{id}/Observation?status=final").json()) == [f"Observation/{id}"]
    assert names(client.get(f"Patient/{id}/Observation?status=amended").json()) == []
    every = client.get(f"Patient/{id}/*").json()
    assert sorted(names(every)) == [f"Observation/{id}", f"Patient/{id}"]
    assert (link(every, "self") or "").endswith(f"/fhir/Patient/{id}/*")
    posted = client.post(f"Patient/{id}/Observation/_search", content="status=final", headers=FORM).json()
    assert names(posted) == [f"Observation/{id}"]
    assert client.get(f"Patient/{id}/Medication").status_code == 404
    assert client.get("Organization/1/Observation").status_code == 404


def test_unknown_parameters_are_refused_or_told(client: httpx.Client, tag: str) -> None:
    strict = client.get(f"Patient?_tag={tag}&colour=red")
    assert strict.status_code == 400
    assert "colour" in strict.json()["issue"][0]["diagnostics"]
    bundle = client.get(f"Patient?_tag={tag}&colour=red", headers={"Prefer": "handling=lenient"}).json()
    assert len(names(bundle)) == 5
    assert "colour" not in (link(bundle, "self") or "")
    (outcome,) = [entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "outcome"]
    assert outcome["issue"][0]["severity"] == "warning"
    assert "colour" in outcome["issue"][0]["diagnostics"]
    assert client.get("Patient", headers={"Prefer": "handling=nonsense"}).status_code == 400


def test_summary_count_gives_the_total_only(client: httpx.Client, tag: str) -> None:
    for query in ("_summary=count", "_count=0"):
        bundle = client.get(f"Patient?_tag={tag}&{query}").json()
        assert bundle["total"] == 5
        assert "entry" not in bundle


def test_parts_are_given_and_tagged(client: httpx.Client, tag: str) -> None:
    for query in ("_elements=active", "_summary=text"):
        for entry in client.get(f"Patient?_tag={tag}&{query}").json()["entry"]:
            assert "name" not in entry["resource"]
            assert "SUBSETTED" in {one["code"] for one in entry["resource"]["meta"]["tag"]}


def test_a_count_over_the_limit_is_cut_and_said(client: httpx.Client, tag: str) -> None:
    bundle = client.get(f"Patient?_tag={tag}&_count=999999").json()
    assert "_count=1000" in (link(bundle, "self") or "")


def test_head_gives_the_size_of_the_answer(client: httpx.Client, tag: str) -> None:
    answer = client.head(f"Patient?_tag={tag}")
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) > 0


def test_an_empty_result_is_a_bundle_without_entries(client: httpx.Client) -> None:
    bundle = client.get(f"Patient?_tag={uuid.uuid4()}").json()
    assert "entry" not in bundle
    assert bundle["total"] == 0


def test_chinese_values_may_be_in_the_url(client: httpx.Client) -> None:
    family = f"欧阳{uuid.uuid4().hex}"
    client.post("Patient", json={"resourceType": "Patient", "name": [{"family": family, "given": ["小明"]}]})
    bundle = client.get("Patient", params={"family": family}).json()
    assert [entry["resource"]["name"][0]["family"] for entry in bundle["entry"]] == [family]
    assert client.get(link(bundle, "self") or "").json()["total"] == 1


def test_a_quantity_is_found_in_every_unit_of_its_kind(client: httpx.Client) -> None:
    mine = f"unit-{uuid.uuid4().hex[:8]}"
    ids = {}
    for unit, value in (("g/L", 135), ("[degF]", 98.6), ("mmol/L", 5)):
        quantity = {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
        code = {"coding": [{"system": "urn:example", "code": mine}]}
        observation = {"resourceType": "Observation", "status": "final", "code": code, "valueQuantity": quantity}
        ids[unit] = client.post("Observation", json=observation).json()["id"]

    def found(asked: str) -> list[str]:
        answer = client.get("Observation", params={"code": f"urn:example|{mine}", "value-quantity": asked}).json()
        return [entry["resource"]["id"] for entry in answer.get("entry", ())]

    ucum = "http://unitsofmeasure.org"
    assert found(f"13.5|{ucum}|g/dL") == [ids["g/L"]]
    assert found(f"gt13.4|{ucum}|g/dL") == [ids["g/L"]]
    assert found(f"lt13.4|{ucum}|g/dL") == []
    assert found(f"37.0|{ucum}|Cel") == [ids["[degF]"]]
    assert found(f"5000|{ucum}|umol/L") == [ids["mmol/L"]]
    assert found(f"90|{ucum}|mg/dL") == [], "mass and amount of substance are different kinds"
