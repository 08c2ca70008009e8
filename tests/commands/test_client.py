from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fhir_server.auth import clients
from fhir_server.auth.file import AuthFile

Yidang = Callable[..., int]
SYSTEM = ("--name", "检验系统", "--scope", "system/*.rs", "--institution", "hospital", "--purpose", "TREAT")


def client_in(folder: Path, id: str) -> clients.Client | None:
    auth_file = AuthFile.open(folder)
    try:
        return clients.find(auth_file, id)
    finally:
        auth_file.close()


def test_a_system_is_registered_with_a_new_key(
    tmp_path: Path, yidang: Yidang, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "lab.jwk"
    assert yidang("client", "add", "lab", "--data", tmp_path, *SYSTEM, "--new-key", key) == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert json.loads(key.read_text())["d"]
    client = client_in(tmp_path, "lab")
    assert client is not None
    assert (client.kind, client.grants, client.institution) == ("key", ("client_credentials",), "hospital")
    assert "d" not in json.loads(client.jwks)["keys"][0]
    capsys.readouterr()
    assert yidang("client", "assertion", "lab", "--key", key, "--audience", "https://a.example/auth/token") == 0
    assert capsys.readouterr().out.count(".") == 2


def test_a_key_file_is_never_overwritten(tmp_path: Path, yidang: Yidang) -> None:
    key = tmp_path / "lab.jwk"
    key.write_text("mine")
    assert yidang("client", "add", "lab", "--data", tmp_path, *SYSTEM, "--new-key", key) == 1
    assert key.read_text() == "mine"
    assert client_in(tmp_path, "lab") is None


def test_public_keys_are_taken_from_a_file_and_private_ones_are_not(tmp_path: Path, yidang: Yidang) -> None:
    assert yidang("client", "add", "one", "--data", tmp_path, *SYSTEM, "--new-key", tmp_path / "one.jwk") == 0
    private = json.loads((tmp_path / "one.jwk").read_text())
    assert yidang("client", "add", "two", "--data", tmp_path, *SYSTEM, "--jwks", tmp_path / "one.jwk") == 1
    del private["d"]
    (tmp_path / "public.jwk").write_text(json.dumps(private))
    assert yidang("client", "add", "two", "--data", tmp_path, *SYSTEM, "--jwks", tmp_path / "public.jwk") == 0


def test_an_app_with_a_secret_is_shown_it_once(
    tmp_path: Path, yidang: Yidang, capsys: pytest.CaptureFixture[str]
) -> None:
    app = ("--name", "App", "--scope", "openid patient/*.rs", "--redirect-uri", "https://app.example/back", "--secret")
    assert yidang("client", "add", "app", "--data", tmp_path, *app) == 0
    secret = capsys.readouterr().out.split("shown only now: ")[1].strip()
    client = client_in(tmp_path, "app")
    assert client is not None
    assert client.is_secret(secret)
    assert client.grants == ("authorization_code", "refresh_token")
    assert yidang("client", "list", "--data", tmp_path) == 0
    assert secret not in capsys.readouterr().out


def test_a_client_is_revoked(tmp_path: Path, yidang: Yidang, capsys: pytest.CaptureFixture[str]) -> None:
    yidang("client", "add", "lab", "--data", tmp_path, *SYSTEM, "--new-key", tmp_path / "lab.jwk")
    assert yidang("client", "revoke", "--data", tmp_path, "lab") == 0
    assert client_in(tmp_path, "lab") is None
    assert yidang("client", "revoke", "--data", tmp_path, "lab") == 1
    capsys.readouterr()
    yidang("client", "list", "--data", tmp_path)
    assert "revoked" in capsys.readouterr().out


def test_a_client_is_changed_and_what_is_not_named_stays(tmp_path: Path, yidang: Yidang) -> None:
    yidang("client", "add", "lab", "--data", tmp_path, *SYSTEM, "--new-key", tmp_path / "lab.jwk")
    before = client_in(tmp_path, "lab")
    assert yidang("client", "change", "lab", "--data", tmp_path, "--scope", "system/Observation.rs") == 0
    after = client_in(tmp_path, "lab")
    assert before is not None
    assert after == replace(before, scope="system/Observation.rs")
    assert yidang("client", "change", "lab", "--data", tmp_path, "--scope", "user/*.rs") == 1
    assert yidang("client", "change", "lab", "--data", tmp_path, "--purpose", "BTG") == 1
    assert yidang("client", "change", "nobody", "--data", tmp_path, "--scope", "system/*.rs") == 1
    assert client_in(tmp_path, "lab") == after


def test_a_new_secret_replaces_the_old_one(tmp_path: Path, yidang: Yidang, capsys: pytest.CaptureFixture[str]) -> None:
    app = ("--name", "App", "--scope", "openid", "--redirect-uri", "https://app.example/back", "--secret")
    yidang("client", "add", "app", "--data", tmp_path, *app)
    old = capsys.readouterr().out.split("shown only now: ")[1].strip()
    assert yidang("client", "change", "app", "--data", tmp_path, "--new-secret") == 0
    new = capsys.readouterr().out.split("shown only now: ")[1].strip()
    client = client_in(tmp_path, "app")
    assert client is not None
    assert (client.is_secret(old), client.is_secret(new)) == (False, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", "x", "--scope", "system/*.rs", "--purpose", "TREAT"),
        ("--name", "x", "--scope", "system/*.rs", "--institution", "hospital"),
        ("--name", "x", "--scope", "system/*.rs", "--institution", "hospital", "--purpose", "BTG"),
        ("--name", "x", "--scope", "user/*.rs", "--institution", "hospital", "--purpose", "TREAT"),
        ("--name", "x", "--scope", "nonsense", "--institution", "hospital", "--purpose", "TREAT"),
        ("--name", "x", "--scope", "openid", "--redirect-uri", "http://app.example/back"),
        ("--name", "x", "--scope", "openid", "--redirect-uri", "https://app.example/back#part"),
        ("--name", "x", "--scope", "openid", "--redirect-uri", "javascript:alert(1)"),
    ],
)
def test_what_is_unsafe_is_not_registered(tmp_path: Path, yidang: Yidang, arguments: tuple[str, ...]) -> None:
    key = tmp_path / "key.jwk"
    assert yidang("client", "add", "bad", "--data", tmp_path, *arguments, "--new-key", key) == 1
    assert not key.exists()
    assert client_in(tmp_path, "bad") is None


def test_keys_rotate(tmp_path: Path, yidang: Yidang, capsys: pytest.CaptureFixture[str]) -> None:
    assert yidang("key", "rotate", "--data", tmp_path) == 0
    assert yidang("key", "rotate", "--data", tmp_path) == 0
    capsys.readouterr()
    assert yidang("key", "list", "--data", tmp_path) == 0
    assert sorted(line.split("\t")[2] for line in capsys.readouterr().out.splitlines()) == ["active", "retiring"]
