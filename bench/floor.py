"""The floors: bare SQLite doing what the server's store does, without FHIR.

* ``insert_text``: the resources' texts into one table with one index, as many a commit, ``synchronous=FULL``.
* ``insert_rows``: the very rows of a loaded store (versions and postings) into the same tables.
* ``select``: texts by id, in this process, without HTTP.
* ``application``: a raw ASGI application that gives out texts by id; it runs under uvicorn like the server.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.server import Server, free_port

FILE = "YIDANG_BENCH_FLOOR"
Rate = tuple[float, float]  # rows (or commits) a second, CPU µs each


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=8000")
    connection.execute("PRAGMA cache_size=-262144")
    return connection


def insert_text(path: Path, batches: Iterable[Sequence[tuple[str, bytes]]]) -> Rate:
    """(id, text) rows, a batch a commit: rows a second and CPU µs a row."""
    connection = _connect(path)
    connection.execute("CREATE TABLE res(rid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL)")
    made = list(batches)
    began, cpu = time.perf_counter(), time.process_time()
    for batch in made:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO res(id, body) VALUES(?,?)", batch)
        connection.execute("COMMIT")
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    connection.close()
    count = sum(map(len, made))
    return count / wall, used / count * 1e6


def insert_rows(store: Path, path: Path, commit: int, limit: int) -> Rate:
    """The rows of the first ``limit`` versions of a store into a fresh file, ``commit`` versions a transaction."""
    source = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    target = _connect(path)
    names = []
    for name, kind, sql in source.execute("SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL"):
        if name.startswith(("sqlite_", "text")):
            continue
        target.execute(sql)
        if kind == "table":
            names.append(name)
    groups: list[list[tuple[str, list[tuple[Any, ...]]]]] = [[] for _ in range(limit // commit + 1)]
    for name in names:
        columns = [column[1] for column in source.execute(f"PRAGMA table_info({name})")]
        key = {"ent": "cur"}.get(name, "rid" if "rid" in columns else "")
        if not key or name == "dead":
            continue
        rows: dict[int, list[tuple[Any, ...]]] = {}
        at = columns.index(key)
        for row in source.execute(f"SELECT * FROM {name} WHERE {key} BETWEEN 1 AND {limit}"):
            rows.setdefault((row[at] - 1) // commit, []).append(row)
        statement = f"INSERT OR IGNORE INTO {name} VALUES({','.join('?' * len(columns))})"
        for number, found in rows.items():
            groups[number].append((statement, found))
    began, cpu = time.perf_counter(), time.process_time()
    for group in groups:
        target.execute("BEGIN IMMEDIATE")
        for statement, found in group:
            target.executemany(statement, found)
        target.execute("COMMIT")
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    count = target.execute("SELECT count(*) FROM res").fetchone()[0]
    target.close()
    return count / wall, used / count * 1e6


def select(path: Path, ids: Sequence[str], seconds: float) -> Rate:
    """Texts by id in a loop: selects a second, CPU µs each."""
    connection = _connect(path)
    run = connection.execute
    count, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        for id in ids:
            run("SELECT body FROM res WHERE id=?", (id,)).fetchone()
        count += len(ids)
    return count / (time.perf_counter() - began), (time.process_time() - cpu) / count * 1e6


def server(path: Path, log: Path) -> Server:
    """The raw ASGI application on the file of ``insert_text``, under uvicorn with the server's settings."""
    os.environ[FILE] = str(path)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.floor:application", "--port", str(port), "--loop", "uvloop"]
    command += ["--http", "httptools", "--no-access-log", "--log-level", "warning", "--no-server-header"]
    return Server(command, port, log)


_HEADERS = [(b"content-type", b"application/fhir+json; charset=utf-8")]
_connection: sqlite3.Connection | None = None


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """``GET /…/id``: the text of that id; nothing is looked at but the path."""
    global _connection
    if scope["type"] != "http":
        return
    if _connection is None:
        _connection = _connect(Path(os.environ[FILE]))
    id = scope["path"].rpartition("/")[2]
    row = _connection.execute("SELECT body FROM res WHERE id=?", (id,)).fetchone()
    body = row[0] if row else b""
    headers = [*_HEADERS, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
