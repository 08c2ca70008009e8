"""The index of the chain: an SQLite file made from it, so that it can be asked; the chain alone is evidence.

It is behind the chain by what was appended since it was last brought up; every question brings it up first.
It may be deleted at any time: it is made anew.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fhir_server.audit.chain import HEAD, Broken, Entry, Head, Walk, read_entry, segment_path, segments
from fhir_server.audit.event import Event, Part, decode, institutions, parts

FILE = "audit.db"
_LAYOUT = 1
_STEP = 2000  # entries of one commit
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS place(seq INTEGER PRIMARY KEY, segment INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS part(
    seq INTEGER, number INTEGER, time INTEGER NOT NULL, patient TEXT NOT NULL, agent TEXT NOT NULL,
    client TEXT NOT NULL, institution TEXT NOT NULL, action TEXT NOT NULL, code TEXT NOT NULL,
    outcome INTEGER NOT NULL, purpose TEXT NOT NULL, PRIMARY KEY(seq, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS part_patient ON part(patient, time);
CREATE INDEX IF NOT EXISTS part_agent ON part(agent, time);
CREATE INDEX IF NOT EXISTS part_institution ON part(institution, time);
CREATE INDEX IF NOT EXISTS part_time ON part(time);
CREATE TABLE IF NOT EXISTS involved(
    institution TEXT, seq INTEGER, number INTEGER, PRIMARY KEY(institution, seq, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS taken(ident BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT OR IGNORE INTO state VALUES('layout', {_LAYOUT});
"""


@dataclass(frozen=True, slots=True)
class Found:
    """One part of one entry, as found."""

    seq: int
    number: int
    time: int


class Index:
    """The index in ``folder``; used from any thread, by several processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._mutex = threading.Lock()
        self._lock = os.open(folder / "index.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        # Made anew from the chain when it is lost, so it need not be synced.
        connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-8000")
        connection.executescript(_SCHEMA)
        if connection.execute("SELECT value FROM state WHERE name='layout'").fetchone()[0] != _LAYOUT:
            connection.close()
            raise ValueError(f"{self._path} has another layout: delete it, and it is made anew")
        return connection

    def catch_up(self, most: int = 1 << 62) -> int:
        """Take in what the chain has more, at most ``most`` entries; how many they were.

        Raises Broken where the chain is damaged.
        """
        taken = 0
        with self._mutex:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                while taken < most:
                    step = self._step(min(_STEP, most - taken))
                    taken += step
                    if step == 0:
                        break
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)
        return taken

    def _step_locked(self, most: int) -> int:
        """``_step`` while nobody writes: what looked damaged may have been half an entry on its way."""
        lock = os.open(self._folder / "chain.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            return self._step(most, patient=True)
        finally:
            os.close(lock)

    def _step(self, most: int, patient: bool = False) -> int:
        found = segments(self._folder)
        if not found:
            return 0
        segment, offset, seq, hash = self._position(found)
        entries: list[Entry] = []
        while True:
            walk = _walk(self._folder, segment, offset, seq, hash, entries, most)
            offset, seq, hash = walk.offset, walk.seq, walk.hash
            if walk.ended == "damaged":
                if not patient:
                    return self._step_locked(most)
                raise Broken(walk.why)
            if walk.ended != "continued" or not segment_path(self._folder, seq + 1).exists():
                break
            segment, offset, hash = seq + 1, HEAD, b""
        if entries:
            self._take(entries, segment, offset, seq, hash)
        return len(entries)

    def _position(self, found: Sequence[int]) -> tuple[int, int, int, bytes]:
        row = self._connection.execute("SELECT value FROM state WHERE name='position'").fetchone()
        if row is not None:
            segment, offset, seq, hash = row[0].split(" ")
            if int(segment) in found:
                return int(segment), int(offset), int(seq), bytes.fromhex(hash)
        return found[0], HEAD, -1, b""

    def _take(self, entries: Sequence[Entry], segment: int, offset: int, seq: int, hash: bytes) -> None:
        places, rows, involved, idents = [], [], [], []
        for entry in entries:
            event = decode(entry.body)
            places.append((entry.seq, entry.segment, entry.offset))
            who = event.who
            for part in parts(event):
                rows.append(
                    (
                        entry.seq,
                        part.number,
                        event.time,
                        part.patient,
                        who.subject,
                        who.client,
                        who.institution,
                        part.action,
                        event.code,
                        event.outcome,
                        who.purpose,
                    )
                )
                involved += [(institution, entry.seq, part.number) for institution in institutions(event, part)]
            if event.ident:
                idents.append((event.ident,))
        run, many = self._connection.execute, self._connection.executemany
        run("BEGIN IMMEDIATE")
        try:
            many("INSERT OR REPLACE INTO place VALUES(?,?,?)", places)
            many("INSERT OR REPLACE INTO part VALUES(?,?,?,?,?,?,?,?,?,?,?)", rows)
            many("INSERT OR REPLACE INTO involved VALUES(?,?,?)", involved)
            many("INSERT OR IGNORE INTO taken VALUES(?)", idents)
            position = f"{segment} {offset} {seq} {hash.hex()}"
            run("INSERT OR REPLACE INTO state VALUES('position', ?)", (position,))
            run("COMMIT")
        finally:
            if self._connection.in_transaction:
                run("ROLLBACK")

    # -- asking ----------------------------------------------------------------------------------------

    def last(self) -> int:
        """The number of the last entry taken in."""
        with self._mutex:
            return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM place").fetchone()[0])

    def select(self, sql: str, values: Iterable[object]) -> list[tuple[object, ...]]:
        """The rows of a query."""
        with self._mutex:
            return self._connection.execute(sql, tuple(values)).fetchall()

    def event(self, seq: int) -> Event | None:
        """The event of an entry, or None."""
        with self._mutex:
            row = self._connection.execute("SELECT segment, at FROM place WHERE seq=?", (seq,)).fetchone()
        if row is None:
            return None
        try:
            return decode(read_entry(self._folder, *row))
        except Broken:
            return None  # pruned meanwhile

    def part(self, seq: int, number: int) -> tuple[Event, Part] | None:
        """An entry's event and one of its parts, or None."""
        event = self.event(seq)
        if event is None:
            return None
        found = parts(event)
        return (event, found[number]) if number < len(found) else None

    def taken(self, idents: Sequence[bytes]) -> frozenset[bytes]:
        """Those of ``idents`` that entries of the chain have (as far as taken in)."""
        with self._mutex:
            return frozenset(
                ident
                for ident in idents
                if self._connection.execute("SELECT 1 FROM taken WHERE ident=?", (ident,)).fetchone()
            )

    def forget(self, below: int) -> None:
        """Remove what is about entries with numbers below ``below`` (they were pruned)."""
        with self._mutex:
            run = self._connection.execute
            run("BEGIN IMMEDIATE")
            for table in ("place", "part", "involved"):
                run(f"DELETE FROM {table} WHERE seq<?", (below,))
            run("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        os.close(self._lock)


def _walk(folder: Path, segment: int, offset: int, seq: int, hash: bytes, into: list[Entry], most: int) -> Walk:
    descriptor = os.open(segment_path(folder, segment), os.O_RDONLY)
    try:
        head = Head.decode(os.pread(descriptor, HEAD, 0))
        walk = Walk(descriptor, head, offset, seq, hash, thorough=False)
        for entry in walk:
            into.append(entry)
            if len(into) >= most:
                break
        return walk
    finally:
        os.close(descriptor)
