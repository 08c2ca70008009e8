from __future__ import annotations

import pytest

from tests.auth.protocol import BACK, DOCTOR, FHIR, ISSUER, RESIDENT, World, sent


def test_a_right_request_leads_to_the_sign_in_page(world: World) -> None:
    answer = world.ask()
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/auth/sign-in?flow=")
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers


def test_the_request_may_be_posted(world: World) -> None:
    form = dict(world.ask().request.url.params)
    assert world.post("/auth/authorize", form).status_code == 303


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"client_id": "laboratory"},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/back"},
        {"redirect_uri": BACK + "/"},
        {"redirect_uri": BACK + "?x=1"},
        {"redirect_uri": BACK.upper()},
        {"redirect_uri": "https://app.example.evil.example/back"},
        {"redirect_uri": "http://127.0.0.1:8001/back"},
        {"redirect_uri": "https://portal.example/back"},
    ],
)
def test_nobody_is_redirected_to_an_address_that_the_app_is_not_registered_with(
    world: World, changes: dict[str, str | None]
) -> None:
    answer = world.ask(**changes)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert answer.json()["error"] in ("invalid_client", "invalid_request")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"request_uri": "https://evil.example"}, "request_uri_not_supported"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"scope": "patient/Nothing.x other"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "system/*.rs"}, "invalid_scope"),
        ({"aud": None}, "invalid_request"),
        ({"aud": "https://evil.example/fhir"}, "invalid_request"),
        ({"aud": FHIR, "resource": "https://evil.example/fhir"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"max_age": "²"}, "invalid_request"),
        ({"launch": "never-given", "scope": "launch patient/*.rs"}, "invalid_request"),
    ],
)
def test_the_app_is_told_what_was_wrong_with_its_state_and_our_name(
    world: World, changes: dict[str, str | None], error: str
) -> None:
    answer = world.ask(**changes)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(BACK + "?")
    told = sent(answer.headers["location"])
    assert (told["error"], told["state"], told["iss"]) == (error, "opaque-state", ISSUER)
    assert "code" not in told


def test_a_parameter_given_twice_is_refused(world: World) -> None:
    pairs = [*world.ask().request.url.params.multi_items(), ("redirect_uri", "https://evil.example/")]
    answer = world.http.get("/auth/authorize", params=pairs)
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_a_sign_in_without_access_to_records_needs_no_audience(world: World) -> None:
    assert "/auth/sign-in" in world.ask(scope="openid", aud=None).headers["location"]


def test_the_answer_carries_code_state_and_issuer(world: World) -> None:
    told = world.approve(world.ask())
    assert set(told) == {"code", "state", "iss"}
    assert (told["state"], told["iss"]) == ("opaque-state", ISSUER)


def test_what_the_person_does_not_allow_is_answered_access_denied(world: World) -> None:
    from fhir_server.auth import authorize, flow

    handle = sent(world.ask().headers["location"])["flow"]
    asked = flow.find(world.auth_file, handle, world.now)
    assert asked is not None
    told = sent(authorize.completer(world.auth_file, lambda: world.now)(asked.asked, None))
    assert (told["error"], told["state"], told["iss"]) == ("access_denied", "opaque-state", ISSUER)


def test_scopes_beyond_those_asked_for_are_never_given(world: World) -> None:
    told = world.approve(world.ask(scope="patient/Observation.rs"), scope="patient/*.cruds patient/Observation.rs")
    assert world.redeem(told["code"]).json()["scope"] == "patient/Observation.rs"


def test_an_institutions_app_is_for_its_own_staff(world: World) -> None:
    with world.auth_file.write() as connection:
        connection.execute("UPDATE clients SET institution = 'township' WHERE id = 'app'")
    assert world.approve(world.ask())["error"] == "access_denied"


def test_an_app_acts_for_its_registered_purposes_only(world: World) -> None:
    with world.auth_file.write() as connection:
        connection.execute("""UPDATE clients SET purposes = '["CAREMGT"]' WHERE id = 'app'""")
    assert world.approve(world.ask())["error"] == "access_denied"
    assert "code" in world.approve(world.ask(), purpose="CAREMGT")


def test_an_app_that_was_revoked_meanwhile_gets_no_code(world: World) -> None:
    from fhir_server.auth import clients

    answer = world.ask()
    clients.revoke(world.auth_file, "app")
    assert world.approve(answer)["error"] == "access_denied"


def test_a_resident_gets_a_token_for_the_own_file(world: World) -> None:
    answer = world.tokens("resident", RESIDENT, scope="launch/patient patient/*.rs openid fhirUser")
    requester = world.requester(answer["access_token"])
    assert (requester.kind, requester.person, requester.patient) == ("resident", "li", "li")
    assert answer["patient"] == "li"


def test_staff_get_a_token_for_one_institution_role_and_purpose(world: World) -> None:
    requester = world.requester(world.tokens(scope="user/*.rs")["access_token"])
    assert (requester.subject, requester.institution, requester.department) == (
        DOCTOR.subject,
        "county-hospital",
        "cardiology",
    )
    assert (requester.role, requester.purpose, requester.client) == ("physician", "TREAT", "app")
