"""What a search of the log finds is what going through all entries finds, for every kind of reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.access import Access
from consent.requester import Scope
from fhir_server.audit.event import Event, Item, Part, Who, encode, institutions, parts
from fhir_server.audit.index import FILE, Index
from fhir_server.audit.kinds import codes_with
from fhir_server.audit.search import Parameters, Reading, place_of, reading, search
from fhir_server.audit.trail import Trail
from fhir_server.search.times import interval_reader
from tests.audit.samples import START

PEOPLE = ("zhang", "li", "wang", "zhao")
HOUSES = ("county", "township")
DAY = 86_400_000_000
AGENTS = (
    Who("staff", "Practitioner/a", "emr", "county", role="physician", purpose="TREAT"),
    Who("staff", "Practitioner/b", "emr", "township", role="nurse", purpose="CAREMGT"),
    Who("resident", "Patient/li", "app", person="li", purpose="PATRQT"),
    Who(),
)
Told = list[tuple[int, Event, Part]]

events = st.builds(
    lambda day, code, action, outcome, who, people, items: Event(
        START + day * DAY,
        code,
        action,
        outcome,
        who=who,
        patients=people,
        custodians=tuple(f"Organization/{house}" for house in HOUSES),
        items=tuple(item for item in items if item.whose < len(people)),
    ),
    st.integers(0, 9),
    st.sampled_from(["read", "search-type", "create", "denied", "login"]),
    st.sampled_from("CREU"),
    st.sampled_from([0, 4]),
    st.sampled_from(AGENTS),
    st.lists(st.sampled_from(PEOPLE), max_size=3, unique=True).map(tuple),
    st.lists(
        st.builds(
            Item,
            st.just("Observation"),
            st.sampled_from(["o1", "o2", "o3"]),
            st.just(1),
            st.integers(-1, 2),
            st.integers(-1, 1),
            st.just(128),
            st.just(0),
            st.just(""),
        ),
        max_size=4,
    ),
)
READERS = {
    "auditor": Reading(),
    "zhang": Reading(("zhang",), agent="Patient/zhang"),
    "li and ward": Reading(("li", "zhao"), agent="Patient/li"),
    "officer": Reading(institution="township"),
    "nobody": Reading(nothing=True),
}
ASKED = {
    "patient": ["zhang", "Patient/li", "wang,zhao", "http://x/fhir/Patient/zhang"],
    "agent": ["Practitioner/a", "Organization/township", "b", "Patient/li,Practitioner/b"],
    "agent-role": ["nurse", "urn:yidang:role|physician"],
    "entity": ["Observation/o1", "Patient/zhang", "Observation/o2/_history/1", "Observation/o2/_history/2"],
    "action": ["R", "c,E"],
    "outcome": ["0", "4"],
    "type": ["rest", "110113,110114"],
    "subtype": ["read", "http://hl7.org/fhir/restful-interaction|create"],
    "date": ["2025-11-25", "lt2025-11-27", "ge2025-11-28T00:00:00+08:00", "ne2025-11-26", "gt2025-11-25,lt2025-11-24"],
    "purpose": ["TREAT", "CAREMGT,PATRQT"],
}
queries = st.dictionaries(st.sampled_from(sorted(ASKED)), st.integers(0, 4), max_size=3).map(
    lambda chosen: [(name, ASKED[name][place % len(ASKED[name])]) for name, place in chosen.items()]
)


def may(reader: Reading, event: Event, part: Part) -> bool:
    if reader.nothing:
        return False
    if reader.institution:
        return reader.institution in institutions(event, part)
    if reader.patients is None:
        return True
    return part.patient in reader.patients or (part.patient == "" and event.who.subject == reader.agent)


def matches(name: str, text: str, event: Event, part: Part) -> bool:
    return any(_matches_one(name, one, event, part) for one in text.split(","))


def _matches_one(name: str, one: str, event: Event, part: Part) -> bool:
    last, code = one.rpartition("/")[2], one.rpartition("|")[2]
    if name == "patient":
        return part.patient == last or event.who.subject == f"Patient/{last}"
    if name == "agent":
        return one in (event.who.subject, f"Organization/{event.who.institution}") or (
            "/" not in one and one in (event.who.subject.partition("/")[2], event.who.institution)
        )
    if name == "entity":
        told = {f"Patient/{part.patient}"} | {f"{i.type}/{i.id}" for i in part.items}
        return one in told | {f"{i.type}/{i.id}/_history/{i.version}" for i in part.items}
    if name == "date":
        prefix, text = (one[:2], one[2:]) if one[:2].isalpha() else ("eq", one)
        low, high = interval_reader()(text) or (0, 0)
        inside = low <= event.time < high
        found = {"eq": inside, "ne": not inside, "lt": event.time < low, "gt": event.time >= high}
        return {**found, "ge": event.time >= low}[prefix]
    simple: dict[str, object] = {
        "agent-role": event.who.role == code,
        "action": part.action == code.upper(),
        "outcome": str(event.outcome) == code,
        "purpose": event.who.purpose == code,
        "type": event.code in codes_with("", code),
        "subtype": event.code in codes_with("", code),
    }
    return bool(simple[name])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("searched")


@pytest.fixture(scope="module")
def trail(folder: Path) -> Iterator[Trail]:
    made = Trail(folder, segment_bytes=3000)
    yield made
    made.close()


@pytest.fixture(scope="module")
def index(folder: Path) -> Iterator[Index]:
    made = Index(folder)
    yield made
    made.close()


def everything(index: Index) -> Told:
    told: Told = []
    for seq in range(1, index.last() + 1):
        event = index.event(seq)
        assert event is not None
        told += [(seq, event, part) for part in parts(event)]
    return told


def walked(
    index: Index, pairs: list[tuple[str, str]], reader: Reading, count: int
) -> tuple[list[tuple[int, int]], int]:
    """The entries of all pages, and the total that every page told."""
    parameters = Parameters(interval_reader(), lambda type, id: "", 20, 100)
    found: list[tuple[int, int]] = []
    cursor, totals = "", set()
    while True:
        wanted = parameters.read([*pairs, ("_count", str(count)), *([("_cursor", cursor)] if cursor else [])], False)
        answer = search(index, wanted, reader)
        assert len(answer.found) <= count
        found += [(one.seq, one.number) for one, _, _ in answer.found]
        totals.add(answer.total)
        cursor = answer.cursor
        if not cursor:
            (total,) = totals
            assert total is not None
            return found, total


@settings(max_examples=60, deadline=None)
@given(st.lists(events, max_size=8), queries, st.sampled_from(sorted(READERS)), st.booleans(), st.integers(1, 30))
def test_a_search_finds_what_going_through_all_entries_finds(
    trail: Trail, index: Index, more: list[Event], query: list[tuple[str, str]], who: str, newest: bool, count: int
) -> None:
    if more:
        trail.append_now([encode(event) for event in more])
    index.catch_up()
    reader = READERS[who]
    expected = [
        (event.time, seq, part.number)
        for seq, event, part in everything(index)
        if may(reader, event, part) and all(matches(name, text, event, part) for name, text in query)
    ]
    expected.sort(reverse=newest)
    found, total = walked(index, [*query, ("_sort", "-date" if newest else "date")], reader, count)
    assert found == [(seq, number) for _, seq, number in expected]
    assert total == len(expected)


def test_an_index_that_was_lost_is_made_anew(trail: Trail, folder: Path, tmp_path: Path) -> None:
    trail.append_now([encode(Event(START, "read", "R", who=AGENTS[0], patients=("zhang",)))])
    first = Index(folder)
    first.catch_up()
    before = first.select("SELECT * FROM part ORDER BY seq, number", ())
    first.close()
    for path in folder.glob(FILE + "*"):
        path.rename(tmp_path / path.name)
    again = Index(folder)
    again.catch_up()
    assert again.select("SELECT * FROM part ORDER BY seq, number", ()) == before
    again.close()


# -- who reads what -----------------------------------------------------------------------------------

ALL = (Scope("user", "*", "rs"),)


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        (Access("fresh"), Reading(nothing=True)),
        (Access("staff", role="physician", party="Organization/county", scopes=ALL), Reading(nothing=True)),
        (Access("auditor", role="auditor", party="Organization/county", scopes=ALL), Reading()),
        (Access("no scope", role="auditor"), Reading(nothing=True)),
        (Access("other scope", role="auditor", scopes=(Scope("user", "Patient", "rs"),)), Reading(nothing=True)),
        (Access("letter", role="auditor", scopes=(Scope("user", "*", "c"),)), Reading(nothing=True)),
        (
            Access("constraint", role="auditor", scopes=(Scope("user", "AuditEvent", "rs", (("action", "R"),)),)),
            Reading(nothing=True),
        ),
        (
            Access("app of a patient", role="auditor", patient="li", scopes=(Scope("patient", "*", "rs"),)),
            Reading(nothing=True),
        ),
        (
            Access("officer", role="privacy-officer", party="Organization/county", scopes=ALL),
            Reading(institution="county"),
        ),
        (
            Access("resident", person="li", scopes=(Scope("patient", "*", "rs"),)),
            Reading(("li", "ward"), agent="Patient/li"),
        ),
        (
            Access("one file only", person="li", patient="ward", scopes=(Scope("patient", "*", "rs"),)),
            Reading(("ward",), agent="Patient/li"),
        ),
        (
            Access("a stranger's file", person="li", patient="zhang", scopes=(Scope("patient", "*", "rs"),)),
            Reading((), agent="Patient/li"),
        ),
    ],
    ids=lambda value: value.reason if isinstance(value, Access) else "",
)
def test_who_reads_what(access: Access, expected: Reading) -> None:
    assert reading(access, "s", ["ward"]) == expected


def test_an_id_that_is_none_finds_nothing() -> None:
    for text in ("", "1", "-1", "1-", "a-b", "1-2-3", "9" * 30 + "-0", "１-0", "01-0", "1-00", "0-0"):
        assert place_of(text) is None, text
    assert place_of("12-3") == (12, 3)
