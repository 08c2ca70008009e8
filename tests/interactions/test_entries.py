from __future__ import annotations

from typing import Any

import pytest

from fhir_server.errors import BadRequest, FhirError, NotSupported, TooLarge, Unprocessable
from fhir_server.interactions.entries import at_entry, check_bundle, read_entry
from profiles.definitions import load
from profiles.issues import Issue

BASE = "http://here.example/fhir"
TYPES = frozenset({"batch", "transaction"})


def entry(**parts: Any) -> dict[str, Any]:
    return {"request": {"method": "POST", "url": "Patient"}, "resource": {"resourceType": "Patient"}, **parts}


@pytest.mark.parametrize(
    ("bundle", "path"),
    [
        ({"resourceType": "Patient"}, "Bundle"),
        ({"type": "batch"}, "Bundle"),
        ({"resourceType": "Bundle"}, "Bundle.type"),
        ({"resourceType": "Bundle", "type": 7}, "Bundle.type"),
        ({"resourceType": "Bundle", "type": "collection"}, "Bundle.type"),
        ({"resourceType": "Bundle", "type": "batch", "entries": []}, "Bundle.entries"),
        ({"resourceType": "Bundle", "type": "batch", "entry": {}}, "Bundle.entry"),
    ],
)
def test_what_is_no_batch_or_transaction_is_refused_and_the_element_named(bundle: dict[str, Any], path: str) -> None:
    with pytest.raises(BadRequest) as refused:
        check_bundle(bundle, TYPES, 10, load())
    assert refused.value.issues[0].expression == (path,)


def test_another_kind_of_bundle_is_named_with_the_way_to_store_it() -> None:
    with pytest.raises(BadRequest, match=r"'document'.*POST \[base\]/Bundle"):
        check_bundle({"resourceType": "Bundle", "type": "document"}, TYPES, 10, load())


def test_more_entries_than_the_limit_are_refused_as_too_large() -> None:
    with pytest.raises(TooLarge):
        check_bundle({"resourceType": "Bundle", "type": "batch", "entry": [{}] * 11}, TYPES, 10, load())


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (7, "Bundle.entry[3]"),
        ({"resource": {"resourceType": "Patient"}}, "Bundle.entry[3].request"),
        (entry(request={"method": "FETCH", "url": "Patient"}), "Bundle.entry[3].request.method"),
        (entry(request={"url": "Patient"}), "Bundle.entry[3].request.method"),
        (entry(request={"method": "POST"}), "Bundle.entry[3].request.url"),
        (entry(request={"method": "POST", "url": ["Patient"]}), "Bundle.entry[3].request.url"),
        (entry(request={"method": "POST", "url": "http://other.example/fhir/Patient"}), "Bundle.entry[3].request.url"),
        (entry(request={"method": "POST", "url": "Patient", "ifMatch": 3}), "Bundle.entry[3].request.ifMatch"),
        (entry(resource=[1]), "Bundle.entry[3].resource"),
        (entry(resource={"id": "x"}), "Bundle.entry[3].resource"),
        (entry(fullUrl="7"), "Bundle.entry[3].fullUrl"),
        (entry(fullUrl="http://x.example/Patient/1/_history/2"), "Bundle.entry[3].fullUrl"),
        (entry(priority=1), "Bundle.entry[3].priority"),
        ({"request": {"method": "PUT", "url": "Patient/1"}}, "Bundle.entry[3].resource"),
    ],
)
def test_an_entry_that_cannot_be_understood_is_named_with_its_element(raw: Any, path: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_entry(raw, 3, BASE, load())
    assert refused.value.issues[0].expression == (path,)


def test_a_modifier_extension_is_refused_since_it_may_change_the_meaning() -> None:
    with pytest.raises(NotSupported):
        read_entry(entry(modifierExtension=[{"url": "x", "valueBoolean": True}]), 0, BASE, load())


def test_urls_are_read_relative_to_the_base_and_decoded() -> None:
    found = read_entry(
        {"request": {"method": "GET", "url": f"{BASE}/Patient?name=%E5%BC%A0&identifier=a|b"}}, 0, BASE, load()
    )
    assert found.segments == ("Patient",)
    assert found.query == (("name", "张"), ("identifier", "a|b"))


def test_conditions_become_headers() -> None:
    request = {"method": "PUT", "url": "Patient/1", "ifMatch": 'W/"3"', "ifNoneMatch": "*", "ifNoneExist": "a=b"}
    found = read_entry(entry(request=request), 0, BASE, load())
    assert found.headers == {"if-match": 'W/"3"', "if-none-match": "*", "if-none-exist": "a=b"}


def test_findings_of_a_resource_are_told_below_its_entry() -> None:
    error = Unprocessable.of([Issue("required", "status is missing", ("Observation.status",))])
    moved: FhirError = at_entry(error, "Bundle.entry[5]")
    assert moved.status == 422
    assert moved.issues[0].expression == ("Bundle.entry[5].resource.status",)
    assert moved.issues[0].diagnostics == "Bundle.entry[5]: status is missing"


def test_findings_about_headers_and_parameters_are_told_of_the_entrys_request() -> None:
    error = Unprocessable.of([Issue("conflict", "no", ("http.If-Match", "http._count"))])
    moved = at_entry(error, "Bundle.entry[5]")
    assert moved.issues[0].expression == ("Bundle.entry[5].request.ifMatch", "Bundle.entry[5].request.url")
