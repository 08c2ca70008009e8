"""Data keys: each person's file has its own, wrapped by the master key, in the table ``dek`` of the record file.

Destroying a person's keys makes every copy of the file's texts unreadable. Owner 0 stands for what is
nobody's or several persons'. A data key is ``active`` (encrypts new texts), ``retired`` (only read, until
its texts are encrypted anew), ``spent`` (nothing is under it any more) or ``destroyed``; the last two hold no
key. Numbers are never used again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from typing import NamedTuple

from fhir_server.ciphers import NUMBERS, Aead, Damaged, cipher, new_key
from fhir_server.errors import Gone
from fhir_server.secrets import MasterKey

TABLES = """
CREATE TABLE dek(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, wrapped BLOB, master TEXT NOT NULL,
  algorithm TEXT NOT NULL, state TEXT NOT NULL, made INTEGER NOT NULL);
CREATE INDEX dek_owner ON dek(owner);
CREATE INDEX dek_open ON dek(state) WHERE state NOT IN ('active', 'spent', 'destroyed');
"""
EPOCH = "keys"  # in ``state``: counts the changes after which remembered keys must be forgotten
ROOT = "root"  # in ``state``: the wrapped root secret, so that a backup has it (``keyring.root_of`` reads it)
_MOST = 8_000  # remembered keys, 2.6 kB each
GONE = "这份档案已按最后删除的要求销毁，无法再读取 / this person's file was destroyed; it cannot be read any more"


class ActiveKey(NamedTuple):
    """A data key that encrypts new texts: its number, that of its algorithm, its cipher."""

    number: int
    algorithm: int
    aead: Aead


class Vault:
    """The keys of one record file in this process; all its connections share it. Safe in several threads."""

    def __init__(self, master: MasterKey) -> None:
        self.master = master
        self.text_key = master.derive("text index")
        self._aeads: dict[int, Aead] = {}
        self._lock = threading.Lock()
        self._epoch = -1

    def aead(self, connection: sqlite3.Connection, number: int) -> Aead:
        """The cipher of a data key. Raises Gone when it was destroyed, KeyUnavailable, Damaged."""
        found = self._aeads.get(number)
        if found is None:
            found = self._load(connection, number)
            self.remember(number, found)
        return found

    def _load(self, connection: sqlite3.Connection, number: int) -> Aead:
        row = connection.execute("SELECT owner, wrapped, algorithm FROM dek WHERE id=?", (number,)).fetchone()
        if row is None:
            raise Damaged(f"a stored text names data key {number}, which is not in the file")
        owner, wrapped, algorithm = row
        if wrapped is None:
            raise Gone(GONE)
        return cipher(algorithm, self.master.unwrap(wrapped, _context(number, owner, algorithm)))

    def remember(self, number: int, aead: Aead) -> None:
        """Keep an unwrapped key for next time; the oldest go when there are too many."""
        with self._lock:
            if len(self._aeads) >= _MOST:
                for old in list(self._aeads)[: _MOST // 4]:
                    del self._aeads[old]
            self._aeads[number] = aead

    def forget(self, number: int) -> None:
        """Remember a key no longer."""
        with self._lock:
            self._aeads.pop(number, None)

    def check_epoch(self, connection: sqlite3.Connection) -> bool:
        """Forget what is remembered if keys were changed since; whether they were."""
        epoch = connection.execute("SELECT value FROM state WHERE name=?", (EPOCH,)).fetchone()[0]
        if epoch == self._epoch:
            return False
        with self._lock:
            self._aeads.clear()
        self.master.reload()  # the present master key may be another since this process read the ring
        self._epoch = epoch
        return True


class RecordsConnection(sqlite3.Connection):
    """A connection to the record file that knows its keys."""

    vault: Vault | None = None


def vault_of(connection: sqlite3.Connection) -> Vault:
    """The keys of a connection that ``schema.connect`` was given them for."""
    if isinstance(connection, RecordsConnection) and connection.vault is not None:
        return connection.vault
    raise TypeError("this connection has no keys: stored texts cannot be read on it")


class OwnerKeys:
    """The active key of each owner, for the writer: keys are made in its open transaction."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault
        self._active: dict[int, ActiveKey] = {}
        self._fresh: set[tuple[int, int]] = set()

    def begin(self) -> None:
        """A write transaction starts: what another process changed is looked up again."""
        if self._vault.check_epoch(self._connection):
            self._active.clear()

    def undo(self) -> None:
        """Something was rolled back: the keys made in this transaction may be gone, and their numbers free again."""
        for owner, number in self._fresh:
            self._active.pop(owner, None)
            self._vault.forget(number)

    def settle(self, committed: bool) -> None:
        """The transaction is over."""
        if not committed:
            self.undo()
            self._active.clear()
        self._fresh.clear()
        if len(self._active) > _MOST:
            self._active.clear()

    def active(self, owner: int, now: int) -> ActiveKey:
        """The owner's active key, made now (µs) if there is none. Raises Gone where the owner's file was destroyed."""
        found = self._active.get(owner)
        if found is None:
            found = self._active[owner] = self._find(owner) or self._make(owner, now)
        return found

    def _find(self, owner: int) -> ActiveKey | None:
        rows = self._connection.execute(
            "SELECT id, algorithm, state FROM dek WHERE owner=? ORDER BY id DESC", (owner,)
        ).fetchall()
        for number, algorithm, state in rows:
            if state in ("destroying", "destroyed"):
                raise Gone(GONE)
            if state == "active":
                return ActiveKey(number, NUMBERS[algorithm], self._vault.aead(self._connection, number))
        return None

    def _make(self, owner: int, now: int) -> ActiveKey:
        master = self._vault.master
        algorithm = master.algorithm
        number = self._connection.execute("SELECT coalesce(max(id), 0) + 1 FROM dek").fetchone()[0]
        key = new_key(algorithm)
        wrapped = master.wrap(key, _context(number, owner, algorithm))
        self._connection.execute(
            "INSERT INTO dek VALUES(?,?,?,?,?,'active',?)", (number, owner, wrapped, master.current, algorithm, now)
        )
        self._fresh.add((owner, number))
        return ActiveKey(number, NUMBERS[algorithm], cipher(algorithm, key))


def _context(number: int, owner: int, algorithm: str) -> bytes:
    """What a wrapped key is bound to: put in another row it opens nothing."""
    return f"dek {number} {owner} {algorithm}".encode()


def prepare(connection: sqlite3.Connection, master: MasterKey) -> None:
    """Give a new record file its epoch and the copy of the root secret, in the caller's transaction.

    Raises ValueError when the folder's root secret is not that of the file.
    """
    connection.execute("INSERT OR IGNORE INTO state VALUES(?, 1)", (EPOCH,))
    row = connection.execute("SELECT value FROM state WHERE name=?", (ROOT,)).fetchone()
    if row is None:
        connection.execute("INSERT INTO state VALUES(?, ?)", (ROOT, master.root_blob()))
    elif not master.has_root(row[0]):
        raise ValueError("root.key in the data folder belongs to other records: put back the one that was there")


def bump(connection: sqlite3.Connection) -> None:
    """Have all processes forget the keys that they remember."""
    connection.execute("UPDATE state SET value=value+1 WHERE name=?", (EPOCH,))


# -- changing keys; each function is one step, in the writer's transaction ------------------------------


def rewrap(connection: sqlite3.Connection, master: MasterKey, limit: int) -> int:
    """Wrap up to ``limit`` data keys that another master key wrapped with the present one; how many it were."""
    rows = connection.execute(
        "SELECT id, owner, wrapped, algorithm FROM dek WHERE wrapped IS NOT NULL AND master<>? LIMIT ?",
        (master.current, limit),
    ).fetchall()
    for number, owner, wrapped, algorithm in rows:
        context = _context(number, owner, algorithm)
        blob = master.wrap(master.unwrap(wrapped, context), context)
        connection.execute("UPDATE dek SET wrapped=?, master=? WHERE id=?", (blob, master.current, number))
    if not rows:
        connection.execute("UPDATE state SET value=? WHERE name=?", (master.root_blob(), ROOT))
    return len(rows)


def retire(connection: sqlite3.Connection, owner: int | None) -> int:
    """Retire the active key of ``owner`` (None: everybody's): new texts get a new one. How many were retired."""
    which, args = ("", ()) if owner is None else (" AND owner=?", (owner,))
    retired = connection.execute(f"UPDATE dek SET state='retired' WHERE state='active'{which}", args).rowcount
    if retired:
        bump(connection)
    return retired


def counts(connection: sqlite3.Connection) -> Iterator[tuple[str, str, str, int]]:
    """State, algorithm, master key, number of data keys."""
    yield from connection.execute(
        "SELECT state, algorithm, CASE WHEN wrapped IS NULL THEN '' ELSE master END, count(*) FROM dek"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
