"""Introspection, revocation, keys, metadata, userinfo, launches: the endpoints beside authorize and token."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fhir_server.auth import keys, web
from fhir_server.auth.client_auth import ASSERTION_TYPE
from fhir_server.errors import Unauthorized
from fhir_server.settings import Settings
from tests.auth.protocol import BACK, DOCTOR, FHIR, ISSUER, RESIDENT, World, add_account, sent, server_on


def proof(world: World, **form: str) -> dict[str, str | None]:
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": world.assertion(), **form}


def allow_introspection(world: World, client: str) -> None:
    with world.auth_file.write() as connection:
        connection.execute("UPDATE clients SET introspects = 1 WHERE id = ?", (client,))


# Introspection


def test_a_client_is_told_about_its_own_token(world: World) -> None:
    token = world.system().json()["access_token"]
    told = world.post("/auth/introspect", proof(world, token=token)).json()
    assert (told["active"], told["client_id"], told["scope"]) == (True, "laboratory", "system/Observation.rs")
    assert (told["institution"], told["role"], told["purpose"]) == ("county-hospital", "system", "TREAT")
    assert told["exp"] == world.now + 300
    assert token not in str(told)


def test_a_client_is_told_nothing_about_others_tokens_unless_it_may_be(world: World) -> None:
    token = world.tokens()["access_token"]
    assert world.post("/auth/introspect", proof(world, token=token)).json() == {"active": False}
    allow_introspection(world, "laboratory")
    told = world.post("/auth/introspect", proof(world, token=token)).json()
    assert (told["active"], told["client_id"], told["fhirUser"]) == (True, "app", f"{FHIR}/{DOCTOR.subject}")


def test_ended_tokens_are_not_active(world: World) -> None:
    allow_introspection(world, "laboratory")
    tokens = world.tokens()
    world.refresh(tokens["refresh_token"])
    assert world.post("/auth/introspect", proof(world, token=tokens["refresh_token"])).json() == {"active": False}
    assert world.post("/auth/introspect", proof(world, token="never-given")).json() == {"active": False}
    world.now += 1000
    assert world.post("/auth/introspect", proof(world, token=tokens["access_token"])).json() == {"active": False}


def test_strangers_and_public_apps_may_not_introspect(world: World) -> None:
    token = world.tokens()["access_token"]
    assert world.post("/auth/introspect", {"token": token}).status_code == 401
    assert world.post("/auth/introspect", {"token": token, "client_id": "app"}).status_code == 401
    bearer = {"Authorization": f"Bearer {token}"}
    assert world.post("/auth/introspect", {"token": token}, headers=bearer).status_code == 401


# Revocation


def test_a_revoked_access_token_ends_at_once_and_the_rest_goes_on(world: World) -> None:
    tokens = world.tokens()
    assert world.requester(tokens["access_token"])
    answer = world.post("/auth/revoke", {"client_id": "app", "token": tokens["access_token"]})
    assert (answer.status_code, answer.content) == (200, b"")
    with pytest.raises(Unauthorized):
        world.requester(tokens["access_token"])
    assert world.refresh(tokens["refresh_token"]).status_code == 200


def test_a_revoked_refresh_token_ends_all_that_came_of_the_authorization(world: World) -> None:
    tokens = world.tokens()
    world.post("/auth/revoke", {"client_id": "app", "token": tokens["refresh_token"]})
    with pytest.raises(Unauthorized):
        world.requester(tokens["access_token"])
    assert world.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_nobody_revokes_tokens_of_another_client(world: World) -> None:
    tokens = world.tokens()
    answer = world.post("/auth/revoke", proof(world, token=tokens["access_token"]))
    assert answer.status_code == 200  # it is not told whether there is such a token
    assert world.requester(tokens["access_token"])
    assert world.post("/auth/revoke", {"token": tokens["access_token"]}).status_code == 401


def test_an_unknown_token_has_ended_already(world: World) -> None:
    assert world.post("/auth/revoke", proof(world, token="never-given")).status_code == 200
    assert world.post("/auth/revoke", proof(world)).json()["error"] == "invalid_request"


# Keys


def published(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.http.get("/auth/jwks").json()
    return found


def test_the_published_keys_have_no_private_part(world: World) -> None:
    (key,) = published(world)["keys"]
    assert set(key) == {"kty", "n", "e", "kid", "use", "alg"}


def test_tokens_signed_before_a_rotation_are_checked_with_the_old_key_for_a_day(world: World) -> None:
    before = world.tokens(scope="openid")["id_token"]
    keys.rotate(world.auth_file, world.now)
    after = world.tokens(scope="openid")["id_token"]
    both = KeySet.import_key_set(published(world))
    assert len(both.keys) == 2
    for token in (before, after):
        assert jwt.decode(token, both, algorithms=["RS256"]).claims["aud"] == "app"
    world.now += 25 * 3600
    with pytest.raises((JoseError, ValueError)):
        jwt.decode(before, KeySet.import_key_set(published(world)), algorithms=["RS256"])
    keys.rotate(world.auth_file, world.now)
    assert [key.status for key in keys.listed(world.auth_file)] == ["active", "retiring"]


# Metadata


def test_the_smart_configuration_says_what_is_offered(world: World) -> None:
    told = world.http.get("/fhir/.well-known/smart-configuration").json()
    assert told["issuer"] == ISSUER
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["authorization_response_iss_parameter_supported"] is True
    assert {"launch-ehr", "launch-standalone", "client-confidential-asymmetric", "permission-v2"} <= set(
        told["capabilities"]
    )
    for name in ("authorization", "token", "introspection", "revocation"):
        assert told[f"{name}_endpoint"].startswith(f"{ISSUER}/auth/")


@pytest.mark.parametrize("path", ["openid-configuration", "oauth-authorization-server"])
def test_the_well_known_documents_are_at_the_issuer(world: World, path: str) -> None:
    told = world.http.get(f"/.well-known/{path}").json()
    assert told["issuer"] == ISSUER
    assert world.http.get(told["jwks_uri"]).json()["keys"]


def test_browsers_may_read_from_other_origins_but_not_the_authorization_page(world: World) -> None:
    origin = {"Origin": "https://app.example"}
    assert world.http.get("/auth/jwks", headers=origin).headers["access-control-allow-origin"] == "*"
    preflight = world.http.options("/auth/token", headers={**origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    refusal = world.post("/auth/token", {"grant_type": "x"}, headers=origin)
    assert refusal.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in refusal.headers


# Userinfo


def test_userinfo_names_the_person_within_the_scopes(world: World) -> None:
    def ask(scope: str) -> httpx.Response:
        token = world.tokens(scope=scope)["access_token"]
        return world.http.get("/auth/userinfo", headers={"Authorization": f"Bearer {token}"})

    assert ask("openid").json() == {"sub": "doctor"}
    assert ask("openid fhirUser").json() == {"sub": "doctor", "fhirUser": f"{FHIR}/{DOCTOR.subject}"}
    assert ask("openid profile").json()["name"] == "王医生"
    assert ask("user/*.rs").status_code == 403
    assert world.http.get("/auth/userinfo").status_code == 401


# Launch by an EHR


def open_app(world: World, token: str, **body: Any) -> httpx.Response:
    given = {"client_id": "app", "patient": "zhang", "encounter": "visit-7", **body}
    return world.http.post("/auth/launch", json=given, headers={"Authorization": f"Bearer {token}"})


def test_staff_open_an_app_with_the_patient_before_them(world: World) -> None:
    token = world.tokens(scope="user/*.rs")["access_token"]
    opened = open_app(world, token, need_patient_banner=False, intent="order-review")
    assert opened.status_code == 201
    told = sent(opened.json()["url"])
    assert (told["iss"], told["lang"]) == (FHIR, "zh")
    answer = world.ask(launch=told["launch"], scope="launch openid patient/*.rs")
    body = world.redeem(world.approve(answer)["code"]).json()
    assert (body["patient"], body["encounter"]) == ("zhang", "visit-7")
    assert (body["need_patient_banner"], body["intent"]) == (False, "order-review")
    requester = world.requester(body["access_token"])
    assert (requester.patient, requester.encounter) == ("zhang", "visit-7")


def test_a_launch_is_for_one_app_one_person_and_a_few_minutes(world: World) -> None:
    handle = open_app(world, world.tokens(scope="user/*.rs")["access_token"]).json()["launch"]
    launch = {"launch": handle, "scope": "launch patient/*.rs"}
    portal = world.ask(**launch, client_id="portal", redirect_uri="https://portal.example/back")
    assert sent(portal.headers["location"])["error"] == "invalid_request"
    add_account(world.auth_file, "other", DOCTOR)
    assert world.approve(world.ask(**launch), "other")["error"] == "access_denied"
    assert world.approve(world.ask(**launch), patient="li")["error"] == "access_denied"
    world.now += 301
    assert sent(world.ask(**launch).headers["location"])["error"] == "invalid_request"


def test_without_a_launch_the_scope_launch_is_not_given(world: World) -> None:
    assert world.tokens(scope="launch openid launch/patient")["scope"] == "openid launch/patient"


def test_a_launch_needs_the_scope_launch(world: World) -> None:
    handle = open_app(world, world.tokens(scope="user/*.rs")["access_token"]).json()["launch"]
    told = sent(world.ask(launch=handle, scope="patient/*.rs").headers["location"])
    assert told["error"] == "invalid_request"


def test_only_staff_open_apps(world: World) -> None:
    resident = world.tokens("resident", RESIDENT, scope="patient/*.rs")["access_token"]
    assert open_app(world, resident).status_code == 403
    assert open_app(world, world.system().json()["access_token"]).status_code == 403
    assert open_app(world, "no-token").status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {"client_id": "laboratory"},
        {"client_id": "nobody"},
        {"patient": "a/b"},
        {"patient": 7},
        {"patient": None},
        {"intent": "x" * 999},
        {"intent": []},
    ],
)
def test_a_launch_that_is_not_understood_is_refused(world: World, body: dict[str, Any]) -> None:
    token = world.tokens(scope="user/*.rs")["access_token"]
    assert open_app(world, token, **body).status_code == 400


# Requests in a wrong form


@pytest.mark.parametrize(
    ("content", "type", "status"),
    [
        (b"{}", "application/json", 400),
        (b"grant_type=a&grant_type=b", "application/x-www-form-urlencoded", 400),
        (b"grant_type=\xff", "application/x-www-form-urlencoded", 400),
        (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"a%d=1" % number for number in range(200)), "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 401),
        (b"client_id=%00&grant_type=x", "application/x-www-form-urlencoded", 401),
    ],
)
def test_a_body_in_a_wrong_form_is_refused(world: World, content: bytes, type: str, status: int) -> None:
    answer = world.http.post("/auth/token", content=content, headers={"Content-Type": type})
    assert answer.status_code == status
    assert answer.json()["error"] in ("invalid_request", "invalid_client")
    assert answer.headers["cache-control"] == "no-store"


def test_answers_are_never_taken_for_something_else_by_a_browser(world: World) -> None:
    for answer in (world.http.get("/auth/jwks"), world.post("/auth/token", {"grant_type": "x"})):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert "strict-transport-security" in answer.headers


def test_one_address_does_not_ask_without_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_MOST_A_MINUTE", 3)
    world.http = server_on(world, Settings(base_url=FHIR), ISSUER)
    assert [world.ask().status_code for _ in range(5)] == [303, 303, 303, 429, 429]
    assert world.system().status_code == 429
    world.now += 60
    assert world.ask().status_code == 303
    assert world.system().status_code == 200


def test_tokens_are_not_given_by_get(world: World) -> None:
    assert world.http.get("/auth/token", params={"grant_type": "client_credentials"}).status_code == 405


def test_what_happens_is_noted_without_anything_secret(world: World) -> None:
    tokens = world.tokens()
    world.system(world.assertion(aud="https://evil.example"))
    world.post("/auth/revoke", {"client_id": "app", "token": tokens["refresh_token"]})
    assert [notice.kind for notice in world.notices] == ["token", "refused-token", "revoke"]
    assert world.notices[0].requester is not None
    assert world.notices[0].requester.subject == DOCTOR.subject
    assert world.notices[1].client == "laboratory"
    assert all(notice.address == "192.0.2.7" for notice in world.notices)
    assert tokens["access_token"] not in str(world.notices)


def test_the_address_of_another_machine_is_not_taken_for_ours(world: World) -> None:
    """Without a base URL the Host header must be the socket's: else assertions for others could be sent on to us."""
    http = server_on(world, Settings(data=world.folder, port=8080), "http://127.0.0.1:8080")
    assert http.get("/auth/jwks").status_code == 200
    assert http.get("/auth/jwks", headers={"Host": "localhost:8080"}).status_code == 200
    for host in ("evil.example", "evil.example:8080", "127.0.0.1:9", "localhost.evil.example:8080", "a:b:c"):
        answer = http.get("/auth/jwks", headers={"Host": host})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    http = server_on(world, Settings(data=world.folder, port=8080, hosts="records.example"), "http://127.0.0.1:8080")
    told = http.get("/.well-known/openid-configuration", headers={"Host": "records.example"})
    assert told.json()["issuer"] == "http://records.example"
    assert http.get("/auth/jwks", headers={"Host": "evil.example"}).status_code == 400


def test_a_redirect_keeps_the_query_that_is_registered(world: World) -> None:
    with world.auth_file.write() as connection:
        connection.execute("""UPDATE clients SET redirect_uris = '["https://a.example/b?c=d"]' WHERE id = 'app'""")
    told = world.approve(world.ask(redirect_uri="https://a.example/b?c=d"))
    assert told["c"] == "d"
    assert "code" in told
    assert world.ask(redirect_uri=BACK).status_code == 400
