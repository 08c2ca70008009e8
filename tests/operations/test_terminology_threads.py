"""Terminology operations that bring definitions along are worked out beside the event loop, in threads of their own."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from consent import Access
from fhir_server.app import open_context
from fhir_server.http.dispatch import dispatch
from fhir_server.http.exchange import Request
from fhir_server.operations import terminology
from fhir_server.settings import Settings

VALUESET = {"resourceType": "ValueSet", "status": "active", "compose": {"include": [{"system": "urn:x"}]}}
PARTS = [{"name": "valueSet", "resource": VALUESET}, {"name": "system", "valueUri": "urn:x"}]
ASKED = {"resourceType": "Parameters", "parameter": [*PARTS, {"name": "code", "valueCode": "a"}]}


@pytest.mark.parametrize("operation", ["$validate-code", "$expand"])
@pytest.mark.parametrize("of_batch", [False, True])
def test_definitions_that_come_along_are_worked_with_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, of_batch: bool
) -> None:
    threads: list[str] = []
    real = terminology._answer

    def told(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return real(*arguments)

    monkeypatch.setattr(terminology, "_answer", told)

    async def ask() -> None:
        context = open_context(Settings(data=tmp_path), Access.everything("test"))
        body, resource = (b"", ASKED) if of_batch else (json.dumps(ASKED).encode(), None)
        request = Request("POST", ("ValueSet", operation), [], {}, body, "http://h/fhir", "c", resource=resource)
        try:
            await dispatch(request, context)
        finally:
            context.store.close()

    asyncio.run(ask())
    assert [name.rpartition("_")[0] for name in threads] == ["yidang-terminology"]
