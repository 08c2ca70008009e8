"""The pages on a running server: what they lead to holds while the records say so, and is on record."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from consent.vocabulary import ROLE
from fhir_server.cli import main
from tests.auth import alliance
from tests.auth.alliance import BACK, COUNTY, DOCTOR, LI
from tests.conftest import Running


@pytest.fixture
def served(start_server: Callable[..., Running], tmp_path: Path) -> Running:
    alliance.build(tmp_path / "data")
    return start_server(data=tmp_path / "data")


def launch(served: Running, who: alliance.Browser, scope: str) -> dict[str, Any]:
    """A whole launch of the app; gives the token endpoint's answer."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": BACK,
        "scope": scope,
        "state": "s",
        "aud": served.url,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    back = who.visit(f"{served.root}/auth/authorize?{urlencode(asked)}")
    form = {
        "grant_type": "authorization_code",
        "code": alliance.parameters(back)["code"],
        "redirect_uri": BACK,
        "client_id": "app",
        "code_verifier": verifier,
    }
    answer = httpx.post(f"{served.root}/auth/token", data=form)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def read(served: Running, token: str, path: str) -> int:
    return httpx.get(f"{served.url}/{path}", headers={"Authorization": f"Bearer {token}"}).status_code


def refresh(served: Running, tokens: dict[str, Any]) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": "app"}
    return httpx.post(f"{served.root}/auth/token", data=form)


def test_when_the_role_ends_in_the_records_the_access_ends_at_the_next_refresh(served: Running, tmp_path: Path) -> None:
    tokens = launch(served, alliance.doctor(), "openid offline_access user/*.rs")
    assert read(served, tokens["access_token"], f"Patient/{LI}") == 200
    tokens |= refresh(served, tokens).json()
    ended = {
        "resourceType": "PractitionerRole",
        "id": "wang-county",
        "active": False,
        "practitioner": {"reference": f"Practitioner/{DOCTOR}"},
        "organization": {"reference": f"Organization/{COUNTY}"},
        "code": [{"coding": [{"system": ROLE, "code": "physician"}]}],
    }
    entry = [{"resource": ended, "request": {"method": "PUT", "url": "PractitionerRole/wang-county"}}]
    file = tmp_path / "ended.json"
    file.write_text(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entry}))
    assert main(["load", "--data", str(served.data), str(file)]) == 0
    refused = refresh(served, tokens)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert read(served, tokens["access_token"], f"Patient/{LI}") == 401


def test_a_locked_account_loses_its_tokens_at_once(served: Running) -> None:
    tokens = launch(served, alliance.resident(), "openid offline_access patient/*.rs")
    assert read(served, tokens["access_token"], f"Patient/{LI}") == 200
    assert main(["user", "lock", f"Patient/{LI}", "--data", str(served.data)]) == 0
    assert read(served, tokens["access_token"], f"Patient/{LI}") == 401
    assert refresh(served, tokens).status_code == 400


def test_sign_in_and_approval_are_on_record(served: Running, capsys: pytest.CaptureFixture[str]) -> None:
    launch(served, alliance.resident(), "openid patient/*.rs")
    stranger = httpx.Client(base_url=served.root, headers={"Accept": "application/json"})
    stranger.get("/auth/sign-in")
    assert stranger.post("/auth/sign-in", json={"login": "wang.min", "password": "Wrong-kite-7"}).status_code == 403
    served.stop()
    capsys.readouterr()
    assert main(["audit", "verify", "--data", str(served.data)]) == 0
    assert main(["audit", "export", "--data", str(served.data)]) == 0
    exported = capsys.readouterr().out
    for code in ("110122", "refused-login", "launch"):
        assert code in exported
    for secret in (alliance.PASSWORD, "Wrong-kite-7", "10012345678"):
        assert secret not in exported
