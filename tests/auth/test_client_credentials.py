from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace

import httpx
import pytest
from joserfc.jwk import RSAKey

from fhir_server.auth import clients
from tests.auth.protocol import EMR_KEY, FHIR, ISSUER, LABORATORY, LABORATORY_KEY, TOKEN, World, key_set


def refused(answer: httpx.Response, error: str = "invalid_client") -> bool:
    return answer.status_code in (400, 401) and answer.json()["error"] == error and "access_token" not in answer.text


def test_a_system_gets_a_token_for_its_institution(world: World) -> None:
    answer = world.system()
    assert answer.status_code == 200
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 300, "system/Observation.rs")
    assert "refresh_token" not in body
    requester = world.requester(body["access_token"])
    assert (requester.kind, requester.subject, requester.role) == ("system", "Device/laboratory", "system")
    assert (requester.institution, requester.purpose, requester.name) == ("county-hospital", "TREAT", "县医院检验系统")


def test_an_elliptic_key_serves_too(world: World) -> None:
    answer = world.system(world.assertion("emr", EMR_KEY))
    assert world.requester(answer.json()["access_token"]).institution == "township"


@pytest.mark.parametrize("audience", [TOKEN, ISSUER, ISSUER + "/", [TOKEN, "https://other.example"]])
def test_token_endpoint_and_issuer_are_right_audiences(world: World, audience: object) -> None:
    assert world.system(world.assertion(aud=audience)).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://evil.example/auth/token"},
        {"aud": FHIR},
        {"aud": None},
        {"aud": []},
        {"aud": 7},
        {"iss": "emr"},
        {"sub": "emr"},
        {"iss": None},
        {"iss": ["laboratory"]},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 1},
        {"exp": 10**11},
        {"nbf": 10**11},
        {"iat": 10**11},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 300},
        {"jti": 5},
        {"header": {"kid": "unknown"}},
        {"header": {"kid": None}},
    ],
)
def test_an_assertion_with_wrong_claims_is_refused(world: World, changes: dict[str, object]) -> None:
    assert refused(world.system(world.assertion(**changes)))


def test_an_assertion_is_good_for_five_minutes_at_most(world: World) -> None:
    assert world.system(world.assertion(exp=int(world.now) + 300)).status_code == 200
    assert refused(world.system(world.assertion(exp=int(world.now) + 400)))


def test_an_assertion_is_good_once(world: World) -> None:
    assertion = world.assertion()
    assert world.system(assertion).status_code == 200
    assert refused(world.system(assertion))
    assert refused(world.system(world.assertion(jti="jti-1")))  # another with the same jti


def test_two_systems_may_use_the_same_jti(world: World) -> None:
    assert world.system(world.assertion(jti="same")).status_code == 200
    assert world.system(world.assertion("emr", EMR_KEY, jti="same")).status_code == 200


def test_a_signature_by_another_key_is_refused(world: World) -> None:
    other = RSAKey.generate_key(2048, {"kid": LABORATORY_KEY.kid})
    assert refused(world.system(world.assertion(key=other)))
    assert refused(world.system(world.assertion("laboratory", EMR_KEY)))


def _text(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_an_unsigned_assertion_is_refused(world: World) -> None:
    claims = {"iss": "laboratory", "sub": "laboratory", "aud": TOKEN, "exp": int(world.now) + 60, "jti": "a"}
    for algorithm in ("none", "None", "nOnE"):
        assert refused(world.system(f"{_text({'alg': algorithm, 'kid': LABORATORY_KEY.kid})}.{_text(claims)}."))


def test_a_public_key_is_no_shared_secret(world: World) -> None:
    """The confusion of algorithms: HS256 keyed with the text of the public key."""
    claims = {"iss": "laboratory", "sub": "laboratory", "aud": TOKEN, "exp": int(world.now) + 60, "jti": "a"}
    public = LABORATORY_KEY.as_pem(private=False)
    for secret in (public, json.dumps(LABORATORY_KEY.as_dict(private=False)).encode()):
        signed = f"{_text({'alg': 'HS256', 'kid': LABORATORY_KEY.kid})}.{_text(claims)}"
        mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        assert refused(world.system(f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"))


@pytest.mark.parametrize("assertion", ["", "x", "a.b.c", "..", "e30.e30.", "é.é.é", "[" * 9000, _text([1]) * 3])
def test_what_is_no_jwt_is_refused(world: World, assertion: str) -> None:
    assert world.system(assertion).status_code in (400, 401)


def test_deeply_nested_claims_are_refused(world: World) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 6000).rstrip(b"=").decode()
    assert refused(world.system(f"{_text({'alg': 'RS384'})}.{deep}.AAAA"))


def test_a_system_with_a_key_is_never_believed_without_it(world: World) -> None:
    form = {"grant_type": "client_credentials", "client_id": "laboratory", "scope": "system/*.rs"}
    assert refused(world.post("/auth/token", dict(form)))
    assert refused(world.post("/auth/token", {**form, "client_secret": ""}))
    assert refused(world.post("/auth/token", dict(form), auth=("laboratory", "")))


def test_the_client_id_of_the_form_must_be_that_of_the_assertion(world: World) -> None:
    assert refused(world.system(client_id="emr"))
    assert world.system(client_id="laboratory").status_code == 200


def test_scopes_are_cut_to_what_the_system_is_registered_for(world: World) -> None:
    with world.auth_file.write() as connection:
        connection.execute(
            "UPDATE clients SET scope = 'system/Observation.rs system/Patient.r' WHERE id = 'laboratory'"
        )
    assert world.system(scope="system/*.cruds user/*.rs").json()["scope"] == "system/Observation.rs system/Patient.r"
    assert refused(world.system(scope="system/Condition.rs"), "invalid_scope")
    assert refused(world.system(scope="user/Observation.rs"), "invalid_scope")


def test_the_purpose_of_use_is_one_of_the_registered(world: World) -> None:
    body = world.system(purpose_of_use="RECOG").json()
    assert (body["purpose"], world.requester(body["access_token"]).purpose) == ("RECOG", "RECOG")
    assert refused(world.system(purpose_of_use="PUBHLTH"), "invalid_request")
    assert refused(world.system(purpose_of_use="BTG"), "invalid_request")


def test_a_system_that_may_break_the_glass_cannot_be_registered(world: World) -> None:
    with pytest.raises(ValueError, match="purposes"):
        clients.add(world.auth_file, replace(LABORATORY, id="other", purposes=("TREAT", "BTG")))


def test_a_system_has_no_other_grant(world: World) -> None:
    form = {"grant_type": "authorization_code", "code": "x"}
    assert refused(world.system(**form), "unauthorized_client")
    assert refused(world.system(grant_type="password"), "unsupported_grant_type")
    assert refused(world.system(grant_type=None), "unsupported_grant_type")


def test_keys_may_be_published_at_an_address_and_rotate_there(world: World) -> None:
    address = "https://emr.example/jwks"
    client = replace(LABORATORY, id="remote", jwks="", jwks_uri=address)
    clients.add(world.auth_file, client)
    old, new = (RSAKey.generate_key(2048, auto_kid=True) for _ in range(2))
    world.published[address] = json.loads(key_set(old))
    assert world.system(world.assertion("remote", old)).status_code == 200
    world.published[address] = json.loads(key_set(new))
    world.now += 31
    assert world.system(world.assertion("remote", new)).status_code == 200
    assert refused(world.system(world.assertion("remote", old)))


def test_keys_that_cannot_be_fetched_any_more_are_not_believed_for_long(world: World) -> None:
    address = "https://emr.example/jwks"
    clients.add(world.auth_file, replace(LABORATORY, id="remote", jwks="", jwks_uri=address))
    key = RSAKey.generate_key(2048, auto_kid=True)
    world.published[address] = json.loads(key_set(key))
    assert world.system(world.assertion("remote", key)).status_code == 200
    world.published[address] = {"keys": "broken"}
    world.now += 200
    assert world.system(world.assertion("remote", key)).status_code == 200
    world.now += 200
    assert refused(world.system(world.assertion("remote", key)))


def test_many_refusals_of_a_client_are_answered_429(world: World) -> None:
    for _ in range(30):
        assert refused(world.system(world.assertion(aud="https://evil.example")))
    answer = world.system()
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert world.system(world.assertion("emr", EMR_KEY)).status_code == 200
    world.now += 61
    assert world.system().status_code == 200
