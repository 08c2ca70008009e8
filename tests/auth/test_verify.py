from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from consent.requester import Requester
from fhir_server.auth import verify
from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import issue, token_hash
from fhir_server.auth.scopes import parse_all
from fhir_server.auth.verify import Authenticator
from fhir_server.errors import Unauthorized
from fhir_server.settings import Settings
from tests.auth.protocol import MASTER, World

SYSTEM = Requester(
    "system",
    "Device/lab",
    "lab",
    "TREAT",
    parse_all("system/Observation.rs?category=laboratory system/Patient.r"),
    institution="hospital",
    role="system",
    name="检验系统",
)


def test_a_token_made_in_process_stands_for_all_that_was_said(world: World) -> None:
    token = issue(world.auth_file, SYSTEM, 60, now=world.now)
    found = world.requester(token)
    assert found.scopes == SYSTEM.scopes
    assert (found.kind, found.subject, found.client, found.purpose) == ("system", "Device/lab", "lab", "TREAT")
    assert (found.institution, found.role, found.name) == ("hospital", "system", "检验系统")


def test_the_name_of_a_token_is_not_the_token(world: World) -> None:
    token = issue(world.auth_file, SYSTEM, 60, now=world.now)
    name = world.requester(token).token
    assert name
    assert name not in token
    with pytest.raises(Unauthorized):
        world.requester(name)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dTpw", "Bearer a b", "bearer\tx", "x" * 9000])
def test_without_a_token_nobody_is_known(world: World, header: str | None) -> None:
    with pytest.raises(Unauthorized):
        world.authenticator.requester(header, world.now)


def test_the_scheme_is_read_in_any_case(world: World) -> None:
    token = issue(world.auth_file, SYSTEM, 60, now=world.now)
    assert world.authenticator.requester(f"bearer {token}", world.now).client == "lab"


def test_a_remembered_token_expires_too(world: World) -> None:
    token = issue(world.auth_file, SYSTEM, 60, now=world.now)
    assert world.requester(token)
    world.now += 60
    with pytest.raises(Unauthorized):
        world.requester(token)


def test_a_token_ends_with_the_last_day_of_its_account(world: World) -> None:
    tokens = world.tokens()
    assert world.requester(tokens["access_token"])
    with world.auth_file.write() as connection:
        connection.execute("UPDATE accounts SET expires = ?", (world.now + 60,))
    world.now += 61
    with pytest.raises(Unauthorized):
        world.requester(tokens["access_token"])
    assert world.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_refresh_token_is_no_access_token(world: World) -> None:
    with pytest.raises(Unauthorized):
        world.requester(world.tokens()["refresh_token"])


def test_a_token_of_another_folder_is_unknown(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = AuthFile.open(tmp_path_factory.mktemp("other"), MASTER)
    token = issue(other, SYSTEM, 60, now=world.now)
    other.close()
    with pytest.raises(Unauthorized):
        world.requester(token)


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE tokens SET revoked = 1",
        "DELETE FROM tokens",
        "UPDATE clients SET revoked = 1",
        "UPDATE accounts SET active = 0",
        "DELETE FROM account_roles",
        "UPDATE sessions SET revoked = 1",
        "DELETE FROM sessions",
    ],
)
def test_whatever_a_token_rests_on_ends_it_at_the_next_request(world: World, end: str) -> None:
    token = world.tokens(scope="user/*.rs")["access_token"]
    assert world.requester(token)
    with world.auth_file.write() as connection:
        connection.execute("PRAGMA defer_foreign_keys = ON")
        connection.execute(end)
    with pytest.raises(Unauthorized):
        world.requester(token)


REVOKE = """
import sys
from pathlib import Path
from fhir_server.auth import clients
from fhir_server.auth.file import AuthFile
from fhir_server.secrets import MasterKey
clients.revoke(AuthFile.open(Path(sys.argv[1]), MasterKey.ephemeral()), "app")
"""


def test_a_revocation_by_another_process_holds_for_the_next_request(world: World) -> None:
    token = world.tokens(scope="user/*.rs")["access_token"]
    assert world.requester(token)
    subprocess.run([sys.executable, "-c", REVOKE, str(world.folder)], check=True)
    with pytest.raises(Unauthorized):
        world.requester(token)


def test_a_token_made_by_another_process_is_known_at_once(world: World) -> None:
    other = AuthFile.open(world.folder, MASTER)
    authenticator = Authenticator(other, Settings())
    token = issue(world.auth_file, SYSTEM, 60, now=world.now)
    assert authenticator.requester(f"Bearer {token}", world.now).client == "lab"
    authenticator.close()
    other.close()


def test_a_remembered_token_is_not_read_again_while_none_is_withdrawn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issue(world.auth_file, SYSTEM, 60, now=world.now)
    world.requester(token)
    issue(world.auth_file, SYSTEM, 60, now=world.now)
    monkeypatch.setattr(verify, "STANDING", "this is not read")
    assert world.requester(token).client == "lab"


def test_the_file_is_for_its_owner_only(world: World) -> None:
    assert (world.folder / "auth.db").stat().st_mode & 0o077 == 0


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    opened = AuthFile.open(tmp_path, MASTER)
    with opened.write() as connection:
        connection.execute("PRAGMA user_version = 99")
    opened.close()
    with pytest.raises(ValueError, match="layout 99"):
        AuthFile.open(tmp_path, MASTER)


def test_a_write_that_fails_changes_nothing(world: World) -> None:
    with pytest.raises(RuntimeError), world.auth_file.write() as connection:
        connection.execute("DELETE FROM clients")
        raise RuntimeError
    assert world.auth_file.row("SELECT 1 FROM clients") is not None


def test_a_hash_is_stored_and_not_the_token(world: World) -> None:
    token = issue(world.auth_file, SYSTEM, 60, now=world.now)
    row = world.auth_file.row("SELECT hash FROM tokens WHERE client = 'lab'")
    assert row is not None
    assert row["hash"] == token_hash(token) != token.encode()
