"""A store of its own for each test, with the real extractor, and small resources to put into it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from consent import Access
from fhir_server.search.extract import Extractor
from fhir_server.search.parse import parse as parse_search
from fhir_server.search.tree import Query
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Page, Prepared, Stored, Transaction
from fhir_server.store.sqlite import SqliteStore
from profiles.definitions import load

EVERYTHING = Access.everything("test")
Resource = dict[str, Any]


class Bench:
    """A store and short ways to write and ask it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.extractor = Extractor(load())
        self.folder = folder
        self.settings = settings
        self.store = SqliteStore.open(folder, self.extractor, **settings)

    def prepared(self, resource: Resource) -> Prepared:
        return prepare(resource, resource["id"], self.extractor)

    def put(self, *resources: Resource) -> list[Stored]:
        ready = [self.prepared(resource) for resource in resources]
        return self.store.write_now(lambda tx: [tx.put(one, "PUT") for one in ready], EVERYTHING)

    def delete(self, type: str, id: str) -> Stored | None:
        return self.store.write_now(lambda tx: tx.delete(type, id), EVERYTHING)

    def write(self, work: Callable[[Transaction], Any]) -> Any:
        return self.store.write_now(work, EVERYTHING)

    def query(self, type: str, search: str = "", **settings: Any) -> Query:
        pairs = [tuple(part.split("=", 1)) for part in search.split("&") if part]
        return parse_search((type,), pairs, self.extractor, **settings).query

    def page(self, type: str, search: str = "", cursor: str | None = None) -> Page:
        return run(self.store.search(self.query(type, search), EVERYTHING, cursor))

    def ids(self, type: str, search: str = "") -> list[str]:
        """The ids of all matches, page by page."""
        found: list[str] = []
        page = self.page(type, search)
        while True:
            found += [match.id for match in page.matches]
            if page.cursor is None:
                return found
            page = self.page(type, search, page.cursor)

    def total(self, type: str, search: str = "") -> int:
        return run(self.store.count(self.query(type, search), EVERYTHING))

    def restart(self) -> None:
        self.store.close()
        self.restart_closed()

    def restart_closed(self) -> None:
        self.extractor = Extractor(load())
        self.store = SqliteStore.open(self.folder, self.extractor, **self.settings)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def patient(id: str, family: str = "王", given: str = "小明", **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": id, "name": [{"family": family, "given": [given]}], **more}


def observation(id: str, patient: str = "p", code: str = "a", date: str | None = "2024-01-01", **more: Any) -> Resource:
    made = {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
        **more,
    }
    return made if date is None else {**made, "effectiveDateTime": date}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "data")
    yield made
    made.store.close()
