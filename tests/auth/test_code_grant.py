from __future__ import annotations

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from fhir_server.errors import Unauthorized
from tests.auth.protocol import DOCTOR, FHIR, ISSUER, START, World


def test_a_code_is_exchanged_for_tokens(world: World) -> None:
    answer = world.redeem(world.approve(world.ask(), patient="zhang")["code"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["purpose"]) == ("Bearer", 900, "TREAT")
    assert (body["patient"], body["need_patient_banner"]) == ("zhang", True)
    assert body["scope"] == "openid fhirUser launch/patient patient/*.rs offline_access"
    assert {"access_token", "refresh_token", "id_token"} <= set(body)


def test_the_id_token_is_signed_by_a_published_key_and_names_the_person(world: World) -> None:
    body = world.tokens(scope="openid fhirUser profile")
    published = KeySet.import_key_set(world.http.get("/auth/jwks").json())
    token = jwt.decode(body["id_token"], published, algorithms=["RS256"])
    assert token.claims["iss"] == ISSUER
    assert token.claims["aud"] == "app"
    assert token.claims["sub"] == "doctor"
    assert token.claims["nonce"] == "nonce-1"
    assert token.claims["fhirUser"] == f"{FHIR}/{DOCTOR.subject}"
    assert token.claims["name"] == "王医生"
    assert token.claims["auth_time"] == int(START)
    assert token.claims["amr"] == ["pwd", "otp"]
    assert START < token.claims["exp"] <= START + 300


def test_without_the_scope_openid_there_is_no_id_token(world: World) -> None:
    assert "id_token" not in world.tokens(scope="patient/*.rs")


@pytest.mark.parametrize("scope", ["patient/*.rs", "openid fhirUser"])
def test_a_refresh_token_is_given_only_where_it_was_asked_for(world: World, scope: str) -> None:
    assert "refresh_token" not in world.tokens(scope=scope)


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": None},
        {"code_verifier": "another-verifier-of-43-letters-or-more-0123456789"},
        {"code_verifier": "short"},
        {"redirect_uri": "http://127.0.0.1:8000/back"},
        {"code": "never-given"},
        {"code": None},
    ],
)
def test_a_code_without_its_verifier_or_address_is_refused(world: World, changes: dict[str, str | None]) -> None:
    told = world.approve(world.ask())
    answer = world.redeem(**{"code": told["code"], **changes})
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"


def test_one_wrong_verifier_burns_the_code(world: World) -> None:
    code = world.approve(world.ask())["code"]
    world.redeem(code, code_verifier="another-verifier-of-43-letters-or-more-0123456789")
    assert world.redeem(code).json()["error"] == "invalid_grant"


def test_a_code_shown_twice_ends_the_tokens_that_came_of_it(world: World) -> None:
    code = world.approve(world.ask())["code"]
    tokens = world.redeem(code).json()
    assert world.requester(tokens["access_token"])
    assert world.redeem(code).json()["error"] == "invalid_grant"
    with pytest.raises(Unauthorized):
        world.requester(tokens["access_token"])
    assert world.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_code_of_another_app_is_refused_and_stays_good_for_its_own(world: World) -> None:
    code = world.approve(world.ask())["code"]
    stolen = world.redeem(code, client_id="portal", client_secret=world.portal_secret)
    assert stolen.json()["error"] == "invalid_grant"
    assert world.redeem(code).status_code == 200


def test_a_code_is_good_for_a_minute(world: World) -> None:
    code = world.approve(world.ask())["code"]
    world.now += 61
    assert world.redeem(code).json()["error"] == "invalid_grant"


def test_an_app_with_a_secret_must_show_it(world: World) -> None:
    back = "https://portal.example/back"
    code = world.approve(world.ask(client_id="portal", redirect_uri=back))["code"]
    form = {"client_id": "portal", "redirect_uri": back}
    assert world.redeem(code, **form).status_code == 401
    assert world.redeem(code, **form, client_secret="wrong").json()["error"] == "invalid_client"
    assert world.redeem(code, **form, client_secret=world.portal_secret).status_code == 200


def test_the_secret_may_come_by_basic_but_not_both_ways(world: World) -> None:
    back = "https://portal.example/back"
    code = world.approve(world.ask(client_id="portal", redirect_uri=back))["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": back,
        "code_verifier": "a-verifier-of-43-letters-or-more-0123456789abc",
    }
    both = world.post(
        "/auth/token", {**form, "client_secret": world.portal_secret}, auth=("portal", world.portal_secret)
    )
    assert both.json()["error"] == "invalid_request"
    assert world.post("/auth/token", form, auth=("portal", "wrong")).headers["www-authenticate"].startswith("Basic")
    assert world.post("/auth/token", form, auth=("portal", world.portal_secret)).status_code == 200


def test_a_public_app_has_no_secret_to_show(world: World) -> None:
    code = world.approve(world.ask())["code"]
    assert world.redeem(code, client_secret="guess").status_code == 401


def test_the_access_token_ends_after_its_time(world: World) -> None:
    tokens = world.tokens(scope="user/*.rs")
    world.now += 899
    assert world.requester(tokens["access_token"])
    world.now += 2
    with pytest.raises(Unauthorized):
        world.requester(tokens["access_token"])


def test_no_secret_stands_in_the_file_in_clear(world: World) -> None:
    code = world.approve(world.ask())["code"]
    tokens = world.redeem(code).json()
    stored = b"".join(path.read_bytes() for path in world.folder.glob("auth.db*"))
    for secret in (code, tokens["access_token"], tokens["refresh_token"], world.portal_secret):
        assert secret.encode() not in stored
    assert b'"d"' not in stored  # the private part of an RSA key
