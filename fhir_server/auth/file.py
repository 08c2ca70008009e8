"""auth.db: clients, keys, tokens, codes, accounts and sessions, shared by all server processes of a folder.

Secrets that are only compared are stored hashed, those that are read again sealed. Times are seconds since 1970.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from fhir_server.auth.sealing import Sealer
from fhir_server.auth.stamp import Stamp
from fhir_server.secrets import MasterKey

NAME = "auth.db"
_LAYOUT = 1
_BUSY_SECONDS = 15

_SCHEMA = """
CREATE TABLE clients(
  id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('public', 'secret', 'key')),
  secret TEXT NOT NULL DEFAULT '', jwks TEXT NOT NULL DEFAULT '', jwks_uri TEXT NOT NULL DEFAULT '',
  redirect_uris TEXT NOT NULL DEFAULT '[]', launch_uri TEXT NOT NULL DEFAULT '',
  grants TEXT NOT NULL DEFAULT '[]', scope TEXT NOT NULL DEFAULT '', institution TEXT NOT NULL DEFAULT '',
  purposes TEXT NOT NULL DEFAULT '[]', introspects INTEGER NOT NULL DEFAULT 0,
  created REAL NOT NULL, revoked REAL
) WITHOUT ROWID;
CREATE TABLE keys(
  kid TEXT PRIMARY KEY, alg TEXT NOT NULL, public TEXT NOT NULL, private BLOB NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'retiring')), created REAL NOT NULL, retired REAL
) WITHOUT ROWID;
CREATE TABLE accounts(
  id TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('staff', 'resident')), name TEXT NOT NULL DEFAULT '',
  subject TEXT NOT NULL, password TEXT NOT NULL DEFAULT '', totp BLOB, totp_step INTEGER NOT NULL DEFAULT 0,
  active INTEGER NOT NULL DEFAULT 1, must_change INTEGER NOT NULL DEFAULT 0,
  created REAL NOT NULL, changed REAL NOT NULL, expires REAL
) WITHOUT ROWID;
CREATE TABLE past_passwords(
  account TEXT NOT NULL REFERENCES accounts(id), at REAL NOT NULL, password TEXT NOT NULL, PRIMARY KEY (account, at)
) WITHOUT ROWID;
CREATE TABLE recovery_codes(
  account TEXT NOT NULL REFERENCES accounts(id), handle TEXT NOT NULL, used REAL, PRIMARY KEY (account, handle)
) WITHOUT ROWID;
CREATE TABLE flows(
  hash BLOB PRIMARY KEY, session TEXT NOT NULL, facts TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX flows_expires ON flows(expires);
CREATE TABLE logins(handle TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts(id)) WITHOUT ROWID;
CREATE INDEX logins_account ON logins(account);
CREATE TABLE account_roles(
  account TEXT NOT NULL REFERENCES accounts(id), institution TEXT NOT NULL, department TEXT NOT NULL DEFAULT '',
  role TEXT NOT NULL, role_id TEXT NOT NULL DEFAULT '', PRIMARY KEY (account, institution, department, role)
) WITHOUT ROWID;
CREATE TABLE sessions(
  hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL REFERENCES accounts(id), created REAL NOT NULL,
  seen REAL NOT NULL, expires REAL NOT NULL, revoked REAL, facts TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
CREATE INDEX sessions_account ON sessions(account);
CREATE TABLE login_attempts(
  key TEXT NOT NULL, at REAL NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (key, at, number)
) WITHOUT ROWID;
CREATE INDEX login_attempts_at ON login_attempts(at);
CREATE TABLE tokens(
  hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, use TEXT NOT NULL CHECK (use IN ('access', 'refresh')),
  client TEXT NOT NULL, account TEXT NOT NULL DEFAULT '', session TEXT NOT NULL DEFAULT '',
  family TEXT NOT NULL DEFAULT '', claims TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL,
  used REAL, revoked REAL
) WITHOUT ROWID;
CREATE INDEX tokens_family ON tokens(family);
CREATE INDEX tokens_client ON tokens(client);
CREATE INDEX tokens_account ON tokens(account);
CREATE INDEX tokens_session ON tokens(session);
CREATE INDEX tokens_expires ON tokens(expires);
CREATE TABLE codes(
  hash BLOB PRIMARY KEY, client TEXT NOT NULL, account TEXT NOT NULL, family TEXT NOT NULL, facts TEXT NOT NULL,
  expires REAL NOT NULL, used REAL
) WITHOUT ROWID;
CREATE TABLE launches(
  hash BLOB PRIMARY KEY, client TEXT NOT NULL, account TEXT NOT NULL, facts TEXT NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE assertions(
  issuer TEXT NOT NULL, jti TEXT NOT NULL, expires REAL NOT NULL, PRIMARY KEY (issuer, jti)
) WITHOUT ROWID;
CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('withdrawals', 0);
"""
# Whatever ends an access token counts here: the processes drop what they remember when the number has changed.
_WITHDRAWING = (
    "UPDATE OF revoked, expires, claims ON tokens",
    "DELETE ON tokens",
    "UPDATE OF revoked ON clients",
    "DELETE ON clients",
    "UPDATE OF active, subject, expires ON accounts",
    "DELETE ON accounts",
    "UPDATE ON account_roles",
    "DELETE ON account_roles",
    "UPDATE OF revoked ON sessions",
    "DELETE ON sessions",
)


class AuthFile:
    """The open file. Every method may be called from any thread."""

    def __init__(self, path: Path, sealer: Sealer) -> None:
        self.path = path
        self.sealer = sealer
        self._lock = threading.RLock()
        self._connection = connect(path)
        self._stamp = Stamp(path.parent)

    @classmethod
    def open(cls, folder: Path, master: MasterKey | None = None) -> AuthFile:
        """The file of ``folder``, made if it is not there; ``master`` by default as the environment says.

        Raises ValueError where it has another layout or the master key cannot be read.
        """
        folder.mkdir(parents=True, exist_ok=True)
        sealer = Sealer(MasterKey.open(folder) if master is None else master)
        path = folder / NAME
        path.touch(mode=0o600, exist_ok=True)
        _prepare(path)
        return cls(path, sealer)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction; it is durable when the block ends, and nothing is changed when the block raises."""
        with self._lock:
            nested = self._connection.in_transaction
            if not nested:
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                if not nested:
                    self._connection.execute("ROLLBACK")
                raise
            if not nested:
                self._connection.execute("COMMIT")
                self._stamp.change()

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """The rows of a query."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query."""
        with self._lock:
            found: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
            return found

    def fold(self) -> None:
        """Fold the write-ahead log, which holds earlier pages, into the file (as far as readers let it)."""
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def backup(self, target: Path) -> None:
        """Write a consistent copy to ``target``, which must not exist; nobody but its owner reads it.

        Raises FileExistsError.
        """
        target.touch(mode=0o600, exist_ok=False)
        with (
            closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
            self._stamp.close()


def restore(copy: Path, folder: Path) -> None:
    """Put a copy made by ``backup`` in place of the file of ``folder``, which nobody may have open.

    Whoever was signed in when it was made signs in again: what was ended since would come to life otherwise.
    Raises ValueError or sqlite3.DatabaseError where it is no sound copy.
    """
    arriving = folder / f"{NAME}.restoring"
    arriving.unlink(missing_ok=True)
    arriving.touch(mode=0o600)
    try:
        arriving.write_bytes(copy.read_bytes())
        with closing(sqlite3.connect(arriving, isolation_level=None)) as connection:
            if connection.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
                raise ValueError(f"{copy} is damaged")
            if connection.execute("PRAGMA user_version").fetchone()[0] != _LAYOUT:
                raise ValueError(f"{copy} has another layout than this version reads")
            for table in ("tokens", "sessions", "codes", "launches", "flows"):
                connection.execute(f"DELETE FROM {table}")
        for leftover in ("-wal", "-shm"):
            (folder / (NAME + leftover)).unlink(missing_ok=True)
        arriving.replace(folder / NAME)
    finally:
        arriving.unlink(missing_ok=True)


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the file at ``path``; used by one thread at a time."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def _prepare(path: Path) -> None:
    """Make the tables, where another process has not. Raises ValueError for another layout."""
    connection = connect(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        layout = connection.execute("PRAGMA user_version").fetchone()[0]
        if layout == 0:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
            for number, event in enumerate(_WITHDRAWING):
                connection.execute(
                    f"CREATE TRIGGER withdrawing_{number} AFTER {event} BEGIN"
                    " UPDATE counters SET value = value + 1 WHERE name = 'withdrawals'; END"
                )
            connection.execute(f"PRAGMA user_version = {_LAYOUT}")
        elif layout != _LAYOUT:
            raise ValueError(f"{path} has layout {layout}; this version reads layout {_LAYOUT}")
        connection.execute("COMMIT")
    finally:
        connection.close()
