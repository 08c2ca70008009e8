"""backup, restore, check and reindex: what was saved comes back, damage is found, nothing is overwritten unasked."""

from __future__ import annotations

import base64
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from fhir_server.store.sqlite.store import FILE


@pytest.fixture(autouse=True)
def one_master_key(monkeypatch):
    """Restored records need the key they were encrypted with: it comes from the environment here."""
    monkeypatch.setenv("YIDANG_MASTER_KEY", base64.b64encode(os.urandom(32)).decode())


@pytest.fixture
def data(yidang, county, tmp_path) -> Path:
    folder, _ = county
    assert yidang("load", "--data", tmp_path / "data", "--quiet", folder) == 0
    return tmp_path / "data"


def test_a_backup_restores_to_the_same_records(yidang, versions, data, tmp_path, capsys):
    assert yidang("backup", "--data", data, tmp_path / "copy.db") == 0
    assert "sequence" in capsys.readouterr().out
    assert yidang("restore", "--data", tmp_path / "new", tmp_path / "copy.db") == 0
    assert versions(tmp_path / "new") == versions(data)
    assert yidang("check", "--data", tmp_path / "new") == 0


def test_a_backup_never_overwrites_a_file(yidang, data, tmp_path, capsys):
    (tmp_path / "copy.db").write_text("precious")
    assert yidang("backup", "--data", data, tmp_path / "copy.db") == 1
    assert (tmp_path / "copy.db").read_text() == "precious"
    assert "exists" in capsys.readouterr().err


def test_restore_refuses_a_folder_that_is_not_empty_unless_forced(yidang, counted, data, tmp_path, capsys):
    yidang("backup", "--data", data, tmp_path / "copy.db")
    expected = counted(data)
    (tmp_path / "p.ndjson").write_text('{"resourceType":"Patient","id":"later"}')
    yidang("load", "--data", data, tmp_path / "p.ndjson")
    assert yidang("restore", "--data", data, tmp_path / "copy.db") == 1
    assert "--force" in capsys.readouterr().err
    assert counted(data) != expected
    assert yidang("restore", "--force", "--data", data, tmp_path / "copy.db") == 0
    assert counted(data) == expected


def test_restore_refuses_while_a_server_runs_and_what_is_no_backup(
    yidang, counted, data, tmp_path, start_server, capsys
):
    yidang("backup", "--data", data, tmp_path / "copy.db")
    server = start_server("--open", data=data)
    assert yidang("restore", "--force", "--data", data, tmp_path / "copy.db") == 1
    assert "stop it first" in capsys.readouterr().err
    server.stop()
    before = counted(data)
    (tmp_path / "no.db").write_bytes(b"something else")
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t(a)")
    cut = (tmp_path / "copy.db").read_bytes()
    (tmp_path / "cut.db").write_bytes(cut[: len(cut) // 2])
    for file in ("no.db", "other.db", "cut.db", "missing.db"):
        assert yidang("restore", "--force", "--data", data, tmp_path / file) == 1
    assert counted(data) == before
    assert [p.name for p in data.iterdir() if "restoring" in p.name] == []


def test_a_backup_taken_while_a_server_writes_holds_what_was_answered(yidang, versions, start_server, tmp_path):
    server = start_server("--open", data=tmp_path / "data")
    stop, answered = threading.Event(), []

    def write() -> None:
        with server.client() as client:
            while not stop.is_set():
                answered.append(client.post("Patient", json={"resourceType": "Patient"}).json()["id"])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(3):
            target = len(answered) + 20
            while len(answered) < target:
                stop.wait(0.005)
            before = set(answered)
            assert yidang("backup", "--data", tmp_path / "data", tmp_path / f"copy{n}.db") == 0
            assert yidang("restore", "--data", tmp_path / f"new{n}", tmp_path / f"copy{n}.db") == 0
            assert yidang("check", "--data", tmp_path / f"new{n}") == 0
            assert before <= {v.id for v in versions(tmp_path / f"new{n}")}
    finally:
        stop.set()
        writer.join()
        server.stop()


def test_check_finds_damaged_texts_and_missing_index_rows(yidang, data, capsys):
    assert yidang("check", "--data", data) == 0
    with sqlite3.connect(data / FILE) as connection:
        connection.execute("UPDATE res SET body=substr(body, 1, length(body)-6) WHERE rid=7")
        connection.execute("DELETE FROM tok WHERE rid=9")
    connection.close()
    assert yidang("check", "--data", data) == 1
    report = capsys.readouterr().err
    assert "version 7" in report and "version 9" in report


def test_reindex_makes_the_index_anew(yidang, data, capsys):
    with sqlite3.connect(data / FILE) as connection:
        connection.execute("DELETE FROM tok")
        connection.execute("DELETE FROM str")
    connection.close()
    assert yidang("reindex", "--data", data) == 0
    assert "resources indexed" in capsys.readouterr().out
    assert yidang("check", "--data", data) == 0


def test_reindex_of_a_custom_parameter_and_of_one_that_is_not_there(yidang, data, tmp_path, capsys):
    parameter = (
        '{"resourceType":"SearchParameter","id":"sp1","url":"urn:yidang:phone-use","name":"x","status":"active",'
        '"description":"x","code":"phone-use","base":["Patient"],"type":"token","expression":"Patient.telecom.use"}'
    )
    (tmp_path / "sp.ndjson").write_text(parameter)
    assert yidang("load", "--data", data, tmp_path / "sp.ndjson") == 0
    assert yidang("reindex", "--data", data, "--parameter", "urn:yidang:phone-use") == 0
    assert "12 resources indexed" in capsys.readouterr().out
    assert yidang("reindex", "--data", data, "--parameter", "urn:none") == 1
    assert "urn:none" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["check"], ["backup", "x.db"], ["reindex"]])
def test_commands_on_records_that_are_not_there_say_so_and_make_none(yidang, command, tmp_path, capsys):
    name, *rest = command
    assert yidang(name, "--data", tmp_path / "none", *rest) == 1
    assert "no records" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_file_that_is_no_record_file_is_refused(yidang, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / FILE).write_bytes(b"this is no database, but long enough to look like one" * 100)
    assert yidang("check", "--data", tmp_path / "data") == 1
    assert capsys.readouterr().err.startswith("yidang check: ")
