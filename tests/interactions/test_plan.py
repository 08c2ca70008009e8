from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from fhir_server.errors import BadRequest, FhirError, NotFound, NotSupported, PreconditionFailed
from fhir_server.interactions.plan import Criterion, Plan, Step, plan, resolve
from fhir_server.search.rows import Rows
from fhir_server.search.tree import Param, Query, Token
from profiles.definitions import load

DEFINITIONS = load()


def parse(type_name: str, text: str, where: str) -> Criterion:
    """Criteria of these tests have the form ``identifier=system|value``."""
    system, _, code = text.removeprefix("identifier=").partition("|")
    node = Token(Param(type_name, "identifier"), system, code)
    return Criterion(f"{type_name}?{text}", type_name, Query(((type_name, node),)))


def rows(step: Step) -> Rows:
    resource = step.entry.resource or {}
    return Rows(tok=[("identifier", i["system"], i["value"]) for i in resource.get("identifier", [])])


def post(url: str, number: int, condition: str = "", **elements: Any) -> dict[str, Any]:
    request = {"method": "POST", "url": url} | ({"ifNoneExist": condition} if condition else {})
    return {
        "fullUrl": f"urn:uuid:{number}",
        "resource": {"resourceType": url, "id": f"old{number}", **elements},
        "request": request,
    }


def put(url: str, number: int, **elements: Any) -> dict[str, Any]:
    type_name, _, id = url.partition("?")[0].partition("/")
    resource = {"resourceType": type_name, **({"id": id} if id else {}), **elements}
    return {"fullUrl": f"urn:uuid:{number}", "resource": resource, "request": {"method": "PUT", "url": url}}


def delete(url: str) -> dict[str, Any]:
    return {"request": {"method": "DELETE", "url": url}}


def identified(value: str) -> list[dict[str, str]]:
    return [{"system": "s", "value": value}]


def planned(*entries: dict[str, Any]) -> Plan:
    numbers = count(1)
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}
    return plan(bundle, DEFINITIONS, parse, lambda: f"new{next(numbers)}")


def resolved(*entries: dict[str, Any], **stored: set[str]) -> list[Step]:
    """The steps in the order of the entries; ``stored`` gives ids of matches by the value in a criterion."""
    made = planned(*entries)
    found = {text: frozenset(stored.get(text.rpartition("|")[2], set())) for text in made.criteria}
    resolve(made, found, rows, 10)
    return sorted(made.steps, key=lambda step: step.entry.index)


def test_deletions_come_first_then_creations_then_updates_then_reads() -> None:
    made = planned(
        {"request": {"method": "GET", "url": "Patient/1"}},
        put("Patient/2", 2),
        post("Patient", 3),
        delete("Patient/4"),
    )
    assert [step.method for step in made.steps] == ["DELETE", "POST", "PUT"]
    assert [entry.index for entry in made.reads] == [0]


def test_created_resources_get_new_ids_and_references_follow_in_circles() -> None:
    patient, observation = resolved(
        post("Patient", 1, link=[{"other": {"reference": "urn:uuid:2"}}]),
        post("Observation", 2, subject={"reference": "urn:uuid:1"}),
    )
    assert patient.reference == "Patient/new1"
    assert (observation.entry.resource or {})["subject"]["reference"] == "Patient/new1"
    assert (patient.entry.resource or {})["link"][0]["other"]["reference"] == "Observation/new2"


def test_a_conditional_create_that_finds_its_resource_writes_nothing_and_is_what_links_point_to() -> None:
    patient, observation = resolved(
        post("Patient", 1, "identifier=s|7"),
        post("Observation", 2, subject={"reference": "urn:uuid:1"}),
        **{"7": {"p7"}},
    )
    assert patient.existing
    assert (observation.entry.resource or {})["subject"]["reference"] == "Patient/p7"


def test_a_conditional_create_finds_what_the_same_transaction_creates_whatever_the_order() -> None:
    conditional = post("Patient", 1, "identifier=s|7")
    creating = post("Patient", 2, identifier=identified("7"))
    for entries in ([conditional, creating], [creating, conditional]):
        steps = {step.entry.full_url: step for step in resolved(*entries)}
        assert steps["urn:uuid:1"].existing
        assert steps["urn:uuid:1"].id == steps["urn:uuid:2"].id


def test_two_equal_conditional_creates_make_one_resource() -> None:
    first, second = resolved(
        post("Patient", 1, "identifier=s|7", identifier=identified("7")),
        post("Patient", 2, "identifier=s|7", identifier=identified("7")),
    )
    assert not first.existing
    assert second.existing
    assert second.id == first.id


def test_what_the_transaction_deletes_is_not_found_any_more() -> None:
    _, created = resolved(delete("Patient/p7"), post("Patient", 1, "identifier=s|7"), **{"7": {"p7"}})
    assert not created.existing


def test_conditional_references_find_stored_and_new_resources() -> None:
    _, observation = resolved(
        post("Practitioner", 1, identifier=identified("8")),
        post(
            "Observation",
            2,
            subject={"reference": "Patient?identifier=s|7"},
            performer=[{"reference": "Practitioner?identifier=s|8"}],
        ),
        **{"7": {"p7"}},
    )
    resource = observation.entry.resource or {}
    assert resource["subject"]["reference"] == "Patient/p7"
    assert resource["performer"] == [{"reference": "Practitioner/new1"}]


@pytest.mark.parametrize(("found", "words"), [(set(), "no resource"), ({"a", "b"}, "several resources")])
def test_a_conditional_reference_must_find_exactly_one(found: set[str], words: str) -> None:
    with pytest.raises(PreconditionFailed, match=rf"Bundle\.entry\[1\].*Patient\?identifier=s\|7.*{words}"):
        resolved(
            post("Patient", 1),
            post("Observation", 2, subject={"reference": "Patient?identifier=s|7"}),
            **{"7": found},
        )


def test_a_conditional_update_updates_its_match_or_creates() -> None:
    matched, created, named = resolved(
        put("Patient?identifier=s|1", 1),
        put("Patient?identifier=s|2", 2),
        put("Patient?identifier=s|3", 3, id="mine"),
        **{"1": {"p1"}},
    )
    assert (matched.id, matched.created) == ("p1", False)
    assert (created.id, created.created) == (created.fresh, True)
    assert named.id == "mine"


def test_a_plan_can_be_resolved_again_with_other_matches() -> None:
    made = planned(post("Patient", 1, "identifier=s|7"), post("Observation", 2, subject={"reference": "urn:uuid:1"}))
    observation = next(step for step in made.steps if step.type == "Observation")
    for found, reference in (({"p7"}, "Patient/p7"), (set(), "Patient/new1"), ({"p8"}, "Patient/p8")):
        resolve(made, {"Patient?identifier=s|7": frozenset(found)}, rows, 10)
        assert (observation.entry.resource or {})["subject"]["reference"] == reference


@pytest.mark.parametrize(
    "entries",
    [
        (put("Patient/1", 1), put("Patient/1", 2)),
        (put("Patient/1", 1), delete("Patient/1")),
        (put("Patient/p7", 1), put("Patient?identifier=s|7", 2)),
        (delete("Patient?identifier=s|7"), put("Patient/p7", 1)),
        (post("Patient", 1, identifier=identified("9")), put("Patient?identifier=s|9", 2)),
    ],
)
def test_a_resource_that_is_written_twice_is_refused_with_both_entries_named(
    entries: tuple[dict[str, Any], ...],
) -> None:
    with pytest.raises(BadRequest, match="only once") as refused:
        resolved(*entries, **{"7": {"p7"}})
    assert set(refused.value.issues[0].expression) == {"Bundle.entry[0]", "Bundle.entry[1]"}


@pytest.mark.parametrize(
    ("entry", "error", "words"),
    [
        (post("Patient", 1) | {"request": {"method": "POST", "url": "Nothing"}}, NotFound, "not a resource type"),
        (post("Patient", 1) | {"request": {"method": "POST", "url": "Patient/1"}}, BadRequest, "no POST"),
        (post("Patient", 1) | {"request": {"method": "POST", "url": "Observation"}}, BadRequest, "names Observation"),
        ({"request": {"method": "POST", "url": "Patient"}}, BadRequest, "needs a resource"),
        (put("Patient/1", 1, id="2"), BadRequest, "has the id '2'"),
        (put("Patient/1", 1) | {"resource": {"resourceType": "Patient"}}, BadRequest, "has no id"),
        (put("Patient", 1), BadRequest, "needs an id or a search criterion"),
        (delete("Patient"), BadRequest, "needs an id or a search criterion"),
        (post("Patient", 1) | {"request": {"method": "POST", "url": ""}}, BadRequest, "text that is not empty"),
        (post("Parameters", 1) | {"request": {"method": "POST", "url": "Patient/1/$meta-add"}}, NotSupported, "batch"),
    ],
)
def test_what_an_entry_cannot_ask_for_is_refused_and_the_entry_named(
    entry: dict[str, Any], error: type[FhirError], words: str
) -> None:
    with pytest.raises(error, match=words) as refused:
        planned(post("Patient", 9), entry)
    assert refused.value.issues[0].expression[0].startswith("Bundle.entry[1]")


def test_a_full_url_can_stand_only_once() -> None:
    with pytest.raises(BadRequest, match="bdl-7"):
        planned(post("Patient", 1), post("Observation", 1))
