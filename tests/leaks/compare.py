"""Asks the same of a store under an Access and of a shadow that holds only what may be seen: the answers must agree.

A shadow is a store of its own, without any restriction, into which only the current resources that the oracle lets the
requester search were written, in the same order. Whatever a path does (joins, chains, includes, sorts, totals, pages),
its answer must be the one of a world in which the hidden does not exist.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from consent import Access, Requester, Scope
from consent.policy import access_for
from fhir_server.search.extract import Extractor
from fhir_server.search.parse import parse
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Stored
from fhir_server.store.sqlite import SqliteStore
from tests.leaks.oracle import Row, Who, visible
from tests.leaks.world import Loaded, open_store

EVERYTHING = Access.everything("leak suite")
MOST_PAGES = 200


def requester(who: Who) -> Requester:
    """The same requester as the product knows it."""
    return Requester(
        kind=who.kind,  # type: ignore[arg-type]
        subject=who.subject,
        client="leak-suite",
        purpose=who.purpose,
        scopes=tuple(Scope(scope.context, scope.type, scope.letters) for scope in who.scopes),
        institution=who.institution,
        department=who.department,
        role=who.role,
        person=who.person,
        patient=who.patient,
    )


def access(who: Who, world: Loaded) -> Access:
    return access_for(requester(who), world.clock[0])


def seen(world: Loaded, who: Who, letter: str) -> list[Row]:
    """The versions that the oracle lets the requester see, in the order of their commits."""
    now, today = world.clock[0], world.today
    return [row for row in world.facts.rows if visible(world.facts, row, who, letter, now, today)]


@dataclass(frozen=True)
class Outcome:
    """What a search gives: the matches of all pages in order, all included, and the total."""

    matches: tuple[str, ...]
    includes: tuple[str, ...]
    total: int | None


class Asked:
    """A store asked on someone's behalf; one event loop for all its questions."""

    def __init__(self, store: SqliteStore, extractor: Extractor, access: Access) -> None:
        self.store, self.extractor, self.access = store, extractor, access

    def search(self, path: str, now: int) -> Outcome:
        return _loop().run_until_complete(self._search(path, now))

    async def _search(self, path: str, now: int) -> Outcome:
        type, _, query = path.partition("?")
        pairs = [*parse_qsl(query, keep_blank_values=True), ("_total", "accurate")]
        asked = parse((type,), pairs, self.extractor, now=now).query
        matches: list[str] = []
        includes: set[str] = set()
        page = await self.store.search(asked, self.access)
        total = page.total
        for _ in range(MOST_PAGES):
            matches += [_name(one) for one in page.matches]
            includes |= {_name(one) for one in page.includes}
            if page.cursor is None:
                return Outcome(tuple(matches), tuple(sorted(includes)), total)
            page = await self.store.search(asked, self.access, page.cursor)
        raise AssertionError(f"{path} has no last page")


def _name(one: Stored) -> str:
    return f"{one.type}/{one.id}"


_LOOP: list[asyncio.AbstractEventLoop] = []


def _loop() -> asyncio.AbstractEventLoop:
    if not _LOOP:
        _LOOP.append(asyncio.new_event_loop())
    return _LOOP[0]


def run(work: object) -> object:
    return _loop().run_until_complete(work)  # type: ignore[arg-type]


def shadow(world: Loaded, who: Who, folder: Path) -> Asked:
    """The world as it would be if there were nothing but what ``who`` may search."""
    fill_shadow(world, who, folder)
    store, extractor = open_store(folder, [world.clock[0]])
    return Asked(store, extractor, EVERYTHING)


def fill_shadow(world: Loaded, who: Who, folder: Path) -> None:
    """Write a shadow into the (fresh) folder."""
    store, extractor = open_store(folder, [world.clock[0]])
    current = set(world.current.values())
    rows = [row for row in seen(world, who, "s") if row in current and not row.deleted]
    ready = []
    for row in rows:
        resource = world.resources[(row.type, row.id, row.version)]
        assert resource is not None
        ready.append(prepare(resource, row.id, extractor))
    store.write_now(lambda tx: [tx.put(one, "PUT") for one in ready], EVERYTHING)
    store.close()
