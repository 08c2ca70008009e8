"""Transactions over HTTP: all or nothing, in the order of the specification, links and conditions resolved."""

from __future__ import annotations

import base64
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

SYSTEM = "http://example.org/transactions"


def fresh() -> str:
    return f"t-{uuid.uuid4()}"


def identified(value: str) -> list[dict[str, str]]:
    return [{"system": SYSTEM, "value": value}]


def entry(
    method: str, url: str, resource: dict[str, Any] | None = None, full_url: str = "", **more: str
) -> dict[str, Any]:
    found: dict[str, Any] = {"fullUrl": full_url} if full_url else {}
    if resource is not None:
        found["resource"] = resource
    return {**found, "request": {"method": method, "url": url, **more}}


def transaction(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def post(client: httpx.Client, *entries: dict[str, Any], **headers: str) -> httpx.Response:
    return client.post("", json=transaction(*entries), headers=headers)


def responses(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert bundle["type"] == "transaction-response"
    found: list[dict[str, Any]] = [item["response"] for item in bundle["entry"]]
    return found


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **elements}


def observation(subject: str, **elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "pulse"},
        "subject": {"reference": subject},
        **elements,
    }


def place(response: dict[str, Any]) -> str:
    """``Type/id`` of a response's location."""
    return "/".join(response["location"].split("/")[-4:-2])


def test_created_resources_refer_to_each_other_by_their_new_ids(client: httpx.Client, server: Any) -> None:
    urn = f"urn:uuid:{uuid.uuid4()}"
    answer = post(
        client, entry("POST", "Observation", observation(urn)), entry("POST", "Patient", patient(id="mine"), urn)
    )
    first, second = responses(answer)
    assert (first["status"], second["status"]) == ("201 Created", "201 Created")
    assert second["location"].startswith(f"{server.url}/Patient/")
    assert second["etag"] == 'W/"1"'
    stored = client.get(place(first)).json()
    assert stored["subject"]["reference"] == place(second)
    assert stored["meta"]["lastUpdated"][:19] != ""
    assert client.get(place(second)).json()["id"] != "mine"


def test_an_empty_transaction_is_fine(client: httpx.Client) -> None:
    answer = client.post("", json={"resourceType": "Bundle", "type": "transaction"})
    assert (answer.status_code, answer.json()) == (200, {"resourceType": "Bundle", "type": "transaction-response"})


def test_one_failing_entry_undoes_all_and_is_named(client: httpx.Client) -> None:
    value = fresh()
    answer = post(
        client,
        entry("POST", "Patient", patient(identifier=identified(value))),
        entry("POST", "Observation", {"resourceType": "Observation", "status": "final"}),
        entry("POST", "Observation", {"resourceType": "Observation", "status": 7, "code": {"text": "x"}}),
    )
    assert answer.status_code == 422
    found = [issue["expression"][0] for issue in answer.json()["issue"]]
    assert any(path.startswith("Bundle.entry[1].resource") for path in found)
    assert any(path.startswith("Bundle.entry[2].resource.status") for path in found)
    assert client.get(f"Patient?identifier={SYSTEM}|{value}&_total=accurate").json()["total"] == 0


def test_entries_run_in_the_order_of_the_specification_and_are_answered_in_their_own(client: httpx.Client) -> None:
    old, kept = fresh(), fresh()
    client.put(f"Patient/{old}", json=patient(id=old, identifier=identified(old)))
    client.put(f"Patient/{kept}", json=patient(id=kept))
    read, updated, created, deleted = responses(
        post(
            client,
            entry("GET", f"Patient/{kept}"),
            entry("PUT", f"Patient/{kept}", patient(id=kept, gender="female")),
            entry("POST", "Patient", patient(identifier=identified(old)), ifNoneExist=f"identifier={SYSTEM}|{old}"),
            entry("DELETE", f"Patient/{old}"),
        )
    )
    assert deleted["status"] == "204 No Content"
    assert created["status"] == "201 Created"  # the old one was gone by then
    assert (updated["status"], updated["etag"]) == ("200 OK", 'W/"2"')
    assert (read["status"], read["etag"]) == ("200 OK", 'W/"2"')
    assert client.get(f"Patient/{old}").status_code == 410


def test_reads_see_the_writes_of_their_transaction(client: httpx.Client) -> None:
    value, urn = fresh(), f"urn:uuid:{uuid.uuid4()}"
    answer = post(
        client,
        entry("GET", f"Patient?identifier={SYSTEM}|{value}&_total=accurate"),
        entry("POST", "Patient", patient(identifier=identified(value)), urn),
    )
    bundle = answer.json()["entry"][0]["resource"]
    assert (bundle["type"], bundle["total"]) == ("searchset", 1)


def test_a_read_of_what_is_not_there_fails_the_whole(client: httpx.Client) -> None:
    value = fresh()
    answer = post(
        client, entry("POST", "Patient", patient(identifier=identified(value))), entry("GET", f"Patient/{value}")
    )
    assert answer.status_code == 404
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1].request.url"]
    assert client.get(f"Patient?identifier={SYSTEM}|{value}&_total=accurate").json()["total"] == 0


def test_conditional_create_returns_what_exists(client: httpx.Client) -> None:
    value = fresh()
    conditional = entry(
        "POST", "Patient", patient(identifier=identified(value)), ifNoneExist=f"identifier={SYSTEM}|{value}"
    )
    (first,) = responses(post(client, conditional))
    (second,) = responses(post(client, conditional))
    assert (first["status"], second["status"]) == ("201 Created", "200 OK")
    assert place(first) == place(second)


def test_parallel_equal_conditional_creates_make_one_resource(client: httpx.Client, server: Any) -> None:
    value = fresh()
    conditional = entry(
        "POST", "Patient", patient(identifier=identified(value)), ifNoneExist=f"identifier={SYSTEM}|{value}"
    )

    def create(_: int) -> str:
        with server.client() as mine:
            return place(responses(post(mine, conditional))[0])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(create, range(16)))) == 1


def test_conditional_references_find_exactly_one_or_everything_fails(client: httpx.Client) -> None:
    value = fresh()
    reference = f"Patient?identifier={SYSTEM}|{value}"
    refused = post(client, entry("POST", "Observation", observation(reference)))
    assert refused.status_code == 412
    assert refused.json()["issue"][0]["code"] == "not-found"
    assert reference in refused.json()["issue"][0]["diagnostics"]
    created = client.post("Patient", json=patient(identifier=identified(value)))
    (made,) = responses(post(client, entry("POST", "Observation", observation(reference))))
    assert client.get(place(made)).json()["subject"]["reference"] == f"Patient/{created.json()['id']}"
    client.post("Patient", json=patient(identifier=identified(value)))
    refused = post(client, entry("POST", "Observation", observation(reference)))
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (412, "multiple-matches")


def test_conditional_references_find_what_the_transaction_itself_creates(client: httpx.Client) -> None:
    value = fresh()
    made, created = responses(
        post(
            client,
            entry("POST", "Observation", observation(f"Patient?identifier={SYSTEM}|{value}")),
            entry("POST", "Patient", patient(identifier=identified(value))),
        )
    )
    assert client.get(place(made)).json()["subject"]["reference"] == place(created)


def test_conditional_update_patch_and_delete(client: httpx.Client) -> None:
    names = {name: fresh() for name in ("update", "patch", "delete")}
    for value in names.values():
        client.put(f"Patient/{value}", json=patient(id=value, identifier=identified(value)))
    condition = {name: f"Patient?identifier={SYSTEM}|{value}" for name, value in names.items()}
    change = base64.b64encode(json.dumps([{"op": "add", "path": "/gender", "value": "other"}]).encode()).decode()
    patch = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": change}
    updated, patched, deleted = responses(
        post(
            client,
            entry("PUT", condition["update"], patient(identifier=identified(names["update"]), gender="male")),
            entry("PATCH", condition["patch"], patch),
            entry("DELETE", condition["delete"]),
        )
    )
    assert place(updated) == f"Patient/{names['update']}"
    assert (patched["status"], patched["etag"]) == ("200 OK", 'W/"2"')
    assert deleted["status"] == "204 No Content"
    assert client.get(f"Patient/{names['update']}").json()["gender"] == "male"
    assert client.get(f"Patient/{names['patch']}").json()["gender"] == "other"
    assert client.get(f"Patient/{names['delete']}").status_code == 410


def test_fhirpath_patch_in_a_transaction(client: httpx.Client) -> None:
    id = fresh()
    client.put(f"Patient/{id}", json=patient(id=id, gender="male"))
    operation = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": "female"},
    ]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}]}
    responses(post(client, entry("PATCH", f"Patient/{id}", parameters)))
    assert client.get(f"Patient/{id}").json()["gender"] == "female"


@pytest.mark.parametrize(
    ("condition", "status"), [({"ifMatch": 'W/"1"'}, 412), ({"ifMatch": 'W/"2"'}, 200), ({"ifNoneMatch": "*"}, 412)]
)
def test_version_conditions_of_entries(client: httpx.Client, condition: dict[str, str], status: int) -> None:
    id = fresh()
    client.put(f"Patient/{id}", json=patient(id=id))
    client.put(f"Patient/{id}", json=patient(id=id))
    answer = post(client, entry("PUT", f"Patient/{id}", patient(id=id, active=True), **condition))
    assert answer.status_code == status
    assert client.get(f"Patient/{id}").headers["etag"] == ('W/"3"' if status == 200 else 'W/"2"')
    if status == 412:
        assert "Bundle.entry[0]" in answer.json()["issue"][0]["diagnostics"]


def test_the_same_resource_twice_is_refused(client: httpx.Client) -> None:
    id = fresh()
    answer = post(
        client,
        entry("PUT", f"Patient/{id}", patient(id=id)),
        entry("PUT", f"Patient/{id}", patient(id=id, active=True)),
    )
    assert answer.status_code == 400
    assert "only once" in answer.json()["issue"][0]["diagnostics"]
    assert client.get(f"Patient/{id}").status_code == 404


def test_prefer_decides_what_the_entries_hold(client: httpx.Client) -> None:
    made = entry("POST", "Patient", patient(gender="male"))
    for wanted, keys in (
        ("return=minimal", {"response"}),
        ("return=representation", {"fullUrl", "resource", "response"}),
        ("return=OperationOutcome", {"response"}),
    ):
        found = post(client, made, Prefer=wanted).json()["entry"][0]
        assert set(found) == keys
        assert ("outcome" in found["response"]) == (wanted == "return=OperationOutcome")
    assert found["response"]["outcome"]["resourceType"] == "OperationOutcome"


def test_numbers_keep_their_digits(client: httpx.Client) -> None:
    body = json.dumps(transaction(entry("POST", "Observation", observation("Patient/x", valueQuantity={"value": 0}))))
    body = body.replace('"value": 0', '"value": 1.50')
    answer = client.post("", content=body)
    assert '"value":1.50' in client.get(place(responses(answer)[0])).text


def test_the_official_transaction_example_form_is_taken_in_xml(client: httpx.Client) -> None:
    urn = f"urn:uuid:{uuid.uuid4()}"
    body = (
        f'<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/><entry><fullUrl value="{urn}"/><resource>'
        '<Patient><gender value="male"/></Patient></resource><request><method value="POST"/><url value="Patient"/>'
        "</request></entry></Bundle>"
    )
    answer = client.post(
        "", content=body, headers={"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    )
    assert answer.status_code == 200
    assert '<status value="201 Created"/>' in answer.text


def test_a_bundle_of_five_thousand_entries_works(client: httpx.Client) -> None:
    urn = f"urn:uuid:{uuid.uuid4()}"
    entries = [entry("POST", "Patient", patient(), urn)]
    entries += [entry("POST", "Observation", observation(urn), f"urn:uuid:{uuid.uuid4()}") for _ in range(5000)]
    found = responses(post(client, *entries))
    assert len(found) == 5001
    assert {response["status"] for response in found} == {"201 Created"}
    total = client.get(f"Observation?subject={place(found[0])}&_summary=count").json()["total"]
    assert total == 5000


def test_reading_operations_may_stand_in_a_transaction_and_others_not(client: httpx.Client) -> None:
    invalid = {"resourceType": "Patient", "gender": "nobody"}
    (validated,) = responses(post(client, entry("POST", "Patient/$validate", invalid)))
    assert validated["outcome"]["issue"][0]["severity"] == "error"
    refused = post(client, entry("POST", "Patient/x/$meta-add", {"resourceType": "Parameters"}))
    assert (refused.status_code, "batch" in refused.text) == (501, True)


def test_all_kinds_of_entries_of_the_official_example_in_one_transaction(client: httpx.Client) -> None:
    ids = {name: fresh() for name in ("by-id", "matched", "version", "gone", "found")}
    for id in ids.values():
        client.put(f"Patient/{id}", json=patient(id=id, identifier=identified(id)))
    found = responses(
        post(
            client,
            entry("POST", "Patient", patient(), f"urn:uuid:{uuid.uuid4()}"),
            entry("POST", "Patient", patient(), ifNoneExist=f"identifier={SYSTEM}|{fresh()}"),
            entry("PUT", f"Patient/{ids['by-id']}", patient(id=ids["by-id"])),
            entry(
                "PUT", f"Patient?identifier={SYSTEM}|{ids['matched']}", patient(identifier=identified(ids["matched"]))
            ),
            entry("PUT", f"Patient/{ids['version']}", patient(id=ids["version"]), ifMatch='W/"1"'),
            entry("DELETE", f"Patient/{ids['gone']}"),
            entry("DELETE", f"Patient?identifier={SYSTEM}|{fresh()}"),
            entry("GET", "Patient?name=peter"),
            entry(
                "GET", f"Patient/{ids['found']}", ifNoneMatch='W/"1"', ifModifiedSince="Sat, 31 Oct 2015 08:14:33 GMT"
            ),
        )
    )
    assert [r["status"][:3] for r in found] == ["201", "201", "200", "200", "200", "204", "204", "200", "304"]


def test_a_condition_may_name_another_entry(client: httpx.Client) -> None:
    value, urn = fresh(), f"urn:uuid:{uuid.uuid4()}"
    episode = f"urn:uuid:{uuid.uuid4()}"

    def send() -> list[dict[str, Any]]:
        encounter = {
            "resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": urn},
        }  # fmt: skip
        return responses(
            post(
                client,
                entry(
                    "POST", "Observation", observation(urn, encounter={"reference": episode}),
                    ifNoneExist=f"subject={urn}&encounter={episode.replace(':', '%3A')}",
                ),
                entry("POST", "Encounter", encounter, episode, ifNoneExist=f"subject={urn}"),
                entry("POST", "Patient", patient(identifier=identified(value)), urn, ifNoneExist=f"identifier={value}"),
            )
        )  # fmt: skip

    first, again = send(), send()
    assert [item["status"][:3] for item in first] == ["201"] * 3
    assert [item["status"][:3] for item in again] == ["200"] * 3
    assert [item["location"] for item in again] == [item["location"] for item in first]


def test_conditions_that_wait_for_each_other_are_refused(client: httpx.Client) -> None:
    one, other = f"urn:uuid:{uuid.uuid4()}", f"urn:uuid:{uuid.uuid4()}"
    answer = post(
        client,
        entry("POST", "Patient", patient(), one, ifNoneExist=f"link={other}"),
        entry("POST", "Patient", patient(), other, ifNoneExist=f"link={one}"),
    )
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == [f"Bundle.entry[{n}].request.ifNoneExist" for n in (0, 1)]
