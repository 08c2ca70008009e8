"""A store with a few institutions, asked as any of them without HTTP: the real interactions on the real store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from consent import Access, Requester, Scope
from consent.policy import access_for
from fhir_server.app import open_context
from fhir_server.context import Context
from fhir_server.errors import FhirError
from fhir_server.http.dispatch import dispatch, path_segments, query_pairs
from fhir_server.http.exchange import Request, Response
from fhir_server.settings import Settings
from loaders.demo.identity import IDENTITY_NUMBER, OUTPATIENT_NUMBER, identity_number
from profiles.lossless import encode, parse

BASE = "http://test/fhir"
INSTITUTIONS = ("county", "town", "village")


@dataclass
class Answer:
    status: int
    json: Any
    headers: dict[str, str]


@dataclass
class Caller:
    """Somebody who asks: every call is one request."""

    context: Context

    def __call__(self, method: str, url: str, body: Any = None, **headers: str) -> Answer:
        parts = urlsplit(url)
        raw = b"" if body is None else json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(
            method, path_segments(parts.path), query_pairs(parts.query),
            {"content-type": "application/fhir+json", **names}, raw, BASE, "test",
        )  # fmt: skip
        try:
            answer = asyncio.run(dispatch(request, self.context))
        except FhirError as error:
            issues = [{"code": i.code, "diagnostics": i.diagnostics, "expression": i.expression} for i in error.issues]
            return Answer(error.status, {"resourceType": "OperationOutcome", "issue": issues}, {})
        return _read(answer)


def _read(answer: Response) -> Answer:
    text = answer.body or (encode(answer.resource) if answer.resource is not None else b"null")
    return Answer(answer.status, parse(text), dict(answer.headers))


@dataclass
class World:
    """The store and who may be asked as."""

    context: Context

    def everything(self) -> Caller:
        return Caller(self.context)

    def staff(self, institution: str, role: str = "system", purpose: str = "TREAT", name: str = "dr") -> Caller:
        scopes = (Scope("user", "*", "cruds"),)
        requester = Requester(
            "staff", f"Practitioner/{name}", "client", purpose, scopes, institution=institution, role=role
        )
        return self.by(requester)

    def steward(self) -> Caller:
        return self.staff("county", "steward", "HOPERAT", "steward")

    def resident(self, id: str) -> Caller:
        scopes = (Scope("patient", "*", "rs"),)
        return self.by(Requester("resident", f"Patient/{id}", "app", "PATRQT", scopes, person=id, patient=id))

    def by(self, requester: Requester) -> Caller:
        access = access_for(requester, self.context.clock())
        return Caller(replace(self.context, access=access, requester=requester))

    def tasks(self, kind: str = "duplicate-review") -> list[Any]:
        found = self.everything()("GET", f"Task?code={kind}&_count=100").json
        return [entry["resource"] for entry in found.get("entry", ())]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    context = open_context(Settings(data=tmp_path / "data"), Access.everything("test"))
    found = World(context)
    for id in INSTITUTIONS:
        body = {"resourceType": "Organization", "id": id, "name": id, "active": True}
        assert found.everything()("PUT", f"Organization/{id}", body).status == 201
    yield found
    context.store.close()


BORN = date(1980, 3, 2)
NUMBER = identity_number(7, BORN, False)


def patient(name: str = "张建国", number: str | None = NUMBER, local: str | None = None, **more: Any) -> dict[str, Any]:
    """A Patient as an institution sends it."""
    identifiers = list(more.pop("identifier", ()))
    if number:
        identifiers.append({"system": IDENTITY_NUMBER, "value": number})
    if local:
        identifiers.append({"system": OUTPATIENT_NUMBER, "value": local})
    found = {"resourceType": "Patient", "name": [{"text": name}], "gender": "male", "birthDate": "1980-03-02", **more}
    return {**found, "identifier": identifiers} if identifiers else found
