"""Faults of ours are told with an id under which the log has the cause, and with nothing else."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from consent import Access
from fhir_server.app import open_context
from fhir_server.errors import Unprocessable
from fhir_server.http.errors import error_response
from fhir_server.http.shell import Application, Started
from fhir_server.settings import Settings
from profiles.issues import Issue

SECRET = "110101199003070011"


def test_a_refusal_carries_all_its_issues() -> None:
    issues = [Issue("value", "a", ("Patient.gender",)), Issue("required", "b")]
    answer = error_response(Unprocessable.of(issues), "c", "PUT")
    assert answer.status == 422
    assert answer.resource == {
        "resourceType": "OperationOutcome",
        "issue": [
            {"severity": "error", "code": "value", "diagnostics": "a", "expression": ["Patient.gender"]},
            {"severity": "error", "code": "required", "diagnostics": "b"},
        ],
    }


@pytest.fixture
def broken(tmp_path: Path) -> Application:
    """An application whose handlers all fail with a text that quotes a record."""
    settings = Settings(data=tmp_path / "data", open=True)
    context = open_context(settings, Access.everything("test"))

    async def fail(*_: object) -> None:
        raise RuntimeError(f"could not file {SECRET}")

    table = context.routes
    routes = tuple(replace(route, handler=fail) for route in table.routes)
    failing = replace(context, routes=type(table)(table.resource_types, routes, ()))
    application = Application(settings, lambda: Started(failing, context.store.close))
    application._open()
    return application


def test_a_fault_shows_its_id_and_neither_text_nor_trace(broken: Application, caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=broken)
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
            return await client.get(f"/fhir/Patient?identifier={SECRET}")

    with caplog.at_level(logging.ERROR, "yidang"):
        answer = asyncio.run(ask())
    assert answer.status_code == 500
    issue = answer.json()["issue"][0]
    assert (issue["severity"], issue["code"]) == ("fatal", "exception")
    correlation = answer.headers["x-request-id"]
    assert correlation in issue["diagnostics"]
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text
    assert "RuntimeError" not in answer.text
    assert correlation in caplog.text
    assert "GET /{type}" in caplog.text
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text
