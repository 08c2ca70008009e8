"""Walking all pages while others write gives exactly the matches of the first page's moment, each once, in order.

https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import pytest

from tests.robustness.api import Api, Resource, matches, next_link
from tests.robustness.nursery import Fork, Nursery, free_port
from tests.robustness.world import SHANGHAI, Finding, Person, Record, World

INCLUDE_MAX = 7
SEED = int(os.environ.get("YIDANG_TEST_SEED") or random.randrange(10**6))
Records = dict[str, Record]
Test = Callable[[Any, Records], bool]


def born(person: Record | None) -> date | None:
    """The first day of a birth date that may be short of month and day."""
    text = person.born if isinstance(person, Person) else None
    return date.fromisoformat(f"{text}-01-01"[:10]) if text else None


def subject(finding: Finding, records: Records) -> Record | None:
    return records.get(f"Patient/{finding.subject}")


def coded(person: Person, records: Records, code: str) -> bool:
    return any(isinstance(r, Finding) and r.subject == person.id and r.code == code for r in records.values())


def late(finding: Finding) -> bool:
    moment = finding.moment
    return moment is not None and moment >= datetime(2026, 5, 1, tzinfo=SHANGHAI)


#: Each search with what it must find, as the model sees it.
SEARCHES: dict[str, Test] = {
    "Observation": lambda r, _: r.type == "Observation",
    "Observation?code=A": lambda r, _: r.type == "Observation" and r.code == "A",
    "Observation?code=urn:code|A,urn:code|C": lambda r, _: r.type == "Observation" and r.code != "B",
    "Observation?subject=Patient/p3": lambda r, _: r.type == "Observation" and r.subject == "p3",
    "Observation?patient=p3,p4,p5&code=A&_sort=-date": lambda r, _: (
        r.type == "Observation" and r.subject in ("p3", "p4", "p5") and r.code == "A"
    ),
    "Observation?_sort=date,-value-quantity": lambda r, _: r.type == "Observation",
    "Observation?_sort=-date,code,_id": lambda r, _: r.type == "Observation",
    "Observation?_sort=-value-quantity": lambda r, _: r.type == "Observation",
    "Observation?_sort=code,value-quantity,-date": lambda r, _: r.type == "Observation",
    "Observation?_sort=subject,-_id": lambda r, _: r.type == "Observation",
    "Observation?code:not=A&_sort=_lastUpdated": lambda r, _: r.type == "Observation" and r.code != "A",
    "Observation?code=B&_sort=-_lastUpdated": lambda r, _: r.type == "Observation" and r.code == "B",
    "Observation?date:missing=true": lambda r, _: r.type == "Observation" and r.at is None,
    "Observation?date=ge2026-05-01&_sort=date": lambda r, _: r.type == "Observation" and late(r),
    "Observation?value-quantity=gt50&_sort=value-quantity": lambda r, _: (
        r.type == "Observation" and r.value is not None and r.value > 50
    ),
    "Observation?patient.birthdate=ge1980-05-01&_sort=-date": lambda r, all: (
        r.type == "Observation" and (born(subject(r, all)) or date.min) >= date(1980, 5, 1)
    ),
    "Observation?patient.name=王&code=A": lambda r, all: (
        r.type == "Observation" and r.code == "A" and "王" in getattr(subject(r, all), "text", "")
    ),
    "Patient?name=王": lambda r, _: r.type == "Patient" and r.text.startswith("王"),
    "Patient?_content=小明": lambda r, _: r.type == "Patient" and "小明" in r.text,
    "Patient?_content=王&_sort=-_id": lambda r, _: r.type == "Patient" and "王" in r.text,
    "Patient?name:contains=明": lambda r, _: r.type == "Patient" and "明" in r.text,
    'Observation?_filter=code eq "urn:code|A" and value-quantity gt 20': lambda r, _: (
        r.type == "Observation" and r.code == "A" and r.value is not None and r.value > 20
    ),
    "Observation?code:not=A,B&value-quantity:missing=true": lambda r, _: (
        r.type == "Observation" and r.code == "C" and r.value is None
    ),
    "Observation?code-value-quantity=urn:code|B$lt50": lambda r, _: (
        r.type == "Observation" and r.code == "B" and r.value is not None and r.value < 50
    ),
    "Patient?_sort=-birthdate,family": lambda r, _: r.type == "Patient",
    "Patient?_sort=family,birthdate,-_id": lambda r, _: r.type == "Patient",
    "Patient?_has:Observation:patient:code=A&_sort=_id": lambda r, all: r.type == "Patient" and coded(r, all, "A"),
    "?_tag=world": lambda r, _: True,
    "?_type=Patient,Observation&_sort=-_lastUpdated": lambda r, _: True,
    "?_type=Observation,Patient&_tag=world&_sort=_id": lambda r, _: True,
}

SORT_VALUES: dict[str, Callable[[Any], Any]] = {
    "date": lambda r: r.moment,
    "value-quantity": lambda r: r.value,
    "code": lambda r: r.code,
    "subject": lambda r: r.subject,
    "_id": lambda r: r.id,
    "birthdate": born,
    "family": lambda r: r.family.lower() if r.family else None,
}


@pytest.fixture(scope="module")
def walked(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fork]:
    environment = {"YIDANG_INCLUDE_MAX": str(INCLUDE_MAX)}
    server = nursery.serve(tmp_path_factory.mktemp("walk") / "data", free_port(), environment=environment)
    server.ready().close()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def world(walked: Fork) -> Iterator[World]:
    print(f"seed {SEED}")
    made = World(walked.url, SEED)
    with made.live():
        yield made
    assert not made.failures, made.failures[0]


@pytest.fixture
def reader(walked: Fork) -> Iterator[Api]:
    found = Api(walked.url)
    yield found
    found.close()


def with_count(search: str, count: int) -> str:
    return f"{search}{'&' if '?' in search else '?'}_total=accurate&_count={count}"


def names(entries: list[Resource]) -> list[tuple[str, int]]:
    """``Type/id`` and version of each entry."""
    found = [entry["resource"] for entry in entries]
    return [(f"{r['resourceType']}/{r['id']}", int(r["meta"]["versionId"])) for r in found]


def walk_on(reader: Api, world: World, first: Resource) -> list[Resource]:
    """The pages that follow, with writes between them."""
    pages = [first]
    while (following := next_link(pages[-1])) is not None:
        world.gate.wait_for_more(2)
        answer = reader.get(following)
        assert answer.status == 200, answer.body
        pages.append(answer.json)
    return pages


def in_order(found: list[Record], search: str) -> bool:
    """Whether the records stand in the order that the search asks for; without a value they come last."""
    keys = search.partition("_sort=")[2].split("&")[0].split(",") if "_sort=" in search else []
    for before, after in itertools.pairwise(found):
        for key in keys:
            value = SORT_VALUES.get(key.removeprefix("-"))
            if value is None:
                break
            a, b = value(before), value(after)
            if a == b:
                continue
            if a is None or (b is not None and (a < b) == key.startswith("-")):
                return False
            break
    return True


@pytest.mark.parametrize("search", SEARCHES)
def test_a_walk_gives_the_matches_of_its_first_moment(world: World, reader: Api, search: str) -> None:
    chance = random.Random(f"{SEED}{search}")
    test = SEARCHES[search]
    with world.gate.closed():
        records = dict(world.records)
        whole = reader.get(with_count(search, 1000)).json
        first = reader.get(with_count(search, chance.randrange(2, 25))).json
    expected = {name for name, record in records.items() if test(record, records)}
    found = names(matches(whole))
    assert {name for name, _ in found} == expected
    assert dict(found) == {name: records[name].version for name in expected}
    assert in_order([records[name] for name, _ in found], search)
    pages = walk_on(reader, world, first)
    assert [name for page in pages for name in names(matches(page))] == found
    assert {page["total"] for page in pages} == {len(expected)}
    assert all("entry" in page for page in pages) or not expected


def included(pages: list[Resource]) -> list[tuple[str, int]]:
    return [name for page in pages for name in names(matches(page, "include"))]


@pytest.mark.parametrize("count", [4, 30])
def test_included_subjects_are_those_of_the_first_moment(world: World, reader: Api, count: int) -> None:
    search = with_count("Observation?code=A,B&_include=Observation:subject", count)
    with world.gate.closed():
        records = dict(world.records)
        first = reader.get(search).json
    pages = walk_on(reader, world, first)
    found = [r for r in records.values() if isinstance(r, Finding) and r.code in "AB"]
    assert sorted(n for page in pages for n in names(matches(page))) == sorted(
        (f"Observation/{r.id}", r.version) for r in found
    )
    subjects = {f"Patient/{r.subject}" for r in found}
    assert set(included(pages)) == {(n, records[n].version) for n in subjects if n in records}
    assert all(len(matches(page, "include")) <= INCLUDE_MAX for page in pages)


def test_a_cut_of_included_resources_goes_on_by_link_until_all_are_there(world: World, reader: Api) -> None:
    search = with_count("Patient?_sort=_id&_revinclude=Observation:subject", 3)
    with world.gate.closed():
        records = dict(world.records)
        first = reader.get(search).json
    pages = walk_on(reader, world, first)
    people = sorted((n, r.version) for n, r in records.items() if isinstance(r, Person))
    assert [name for page in pages for name in names(matches(page))] == people
    ids = {name.partition("/")[2] for name, _ in people}
    about = sorted((n, r.version) for n, r in records.items() if isinstance(r, Finding) and r.subject in ids)
    assert sorted(included(pages)) == about
    assert len(pages) > len(people) / 3
    # No page of matches begins before the included resources of the page before it are all there.
    for number, page in enumerate(pages[1:], 1):
        if matches(page):
            so_far = pages[:number]
            shown = {entry["resource"]["id"] for earlier in so_far for entry in matches(earlier)}
            wanted = {name for name, _ in about if getattr(records[name], "subject", "") in shown}
            assert wanted <= {name for name, _ in included(so_far)}


def test_a_history_walk_gives_each_version_of_its_first_moment_once(world: World, reader: Api) -> None:
    for path in ("_history", "Observation/_history", "Patient/p1/_history"):
        with world.gate.closed():
            whole = reader.walk(f"{path}?_count=1000")
            first = reader.get(f"{path}?_count=60" if "p1" not in path else f"{path}?_count=2").json
        everything = [version_of(entry) for page in whole for entry in page.get("entry", [])]
        assert len(set(everything)) == len(everything) == first["total"]
        pages = walk_on(reader, world, first)
        assert [version_of(entry) for page in pages for entry in page.get("entry", [])] == everything


def version_of(entry: Resource) -> tuple[str, str]:
    return entry["fullUrl"], entry["response"]["etag"]


def test_everything_of_a_patient_is_whole_over_its_pages(world: World, reader: Api) -> None:
    for number in (0, 3, 6):
        with world.gate.closed():
            records = dict(world.records)
            answer = reader.get(f"Patient/p{number}/$everything?_count=3")
        if f"Patient/p{number}" not in records:
            assert answer.status in (404, 410)
            continue
        pages = walk_on(reader, world, answer.json)
        found = [name for page in pages for name in names(page.get("entry", []))]
        about = {
            (name, record.version)
            for name, record in records.items()
            if name == f"Patient/p{number}" or getattr(record, "subject", "") == f"p{number}"
        }
        assert sorted(found) == sorted(about)


def of_each_process(url: str) -> list[Api]:
    """A connection to each of two server processes, which tell themselves apart by their correlation ids."""
    found: dict[str, Api] = {}
    end = time.monotonic() + 30
    while len(found) < 2:
        assert time.monotonic() < end, "only one process answers"
        api = Api(url)
        found.setdefault(api.get("Patient/p1").headers["x-request-id"].partition("-")[0], api)
    return list(found.values())


def test_a_walk_goes_on_in_another_process(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> None:
    server = nursery.serve(tmp_path_factory.mktemp("processes") / "data", free_port(), "--workers", "2")
    server.ready().close()
    world = World(server.url, SEED)
    turns = itertools.cycle(of_each_process(server.url))
    with world.live():
        world.gate.wait_for_more(1)
        with world.gate.closed():
            expected = sorted((n, r.version) for n, r in world.records.items() if isinstance(r, Finding))
            pages = [next(turns).get("Observation?_sort=-date&_count=6").json]
        while (following := next_link(pages[-1])) is not None:
            world.gate.wait_for_more(1)
            pages.append(next(turns).get(following).json)
    assert sorted(name for page in pages for name in names(matches(page))) == expected
    assert not world.failures
    assert server.stop() == 0


def cursor_of(reader: Api, search: str) -> str:
    following = next_link(reader.get(search).json)
    assert following is not None
    return following


def test_a_changed_cursor_is_refused(world: World, reader: Api) -> None:
    following = cursor_of(reader, "Observation?code=A&_count=3")
    head, mark, cursor = following.partition("_cursor=")
    chance = random.Random(SEED)
    for _ in range(40):
        place = chance.randrange(len(cursor) - 1)  # the last character has bits that carry nothing
        other = chance.choice([c for c in "AZaz09-_" if c != cursor[place]])
        answer = reader.get(f"{head}{mark}{cursor[:place]}{other}{cursor[place + 1 :]}")
        assert answer.status == 400, cursor
        assert answer.json["issue"][0]["expression"] == ["http._cursor"]
    for junk in ("", "x", cursor[:-7], cursor + "AAAA", "%00", "..%2F", "é", "a" * 5000):
        assert reader.get(f"{head}{mark}{junk}".replace("é", "%C3%A9")).status == 400, junk
    assert reader.get(following).status == 200


def test_the_cursor_of_another_search_is_refused(world: World, reader: Api) -> None:
    cursor = cursor_of(reader, "Observation?code=A&_count=3").partition("_cursor=")[2]
    for other in (
        "Observation?code=B&_count=3",
        "Observation?_count=3",
        "Patient?_count=3",
        "Observation?code=A&_count=3&_sort=date",
        "?_type=Observation&code=A&_count=3",
        "Patient/p1/Observation?code=A&_count=3",
    ):
        assert reader.get(f"{other}&_cursor={cursor}").status == 400, other


def test_a_cursor_outlives_the_server_process(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> None:
    data, port = tmp_path_factory.mktemp("again") / "data", free_port()
    server = nursery.serve(data, port)
    api = server.ready()
    for number in range(10):
        assert api.put(f"Patient/p{number}", {"resourceType": "Patient", "id": f"p{number}"}).status == 201
    first = api.get("Patient?_count=4&_sort=_id").json
    assert api.delete("Patient/p7").status == 204
    api.close()
    assert server.stop() == 0
    again = nursery.serve(data, port)
    api = again.ready()
    rest = [entry["resource"]["id"] for page in api.walk(next_link(first) or "") for entry in matches(page)]
    assert rest == ["p4", "p5", "p6", "p7", "p8", "p9"]
    api.close()
    again.kill()


def test_a_cursor_that_has_expired_is_gone(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Once the versions of its moment are purged a walk cannot go on; it says so instead of leaving some out."""
    data = tmp_path_factory.mktemp("expiry") / "data"
    server = nursery.serve(data, free_port(), environment={"YIDANG_PAGE_SECONDS": "1"})
    api = server.ready()
    for number in range(10):
        assert api.put(f"Patient/p{number}", {"resourceType": "Patient", "id": f"p{number}"}).status == 201
    following = cursor_of(api, "Patient?_count=4")
    changed = {"resourceType": "Patient", "id": "p7", "active": True}
    assert api.put("Patient/p7", changed).status == 200
    end = time.monotonic() + 20
    while (answer := api.get(following)).status == 200:
        assert answer.ids() == ["p4", "p5", "p6", "p7"], "a page before its expiry is whole"
        assert time.monotonic() < end, "the cursor does not expire"
        threading.Event().wait(0.1)
    assert answer.status == 410
    assert answer.json["issue"][0]["code"] == "expired"
    assert len(api.get("Patient?_count=20").ids()) == 10
    api.close()
    server.kill()
