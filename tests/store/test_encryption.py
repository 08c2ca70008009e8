"""Texts at rest: under each person's key, bound to their place, never in clear; keys change and end meanwhile."""

from __future__ import annotations

import base64
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.ciphers import AES, SM4, Damaged
from fhir_server.errors import Gone, NotFound
from fhir_server.secrets import KeyUnavailable, MasterKey
from fhir_server.store.protocol import HistoryScope, Transaction
from fhir_server.store.sqlite import custody, keys
from fhir_server.store.sqlite.bodies import Bodies, key_number
from fhir_server.store.sqlite.schema import connect
from tests.store.conftest import EVERYTHING, Bench, observation, patient, run

PHRASE = "患者自述夜间阵发性心前区压榨样疼痛"
LATIN = "paroxysmal nocturnal precordial tightness"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "data")
    yield made
    made.store.close()


def told(id: str, patient: str = "p", **more: Any) -> dict[str, Any]:
    """An observation with the phrases in it."""
    return observation(id, patient, note=[{"text": f"{PHRASE} / {LATIN}"}], **more)


def frames(bench: Bench) -> dict[int, bytes]:
    connection = sqlite3.connect(bench.store.path)
    found = dict(connection.execute("SELECT rid, body FROM res WHERE body IS NOT NULL").fetchall())
    connection.close()
    return found


def states(bench: Bench) -> dict[str, int]:
    connection = sqlite3.connect(bench.store.path)
    found = dict(connection.execute("SELECT state, count(*) FROM dek GROUP BY 1").fetchall())
    connection.close()
    return found


def owners(bench: Bench) -> dict[int, int]:
    connection = sqlite3.connect(bench.store.path)
    found = dict(connection.execute("SELECT id, owner FROM dek").fetchall())
    connection.close()
    return found


def text(bench: Bench, type: str, id: str) -> bytes:
    stored = bench.store.read(type, id, EVERYTHING)
    assert stored is not None and stored.body is not None
    return stored.body


# -- nothing in clear ----------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [AES, SM4])
def test_no_file_of_the_folder_holds_a_text_in_clear(tmp_path: Path, algorithm: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("YIDANG_CIPHER", algorithm)
    bench = Bench(tmp_path / "data")
    bench.put(patient("p"), *(told(f"o{i}") for i in range(40)))
    bench.put(told("o1", status="amended"))
    assert set(bench.ids("Observation", "_content=心前区")) == {f"o{i}" for i in range(40)}
    assert bench.ids("Observation", "_content=precord&_id=o2") == ["o2"]
    inspected = [file for file in bench.folder.rglob("*") if file.is_file()]
    assert any(file.name.endswith("-wal") for file in inspected)
    bench.store.close()
    for file in [*inspected, *bench.folder.rglob("*")]:
        content = file.read_bytes() if file.is_file() else b""
        for clear in (PHRASE, "心前区", LATIN, "precordial", "tightness"):
            assert clear.encode() not in content, f"{file.name} holds {clear}"
    bench.restart_closed()
    assert PHRASE.encode() in text(bench, "Observation", "o1")
    assert list(bench.store.check()) == []
    bench.store.close()


def test_words_are_still_found_by_their_start_and_runs_of_characters_anywhere(bench: Bench) -> None:
    bench.put(patient("p"), told("o"), observation("other", note=[{"text": "前区心 parody"}]))
    for words in ("noct", "nocturnal tight", "压榨样", "夜", "PRECORDIAL"):
        assert bench.ids("Observation", f"_content={words}") == ["o"]
    for words in ("octurnal", "榨压", "nocturnalx"):
        assert bench.ids("Observation", f"_content={words}") == []


# -- whose key -----------------------------------------------------------------------------------------


def test_each_person_has_a_key_and_what_is_nobodys_another(bench: Bench) -> None:
    bench.put(patient("p"), patient("q"), told("o", "p"), told("u", "q"))
    bench.put({"resourceType": "Organization", "id": "org", "name": "县医院"})
    used = [key_number(frame)[0] for _, frame in sorted(frames(bench).items())]
    assert used[0] == used[2] != used[1] == used[3]
    assert owners(bench)[used[4]] == 0 and len(set(used)) == 3


def test_a_key_made_in_a_write_that_failed_is_never_used(bench: Bench) -> None:
    bench.put(patient("first"))

    def fails(tx: Transaction) -> None:
        tx.put(bench.prepared(patient("lost")), "PUT")
        tx.read("Patient", "lost")
        raise RuntimeError

    for _ in range(3):
        with pytest.raises(RuntimeError):
            bench.write(fails)
        bench.put(patient("next"), patient("lost"))
        assert b"lost" in text(bench, "Patient", "lost")
        bench.restart()
        assert b"lost" in text(bench, "Patient", "lost")
        assert list(bench.store.check()) == []
    assert states(bench) == {"active": 3}


# -- damage --------------------------------------------------------------------------------------------


def packed(bench: Bench, rid: int) -> tuple[Bodies, bytes]:
    return Bodies(connect(bench.store.path, vault=bench.store.vault)), frames(bench)[rid]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_change_of_a_frame_is_refused(shared: Bench, data: st.DataObject) -> None:
    bodies, frame = packed(shared, 2)
    place = data.draw(st.integers(0, len(frame) - 1))
    change = data.draw(st.sampled_from(["flip", "cut", "drop", "grow"]))
    if change == "flip":
        altered = frame[:place] + bytes([frame[place] ^ 1 << data.draw(st.integers(0, 7))]) + frame[place + 1 :]
    elif change == "cut":
        altered = frame[:place]
    elif change == "drop":
        altered = frame[:place] + frame[place + 1 :]
    else:
        altered = frame + bytes([place & 255])
    with pytest.raises(Damaged):
        bodies.unpack(altered, 2)


@given(st.binary(max_size=80))
def test_random_bytes_are_no_frame(shared: Bench, junk: bytes) -> None:
    bodies, _ = packed(shared, 2)
    with pytest.raises(Damaged):
        bodies.unpack(junk, 2)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("shared") / "data")
    made.put(patient("p"), told("o"), told("u"))
    yield made
    made.store.close()


def test_a_text_put_in_another_place_is_refused(bench: Bench) -> None:
    """Who can write to the file cannot pass one record off as another, even of the same person."""
    bench.put(patient("p"), told("o"), told("u"))
    bodies, frame = packed(bench, 2)
    with pytest.raises(Damaged):
        bodies.unpack(frame, 3)


def test_a_wrapped_key_put_in_another_row_opens_nothing(bench: Bench) -> None:
    bench.put(patient("p"), patient("q"))
    bench.store.close()
    connection = sqlite3.connect(bench.store.path)
    connection.execute("UPDATE dek SET wrapped=(SELECT wrapped FROM dek WHERE id=1) WHERE id=2")
    connection.commit()
    connection.close()
    bench.restart_closed()
    assert b"Patient" in text(bench, "Patient", "p")
    with pytest.raises(Damaged):
        text(bench, "Patient", "q")
    assert any("version 2 is damaged" in problem for problem in bench.store.check())


# -- the master key ------------------------------------------------------------------------------------


def test_records_open_with_their_master_key_only(bench: Bench) -> None:
    bench.put(patient("p"))
    bench.store.close()
    key = bench.folder / "master.key"
    kept = key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600 and (bench.folder / "root.key").stat().st_mode & 0o777 == 0o600
    key.unlink()
    with pytest.raises(KeyUnavailable, match="are encrypted"):
        bench.restart_closed()
    assert not key.exists(), "no new key is made over old records"
    key.write_bytes(base64.b64encode(os.urandom(32)))
    key.chmod(0o600)
    with pytest.raises(KeyUnavailable, match="need master key"):
        bench.restart_closed()
    key.write_bytes(kept)
    bench.restart_closed()
    assert b"Patient" in text(bench, "Patient", "p")


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(base64.b64encode(os.urandom(32)))
    file.chmod(0o640)
    with pytest.raises(KeyUnavailable, match="0600"):
        MasterKey.open(tmp_path / "data", {"YIDANG_MASTER_KEY_FILE": str(file)})


@pytest.mark.parametrize("bad", ["", "no base64!", base64.b64encode(b"short").decode()])
def test_what_is_no_key_is_refused_without_showing_it(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "key"
    file.write_text(bad)
    file.chmod(0o600)
    with pytest.raises(KeyUnavailable) as caught:
        MasterKey.open(tmp_path / "data", {"YIDANG_MASTER_KEY_FILE": str(file)})
    assert not bad or bad not in str(caught.value)


def test_a_key_service_guards_the_master_key(tmp_path: Path) -> None:
    """The adapter's contract with a command: base64 in, base64 out; here a toy service that adds one to each byte."""
    script = tmp_path / "kms.py"
    script.write_text(
        "import base64, sys\n"
        "step = {'wrap': 1, 'unwrap': 255}[sys.argv[-1]]\n"
        "data = base64.b64decode(sys.stdin.read())\n"
        "print(base64.b64encode(bytes((b + step) % 256 for b in data)).decode())\n"
    )
    environment = {"YIDANG_MASTER_KEY_COMMAND": f"{sys.executable} {script}"}
    folder = tmp_path / "data"
    one = MasterKey.open(folder, environment)
    blob = one.wrap(b"k" * 32, b"x")
    assert MasterKey.open(folder, environment).unwrap(blob, b"x") == b"k" * 32
    one.add()
    one.retire()
    assert MasterKey.open(folder, environment).derive("a") == one.derive("a")
    with pytest.raises(KeyUnavailable, match="failed at unwrap"):
        MasterKey.open(folder, {"YIDANG_MASTER_KEY_COMMAND": "false"})


@pytest.mark.parametrize("algorithm", [AES, SM4])
def test_sealed_secrets_open_only_in_their_place(algorithm: str) -> None:
    master = MasterKey.ephemeral(algorithm)
    sealed = master.seal("totp", b"secret", b"user 1")
    assert master.unseal("totp", sealed, b"user 1") == b"secret"
    for purpose, blob, place in (("totp", sealed, b"user 2"), ("other", sealed, b"user 1"), ("totp", b"", b"user 1")):
        with pytest.raises(Damaged):
            master.unseal(purpose, blob, place)


# -- changing keys -------------------------------------------------------------------------------------


def test_a_new_master_key_wraps_everything_while_another_process_goes_on(bench: Bench) -> None:
    bench.put(*(patient(f"p{i}") for i in range(10)))
    other = Bench(bench.folder)  # as a second server process
    old = bench.store.vault.master.current
    gone = custody.rotate_master(bench.store, retire=True)
    assert gone == [old] and bench.store.vault.master.current != old
    other.put(patient("later"), told("o", "later"))
    assert b"p3" in text(other, "Patient", "p3") and b"later" in text(bench, "Patient", "later")
    other.store.close()
    bench.restart()
    assert all(text(bench, "Patient", f"p{i}") for i in range(10)) and text(bench, "Patient", "later")
    assert list(bench.store.check()) == []


def test_new_data_keys_replace_the_old_ones_and_these_are_erased(bench: Bench) -> None:
    clock = [1_700_000_000_000_000]
    bench.store.close()
    bench.settings["clock"] = lambda: clock[0]
    bench.restart_closed()
    bench.put(patient("p"), *(told(f"o{i}") for i in range(30)))
    bench.put(told("o3", status="amended"))
    before = frames(bench)
    assert custody.rotate_data(bench.store) == 1
    bench.store.tidy()
    after = frames(bench)
    assert after.keys() == before.keys() and all(after[rid] != before[rid] for rid in after)
    assert states(bench) == {"active": 1, "retired": 1}, "a read that began before may still need the old key"
    assert PHRASE.encode() in text(bench, "Observation", "o3")
    clock[0] += 120_000_000
    bench.store.tidy()
    assert states(bench) == {"active": 1, "spent": 1}
    assert list(bench.store.check()) == []
    bodies, _ = packed(bench, 2)
    with pytest.raises(Gone):
        bodies.unpack(before[2], 2)


def test_one_persons_key_can_be_replaced(bench: Bench) -> None:
    bench.put(patient("p"), patient("q"), told("o", "q"))
    before = frames(bench)
    assert custody.rotate_data(bench.store, "q") == 1
    bench.store.tidy()
    after = frames(bench)
    assert [rid for rid in after if after[rid] != before[rid]] == [2, 3]
    with pytest.raises(NotFound):
        custody.rotate_data(bench.store, "nobody")


def test_restored_records_bring_their_root_secret(bench: Bench, tmp_path: Path) -> None:
    bench.put(patient("p", identifier=[{"system": "urn:oid:2.16.156.10011.1.3", "value": "11010519491231002X"}]))
    (tmp_path / "copy").mkdir()
    bench.store.backup(tmp_path / "copy" / "records.db")
    shutil.copy2(bench.folder / "master.key", tmp_path / "copy")
    copy = Bench(tmp_path / "copy")
    assert copy.ids("Patient", "identifier=11010519491231002X") == ["p"]
    copy.store.close()
    other = Bench(tmp_path / "other")
    other.store.close()
    shutil.copy2(tmp_path / "other" / "master.key", tmp_path / "copy" / "other.key")
    (tmp_path / "copy" / "root.key").write_bytes((tmp_path / "other" / "root.key").read_bytes())
    with pytest.raises(ValueError, match=r"need master key|other records"):
        copy.restart_closed()


# -- last deletion -------------------------------------------------------------------------------------


def test_a_destroyed_file_is_gone_everywhere_and_the_rest_is_whole(bench: Bench) -> None:
    bench.put(
        patient("p", family="欧阳", telecom=[{"system": "phone", "value": "13800001111"}]),
        *(told(f"o{i}") for i in range(120)),
        {"resourceType": "Consent", "id": "c", "status": "active", "patient": {"reference": "Patient/p"}},
    )
    bench.put(patient("q", family="司徒"), told("u", "q"))
    bench.put(told("o1", status="amended"))
    assert len(bench.ids("Observation", "_content=心前区")) == 121
    page = bench.page("Observation", "_count=10&status=final")
    done = custody.destroy(bench.store, "p")
    assert (done.patients, done.versions) == (1, 123)
    for type_, id_ in (("Patient", "p"), ("Observation", "o1"), ("Consent", "c")):
        stored = bench.store.read(type_, id_, EVERYTHING)
        assert stored is not None and stored.body is None and stored.destroyed
    first = bench.store.vread("Observation", "o1", 1, EVERYTHING)
    assert first is not None and first.body is None and first.destroyed
    entries = run(bench.store.history(HistoryScope(), EVERYTHING)).entries
    assert [entry.id for entry in entries if entry.body] == ["u", "q"]
    for search in ("_content=心前区", "status=final", "subject=Patient/q", "patient.name=司徒", "date=2024-01-01"):
        assert bench.ids("Observation", search) == ["u"]
    assert bench.ids("Patient", "name=欧阳") == [] and bench.ids("Patient", "phone=13800001111") == []
    assert bench.ids("Observation") == ["u"] and bench.total("Observation") == 1
    later = run(bench.store.search(bench.query("Observation", "_count=10&status=final"), EVERYTHING, page.cursor))
    assert [match.id for match in later.matches] in (["u"], [])
    assert list(bench.store.check()) == []
    for work in (lambda: bench.put(told("new", "p")), lambda: bench.put(patient("p")),
                 lambda: custody.destroy(bench.store, "p")):  # fmt: skip
        with pytest.raises(Gone):
            work()
    bench.restart()
    assert list(bench.store.check()) == [] and states(bench) == {"active": 1, "destroyed": 1}


def test_nothing_of_a_destroyed_file_is_left_in_the_bytes(bench: Bench) -> None:
    clear = ("欧阳昭君", "13800001111", "ouyang", "1987-06-05", "朝阳里")
    born = {"birthDate": clear[3], "address": [{"text": f"{clear[4]}7号"}]}
    bench.put(patient("p", family="欧阳", given="昭君", telecom=[{"system": "phone", "value": clear[1]}], **born))
    bench.put(patient("q"), *(told(f"o{i}") for i in range(30)))
    old = dict(frames(bench))
    assert any(text.encode() in bench.store.path.read_bytes() + wal(bench) for text in clear)
    custody.destroy(bench.store, "p")
    bench.store.close()
    content = bench.store.path.read_bytes() + wal(bench)
    for text_ in clear:
        assert text_.encode() not in content
    assert all(old[rid][40:90] not in content for rid in old if rid != 2)
    bench.restart_closed()


def wal(bench: Bench) -> bytes:
    file = bench.store.path.with_name("records.db-wal")
    return file.read_bytes() if file.exists() else b""


def test_another_process_forgets_a_destroyed_key(bench: Bench) -> None:
    bench.put(patient("p"), told("o"))
    other = Bench(bench.folder)
    assert text(other, "Observation", "o")
    custody.destroy(bench.store, "p")
    stored = other.store.read("Observation", "o", EVERYTHING)
    assert stored is not None and stored.destroyed
    with pytest.raises(Gone):
        other.put(told("again"))
    other.store.tidy()
    assert not other.store.vault._aeads.keys() & {1}
    other.store.close()


def test_an_interrupted_destruction_is_closed_to_writes_and_can_be_finished(bench: Bench, monkeypatch: Any) -> None:
    bench.put(patient("p"), *(told(f"o{i}") for i in range(120)))
    calls: list[int] = []

    def told_then_dead(done: int) -> None:
        calls.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        custody.destroy(bench.store, "p", told_then_dead)
    bench.restart()
    assert list(bench.store.check()) == []
    with pytest.raises(Gone):
        bench.put(told("new"))
    assert custody.destroy(bench.store, "p").versions == 121 - calls[0]
    assert states(bench) == {"destroyed": 1}
    assert list(bench.store.check()) == []


def test_destruction_takes_merged_patients_along_and_spares_what_was_led_back(bench: Bench) -> None:
    bench.put(patient("kept"), patient("merged"), told("o", "merged"), patient("led-back"), told("u", "led-back"))
    bench.write(lambda tx: tx.alias("merged", "kept"))
    bench.write(lambda tx: tx.alias("led-back", "kept"))
    bench.put(told("u", "led-back", status="amended"))  # under the key of the kept
    bench.write(lambda tx: tx.unalias("led-back"))
    custody.destroy(bench.store, "kept")
    assert bench.store.read("Observation", "o", EVERYTHING).destroyed
    assert b"amended" in text(bench, "Observation", "u")
    assert list(bench.store.check()) == []
    bench.restart()
    assert b"amended" in text(bench, "Observation", "u")


def test_the_names_of_states_are_those_of_the_table() -> None:
    assert re.search(r"state NOT IN \('active', 'spent', 'destroyed'\)", keys.TABLES)
