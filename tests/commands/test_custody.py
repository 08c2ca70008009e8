"""Keys are changed and files destroyed by command, also beside a server, and also when the command is killed."""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from consent import Access
from consent.requester import Requester
from fhir_server.audit.event import decode
from fhir_server.auth import accounts
from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import issue
from fhir_server.local import existing_store
from fhir_server.store.sqlite.store import FILE
from tests.store.conftest import Bench, observation, patient

EVERYTHING = Access.everything("test")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    bench = Bench(tmp_path / "data")
    bench.put(*(patient(f"p{i}") for i in range(60)), *(observation(f"o{i}", f"p{i % 60}") for i in range(600)))
    bench.store.close()
    return bench.folder


def readable(data: Path) -> bool:
    """Whether all is sound, and every text opens with the keys that are there."""
    store = existing_store(data, "test")
    assert store is not None
    try:
        return list(store.check()) == [] and len(list(store.feed(0, 10_000, EVERYTHING))) == 660
    finally:
        store.close()


def entries(data: Path) -> list[str]:
    connection = sqlite3.connect(data / FILE)
    found = [decode(entry) for (entry,) in connection.execute("SELECT entry FROM outbox ORDER BY seq")]
    connection.close()
    return [f"{event.code}: {event.detail}" for event in found]


def test_master_and_data_keys_are_rotated_and_told(yidang, data, capsys):
    assert yidang("key", "status", "--data", data) == 0
    assert "active\taes-256-gcm" in capsys.readouterr().out
    assert yidang("key", "rotate-master", "--data", data) == 0
    assert "60 data keys were wrapped anew" in capsys.readouterr().out
    assert len((data / "master.key").read_text().split()) == 2
    assert yidang("key", "rotate-master", "--retire-old", "--data", data) == 0
    assert len((data / "master.key").read_text().split()) == 1
    assert yidang("key", "rotate-data", "--wait", "--data", data) == 0
    assert yidang("key", "rotate-data", "--patient", "nobody", "--data", data) == 1
    assert entries(data) == ["key: master key rotated"] * 2 + ["key: data keys rotated"]
    assert readable(data)


def test_a_key_in_the_environment_is_changed_by_appending_a_new_one(yidang, tmp_path, monkeypatch, capsys):
    old, new = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    monkeypatch.setenv("YIDANG_MASTER_KEY", old)
    bench = Bench(tmp_path / "data")
    bench.put(patient("p"))
    bench.store.close()
    assert yidang("key", "rotate-master", "--data", bench.folder) == 1
    assert "append a new key" in capsys.readouterr().err
    monkeypatch.setenv("YIDANG_MASTER_KEY", f"{old} {new}")
    assert yidang("key", "rotate-master", "--no-new", "--data", bench.folder) == 0
    monkeypatch.setenv("YIDANG_MASTER_KEY", new)
    assert yidang("check", "--data", bench.folder) == 0
    monkeypatch.setenv("YIDANG_MASTER_KEY", old)
    assert yidang("check", "--data", bench.folder) == 1
    assert not (bench.folder / "master.key").exists()


@pytest.mark.parametrize("action", ["rotate-master", "rotate-data"])
def test_a_rotation_that_is_killed_loses_nothing_and_is_gone_on_with(yidang, data, action):
    """SIGKILL at moments all over the work: everything stays readable each time."""
    words = [sys.executable, "-m", "fhir_server.cli", "key", action, "--data", str(data)]
    words += ["--retire-old"] if action == "rotate-master" else ["--wait"]
    began = time.monotonic()
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    whole = time.monotonic() - began
    for n in range(5):
        running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            running.wait(whole * (0.55 + 0.1 * n))
        except subprocess.TimeoutExpired:
            os.kill(running.pid, signal.SIGKILL)
        running.communicate()
        assert readable(data)
    assert yidang("key", action, "--data", data) == 0
    assert readable(data)


def test_a_file_is_destroyed_beside_a_running_server(yidang, data, start_server, capsys):
    server = start_server("--open", data=data)
    with server.client() as client:
        assert client.get("Patient/p7").status_code == 200
        assert client.get("Observation", params={"subject": "Patient/p7"}).json()["total"] == 10
        assert yidang("person", "destroy", "p7", "--data", data, "--reason", "本人申请", "--yes") == 0
        answer = client.get("Patient/p7")
        assert answer.status_code == 410 and "销毁" in answer.json()["issue"][0]["diagnostics"]
        assert client.get("Observation/o7/_history/1").status_code == 410
        assert client.get("Observation", params={"subject": "Patient/p7"}).json()["total"] == 0
        again = observation("late", "p7")
        assert client.put("Observation/late", json=again).status_code == 410
        assert client.get("Patient/p8").status_code == 200
    server.stop()
    assert yidang("check", "--data", data) == 0
    assert "destroy: 本人申请" in entries(data)
    log = (data / "destroyed.ndjson").read_text()
    assert json.loads(log)["patient"] == "p7" and "本人" not in log


def test_what_a_restored_backup_brings_back_is_destroyed_again(yidang, data, tmp_path, capsys):
    yidang("backup", "--data", data, tmp_path / "copy.db")
    assert yidang("person", "destroy", "p7", "--data", data, "--reason", "r", "--yes") == 0
    assert yidang("restore", "--force", "--data", data, tmp_path / "copy.db") == 0
    store = existing_store(data, "test")
    assert store is not None and store.read("Patient", "p7", EVERYTHING).body is not None
    store.close()
    capsys.readouterr()
    assert yidang("person", "destroy", "--again", "--data", data) == 0
    assert "1 files" in capsys.readouterr().out
    store = existing_store(data, "test")
    assert store is not None and store.read("Patient", "p7", EVERYTHING).destroyed
    store.close()


def with_accounts(data: Path) -> AuthFile:
    """The auth file of ``data``, in which p7 and p8 have accounts and tokens."""
    auth_file = AuthFile.open(data)
    for n in (7, 8):
        account = accounts.create(
            auth_file, "resident", f"p{n}", "Kite-over-7-hills", now=1.0, name=f"Name of p{n}", phone=f"1380000000{n}"
        )  # fmt: skip
        asked = Requester("resident", f"Patient/p{n}", "app", "PATRQT", (), person=f"p{n}")
        with auth_file.write() as connection:
            connection.execute(
                "INSERT INTO sessions(hash, id, account, created, seen, expires) VALUES (?, ?, ?, 1, 1, 9e9)",
                (b"s%d" % n, f"session{n}", account.id),
            )
            connection.execute(
                "INSERT INTO recovery_codes(account, handle) VALUES (?, ?)", (account.id, f"recovery{n}")
            )
        issue(auth_file, asked, 9e9, account=account.id, session=f"session{n}")
    return auth_file


def test_the_account_goes_with_the_file(yidang, data):
    auth_file = with_accounts(data)
    assert yidang("person", "destroy", "p7", "--data", data, "--reason", "本人申请", "--yes") == 0
    left = [row["subject"] for row in auth_file.rows("SELECT subject FROM accounts")]
    assert left == ["Patient/p8"]
    for table in ("logins", "sessions", "tokens", "recovery_codes"):
        assert len(auth_file.rows(f"SELECT * FROM {table}")) == 1, table
    clear = b"".join(path.read_bytes() for path in data.glob("auth.db*"))
    assert b"Name of p7" not in clear and b"Patient/p7" not in clear
    assert b"Name of p8" in clear
    auth_file.close()


def test_an_account_that_a_restored_backup_brings_back_goes_again(yidang, data, tmp_path):
    with_accounts(data).close()
    yidang("backup", "--data", data, tmp_path / "copy.db")
    assert yidang("person", "destroy", "p7", "--data", data, "--reason", "r", "--yes") == 0
    assert yidang("restore", "--force", "--data", data, tmp_path / "copy.db") == 0
    assert yidang("person", "destroy", "--again", "--data", data) == 0
    auth_file = AuthFile.open(data)
    assert accounts.of_subject(auth_file, "Patient/p7") is None
    assert accounts.of_subject(auth_file, "Patient/p8") is not None
    auth_file.close()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["p7"], 2), (["--again", "p7", "--reason", "r"], 2), ([], 2), (["p7", "--reason", "r"], 1),
     (["nobody", "--reason", "r", "--yes"], 1)],
)  # fmt: skip
def test_nothing_is_destroyed_without_a_reason_and_a_yes(yidang, data, arguments, status):
    assert yidang("person", "destroy", "--data", data, *arguments) == status
    assert readable(data)
