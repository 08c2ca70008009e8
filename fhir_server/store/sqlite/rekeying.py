"""New data keys: texts under retired keys are encrypted anew in small steps, while everybody reads and writes.

Where the work stands is in the record file, so any process goes on with it after an interruption.
"""

from __future__ import annotations

import sqlite3
import time

from fhir_server.store.sqlite import keys
from fhir_server.store.sqlite.bodies import Bodies, key_number
from fhir_server.store.sqlite.registry import STEP_SECONDS

POSITION = "rekeying"  # in ``state``: the next rid; minus the time (µs) at which the last text was done
_STEP = 500
_REST = 60_000_000  # µs until the old keys go: a read that began before still needs them


def start(connection: sqlite3.Connection, owner: int | None) -> int:
    """Retire the keys of ``owner`` (a Patient's lid; None: everybody's) and begin; how many were retired."""
    retired = keys.retire(connection, owner)
    if retired:
        connection.execute("INSERT OR REPLACE INTO state VALUES(?, 1)", (POSITION,))
    return retired


def due(connection: sqlite3.Connection, now: int) -> bool:
    """Whether ``step`` has something to do."""
    row = connection.execute("SELECT value FROM state WHERE name=?", (POSITION,)).fetchone()
    return row is not None and (row[0] > 0 or now + row[0] > _REST)


def step(connection: sqlite3.Connection, bodies: Bodies, now: int) -> None:
    """Encrypt some texts anew, or end: in the writer's open transaction."""
    row = connection.execute("SELECT value FROM state WHERE name=?", (POSITION,)).fetchone()
    if row is None:
        return
    if row[0] < 0:
        if now + row[0] > _REST:
            connection.execute("UPDATE dek SET state='spent', wrapped=NULL WHERE state='retired'")
            connection.execute("DELETE FROM state WHERE name=?", (POSITION,))
            keys.bump(connection)
        return
    retired = {number for (number,) in connection.execute("SELECT id FROM dek WHERE state='retired'")}
    rows = connection.execute(
        "SELECT rid, pat, body FROM res WHERE rid>=? ORDER BY rid LIMIT ?", (row[0], _STEP)
    ).fetchall()
    until, done = time.monotonic() + STEP_SECONDS, 0
    for rid, pat, body in rows:
        if time.monotonic() > until:
            break
        done += 1
        if body is not None and key_number(body)[0] in retired:
            again(connection, bodies, rid, pat, body, now)
    position = rows[done - 1][0] + 1 if done else row[0]
    if done == len(rows) < _STEP:
        position = -now
    connection.execute("UPDATE state SET value=? WHERE name=?", (position, POSITION))


def again(connection: sqlite3.Connection, bodies: Bodies, rid: int, pat: int, body: bytes, now: int) -> None:
    """Encrypt one text under the active key of whom it belongs to."""
    frame = bodies.pack(bodies.unpack(body, rid), rid, pat, now)
    connection.execute("UPDATE res SET body=? WHERE rid=?", (frame, rid))
