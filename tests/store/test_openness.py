"""What is known beforehand of whole populations is what the rules say now, whoever is interrupted or behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from consent.vocabulary import RecordClass
from fhir_server.store.sqlite import openness, schema
from fhir_server.store.sqlite.openness import CLOSED, MIXED, OPEN, Open, Openness

LABORATORY, IMAGING = int(RecordClass.LABORATORY), int(RecordClass.IMAGING)
CLASSES = LABORATORY | IMAGING
HOSPITAL, ALLIANCE = 20_000_000, 20_000_001
LOW, HIGH = schema.NO_PERIOD
FOREVER = 2**62
NOW = 1_000_000_000


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    schema.create(connection)
    connection.execute("INSERT INTO state VALUES('patients', 0)")
    yield connection
    connection.close()


@pytest.fixture
def reader(tmp_path: Path, writer: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    yield connection
    connection.close()


def rule(connection: sqlite3.Connection, pat: int, permit: bool = True, **more: int) -> None:
    """One rule about a resident, filed as the store files it."""
    facts = {
        "grantee": HOSPITAL,
        "src": pat,
        "n": 0,
        "purposes": 1,
        "classes": CLASSES,
        "sensitivity": 0,
        "low": 0,
        "high": FOREVER,
        "data_low": LOW,
        "data_high": HIGH,
        "org": 0,
        "doc": 0,
        "given": 0,
        "spec": 1,
        "depth": 0,
        "overriding": 0,
        **more,
    }
    columns = ["pat", "permit", "kind", *facts]
    values = [pat, permit, "consent", *facts.values()]
    run = connection.execute
    run(f"INSERT OR REPLACE INTO grants({','.join(columns)}) VALUES({','.join('?' * len(values))})", values)
    run("INSERT INTO ruled(pat) VALUES(?)", (pat,))
    run("UPDATE state SET value=max(value, ?) WHERE name='patients'", (pat,))


def seen(view: Openness, connection: sqlite3.Connection, record_class: int = LABORATORY, now: int = NOW) -> list[int]:
    found = view.blobs(connection, [record_class], now)
    assert found is not None
    assert found[0][-1] == MIXED  # the place of what is in several files
    return list(found[0][:-1])


def view_of(*named: int, groups: tuple[tuple[int, int], ...] = ()) -> Openness:
    return Open().of(named or (HOSPITAL,), groups, 1, CLASSES)


def test_permits_refusals_and_what_needs_a_closer_look(writer: sqlite3.Connection) -> None:
    rule(writer, 1)
    rule(writer, 2, permit=False)
    rule(writer, 3)
    rule(writer, 3, permit=False, n=1, classes=LABORATORY)  # as specific: the refusal stands
    rule(writer, 4, data_low=0)
    rule(writer, 5, grantee=ALLIANCE)
    view = view_of()
    assert seen(view, writer) == [OPEN, CLOSED, MIXED, MIXED, CLOSED]
    assert seen(view, writer, IMAGING) == [OPEN, CLOSED, OPEN, MIXED, CLOSED]


def test_a_permit_to_a_group_is_for_those_who_were_in_it(writer: sqlite3.Connection) -> None:
    rule(writer, 1, grantee=ALLIANCE, given=50)
    rule(writer, 2, grantee=ALLIANCE, given=150)
    assert seen(view_of(HOSPITAL, groups=((ALLIANCE, 100),)), writer) == [CLOSED, OPEN]


def test_what_is_written_is_taken_up(writer: sqlite3.Connection) -> None:
    rule(writer, 1)
    view = view_of()
    assert seen(view, writer) == [OPEN]
    rule(writer, 1, permit=False)
    rule(writer, 2)
    assert seen(view, writer) == [CLOSED, OPEN]
    writer.execute("DELETE FROM grants WHERE pat=2")
    writer.execute("INSERT INTO ruled(pat) VALUES(2)")
    assert seen(view, writer) == [CLOSED, CLOSED]


def test_time_alone_ends_and_begins_rules(writer: sqlite3.Connection) -> None:
    rule(writer, 1, high=NOW + 10)
    rule(writer, 2, low=NOW + 10)
    view = view_of()
    assert seen(view, writer) == [OPEN, CLOSED]
    assert seen(view, writer, now=NOW + 10) == [CLOSED, OPEN]
    assert seen(view, writer, now=NOW + 9) == [CLOSED, OPEN]  # a request that was overtaken
    assert seen(view, writer, now=NOW - 60_000_000) == [OPEN, CLOSED]  # the clock was set back


def test_a_search_that_is_given_up_goes_on_where_it_was(
    writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openness, "_STEP", 2)
    for pat in range(1, 10):
        rule(writer, pat, permit=pat % 2 == 0)
    view = view_of()
    calls = 0

    def interrupt() -> bool:
        nonlocal calls
        calls += 1
        return calls % 3 == 0

    writer.set_progress_handler(interrupt, 60)
    interrupted = 0
    for _ in range(200):
        try:
            found = seen(view, writer)
            break
        except sqlite3.OperationalError:
            interrupted += 1
    writer.set_progress_handler(None, 0)
    assert interrupted
    assert found == [CLOSED, OPEN] * 4 + [CLOSED]
    # An interruption while time ends a rule loses none either.
    rule(writer, 2, high=NOW + 5)
    assert seen(view, writer)[1] == OPEN
    writer.set_progress_handler(lambda: True, 1)
    with pytest.raises(sqlite3.OperationalError):
        seen(view, writer, now=NOW + 5)
    writer.set_progress_handler(None, 0)
    assert seen(view, writer, now=NOW + 5)[1] == CLOSED


def test_who_reads_an_older_snapshot_asks_the_rules_and_undoes_nothing(
    writer: sqlite3.Connection, reader: sqlite3.Connection
) -> None:
    rule(writer, 1)
    view = view_of()
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM grants").fetchone()
    rule(writer, 1, permit=False)
    assert seen(view, writer) == [CLOSED]
    assert view.blobs(reader, [LABORATORY], NOW) is None
    reader.execute("COMMIT")
    assert seen(view, reader) == [CLOSED]


def test_an_older_snapshot_that_helps_to_build_leaves_nothing_old(
    writer: sqlite3.Connection, reader: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openness, "_STEP", 1)
    rule(writer, 1)
    rule(writer, 2)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM grants").fetchone()
    rule(writer, 2, permit=False)
    view = view_of()
    real, built = view._judge, []

    def once(pat: int, *rest: object) -> None:
        if built:
            raise sqlite3.OperationalError("interrupted")
        built.append(pat)
        real(pat, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(view, "_judge", once)
    with pytest.raises(sqlite3.OperationalError):
        view.blobs(writer, [LABORATORY], NOW)
    monkeypatch.setattr(view, "_judge", real)
    view.blobs(reader, [LABORATORY], NOW)  # goes on with rules that are no longer in force
    reader.execute("COMMIT")
    assert seen(view, writer) == [OPEN, CLOSED]


def test_nobody_waits_for_another_thread(writer: sqlite3.Connection) -> None:
    rule(writer, 1)
    view = view_of()
    with view._lock:
        assert view.blobs(writer, [LABORATORY], NOW) is None
    assert seen(view, writer) == [OPEN]


def test_more_kinds_of_residents_than_the_palette_has_places(writer: sqlite3.Connection) -> None:
    bits = [int(bit) for bit in RecordClass][:9]
    every = sum(bits)
    for pat in range(1, 401):
        rule(writer, pat, classes=sum(bit for k, bit in enumerate(bits) if pat >> k & 1))
    view = Open().of((HOSPITAL,), (), 1, every)
    for k, bit in enumerate(bits):
        for place, found in enumerate(seen(view, writer, bit), 1):
            assert found == (OPEN if place >> k & 1 else CLOSED) or (found == MIXED and place > 200)
