"""What is done with the keys of a record file by command: other master keys, other data keys, a person's last deletion.

Everything goes in short commits, so that servers on the same file answer meanwhile.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from fhir_server.errors import NotFound
from fhir_server.search.extract import Extractor
from fhir_server.store.sqlite import destroying, keys, rekeying, schema
from fhir_server.store.sqlite.store import SqliteStore
from fhir_server.store.sqlite.transaction import SqliteTransaction

_KEYS = 500  # data keys wrapped anew in one commit
_MERGES = 10_000
Told = Callable[[int], None]
Step = Callable[[sqlite3.Connection, SqliteTransaction], None]


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What went: Patients (with those merged into it) and versions."""

    patients: int
    versions: int


def rotate_master(
    store: SqliteStore, *, retire: bool, add: bool = True, told: Told = lambda _: None, entry: bytes = b""
) -> list[str]:
    """Make a new master key (``add``) and wrap every data key with the present one; ``told`` counts them.

    Servers take the new key up by themselves. With ``retire`` the old master keys are removed from the ring in
    the end: backups made before then need them. ``entry``: the audit's. Returns the ids of those that went.
    Raises KeyUnavailable where the ring cannot be changed here.
    """
    master = store.vault.master
    if add:
        master.add()
    master.keep_root()
    # From this commit on all processes wrap with the new key: nothing is missed below.
    store.maintain(_begin_rotation(entry))
    done = 0
    while count := store.maintain(lambda connection, _: keys.rewrap(connection, master, _KEYS)):
        done += count
        told(done)
    return master.retire() if retire else []


def _begin_rotation(entry: bytes) -> Step:
    def work(connection: sqlite3.Connection, _: SqliteTransaction) -> None:
        keys.bump(connection)
        note(connection, entry)

    return work


def note(connection: sqlite3.Connection, entry: bytes) -> None:
    """Give the audit an entry in the commit that it is about."""
    if entry:
        connection.execute("INSERT INTO outbox(entry) VALUES(?)", (entry,))


def rotate_data(store: SqliteStore, patient: str | None = None, entry: bytes = b"") -> int:
    """Retire the data keys of everybody, or of one Patient (id), and have the texts encrypted anew; how many keys.

    The work is the housekeeping's: of a server, or of this process while it is open. Raises NotFound.
    """

    def work(connection: sqlite3.Connection, tx: SqliteTransaction) -> int:
        note(connection, entry)
        if patient is None:
            return rekeying.start(connection, None)
        return sum(rekeying.start(connection, lid) for lid in _group(connection, tx, patient))

    return store.maintain(work)


def destroy(store: SqliteStore, patient: str, told: Told = lambda _: None, entry: bytes = b"") -> Destroyed:
    """Destroy the file of a Patient (id) for good; may be called again after an interruption.

    ``told`` counts the versions; ``entry`` is the audit's.

    Raises NotFound for a Patient that never was, Gone for one that is destroyed.
    """
    group = store.maintain(_begin(patient))
    with closing(schema.connect(store.path)) as connection:
        own, strange = destroying.concerned(connection, group)
    now = time.time_ns() // 1000
    for part in destroying.steps(strange):
        store.maintain(_hand_over(part, now))
    done = 0
    for part in destroying.steps(own):
        store.maintain(_erase(part, store.extractor))
        done += len(part)
        told(done)
    store.maintain(_end(group, entry))
    more = store.maintain(lambda connection, _: destroying.merge_words(connection, True))
    for _ in range(_MERGES):
        if not more:
            break
        more = store.maintain(lambda connection, _: destroying.merge_words(connection, False))
    store.optimize()  # folds the write-ahead log, which holds earlier pages, into the file
    return Destroyed(len(group), len(own))


def patients_of(store: SqliteStore, patient: str) -> list[str]:
    """The ids of a Patient and of all that were merged with it; empty where it never was."""

    def work(connection: sqlite3.Connection, tx: SqliteTransaction) -> list[str]:
        group = destroying.persons(connection, tx.names, patient)
        return [id_ for lid in group for (id_,) in connection.execute("SELECT id FROM ent WHERE lid=?", (lid,))]

    return store.maintain(work)


def counts(store: SqliteStore) -> list[tuple[str, str, str, int]]:
    """State, algorithm, master key and number of data keys."""
    with closing(schema.connect(store.path)) as connection:
        return list(keys.counts(connection))


def _begin(patient: str) -> Callable[[sqlite3.Connection, SqliteTransaction], list[int]]:
    def work(connection: sqlite3.Connection, tx: SqliteTransaction) -> list[int]:
        group = _group(connection, tx, patient)
        destroying.refuse_destroyed(connection, group)
        destroying.begin(connection, group, tx.time)
        return group

    return work


def _hand_over(rids: list[int], now: int) -> Step:
    return lambda connection, tx: destroying.hand_over(connection, tx.bodies, rids, now)


def _erase(rids: list[int], extractor: Extractor) -> Step:
    return lambda connection, tx: destroying.erase(connection, tx.names, tx.bodies, extractor, rids)


def _end(group: list[int], entry: bytes) -> Step:
    def work(connection: sqlite3.Connection, _: SqliteTransaction) -> None:
        destroying.end(connection, group)
        note(connection, entry)

    return work


def _group(connection: sqlite3.Connection, tx: SqliteTransaction, patient: str) -> list[int]:
    group = destroying.persons(connection, tx.names, patient)
    if not group:
        raise NotFound(f"There is no Patient/{patient}")
    return group
