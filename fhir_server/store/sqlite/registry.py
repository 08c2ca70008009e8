"""Custom search parameters: SearchParameter resources in force, and the jobs that index older resources for them.

https://hl7.org/fhir/R4/searchparameter.html. A parameter's rows are written from the commit that brings it
(``state.registry`` counts such commits, and every writer looks at it under the write lock); its job indexes
what was there before, in small commits that also move the job on, so that it goes on after a crash. Only when
the job is complete may the parameter be searched.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fhir_server.search.custom import base_types, objection
from fhir_server.search.extract import Extractor
from fhir_server.search.rows import Rows
from fhir_server.store.sqlite import postings
from fhir_server.store.sqlite.bodies import Bodies
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.postings import CONTAINED, LISTING
from fhir_server.store.sqlite.schema import ALIVE, ELEMENTS
from profiles.definitions import SearchParameterDef
from profiles.lossless import parse

EVERYTHING = "*"  # the id of the job that makes all index rows anew
_TAKEN = "already"  # how the note begins where another SearchParameter has the code
_STEP = 200  # resources a commit, at most
STEP_SECONDS = 0.05  # and after so long no further one
_COLUMNS = "id, kind, target, status, position, last, done, total, note, started, beat"
_INDEXED = f"r.body IS NOT NULL AND (r.till={ALIVE} OR EXISTS(SELECT 1 FROM dead z WHERE z.rid=r.rid))"


class Indexing(Protocol):
    """What reindexing needs of the writer's transaction."""

    names: Names

    def index(self, rows: Rows, t: int, rid: int, whose: postings.Whose) -> None:
        """Gather index rows of a version that is there already."""

    def flush(self) -> None:
        """File what was gathered."""

    def end(self) -> None:
        """Write the counters."""


@dataclass(frozen=True, slots=True)
class Job:
    """One reindexing job. ``done`` of ``total`` resources; times in microseconds.

    ``status``: queued, running, completed, ignored (the resource gives no parameter; ``note`` says why).
    """

    id: str
    kind: str
    target: str
    status: str
    position: int
    last: int
    done: int
    total: int
    note: str
    started: int
    beat: int


def jobs(connection: sqlite3.Connection) -> list[Job]:
    """All jobs, the newest first."""
    return [Job(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM job ORDER BY started DESC, id")]


def unfinished(connection: sqlite3.Connection) -> list[str]:
    """The ids of the jobs that are queued or running."""
    return [row[0] for row in connection.execute("SELECT id FROM job WHERE status IN ('queued', 'running')")]


def version(connection: sqlite3.Connection) -> int:
    """How often the set of custom parameters (or what of them is searchable) has changed."""
    found: int = connection.execute("SELECT value FROM state WHERE name='registry'").fetchone()[0]
    return found


def refresh(connection: sqlite3.Connection, extractor: Extractor) -> None:
    """Bring the extractor up to the custom parameters in the file."""
    current = version(connection)
    if extractor.generation == current:
        return
    wanted: list[SearchParameterDef] = []
    building: set[str] = set()
    for job in jobs(connection):
        if job.status == "ignored" or job.kind != "parameter":
            continue
        definition, _ = _definition(connection, job.id, extractor)
        if definition is not None:
            wanted.append(definition)
            if job.status != "completed":
                building.add(definition.url)
    extractor.customize(wanted, frozenset(building), current)


def queue(connection: sqlite3.Connection, ids: Iterator[str] | list[str], last: int, now: int) -> None:
    """Start (again) the jobs of these SearchParameter ids; in the commit that changes them."""
    for id_ in ids:
        row = connection.execute("SELECT target FROM job WHERE id=?", (id_,)).fetchone()
        kind = "everything" if id_ == EVERYTHING else "parameter"
        connection.execute(
            f"INSERT OR REPLACE INTO job({_COLUMNS}) VALUES(?,?,?,'queued',0,?,0,0,'',?,?)",
            (id_, kind, row[0] if row else "", last, now, now),
        )
    connection.execute("UPDATE state SET value=value+1 WHERE name='registry'")


def _definition(
    connection: sqlite3.Connection, id_: str, extractor: Extractor
) -> tuple[SearchParameterDef | None, str]:
    """The parameter of a stored SearchParameter, or why it is none."""
    row = connection.execute(
        "SELECT r.body, r.rid FROM ent e JOIN type t ON t.t=e.t AND t.name='SearchParameter' JOIN res r ON r.rid=e.cur"
        " WHERE e.id=?",
        (id_,),
    ).fetchone()
    if row is None or row[0] is None:
        return None, "the SearchParameter is deleted"
    return custom_definition(parse(Bodies(connection).unpack(*row)), extractor)


def custom_definition(resource: dict[str, Any], extractor: Extractor) -> tuple[SearchParameterDef | None, str]:
    """The definition in a SearchParameter resource, or None and the reason why it has no effect."""
    if resource.get("status") != "active":
        return None, "its status is not active"
    url, code = resource.get("url", ""), resource.get("code", "")
    bases = tuple(resource.get("base", ()))
    for base in bases:
        known = extractor.standard_params(base).get(code)
        if known is not None:
            return None, f"{base} has the parameter '{code}' already ({known.url})"
    if not resource.get("expression"):
        return None, "it has no expression"
    components = tuple((x.get("definition", ""), x.get("expression", "")) for x in resource.get("component", ()))
    definition = SearchParameterDef(
        url=url,
        code=code,
        name=resource.get("name", code),
        type=resource.get("type", ""),
        base=bases,
        expression=resource["expression"],
        target=tuple(resource.get("target", ())),
        components=components,
        description=resource.get("description", ""),
    )
    reason = objection(definition, extractor.definitions)
    return (None, reason) if reason else (definition, "")


def step(connection: sqlite3.Connection, tx: Indexing, extractor: Extractor, now: int) -> bool:
    """One step of the first unfinished job, inside the caller's transaction; whether there is more to do."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM job WHERE status IN ('queued', 'running') ORDER BY started, id LIMIT 1"
    ).fetchone()
    if row is None:
        return False
    job = Job(*row)
    if job.status == "queued":
        _start(connection, tx, extractor, job, now)
    else:
        _advance(connection, tx, extractor, job, now)
    return True


def _start(connection: sqlite3.Connection, tx: Indexing, extractor: Extractor, job: Job, now: int) -> None:
    """Remove the rows of an earlier form of the parameter and count what is to be done."""
    if job.kind == "everything":
        for table in postings.COLUMNS:
            connection.execute(f"DELETE FROM {table}")
        keys, where, reason = "", "", ""
    else:
        for spot in filter(None, job.target.split(" ")):
            type_, code = spot.split(".")
            _drop(connection, tx.names, type_, code)
            _drop(connection, tx.names, CONTAINED + type_, code)
        definition, reason = _definition(connection, job.id, extractor)
        if definition is not None:
            spots = [f"{base}.{definition.code}" for base in base_types(definition, extractor.definitions)]
            keys, where = " ".join(spots), _holders(tx.names, spots)
            reason = _taken(connection, job.id, spots)
    if reason:
        connection.execute(
            "UPDATE job SET status='ignored', target='', note=?, beat=? WHERE id=?", (reason, now, job.id)
        )
        # What this one kept from others is free now.
        freed = f"UPDATE job SET status='queued' WHERE status='ignored' AND note LIKE '{_TAKEN}%' AND id<>?"
        if job.target:
            connection.execute(freed, (job.id,))
    else:
        total = connection.execute(f"SELECT count(*) FROM res r WHERE {_INDEXED} AND r.rid<=?{where}", (job.last,))
        connection.execute(
            "UPDATE job SET status='running', target=?, total=?, beat=? WHERE id=?",
            (keys, total.fetchone()[0], now, job.id),
        )
    connection.execute("UPDATE state SET value=value+1 WHERE name='registry'")


def _taken(connection: sqlite3.Connection, id_: str, spots: list[str]) -> str:
    """Why these parameters cannot be this job's: another SearchParameter has one of them; '' when none has."""
    others = connection.execute("SELECT id, target FROM job WHERE id<>? AND status IN ('running', 'completed')", (id_,))
    for other, target in others:
        for spot in set(spots) & set(target.split(" ")):
            return f"{_TAKEN} SearchParameter/{other} is for {spot}"
    return ""


def _holders(names: Names, spots: list[str]) -> str:
    """The condition on resources ``r`` of the parameters' types, or that contain one."""
    types = [spot.split(".")[0] for spot in spots]
    own = ",".join(str(names.type(type_)) for type_ in types)
    listings = ",".join(str(names.param(names.type(CONTAINED + type_), LISTING)) for type_ in types)
    inside = f"SELECT x.rid/{ELEMENTS} FROM tok x WHERE x.p IN ({listings}) AND x.code=''"
    return f" AND (r.t IN ({own}) OR r.rid IN ({inside}))"


def _drop(connection: sqlite3.Connection, names: Names, type_: str, code: str) -> None:
    """Remove all rows of one parameter of one type."""
    t = names.type(type_)
    numbers = connection.execute(
        "SELECT p FROM param WHERE t=? AND (key=? OR key LIKE ? OR key LIKE ?)", (t, code, f"{code}:%", f"{code}$%")
    ).fetchall()
    for (p,) in numbers:
        for table in postings.COLUMNS:
            connection.execute(f"DELETE FROM {table} WHERE p=?", (p,))
    bit = names.bit(t, code)
    if bit is not None and bit >= 0:
        connection.execute("UPDATE res SET present=present & ~(1<<?) WHERE t=?", (bit, t))


def _advance(connection: sqlite3.Connection, tx: Indexing, extractor: Extractor, job: Job, now: int) -> None:
    """Index the next resources of the job, and move it on in the same commit."""
    bodies = Bodies(connection)
    spots = dict(spot.split(".", 1) for spot in job.target.split(" ") if spot)
    where = _holders(tx.names, job.target.split(" ")) if spots else ""
    rows = connection.execute(
        "SELECT r.rid, r.t, r.present, r.body, r.pat, r.org, r.class, r.sensitivity FROM res r"
        f" WHERE r.rid>? AND r.rid<=? AND {_INDEXED}{where}"
        f" ORDER BY r.rid LIMIT {_STEP}",
        (job.position, job.last),
    ).fetchall()
    until, done = time.monotonic() + STEP_SECONDS, 0
    for rid, t, present, body, pat, org, *labels in rows:
        if time.monotonic() > until:  # writes are waiting: costly expressions must not hold them up
            break
        done += 1
        found = extractor.rows(parse(bodies.unpack(body, rid)))
        if spots:
            found = only(found, spots, tx.names.type_name(t))
        tx.index(found, t, rid, (pat, org, postings.label(*labels)))
        bits = (present if spots else 0) | postings.present_bits(found, t, tx.names)
        connection.execute("UPDATE res SET present=? WHERE rid=?", (bits, rid))
    tx.flush()
    tx.end()
    if done == len(rows) < _STEP:
        connection.execute("UPDATE job SET status='completed', done=done+?, beat=? WHERE id=?", (done, now, job.id))
        connection.execute("UPDATE state SET value=value+1 WHERE name='registry'")
    else:
        connection.execute(
            "UPDATE job SET position=?, done=done+?, beat=? WHERE id=?", (rows[done - 1][0], done, now, job.id)
        )


def only(rows: Rows, codes: Mapping[str, str], type_: str) -> Rows:
    """The rows of one parameter by type, its derived keys (``code:text``) and contained resources included."""
    part = Rows(date=rows.date, patients=rows.patients)
    code = codes.get(type_)
    if code is not None:
        for table in ("tok", "str", "dat", "qty", "ref", "geo"):
            found = [row for row in getattr(rows, table) if row[0] == code or row[0].startswith(f"{code}:")]
            getattr(part, table).extend(found)
        part.present = rows.present & {code}
    part.contained = [
        (number, kind, only(inner, codes, kind)) for number, kind, inner in rows.contained if kind in codes
    ]
    return part
