"""Index rows as the tuples of their tables: the same function files them, checks them and purges them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from fhir_server.search.rows import Rows
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.schema import CLASSES, ELEMENTS, LONG_SPAN, UNDATED

CONTAINED = "#"  # before the name of a type: the resources of that type that others contain
PATIENT_CODE = "code@patient"  # index key of codes within one patient's record
_MOST_SETS = 20_000
LISTING = "_all"  # index key under which every resource of a type stands, newest first
Lid = Callable[[str, str], int]
Tables = dict[str, list[tuple[Any, ...]]]
Whose = tuple[int, int, int]  # the last columns of tok and ref: pat, org, label
NOBODYS: Whose = (0, 0, 0)

COLUMNS = {
    "tok": ("p", "code", "sk", "rid", "s", "pat", "org", "label"),
    "ref": ("p", "key", "sk", "rid", "pat", "org", "label"),
    "link": ("rid", "p", "key"),
    "str": ("p", "v", "rid", "exact"),
    "txt": ("p", "v", "rid"),
    "dat": ("rid", "p", "long", "low", "high"),
    "qty": ("rid", "p", "wide", "low", "high", "s", "code"),
    "geo": ("p", "latitude", "longitude", "rid"),
}
_KEYS = {
    "tok": 5,
    "ref": 4,
    "link": 3,
    "str": 4,
    "txt": 3,
    "dat": 5,
    "qty": 7,
    "geo": 4,
}  # leading columns that identify a row
INSERT = {
    table: f"INSERT OR IGNORE INTO {table} VALUES({','.join('?' * len(columns))})" for table, columns in COLUMNS.items()
}
DELETE = {
    table: f"DELETE FROM {table} WHERE " + " AND ".join(f"{column}=?" for column in columns[: _KEYS[table]])
    for table, columns in COLUMNS.items()
}
EXISTS = {
    table: f"SELECT 1 FROM {table} WHERE " + " AND ".join(f"{column}=?" for column in columns[: _KEYS[table]])
    for table, columns in COLUMNS.items()
}


def key_of(table: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The part of a table row that identifies it (for DELETE and EXISTS)."""
    return row[: _KEYS[table]]


def is_text(key: str) -> bool:
    """Whether an index key holds the texts of tokens: those are only searched, never sorted by."""
    return key.endswith(":text")


def patient_code(lid: int, code: str) -> str:
    """The value under PATIENT_CODE: one code of one patient, so that a long record need not be walked for it."""
    return f"{lid}|{code}"


def sort_key(rows: Rows) -> int:
    """``sk``: minus the clinical date in milliseconds, UNDATED without one."""
    return UNDATED if rows.date is None else -rows.date


def label(record_class: int, sensitivity: int) -> int:
    """Record class and sensitivities as one number."""
    return record_class | sensitivity << CLASSES


def tables(rows: Rows, t: int, rid: int, whose: Whose, names: Names, lid: Lid, out: Tables) -> None:
    """Append the table rows of one resource version to ``out``.

    ``whose``: the access columns. ``lid(type, id)`` gives the lasting number of a referenced resource.
    """
    sk = sort_key(rows)
    params, system = names.params(t), names.system
    tok = out["tok"]
    tok.append((params[LISTING], "", sk, rid, 0, *whose))
    for key, uri, code in rows.tok:
        tok.append((params[key], code, sk, rid, system(uri), *whose))
        if key == "code":
            for patient in rows.patients:
                of_patient = patient_code(lid("Patient", patient), code)
                tok.append((params[PATIENT_CODE], of_patient, sk, rid, system(uri), *whose))
    if rows.ref:
        ref, link = out["ref"], out["link"]
        for key, type_, id_ in rows.ref:
            p, target = params[key], lid(type_, id_)
            ref.append((p, target, sk, rid, *whose))
            link.append((rid, p, target))
    for key, v, exact in rows.str:
        if is_text(key):
            out["txt"].append((params[key], v, rid))
        else:
            out["str"].append((params[key], v, rid, "" if exact == v else exact))
    for key, low, high in rows.dat:
        out["dat"].append((rid, params[key], int(high - low > LONG_SPAN), low, high))
    for key, least, most, uri, code in rows.qty:
        out["qty"].append((rid, params[key], int(least != most), least, most, system(uri), code))
    for key, latitude, longitude in rows.geo:
        out["geo"].append((params[key], latitude, longitude, rid))
    if rows.elements:
        _elements(rows, t, rid, names, lid, out)
    for number, type_, part in rows.contained[:ELEMENTS]:
        part.date = None
        tables(part, names.type(CONTAINED + type_), rid * ELEMENTS + number, whose, names, lid, out)


def _elements(rows: Rows, t: int, rid: int, names: Names, lid: Lid, out: Tables) -> None:
    """Rows of composite components: the same tables under the number of the element."""
    for number, kind, row in rows.elements:
        if number >= ELEMENTS:
            continue
        part = Rows()
        getattr(part, kind).append(row)
        found: Tables = {table: [] for table in COLUMNS}
        tables(part, t, rid * ELEMENTS + number, NOBODYS, names, lid, found)
        for table, entries in found.items():
            # The listing row of ``tables`` is for whole resources only; sk means nothing for elements.
            out[table].extend(entries[1:] if table == "tok" else entries)


def present_bits(rows: Rows, t: int, names: Names) -> int:
    """``res.present``: the bits of the parameters that have a value."""
    found = frozenset(rows.present)
    known = names.sets.get((t, found))
    if known is not None:
        return known
    bits = 0
    for code in rows.present:
        bit = names.bit(t, code)
        if bit is not None and bit >= 0:
            bits |= 1 << bit
    if len(names.sets) < _MOST_SETS:
        names.sets[t, found] = bits
    return bits


def empty() -> Tables:
    """A fresh set of table rows to append to."""
    return {table: [] for table in COLUMNS}


def file_rows(connection: sqlite3.Connection, found: Tables) -> None:
    """Insert the rows, each table in key order (neighbours share pages), and empty the lists."""
    for table, entries in found.items():
        if entries:
            if len(entries) > 64:
                entries.sort()
            connection.executemany(INSERT[table], entries)
            entries.clear()


def remove_rows(connection: sqlite3.Connection, found: Tables) -> None:
    """Delete exactly these rows."""
    for table, entries in found.items():
        if entries:
            connection.executemany(DELETE[table], [key_of(table, entry) for entry in entries])
