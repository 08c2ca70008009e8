from __future__ import annotations

from dataclasses import replace

import pytest

from fhir_server.auth import clients
from fhir_server.errors import Unauthorized
from tests.auth.protocol import APP, World


def test_a_refresh_token_gives_a_new_pair(world: World) -> None:
    first = world.tokens()
    second = world.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert world.requester(second["access_token"]).subject == world.requester(first["access_token"]).subject


def test_a_refresh_token_shown_twice_ends_the_whole_family(world: World) -> None:
    first = world.tokens()
    second = world.refresh(first["refresh_token"]).json()
    assert world.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert world.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
    for tokens in (first, second):
        with pytest.raises(Unauthorized):
            world.requester(tokens["access_token"])


def test_the_tokens_of_another_sign_in_are_not_touched_by_a_reuse(world: World) -> None:
    first, other = world.tokens(), world.tokens()
    world.refresh(first["refresh_token"])
    world.refresh(first["refresh_token"])
    assert world.refresh(other["refresh_token"]).status_code == 200


def test_a_refresh_may_ask_for_less_and_never_for_more(world: World) -> None:
    first = world.tokens(scope="patient/*.rs offline_access")
    less = world.refresh(first["refresh_token"], scope="patient/Observation.rs").json()
    assert less["scope"] == "patient/Observation.rs"
    again = world.refresh(less["refresh_token"], scope="patient/*.cruds user/*.rs").json()
    assert again["scope"] == "patient/*.rs"
    none = world.refresh(again["refresh_token"], scope="user/*.rs")
    assert none.json()["error"] == "invalid_scope"
    assert world.refresh(again["refresh_token"]).status_code == 200


def test_what_the_client_is_no_longer_registered_for_is_not_renewed(world: World) -> None:
    first = world.tokens(scope="patient/*.rs offline_access")
    clients.change(world.auth_file, replace(APP, scope="patient/Observation.rs offline_access"))
    with pytest.raises(Unauthorized):
        world.requester(first["access_token"])
    assert world.refresh(first["refresh_token"]).json()["scope"] == "patient/Observation.rs offline_access"


def test_a_refresh_token_is_its_own_clients_only(world: World) -> None:
    token = world.tokens()["refresh_token"]
    stolen = world.refresh(token, client_id="portal", client_secret=world.portal_secret)
    assert stolen.json()["error"] == "invalid_grant"
    assert world.refresh(token).status_code == 200


def test_a_public_app_need_not_say_who_it_is_and_an_app_with_a_secret_must(world: World) -> None:
    first = world.tokens()
    assert world.refresh(first["refresh_token"], client_id=None).status_code == 200
    portal = {"client_id": "portal", "redirect_uri": "https://portal.example/back"}
    code = world.approve(world.ask(**portal))["code"]
    token = world.redeem(code, **portal, client_secret=world.portal_secret).json()["refresh_token"]
    assert world.refresh(token, client_id=None).json()["error"] == "invalid_client"
    assert world.refresh("never-given", client_id=None).json()["error"] == "invalid_client"


def test_rotating_does_not_prolong_an_authorization(world: World) -> None:
    token = world.tokens()["refresh_token"]
    for _ in range(9):
        world.now += 9 * 24 * 3600
        token = world.refresh(token).json()["refresh_token"]
    world.now += 10 * 24 * 3600
    assert world.refresh(token).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE sessions SET revoked = 1 WHERE account = 'doctor'",
        "DELETE FROM sessions WHERE account = 'doctor'",
        "UPDATE accounts SET active = 0 WHERE id = 'doctor'",
        "DELETE FROM account_roles WHERE account = 'doctor'",
        "UPDATE account_roles SET role = 'nurse' WHERE account = 'doctor'",
    ],
)
def test_online_access_ends_with_session_account_and_role(world: World, end: str) -> None:
    tokens = world.tokens(scope="user/*.rs online_access")
    with world.auth_file.write() as connection:
        connection.execute(end)
    with pytest.raises(Unauthorized):
        world.requester(tokens["access_token"])
    assert world.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_online_access_is_not_renewed_after_the_session_has_expired(world: World) -> None:
    tokens = world.tokens(scope="user/*.rs online_access")
    with world.auth_file.write() as connection:
        connection.execute("UPDATE sessions SET expires = ?", (world.now + 60,))
    world.now += 61
    assert world.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_offline_access_outlives_the_session_but_not_the_account(world: World) -> None:
    tokens = world.tokens(scope="user/*.rs offline_access")
    with world.auth_file.write() as connection:
        connection.execute("UPDATE sessions SET revoked = 1")
    assert world.requester(tokens["access_token"])
    renewed = world.refresh(tokens["refresh_token"]).json()
    with world.auth_file.write() as connection:
        connection.execute("UPDATE accounts SET active = 0")
    with pytest.raises(Unauthorized):
        world.requester(renewed["access_token"])


def test_a_revoked_client_has_nothing_left(world: World) -> None:
    tokens = world.tokens()
    assert clients.revoke(world.auth_file, "app")
    with pytest.raises(Unauthorized):
        world.requester(tokens["access_token"])
    assert world.refresh(tokens["refresh_token"]).status_code == 401
