"""Tokens against a real server of two processes, as programs and people use them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from consent import Requester, Scope
from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import issue
from tests.auth import alliance
from tests.auth.alliance import BACK, HIDDEN, LI, ZHANG
from tests.auth.protocol import VERIFIER, challenge_of
from tests.conftest import Running


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Running], tmp_path_factory: pytest.TempPathFactory) -> Running:
    folder = tmp_path_factory.mktemp("alliance")
    alliance.build(folder)
    return start_server("--workers", "2", data=folder)


def launch(server: Running, browser: alliance.Browser, scope: str) -> httpx.Response:
    known = httpx.get(f"{server.url}/.well-known/smart-configuration").json()
    asked = {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": BACK,
        "scope": scope,
        "state": "s",
        "aud": server.url,
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
    }
    told = alliance.parameters(browser.visit(str(httpx.URL(known["authorization_endpoint"], params=asked))))
    assert told["state"] == "s"
    form = {"grant_type": "authorization_code", "client_id": "app", "code": told["code"], "code_verifier": VERIFIER}
    return httpx.post(known["token_endpoint"], data=form)


def read(server: Running, token: str, path: str) -> httpx.Response:
    return httpx.get(f"{server.url}/{path}", headers={"Authorization": f"Bearer {token}"})


def test_nothing_is_read_without_a_token(server: Running) -> None:
    for path in ("Patient", f"Patient/{LI}", "Observation?_summary=count"):
        answer = httpx.get(f"{server.url}/{path}")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["resourceType"] == "OperationOutcome"


def test_anybody_reads_the_implementation_guide(server: Running) -> None:
    answer = httpx.get(f"{server.root}/guide/profile/patient")
    assert answer.status_code == 200
    assert "居民身份证号" in answer.text


def test_a_system_reads_what_its_institution_wrote(server: Running) -> None:
    body = alliance.system_token(server.url).json()
    assert read(server, body["access_token"], f"Observation?patient={LI}&_summary=count").json()["total"] == 3
    assert read(server, body["access_token"], f"Patient/{LI}").status_code == 200


def test_scopes_narrow_what_a_system_reads(server: Running) -> None:
    token = alliance.system_token(server.url, scope="system/Observation.r").json()["access_token"]
    assert read(server, token, f"Observation/{LI}-1").status_code == 200
    assert read(server, token, "Observation").status_code in (403, 404)
    assert read(server, token, f"Patient/{LI}").status_code in (403, 404)


def test_a_physician_signs_in_chooses_a_patient_and_sees_that_file_only(server: Running) -> None:
    browser = alliance.doctor(patient=f"Patient/{ZHANG}")
    body = launch(server, browser, "openid fhirUser launch/patient patient/*.rs").json()
    assert browser.steps[:2] == ["sign_in", "totp"]
    assert (body["patient"], body["purpose"]) == (ZHANG, "TREAT")
    assert read(server, body["access_token"], f"Patient/{ZHANG}").status_code == 200
    assert read(server, body["access_token"], f"Patient/{LI}").status_code == 404
    found = read(server, body["access_token"], "Observation?_summary=count").json()
    assert found["total"] == 3


def test_a_resident_signs_in_and_sees_the_own_file_only(server: Running) -> None:
    body = launch(server, alliance.resident(), "openid fhirUser launch/patient patient/*.rs offline_access").json()
    assert (body["patient"], body["purpose"]) == (LI, "PATRQT")
    assert read(server, body["access_token"], "Observation?_summary=count").json()["total"] == 3
    assert read(server, body["access_token"], f"Observation/{ZHANG}-1").status_code == 404
    again = httpx.post(
        f"{server.root}/auth/token",
        data={"grant_type": "refresh_token", "client_id": "app", "refresh_token": body["refresh_token"]},
    ).json()
    assert read(server, again["access_token"], f"Observation/{LI}-1").status_code == 200


def test_a_revoked_token_is_refused_by_every_process_at_once(server: Running) -> None:
    body = launch(server, alliance.resident(), "patient/*.rs").json()
    token = body["access_token"]
    for _ in range(8):  # so that both processes have it in mind
        assert read(server, token, f"Patient/{LI}").status_code == 200
    assert httpx.post(f"{server.root}/auth/revoke", data={"client_id": "app", "token": token}).status_code == 200
    assert {read(server, token, f"Patient/{LI}").status_code for _ in range(8)} == {401}


def test_a_client_revoked_on_the_command_line_is_refused_at_once(server: Running, tmp_path: Path) -> None:
    def yidang(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "fhir_server.cli", *arguments, "--data", str(server.data)], check=True)

    key = tmp_path / "key.jwk"
    yidang(
        "client", "add", "short", "--name", "短期系统", "--scope", "system/*.rs", "--institution", alliance.COUNTY,
        "--purpose", "TREAT", "--new-key", str(key),
    )  # fmt: skip
    command = [sys.executable, "-m", "fhir_server.cli", "client", "assertion", "short", "--key", str(key)]
    made = subprocess.run([*command, "--audience", f"{server.root}/auth/token"], check=True, capture_output=True)
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": alliance.ASSERTION_TYPE,
        "client_assertion": made.stdout.decode().strip(),
    }
    token = httpx.post(f"{server.root}/auth/token", data=form).json()["access_token"]
    assert read(server, token, f"Patient/{LI}").status_code == 200
    yidang("client", "revoke", "short")
    assert {read(server, token, f"Patient/{LI}").status_code for _ in range(8)} == {401}


def test_page_links_are_for_who_received_them(server: Running) -> None:
    first = alliance.system_token(server.url).json()["access_token"]
    page = read(server, first, f"Observation?patient={LI}&_count=1").json()
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    assert read(server, first, following.removeprefix(f"{server.url}/")).status_code == 200
    other = launch(server, alliance.resident(), "patient/*.rs").json()["access_token"]
    assert read(server, other, following.removeprefix(f"{server.url}/")).status_code in (400, 404, 410)


@pytest.fixture(scope="module")
def doctors_token(server: Running) -> Iterator[str]:
    """A token as the physician gets it; signing in would need a fresh time code for every test."""
    auth_file = AuthFile.open(server.data)
    (account,) = auth_file.rows("SELECT id FROM accounts WHERE kind = 'staff'")
    with auth_file.write() as connection:
        connection.execute(
            "INSERT OR IGNORE INTO account_roles(account, institution, role) VALUES (?, ?, 'physician')",
            (account["id"], alliance.COUNTY),
        )
    scopes = (Scope("user", "*", "cruds"),)
    doctor = Requester(
        "staff", f"Practitioner/{alliance.DOCTOR}", "app", "TREAT", scopes, alliance.COUNTY, role="physician"
    )
    yield issue(auth_file, doctor, 900, account=account["id"])
    auth_file.close()


@pytest.mark.parametrize("patient, status", [(ZHANG, 201), (HIDDEN, 400), ("nobody", 400)])
def test_an_app_is_launched_only_with_a_patient_whom_one_may_see(
    server: Running, doctors_token: str, patient: str, status: int
) -> None:
    answer = httpx.post(
        f"{server.root}/auth/launch",
        json={"client_id": "app", "patient": patient},
        headers={"Authorization": f"Bearer {doctors_token}"},
    )
    assert answer.status_code == status, answer.text
    if status == 400:
        assert answer.json() == {"error": "invalid_request", "error_description": "There is no such patient"}
