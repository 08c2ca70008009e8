from __future__ import annotations

from typing import Any

from fhir_server.interactions.links import Rewriter, base_of, find_links
from profiles.definitions import load

PATIENT = "urn:uuid:0b7a9a4c-6e0e-4a52-9a2f-0d2b5f7a1c11"
BINARY = "http://elsewhere.example/fhir/Binary/7"
TARGETS = {PATIENT: "Patient/p1", BINARY: "Binary/b1"}


def rewritten(resource: dict[str, Any], base: str = "", **searches: str) -> dict[str, Any]:
    links = find_links(resource, TARGETS, load())
    Rewriter(TARGETS, {"Patient/p1"}, searches).rewrite(links, base)
    return resource


def test_references_are_rewritten_wherever_they_stand() -> None:
    observation = rewritten(
        {
            "resourceType": "Observation",
            "contained": [{"resourceType": "Encounter", "id": "e", "subject": {"reference": PATIENT}}],
            "extension": [{"url": "http://example.org/who", "valueReference": {"reference": PATIENT}}],
            "subject": {"reference": PATIENT},
            "encounter": {"reference": "#e"},
            "performer": [{"reference": PATIENT}, {"reference": "Practitioner/9"}],
        }
    )
    assert observation["subject"] == {"reference": "Patient/p1"}
    assert observation["encounter"] == {"reference": "#e"}
    assert observation["performer"] == [{"reference": "Patient/p1"}, {"reference": "Practitioner/9"}]
    assert observation["contained"][0]["subject"] == {"reference": "Patient/p1"}
    assert observation["extension"][0]["valueReference"] == {"reference": "Patient/p1"}


def test_only_elements_of_uri_types_are_rewritten_beside_references() -> None:
    document = rewritten(
        {
            "resourceType": "DocumentReference",
            "identifier": [{"system": "urn:ietf:rfc:3986", "value": PATIENT}],
            "description": PATIENT,
            "implicitRules": PATIENT,
            "content": [{"attachment": {"url": BINARY}}],
            "extension": [{"url": PATIENT, "valueUri": PATIENT}, {"url": "x", "valueCanonical": PATIENT}],
        }
    )
    assert document["identifier"][0]["value"] == PATIENT
    assert document["description"] == PATIENT
    assert document["implicitRules"] == "Patient/p1"
    assert document["content"][0]["attachment"]["url"] == "Binary/b1"
    assert document["extension"] == [
        {"url": PATIENT, "valueUri": "Patient/p1"},
        {"url": "x", "valueCanonical": PATIENT},
    ]


def test_an_http_full_url_is_not_taken_for_the_name_of_a_code_system() -> None:
    resource = {
        "resourceType": "Basic",
        "code": {"coding": [{"system": BINARY, "code": "x"}]},
        "extension": [{"url": "x", "valueUrl": BINARY}],
    }
    changed = rewritten(resource)
    assert changed["code"]["coding"][0]["system"] == BINARY
    assert changed["extension"][0]["valueUrl"] == "Binary/b1"


def test_links_in_the_narrative_are_rewritten_and_nothing_else_in_it() -> None:
    div = (
        f'<div xmlns="http://www.w3.org/1999/xhtml">{PATIENT} <a title="a" href="{PATIENT}">see</a>'
        f"<img src='{BINARY}' alt='{BINARY}'/><a href=\"#top\">top</a></div>"
    )
    patient = rewritten({"resourceType": "Patient", "text": {"status": "generated", "div": div}})
    assert patient["text"]["div"] == (
        f'<div xmlns="http://www.w3.org/1999/xhtml">{PATIENT} <a title="a" href="Patient/p1">see</a>'
        f"<img src='Binary/b1' alt='{BINARY}'/><a href=\"#top\">top</a></div>"
    )


def test_versions_and_fragments_stay_and_a_created_target_has_version_one() -> None:
    rewriter = Rewriter(TARGETS, {"Patient/p1"})
    assert rewriter.target(f"{PATIENT}/_history/9") == "Patient/p1/_history/1"
    assert rewriter.target(f"{BINARY}/_history/9") == "Binary/b1/_history/9"
    assert rewriter.target(f"{PATIENT}#part") == "Patient/p1#part"
    assert rewriter.target("Patient/77/_history/2") == "Patient/77/_history/2"


def test_relative_references_are_read_against_a_restful_full_url() -> None:
    assert base_of("http://elsewhere.example/fhir/Observation/3") == "http://elsewhere.example/fhir/"
    assert base_of(PATIENT) == ""
    rewriter = Rewriter(TARGETS, set())
    assert rewriter.target("Binary/7", "http://elsewhere.example/fhir/") == "Binary/b1"
    assert rewriter.target("Binary/7") == "Binary/7"


def test_conditional_references_become_what_they_found() -> None:
    searches = {"Practitioner?identifier=x|1": "Practitioner/42"}
    resource = {"resourceType": "Observation", "performer": [{"reference": "Practitioner?identifier=x|1"}]}
    assert rewritten(resource, **searches)["performer"] == [{"reference": "Practitioner/42"}]
