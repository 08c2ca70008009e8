"""The tables of the record file, and how its connections are opened.

A resource version is a row of ``res`` whose ``rid`` is also the store-wide sequence number. Its
index rows ("postings") carry that rid; they stay when the version is superseded (``till`` is the
rid that superseded it, and ``dead`` lists it) and are purged later, so that a search at a past
sequence S sees exactly what was there: ``rid <= S`` and ``till > S``. ``lid`` is the lasting number
of a type/id, given also to resources that are only referred to (``numbers``).

Postings of tokens and references carry ``sk``, minus the clinical date in milliseconds: the newest
first is their order, and the first page of a long list ends after as many rows as it shows.
They also carry the access columns of their version (``pat``, ``org``, and class and sensitivities as ``label``), so
that a count need not look at the versions. Composite elements are postings whose rid is
``rid * ELEMENTS + element number``.

Whose file a version is in (``pat``: a Patient's lid, 0 nobody's, SEVERAL more than one person's), who is its
custodian (``org``: the lid of an Organization, or of the Patient who wrote it), its record class and its
sensitivities are columns of ``res``; ``grants`` are the rules about people's files, compiled from the resources
that give access (``src``), ``member`` the alliances and care teams that a party belongs to, ``person`` what access
needs to know of a person; ``ruled`` tells whose rules changed, in order; ``trusted`` which resources were written by
the server itself or without restriction. ``follows`` says which resources (``lid``) are as protected as another
(``src``): the text of a document, the provenance of a report. ``alias`` leads from a merged Patient to the one that is
kept.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from fhir_server.store.sqlite import keys
from fhir_server.store.sqlite.keys import RecordsConnection, Vault

SCHEMA_VERSION = 4
ELEMENTS = 4096
ALIVE = 2**62  # ``till`` of a current version
UNDATED = 2**62  # ``sk`` of a resource without clinical date: last when newest come first
NO_PERIOD = (-(2**63), 2**63 - 1)  # ``data_low`` and ``data_high`` of a rule about every date
CLASSES = 20  # bits of the record class in a ``label``; the sensitivities are above them
SEVERAL = -1  # ``pat`` of a resource in the files of several persons
LONG_SPAN = 32 * 24 * 3600 * 1_000_000  # µs; date intervals above it are in class 1

_TABLES = """
CREATE TABLE state(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE type(t INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE param(p INTEGER PRIMARY KEY, t INTEGER NOT NULL, key TEXT NOT NULL, bit INTEGER, UNIQUE(t, key));
CREATE TABLE system(s INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE);
CREATE TABLE dictionary(d INTEGER PRIMARY KEY, bytes BLOB NOT NULL);

CREATE TABLE ent(id TEXT, t INTEGER, lid INTEGER NOT NULL, cur INTEGER NOT NULL, PRIMARY KEY(id, t)) WITHOUT ROWID;
CREATE TABLE res(
  rid INTEGER PRIMARY KEY, lid INTEGER NOT NULL, t INTEGER NOT NULL, ver INTEGER NOT NULL, time INTEGER NOT NULL,
  till INTEGER NOT NULL, sk INTEGER NOT NULL, pat INTEGER NOT NULL, org INTEGER NOT NULL, class INTEGER NOT NULL,
  sensitivity INTEGER NOT NULL, present INTEGER NOT NULL, method INTEGER NOT NULL, id TEXT NOT NULL, body BLOB);
CREATE INDEX res_lid ON res(lid);
CREATE INDEX res_t ON res(t);
CREATE INDEX res_gone ON res(pat) WHERE body IS NULL;
CREATE TABLE dead(rid INTEGER PRIMARY KEY, till INTEGER NOT NULL);

CREATE TABLE grants(pat INTEGER, grantee INTEGER, src INTEGER, n INTEGER, permit INTEGER, kind TEXT,
  purposes INTEGER, classes INTEGER, sensitivity INTEGER, low INTEGER, high INTEGER, data_low INTEGER,
  data_high INTEGER, org INTEGER, doc INTEGER, given INTEGER, spec INTEGER, depth INTEGER, overriding INTEGER,
  PRIMARY KEY(pat, grantee, src, n)) WITHOUT ROWID;
CREATE INDEX grants_src ON grants(src);
CREATE INDEX grants_grantee ON grants(grantee);
CREATE TABLE member(party INTEGER, grantee INTEGER, src INTEGER, n INTEGER, low INTEGER, high INTEGER,
  PRIMARY KEY(party, grantee, src, n)) WITHOUT ROWID;
CREATE INDEX member_src ON member(src);
CREATE INDEX member_grantee ON member(grantee);
CREATE TABLE person(pat INTEGER PRIMARY KEY, born TEXT, adult INTEGER);
CREATE TABLE trusted(lid INTEGER PRIMARY KEY);
CREATE TABLE follows(src INTEGER, lid INTEGER, PRIMARY KEY(src, lid)) WITHOUT ROWID;
CREATE INDEX follows_lid ON follows(lid);
CREATE TABLE alias(lid INTEGER PRIMARY KEY, target INTEGER NOT NULL);
CREATE TABLE outbox(seq INTEGER PRIMARY KEY, entry BLOB NOT NULL);

CREATE TABLE ruled(n INTEGER PRIMARY KEY, pat INTEGER NOT NULL);

CREATE TABLE tok(p INTEGER, code TEXT, sk INTEGER, rid INTEGER, s INTEGER, pat INTEGER, org INTEGER, label INTEGER,
  PRIMARY KEY(p, code, sk, rid, s)) WITHOUT ROWID;
CREATE TABLE ref(p INTEGER, key INTEGER, sk INTEGER, rid INTEGER, pat INTEGER, org INTEGER, label INTEGER,
  PRIMARY KEY(p, key, sk, rid)) WITHOUT ROWID;
CREATE TABLE link(rid INTEGER, p INTEGER, key INTEGER, PRIMARY KEY(rid, p, key)) WITHOUT ROWID;
CREATE TABLE str(p INTEGER, v TEXT, rid INTEGER, exact TEXT, PRIMARY KEY(p, v, rid, exact)) WITHOUT ROWID;
CREATE TABLE txt(p INTEGER, v TEXT, rid INTEGER, PRIMARY KEY(p, v, rid)) WITHOUT ROWID;
CREATE INDEX str_rid ON str(rid, p, v);
CREATE TABLE dat(rid INTEGER, p INTEGER, long INTEGER, low INTEGER, high INTEGER,
  PRIMARY KEY(rid, p, long, low, high)) WITHOUT ROWID;
CREATE INDEX dat_low ON dat(p, long, low, high);
CREATE INDEX dat_high ON dat(p, high) WHERE long = 1;
CREATE TABLE qty(rid INTEGER, p INTEGER, wide INTEGER, low REAL, high REAL, s INTEGER, code TEXT,
  PRIMARY KEY(rid, p, wide, low, high, s, code)) WITHOUT ROWID;
CREATE INDEX qty_low ON qty(p, wide, low, high, s, code);
CREATE TABLE geo(p INTEGER, latitude REAL, longitude REAL, rid INTEGER,
  PRIMARY KEY(p, latitude, longitude, rid)) WITHOUT ROWID;
CREATE VIRTUAL TABLE text USING fts5(narrative, content, content='');
CREATE TABLE job(id TEXT PRIMARY KEY, kind TEXT NOT NULL, target TEXT NOT NULL, status TEXT NOT NULL,
  position INTEGER NOT NULL, last INTEGER NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL,
  note TEXT NOT NULL, started INTEGER NOT NULL, beat INTEGER NOT NULL) WITHOUT ROWID;
"""

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=OFF",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA secure_delete=ON",  # what is removed is overwritten, not only let go
    "PRAGMA mmap_size=8589934592",
    "PRAGMA wal_autocheckpoint=8000",
)


def connect(path: Path, *, writer: bool = False, vault: Vault | None = None) -> sqlite3.Connection:
    """A connection in autocommit mode; readers cannot write. Stored texts are read with the keys of ``vault``.

    ``busy_timeout`` is long because another process may hold the write lock for one group commit.
    """
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
        timeout=30.0,
        factory=RecordsConnection,
    )
    connection.vault = vault
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    connection.execute(f"PRAGMA cache_size={-262144 if writer else -65536}")
    if not writer:
        connection.execute("PRAGMA query_only=ON")
    return connection


def create(connection: sqlite3.Connection) -> None:
    """Make the tables if the file is new; several processes may try at once.

    Raises ValueError when the file was made by another version of the layout.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in (_TABLES + keys.TABLES).split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise ValueError(f"the record file has layout {version}, this server needs {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
