"""POST /break-glass and its review over the real application: what the token gives, on what it rests, what is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consent import Requester, Scope
from consent.vocabulary import ROLE
from fhir_server.auth import accounts, clients, sessions, token
from fhir_server.auth.issue import issue, token_hash
from tests.audit.county import County, resident, staff, system
from tests.leaks.http import Answer

DOCTOR = staff("wang", "township", "physician")
ADMINISTRATOR = staff("adm", "county", "administrator", "HOPERAT")


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    found = County(tmp_path / "data")
    yield found
    found.close()


def scoped(requester: Requester, *scopes: str) -> Requester:
    found = [Scope(*one.replace("/", ".").split(".")) for one in scopes]
    return replace(requester, scopes=tuple(found), token="-".join(scopes))


def emergency(patient: str) -> dict[str, str]:
    return {"patient": patient, "reason": "unconscious", "text": "昏迷送诊"}


def opened(county: County, patient: str, by: Requester = DOCTOR) -> Any:
    answer = county.ask(by, "POST", "/break-glass", emergency(patient))
    assert answer.status == 201, answer.body
    return answer.json


def with_token(county: County, token: str, method: str, path: str, body: Any = None) -> Answer:
    return county.server.ask(method, path, token, body)


def status(county: County, token: str, path: str) -> int:
    return with_token(county, token, "GET", path).status


@pytest.mark.parametrize(
    "scope, given, reads",
    [
        ("user/*.cruds", "patient/*.rs", {"Patient": 200, "Observation": 200}),
        ("user/Observation.r", "patient/Observation.r", {"Patient": 403, "Observation": 200}),
        ("user/Slot.rs", "", {}),
        ("user/*.cud", "", {}),
        ("patient/*.rs", "", {}),
    ],
)
def test_an_opened_file_is_read_by_the_scopes_that_one_had(
    county: County, scope: str, given: str, reads: dict[str, int]
) -> None:
    id = county.observation(county.zhang)
    by = replace(scoped(DOCTOR, scope), patient=county.li)
    answer = county.ask(by, "POST", "/break-glass", emergency(county.zhang))
    if not given:
        assert answer.status == 403
        return
    assert (answer.status, answer.json["scope"]) == (201, given)
    found = {"Patient": f"Patient/{county.zhang}", "Observation": f"Observation/{id}"}
    assert {type: status(county, answer.json["access_token"], found[type]) for type in reads} == reads


def test_an_opened_file_opens_no_further_one(county: County) -> None:
    token = opened(county, county.zhang)["access_token"]
    for patient in (county.zhang, county.li):
        assert with_token(county, token, "POST", "/break-glass", emergency(patient)).status == 403


def test_the_token_ends_with_the_one_that_opened_the_file(county: County) -> None:
    app = clients.Client(
        DOCTOR.client, "EMR", "public", (clients.CODE,), "user/*.cruds", redirect_uris=("https://emr.example/",)
    )
    clients.add(county.auth, app)
    shown = issue(county.auth, DOCTOR, 900)
    given = with_token(county, shown, "POST", "/break-glass", emergency(county.zhang)).json["access_token"]
    assert status(county, given, f"Patient/{county.zhang}") == 200
    token.revoke(county.auth, app, shown, time.time())
    assert status(county, given, f"Patient/{county.zhang}") == 401


def test_the_token_is_of_the_authorization_that_opened_the_file(county: County) -> None:
    shown = issue(county.auth, DOCTOR, 900, family="f1")
    given = with_token(county, shown, "POST", "/break-glass", emergency(county.zhang)).json["access_token"]
    row = county.auth.row("SELECT family FROM tokens WHERE hash = ?", token_hash(given))
    assert row is not None and row["family"] == "f1"


@pytest.fixture
def signed_in(county: County) -> str:
    """A token of somebody who signed in, by an account and in a role of the records."""
    role = {
        "resourceType": "PractitionerRole",
        "active": True,
        "practitioner": {"reference": "Practitioner/wang"},
        "organization": {"reference": "Organization/township"},
        "code": [{"coding": [{"system": ROLE, "code": "physician"}]}],
    }
    role_id = county.create(ADMINISTRATOR, role)
    now = time.time()
    account = accounts.create(county.auth, "staff", "wang", "Kite-over-7-hills", now=now, login="wang", name="wang")
    with county.auth.write() as connection:
        connection.execute(
            "INSERT INTO account_roles(account, institution, role, role_id) VALUES (?, 'township', 'physician', ?)",
            (account.id, role_id),
        )
    sessions.start(county.auth, account.id, "full", now, amr=("pwd",), address="", agent="")
    session = sessions.current(county.auth, account.id, now)[0].id
    return issue(county.auth, replace(DOCTOR, role_id=role_id), 900, account=account.id, session=session)


def test_the_token_is_not_good_for_longer_than_the_sign_in(county: County, signed_in: str) -> None:
    answer = with_token(county, signed_in, "POST", "/break-glass", emergency(county.zhang))
    assert 0 < answer.json["expires_in"] <= sessions.LONGEST_SECONDS
    assert status(county, answer.json["access_token"], f"Patient/{county.zhang}") == 200
    with county.auth.write() as connection:
        connection.execute("UPDATE sessions SET expires = ?", (time.time() - 1,))
        connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'withdrawals'")
    assert status(county, answer.json["access_token"], f"Patient/{county.zhang}") == 401
    assert status(county, signed_in, "Organization/county") == 401


@pytest.mark.parametrize("end", [{"active": False}, {"period": {"end": "2020-01-01"}}, None])
def test_the_token_ends_with_the_role(county: County, signed_in: str, end: dict[str, Any] | None) -> None:
    given = with_token(county, signed_in, "POST", "/break-glass", emergency(county.zhang)).json["access_token"]
    assert status(county, given, f"Patient/{county.zhang}") == 200
    found = county.ask(ADMINISTRATOR, "GET", "PractitionerRole?practitioner=Practitioner/wang").json
    role = found["entry"][0]["resource"]
    path = f"PractitionerRole/{role['id']}"
    changed = county.ask(ADMINISTRATOR, "PUT", path, {**role, **end}) if end else None
    assert (changed or county.ask(ADMINISTRATOR, "DELETE", path)).status in (200, 204)
    assert status(county, given, f"Patient/{county.zhang}") == 401


def test_the_resident_keeps_the_notice_whatever_the_institution_does(county: County) -> None:
    opened(county, county.zhang)
    me, emr = resident(county.zhang), system("township")
    me = replace(me, patient=county.zhang)
    (entry,) = county.ask(me, "GET", "Communication").json["entry"]
    notice = entry["resource"]
    path = f"Communication/{notice['id']}"
    patch = [{"op": "replace", "path": "/payload/0/contentString", "value": "无"}]
    headers = {"content-type": "application/json-patch+json"}
    for who in (emr, DOCTOR, system("county")):
        assert county.ask(who, "PATCH", path, patch, headers).status in (403, 404)
        assert county.ask(who, "PUT", path, {**notice, "category": [{"text": "x"}]}).status in (403, 404)
        assert county.ask(who, "DELETE", path).status in (204, 403, 404)
        assert county.ask(who, "DELETE", f"Communication?_id={notice['id']}").status in (204, 403, 404)
    assert county.ask(me, "GET", path).json == notice
    forged = {key: value for key, value in notice.items() if key not in ("id", "meta", "about")}
    assert county.ask(emr, "POST", "Communication", forged).status == 403


@pytest.mark.parametrize("outcome", ["justified", "unjustified"])
def test_nobody_reviews_an_access_of_their_own(county: County, outcome: str) -> None:
    task = opened(county, county.zhang)["task"]
    review = {"task": task, "outcome": outcome, "note": "ok"}
    myself = staff("wang", "township", "privacy-officer", "HOPERAT")
    assert county.ask(myself, "POST", "/break-glass/review", review).status == 403
    assert county.ask(DOCTOR, "POST", "/break-glass/review", review).status == 403
    officer = staff("sun", "township", "privacy-officer", "HOPERAT")
    assert county.ask(officer, "POST", "/break-glass/review", review).status == 200
