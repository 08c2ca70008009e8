from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile

import pytest

from fhir_server.auth import accounts
from fhir_server.auth.file import AuthFile, restore
from tests.auth import alliance

Yidang = Callable[..., int]


def test_clients_and_accounts_are_backed_up_and_restored_signed_out(tmp_path: Path, yidang: Yidang) -> None:
    data, new, copy = tmp_path / "data", tmp_path / "new", tmp_path / "monday.db"
    alliance.build(data)
    auth_file = AuthFile.open(data)
    with auth_file.write() as connection:
        connection.execute(
            "INSERT INTO tokens(hash, id, use, client, claims, created, expires)"
            " VALUES (x'00', 'a', 'access', 'app', '{}', 0, 9e9)"
        )
    assert yidang("backup", "--data", data, copy) == 0
    auth_file.close()
    assert (tmp_path / "monday.db.auth").stat().st_mode & 0o077 == 0
    assert yidang("backup", "--data", data, copy) == 1
    new.mkdir()
    for key in ("master.key", "root.key"):
        copyfile(data / key, new / key)
        (new / key).chmod(0o600)
    assert yidang("restore", "--data", new, copy) == 0
    restored = AuthFile.open(new)
    account = accounts.known_as(restored, "wang.min")
    assert account is not None
    assert account.totp
    assert restored.row("SELECT 1 FROM clients WHERE id = 'laboratory'") is not None
    assert restored.row("SELECT 1 FROM tokens") is None
    restored.close()


def test_a_damaged_copy_of_the_accounts_is_not_put_in_place(tmp_path: Path) -> None:
    alliance.build(tmp_path / "data")
    before = (tmp_path / "data" / "auth.db").read_bytes()
    copy = tmp_path / "copy"
    copy.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises((ValueError, sqlite3.DatabaseError)):
        restore(copy, tmp_path / "data")
    assert (tmp_path / "data" / "auth.db").read_bytes() == before
