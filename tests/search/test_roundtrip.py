"""What the extractor files, a search written from it finds: every parameter of the official examples."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_server.search.extract import Extractor
from fhir_server.search.parse import parse as parse_search
from fhir_server.search.plan import BUILT_IN, Indexed
from fhir_server.search.rows import Rows
from profiles.lossless import parse

from .oracle import elements, evaluate

EXAMPLES = Path(__file__).parents[2] / ".." / "shared" / "fhir" / "r4" / "examples.ndjson.gz"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEARS = 8_000 * 365 * 86_400 * 1_000_000
NOW = 1_700_000_000_000_000
TABLES = {"token": "tok", "uri": "tok", "string": "str", "date": "dat", "number": "qty", "quantity": "qty"}


def escaped(text: str) -> str:
    return "".join("\\" + c if c in "\\,|$" else c for c in text)


def instant(at: int) -> str:
    return (EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def asked(kind: str, row: tuple[Any, ...]) -> tuple[str, str] | None:
    """A modifier and a value that ask for just this row; None where the row is out of what a URL can say."""
    match kind:
        case "token":
            return "", f"{escaped(row[1])}|{escaped(row[2])}" if row[1] else escaped(row[2])
        case "uri":
            return "", escaped(row[2]) if not row[1] else f"{row[2]}|{row[1]}"
        case "string":
            return (":exact", escaped(row[2])) if row[2].isprintable() and row[2].strip() else None
        case "date":
            low, high = row[1], row[2]
            return ("", f"ge{instant(low)}") if abs(low) < YEARS else ("", f"le{instant(high)}")
        case "number" | "quantity":
            low = row[1]
            value = f"ge{low:f}" if math.isfinite(low) else f"le{row[2]:f}"
            return "", value if kind == "number" or not row[3] else f"{value}|{escaped(row[3])}|{escaped(row[4])}"
    return None


def rows_of(rows: Rows, kind: str, keys: set[str]) -> list[tuple[Any, ...]]:
    return [row for row in getattr(rows, TABLES[kind]) if row[0] in keys]


def questions(rows: Rows, indexed: Indexed) -> Iterator[tuple[str, str]]:
    """Modifiers and values of searches that must find the resource."""
    if indexed.kind == "reference":
        for source in indexed.sources:
            for key, type_, id_ in rows.ref:
                if key == source.key and source.target in (None, type_):
                    yield "", f"{type_}/{id_}"
        return
    if indexed.kind == "composite":
        yield from composite_questions(rows, indexed)
        return
    for row in rows_of(rows, indexed.kind, {s.key for s in indexed.sources}):
        found = asked(indexed.kind, row)
        if found is not None and found[1]:
            yield found


def composite_questions(rows: Rows, indexed: Indexed) -> Iterator[tuple[str, str]]:
    for part in indexed.parts:
        for place in [rows] if part.root else elements(rows):
            values = [next((v for m, v in questions(place, c) if not m), None) for c in part.components]
            if all(values):
                yield "", "$".join(v for v in values if v)


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the shared folder with the official examples is absent")
def test_every_parameter_of_the_examples_finds_them(extractor: Extractor) -> None:
    tried: set[tuple[str, str]] = set()
    with gzip.open(EXAMPLES) as lines:
        for line in lines:
            resource = parse(line)
            type_, rows = resource["resourceType"], extractor.rows(resource)
            for code, indexed in extractor.indexed(type_).items():
                if code in BUILT_IN or indexed.kind == "special" or (type_, code) in tried:
                    continue
                for modifier, value in list(questions(rows, indexed))[:2]:
                    query = parse_search((type_,), [(code + modifier, value)], extractor, now=NOW).query
                    assert evaluate(query, {(type_, "x"): rows}), (type_, code, modifier, value)
                    tried.add((type_, code))
    assert len(tried) > 1000
