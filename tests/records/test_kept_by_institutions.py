"""What is nobody's and gives no power, institutions keep themselves: their devices, medicines and timetables."""

from __future__ import annotations

from typing import Any

import pytest

from consent import Requester, Scope

from .conftest import World

KEPT: dict[str, dict[str, Any]] = {
    "Device": {"resourceType": "Device", "deviceName": [{"name": "血压计", "type": "user-friendly-name"}]},
    "Medication": {"resourceType": "Medication", "code": {"text": "二甲双胍片"}},
    "Substance": {"resourceType": "Substance", "code": {"text": "青霉素"}},
    "Schedule": {"resourceType": "Schedule", "actor": [{"reference": "Practitioner/dr"}]},
    "Slot": {
        "resourceType": "Slot",
        "schedule": {"reference": "Schedule/s"},
        "status": "free",
        "start": "2026-05-01T08:00:00+08:00",
        "end": "2026-05-01T08:15:00+08:00",
    },
    "MeasureReport": {
        "resourceType": "MeasureReport",
        "status": "complete",
        "type": "summary",
        "measure": "urn:m",
        "period": {"start": "2026-01-01", "end": "2026-03-31"},
    },
}


@pytest.mark.parametrize("type", KEPT)
def test_an_institution_keeps_its_own_and_no_others(world: World, type: str) -> None:
    town, county = world.staff("town"), world.staff("county")
    made = town("POST", type, KEPT[type])
    assert made.status == 201, made.json
    path = f"{type}/{made.json['id']}"
    assert county("GET", path).status == 200  # it is nobody's: everybody reads it
    changed = {**KEPT[type], "id": made.json["id"], "language": "zh"}
    assert county("PUT", path, changed).status == 403
    assert county("DELETE", path).status == 403
    assert town("PUT", path, changed).status == 200
    assert world.staff("village", "administrator", "HOPERAT")("PUT", path, {**changed, "language": "en"}).status == 200
    assert town("DELETE", path).status == 204


@pytest.mark.parametrize(("role", "purpose"), [("quality", "HOPERAT"), ("auditor", "HOPERAT"), ("steward", "HOPERAT")])
def test_who_does_not_treat_keeps_nothing(world: World, role: str, purpose: str) -> None:
    assert world.staff("town", role, purpose)("POST", "Medication", KEPT["Medication"]).status == 403


@pytest.mark.parametrize("type", ["Organization", "Location", "ValueSet", "SearchParameter", "Questionnaire"])
def test_what_gives_power_stays_with_the_administrators(world: World, type: str) -> None:
    body = {"resourceType": type, "status": "active", "name": "x"}
    assert world.staff("town")("POST", type, body).status in (403, 422)
    everything = world.everything()("GET", f"{type}?_summary=count").json["total"]
    assert everything == (3 if type == "Organization" else 0)


def test_a_device_of_somebody_is_in_that_file_and_no_longer_nobodys(world: World) -> None:
    town, county = world.staff("town"), world.staff("county")
    person = town("POST", "Patient", {"resourceType": "Patient", "name": [{"text": "张三"}]}).json["id"]
    id = town("POST", "Device", KEPT["Device"]).json["id"]
    given = {**KEPT["Device"], "id": id, "patient": {"reference": f"Patient/{person}"}}
    assert town("PUT", f"Device/{id}", given).status == 200
    assert county("GET", f"Device/{id}").status == 404
    assert town("PUT", f"Device/{id}", {**KEPT["Device"], "id": id}).status == 422


def test_an_update_without_the_right_to_read_is_an_update_and_never_one_of_a_person(world: World) -> None:
    town = world.staff("town")
    scopes = (Scope("user", "*", "u"),)
    blind = world.by(Requester("staff", "Practitioner/dr", "c", "TREAT", scopes, institution="town", role="system"))
    id = town("POST", "Medication", KEPT["Medication"]).json["id"]
    changed = {**KEPT["Medication"], "id": id, "language": "zh"}
    assert blind("PUT", f"Medication/{id}", changed).status == 200
    entry = {"resource": changed, "request": {"method": "PUT", "url": f"Medication/{id}"}}
    answer = blind("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    assert answer.json["entry"][0]["response"]["status"].startswith("200")
    assert blind("PUT", "Medication/nothing", {**changed, "id": "nothing"}).status == 404
    person = {"resourceType": "Patient", "name": [{"text": "张三"}]}
    known = town("POST", "Patient", person).json["id"]
    other = {**person, "id": known, "name": [{"text": "李四"}]}
    assert blind("PUT", f"Patient/{known}", other).status == 403
    assert town("GET", f"Patient/{known}").json["name"][0]["text"] == "张三"
