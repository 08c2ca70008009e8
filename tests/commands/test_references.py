"""``yidang references install``: what is shipped comes in once, and what administrators changed stays theirs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fhir_server.context import Context
from fhir_server.local import open_records
from fhir_server.records.references import references
from fhir_server.records.shipped import Installed, install
from fhir_server.store.prepare import prepare
from profiles.lossless import encode, parse
from terminology.references import Verdict, definitions, interpret

UCUM = "http://unitsofmeasure.org"


@pytest.fixture
def records(tmp_path: Path) -> Any:
    context = open_records(tmp_path / "data", "test")
    yield context
    context.store.close()


def change(context: Context, type: str, id: str, by: Callable[[dict[str, Any]], None]) -> None:
    stored = context.store.read(type, id, context.access)
    assert stored is not None and stored.body is not None
    found = parse(stored.body)
    by(found)
    prepared = prepare(parse(encode(found)), id, context.extractor)
    asyncio.run(context.store.write(lambda t: t.put(prepared, "PUT"), context.access))


def test_installing_twice_writes_once(
    tmp_path: Path, yidang: Callable[..., int], counted: Callable[[Path], Counter[str]], capsys: Any
) -> None:
    for _ in range(2):
        assert yidang("references", "install", "--data", tmp_path / "data") == 0
    shipped = Counter(one["resourceType"] for one in definitions())
    assert counted(tmp_path / "data") == shipped
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{shipped.total()} definitions written")
    assert second.startswith(f"0 definitions written, {shipped.total()} there already")


def test_what_was_changed_or_deleted_here_is_left_alone_and_the_rest_is_renewed(records: Context) -> None:
    shipped = definitions()
    assert asyncio.run(install(shipped, records)) == Installed(written=len(shipped))

    def higher(found: dict[str, Any]) -> None:
        for interval in found["qualifiedInterval"]:
            if interval["category"] == "critical":
                interval["range"]["high"]["value"] = 6.0

    change(records, "ObservationDefinition", "reference-2823-3", higher)
    asyncio.run(records.store.write(lambda t: t.delete("ObservationDefinition", "reference-1988-5"), records.access))
    newer = deepcopy(shipped)
    for one in newer:
        if one["resourceType"] == "ObservationDefinition":
            one["preferredReportName"] += "（新版）"
    changes = sum(one["resourceType"] == "ObservationDefinition" for one in shipped) - 2
    assert asyncio.run(install(newer, records)) == Installed(changes, len(shipped) - changes - 2, 2)
    assert asyncio.run(install(newer, records)) == Installed(0, len(shipped) - 2, 2)
    known = asyncio.run(references(records))
    value = {"value": 6.1, "system": UCUM, "code": "mmol/L"}
    assert interpret(known, "2823-3", value, "male", 50).verdict is Verdict.CRITICAL_HIGH
    assert interpret(known, "1988-5", {"value": 5, "code": "mg/L"}, "male", 50).verdict is Verdict.UNKNOWN
    change(records, "ObservationDefinition", "reference-2823-3", lambda one: one["qualifiedInterval"].clear())
    known = asyncio.run(references(records))
    assert interpret(known, "2823-3", value, "male", 50).verdict is Verdict.UNKNOWN, "a change holds at once"
