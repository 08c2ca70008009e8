"""GET /health-code and POST /health-code/scan over the real application with real tokens."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consent import Scope
from consent.check import check
from consent.vocabulary import GUARDIAN_PERSON
from fhir_server.records.health_code import read_code
from fhir_server.records.signed_code import Expired, Forged, Signer, checked
from tests.audit.county import County, resident, staff, system
from tests.leaks.http import Answer

DOCTOR = staff("wang", "township", "physician")
SECONDS = 60


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    found = County(tmp_path / "data")
    yield found
    found.close()


def show(county: County, patient: str, query: str = "") -> Any:
    answer = county.ask(resident(patient), "GET", f"/health-code{query}")
    assert answer.status == 200, answer.body
    return answer.json


def scan(county: County, code: str, by: Any = DOCTOR) -> Answer:
    return county.ask(by, "POST", "/health-code/scan", {"code": code})


def sees(county: County, patient: str, by: Any = DOCTOR) -> bool:
    return bool(county.ask(by, "GET", f"Observation?patient={patient}").json.get("entry"))


def signer(county: County) -> Signer:
    return Signer(county.auth.sealer.keyed_hash("ES256", "health code"))


def test_a_scanned_code_opens_the_file_for_a_time(county: County) -> None:
    county.observation(county.zhang)
    assert not sees(county, county.zhang)
    answer = scan(county, show(county, county.zhang)["code"])
    assert answer.status == 201, answer.body
    assert answer.json["patient"] == county.zhang
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00", answer.json["until"])
    assert sees(county, county.zhang)
    assert county.ask(DOCTOR, "GET", f"Patient/{county.zhang}").status == 200
    assert not sees(county, county.li)


def test_the_whole_institution_may_look_and_no_other(county: County) -> None:
    county.observation(county.zhang)
    assert scan(county, show(county, county.zhang)["code"], system("township")).status == 201
    assert sees(county, county.zhang, DOCTOR)
    assert not sees(county, county.zhang, staff("x", "village", "physician"))


def test_the_resident_sees_the_consent_and_withdraws_it(county: County) -> None:
    county.observation(county.zhang)
    consent = scan(county, show(county, county.zhang)["code"]).json["consent"]
    scopes = (Scope("patient", "*", "cruds"),)
    me = replace(resident(county.zhang), patient=county.zhang, scopes=scopes)
    body = county.ask(me, "GET", consent).json
    assert body["provision"]["actor"][0]["reference"]["reference"] == "Organization/township"
    assert check(body) == []
    assert county.ask(me, "PUT", consent, {**body, "status": "inactive"}).status == 200
    assert not sees(county, county.zhang)


def test_sensitive_records_stay_closed(county: County) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
    county.observation(county.zhang, meta={"security": [label]})
    scan(county, show(county, county.zhang)["code"])
    assert not sees(county, county.zhang)


def test_a_code_counts_once(county: County) -> None:
    code = show(county, county.zhang)["code"]
    assert scan(county, code).status == 201
    for by in (DOCTOR, system("county")):
        again = scan(county, code, by)
        assert (again.status, again.json["issue"][0]["code"]) == (409, "duplicate")


@pytest.mark.parametrize("withdraw", ["DELETE", "PUT"])
def test_a_code_counts_once_also_when_what_it_opened_was_withdrawn(county: County, withdraw: str) -> None:
    county.observation(county.zhang)
    code = show(county, county.zhang)["code"]
    consent = scan(county, code).json["consent"]
    me = replace(resident(county.zhang), patient=county.zhang, scopes=(Scope("patient", "*", "cruds"),))
    kept = county.ask(me, "GET", consent).json
    body = {key: value for key, value in kept.items() if key != "identifier"} | {"status": "inactive"}
    assert county.ask(me, withdraw, consent, body if withdraw == "PUT" else None).status in (200, 204)
    assert scan(county, code).status == 409
    assert not sees(county, county.zhang)


@pytest.mark.parametrize("scope", ["patient/Slot.rs", "patient/Patient.s", "patient/Observation.rs"])
def test_an_app_that_may_not_read_the_person_shows_no_code(county: County, scope: str) -> None:
    me = replace(resident(county.zhang), scopes=(Scope(*scope.replace("/", ".").split(".")),), token=scope)
    assert county.ask(me, "GET", "/health-code").status == 403


def test_an_app_within_one_file_shows_no_code_of_another(county: County) -> None:
    me = replace(resident(county.zhang), patient=county.li, token="in the file of a ward")
    assert county.ask(me, "GET", "/health-code").status == 403


@pytest.mark.parametrize("scope", ["system/Specimen.rs", "system/Patient.cu"])
def test_a_program_that_may_not_read_persons_scans_nothing(county: County, scope: str) -> None:
    laboratory = replace(system("township"), scopes=(Scope(*scope.replace("/", ".").split(".")),), token=scope)
    code = show(county, county.zhang)["code"]
    assert scan(county, code, laboratory).status == 403
    assert scan(county, code).status == 201, "the refusal used nothing up"


def test_an_expired_code_is_gone(county: County) -> None:
    code = show(county, county.zhang)["health_code"]
    old = signer(county).sign(code, time.time() - SECONDS - 1, SECONDS)
    answer = scan(county, old)
    assert (answer.status, answer.json["issue"][0]["code"]) == (410, "expired")


def forgeries(code: str, person: str) -> list[str]:
    head, claims, signature = code.split(".")
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    none = part({"alg": "none"})
    return [
        f"{head}.{part({**told, 'exp': told['exp'] + 3600})}.{signature}",
        f"{head}.{part({**told, 'jti': 'other'})}.{signature}",
        f"{none}.{claims}.",
        f"{part({'alg': 'HS256'})}.{claims}.{signature}",
        Signer("1234").sign(person, told["iat"], 60),
        person,
        "x",
        "." * 10,
        "汉字",
        code + "A",
    ]


def test_forged_codes_are_refused_and_open_nothing(county: County) -> None:
    county.observation(county.zhang)
    shown = show(county, county.zhang)
    for forged in forgeries(shown["code"], shown["health_code"]):
        answer = scan(county, forged)
        assert answer.status == 400, forged
    assert scan(county, "").status == 400
    assert county.ask(DOCTOR, "POST", "/health-code/scan", {"code": 3}).status == 400
    assert not sees(county, county.zhang)


def test_anybody_checks_a_code_offline_with_the_published_key(county: County) -> None:
    shown = show(county, county.zhang)
    published = county.ask(None, "GET", "/health-code/keys").json
    assert "d" not in published["keys"][0]
    claims = checked(shown["code"], published, time.time())
    assert (claims.code, claims.ends - claims.given) == (shown["health_code"], SECONDS)
    with pytest.raises(Expired):
        checked(shown["code"], published, time.time() + SECONDS)
    for forged in forgeries(shown["code"], shown["health_code"]):
        with pytest.raises(Forged):
            checked(forged, published, time.time())


def test_a_code_names_nobody_and_fits_a_symbol(county: County) -> None:
    shown = show(county, county.zhang)
    claims = base64.urlsafe_b64decode(shown["code"].split(".")[1] + "==").decode()
    assert "张" not in claims
    assert county.zhang not in claims
    assert read_code(shown["health_code"]) == shown["health_code"]
    assert len(shown["code"]) < 260
    assert shown["svg"].startswith("<svg")
    picture = county.ask(resident(county.zhang), "GET", "/health-code?format=svg")
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert picture.headers["cache-control"] == "no-store"


def test_every_code_shown_is_another(county: County) -> None:
    shown = [show(county, county.zhang) for _ in range(3)]
    assert len({one["code"] for one in shown}) == 3
    assert len({one["health_code"] for one in shown}) == 1


def test_only_residents_show_and_only_those_who_treat_scan(county: County) -> None:
    assert county.ask(DOCTOR, "GET", "/health-code").status == 403
    assert county.ask(None, "GET", "/health-code").status == 401
    assert county.ask(resident(county.zhang), "GET", f"/health-code?patient={county.li}").status == 404
    code = show(county, county.zhang)["code"]
    assert county.ask(None, "POST", "/health-code/scan", {"code": code}).status == 401
    for by in (
        resident(county.li),
        staff("a", "township", "administrator", "HOPERAT"),
        staff("b", "township", "records-officer", "HOPERAT"),
        staff("c", "township", "public-health", "PUBHLTH"),
    ):
        assert scan(county, code, by).status == 403
    assert scan(county, code).status == 201  # the refused ones did not use it up


def test_a_dead_person_shows_no_code(county: County) -> None:
    code = show(county, county.zhang)["code"]
    body = county.ask(system("county"), "GET", f"Patient/{county.zhang}").json
    dead = {**body, "deceasedDateTime": "2026-11-01"}
    assert county.ask(system("county"), "PUT", f"Patient/{county.zhang}", dead).status == 200
    assert county.ask(resident(county.zhang), "GET", "/health-code").status == 410
    assert scan(county, code).status == 410


def test_the_scan_is_on_record_for_the_resident(county: County) -> None:
    scan(county, show(county, county.zhang)["code"])
    entries = county.log(resident(county.zhang), f"patient={county.zhang}")
    texts = [json.dumps(entry, ensure_ascii=False) for entry in entries]
    assert any('"scan"' in text and "居民出示健康码" in text and "Organization/township" in text for text in texts)
    assert any('"health-code"' in text for text in texts)


def test_of_two_processes_that_scan_one_code_at_once_one_wins(county: County) -> None:
    from fhir_server import app
    from fhir_server.auth.issue import issue
    from fhir_server.http.shell import Application
    from tests.leaks.http import Server

    code = show(county, county.zhang)["code"]
    tokens = [issue(county.auth, by, 3600) for by in (DOCTOR, system("county"))]
    statuses: list[int] = []
    ready = threading.Barrier(2)

    def one(token: str) -> None:
        server = Server(Application(county.settings, lambda: app._start(county.settings)))
        ready.wait()
        statuses.append(server.ask("POST", "/health-code/scan", token, {"code": code}).status)
        server.close()

    threads = [threading.Thread(target=one, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201, 409]


def test_a_guardian_shows_the_code_of_a_ward(county: County) -> None:
    child = county.create(
        system("county"), {"resourceType": "Patient", "name": [{"text": "张小宝"}], "birthDate": "2020-05-01"}
    )
    county.observation(child)
    guardian = {"url": GUARDIAN_PERSON, "valueReference": {"reference": f"Patient/{county.zhang}"}}
    relation = {"resourceType": "RelatedPerson", "active": True, "patient": {"reference": f"Patient/{child}"}}
    county.create(staff("qian", "county", "registrar"), {**relation, "extension": [guardian]})
    shown = show(county, county.zhang, f"?patient={child}")
    assert shown["health_code"] != show(county, county.zhang)["health_code"]
    answer = scan(county, shown["code"])
    assert (answer.status, answer.json["patient"]) == (201, child)
    assert sees(county, child)
    assert not sees(county, county.zhang)
    consent = county.ask(DOCTOR, "GET", answer.json["consent"]).json
    assert consent["performer"] == [{"reference": f"Patient/{county.zhang}"}]


def test_the_code_of_a_merged_person_opens_the_one_that_was_kept(county: County) -> None:
    county.observation(county.zhang)
    code = show(county, county.li)["code"]
    parameters = [
        {"name": f"{side}-patient", "valueReference": {"reference": f"Patient/{id}"}}
        for side, id in (("source", county.li), ("target", county.zhang))
    ]
    steward = staff("s", "county", "steward", "HOPERAT")
    merged = county.ask(steward, "POST", "Patient/$merge", {"resourceType": "Parameters", "parameter": parameters})
    assert merged.status == 200, merged.body
    assert scan(county, code).json["patient"] == county.zhang
    assert sees(county, county.zhang)
    kept = show(county, county.li)["health_code"]
    assert kept == show(county, county.zhang)["health_code"]
