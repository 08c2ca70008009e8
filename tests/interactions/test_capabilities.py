"""What the server says of itself: CapabilityStatement and OpenAPI agree with what it does."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from profiles.definitions import load
from profiles.lossless import parse
from profiles.structure import Validator


@pytest.fixture(scope="module")
def statement(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("metadata").json()
    return found


def resource(statement: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in statement["rest"][0]["resource"] if item["type"] == name)
    return found


def test_the_statement_is_a_valid_resource_of_all_types(client: httpx.Client, statement: dict[str, Any]) -> None:
    assert Validator(load()).check(parse(client.get("metadata").content)) == []
    assert {item["type"] for item in statement["rest"][0]["resource"]} == load().resource_types
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["implementation"]["url"] == str(client.base_url).rstrip("/")


def test_it_names_interactions_conditions_and_operations(statement: dict[str, Any]) -> None:
    patient = resource(statement, "Patient")
    assert {item["code"] for item in patient["interaction"]} == {
        *("read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type")
    }
    assert (patient["conditionalCreate"], patient["conditionalUpdate"]) == (True, True)
    assert patient["conditionalDelete"] == "multiple"
    assert {item["name"] for item in patient["operation"]} >= {
        "everything",
        "validate",
        "meta",
        "meta-add",
        "meta-delete",
    }
    assert "everything" not in {item["name"] for item in resource(statement, "Observation")["operation"]}
    system = {item["code"] for item in statement["rest"][0]["interaction"]}
    assert system == {"transaction", "batch", "search-system", "history-system"}


def test_it_lists_every_official_search_parameter_with_modifiers_and_chains(statement: dict[str, Any]) -> None:
    for name in ("Patient", "Observation", "ValueSet"):
        params = {item["name"]: item for item in resource(statement, name)["searchParam"]}
        # _query names queries that a server must define; this one has none.
        assert set(load().search_params(name)) - {"_query"} <= set(params)
        assert "_query" not in params
    params = {item["name"]: item for item in resource(statement, "Observation")["searchParam"]}
    assert ":exact" in {i["name"]: i for i in resource(statement, "Patient")["searchParam"]}["family"]["documentation"]
    assert "Chains: any search parameter of Patient" in params["patient"]["documentation"]
    assert "Observation:patient" in resource(statement, "Patient")["searchRevInclude"]
    assert "Observation:encounter" in resource(statement, "Observation")["searchInclude"]


OF_MODIFIER = {
    "missing": "true",
    **dict.fromkeys(("in", "not-in"), "http://hl7.org/fhir/ValueSet/administrative-gender"),
    **dict.fromkeys(("above", "below"), "http://hl7.org/fhir/administrative-gender|male"),
}


def test_modifiers_that_it_names_are_taken_and_the_others_are_not(
    client: httpx.Client, statement: dict[str, Any]
) -> None:
    code = {i["name"]: i for i in resource(statement, "Observation")["searchParam"]}["code"]["documentation"]
    for modifier in ("missing", "not", "text", "in", "not-in", "above", "below", "exact"):
        value = OF_MODIFIER.get(modifier, "x")
        taken = client.get(f"Observation?code:{modifier}={value}").status_code == 200
        assert taken == (f":{modifier}" in code.replace(".", ",").replace(" ", "").split("Modifiers:")[1].split(","))


def test_a_client_that_has_it_gets_not_modified(client: httpx.Client) -> None:
    tag = client.get("metadata").headers["etag"]
    assert client.get("metadata", headers={"If-None-Match": tag}).status_code == 304


def test_its_summary_is_small_and_elements_choose(client: httpx.Client) -> None:
    whole, summary = client.get("metadata"), client.get("metadata?_summary=true")
    assert summary.json()["resourceType"] == "CapabilityStatement"
    assert len(summary.content) < len(whole.content)
    assert "software" in client.get("metadata?_elements=software").json()


@pytest.mark.parametrize(("mode", "status"), [("full", 200), ("normative", 200), ("terminology", 200), ("all", 400)])
def test_modes(client: httpx.Client, mode: str, status: int) -> None:
    assert client.get(f"metadata?mode={mode}").status_code == status


def test_it_is_given_in_xml(client: httpx.Client) -> None:
    answer = client.get("metadata?_format=xml")
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith("<") and "<CapabilityStatement" in answer.text[:200]


def test_openapi_is_valid_and_describes_the_same_routes(client: httpx.Client, statement: dict[str, Any]) -> None:
    document = client.get("openapi.json").json()
    validate(document)
    assert document["servers"][0]["url"] == str(client.base_url).rstrip("/")
    assert {"get", "put", "patch", "delete"} <= set(document["paths"]["/{type}/{id}"])
    types = (
        "Patient",
        "SearchParameter",
        "Task",
        "CodeSystem",
        "ValueSet",
        "ConceptMap",
        "Observation",
        "Organization",
    )
    operations = {item["name"] for name in types for item in resource(statement, name)["operation"]}
    assert {path.rpartition("$")[2] for path in document["paths"] if "$" in path} == operations
