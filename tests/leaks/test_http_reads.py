"""Reads and histories over HTTP: what the oracle opens, as it is stored; and the hidden just as the absent."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.leaks.compare import seen
from tests.leaks.coverage import covers
from tests.leaks.oracle import Row, Who
from tests.leaks.people import MORE_ROLES, requesters
from tests.leaks.probe import absent_id
from tests.leaks.web import Web, next_link

WHO = requesters()
by_name = pytest.mark.parametrize("who", WHO, ids=lambda who: who.name)
SOME = [who for who in WHO if who.name in {
    "dr-county for TREAT", "dr-west for TREAT", "tech-county for TREAT", "cdc-officer for PUBHLTH", "emr-east",
    "dr-outside for TREAT", "r3 (user )", "r10 (user )", "dr-county in the file of r3", "rec-county for HOPERAT",
}]  # fmt: skip
by_some = pytest.mark.parametrize("who", SOME, ids=lambda who: who.name)
assert MORE_ROLES


@covers("GET {type}/{id}")
@by_name
def test_a_read_shows_the_open_and_makes_the_hidden_look_absent(web: Web, who: Who, compared: Counter[str]) -> None:
    wanted = {(row.type, row.id, row.version) for row in seen(web.world, who, "r")}
    absent: dict[tuple[str, int], object] = {}
    for row in web.world.current.values():
        answer = web.get(who, f"{row.type}/{row.id}")
        if (row.type, row.id, row.version) in wanted:
            assert answer.status == (410 if row.deleted else 200), (who.name, row, answer)
            continue
        key = row.type, len(row.id)
        other = absent_id(row.id)
        if key not in absent:
            absent[key] = web.get(who, f"{row.type}/{other}").without(other)
        assert answer.without(row.id) == absent[key], f"{who.name} can tell {row.type}/{row.id} from what is absent"
    compared["HTTP read"] += len(web.world.current)


@covers("GET {type}/{id}/_history/{version}", "GET {type}/{id}/_history")
@by_some
def test_versions_and_histories_show_the_open_only(web: Web, who: Who, compared: Counter[str]) -> None:
    wanted = {(row.type, row.id, row.version) for row in seen(web.world, who, "r")}
    of_one: dict[tuple[str, str], list[Row]] = {}
    for row in web.world.facts.rows:
        of_one.setdefault((row.type, row.id), []).append(row)
    for (type, id), rows in of_one.items():
        shown = [row for row in rows if (row.type, row.id, row.version) in wanted]
        other = absent_id(id)
        for row in rows:
            answer = web.get(who, f"{type}/{id}/_history/{row.version}")
            if row in shown:
                assert answer.status == (410 if row.deleted else 200)
            else:
                assert_same(answer.without(id), web.get(who, f"{type}/{other}/_history/{row.version}").without(other))
        answer = web.get(who, f"{type}/{id}/_history")
        if not shown:
            assert_same(answer.without(id), web.get(who, f"{type}/{other}/_history").without(other))
        else:
            assert answer.json["total"] == len(shown) == len(answer.json["entry"])
    compared["HTTP vread, history"] += len(web.world.facts.rows) + len(of_one)


def assert_same(got: object, wanted: object) -> None:
    assert got == wanted


@covers("GET {type}/_history", "GET _history")
@by_some
def test_histories_of_types_and_of_the_system_show_the_open_only(web: Web, who: Who, compared: Counter[str]) -> None:
    rows = seen(web.world, who, "r")[::-1]
    for type in ["", *sorted({row.type for row in web.world.facts.rows})]:
        wanted = [f"{row.type}/{row.id}" for row in rows if type in ("", row.type)]
        got, total = walk(web, who, f"{type}/_history?_count=40" if type else "_history?_count=40")
        assert got == wanted
        assert total == len(wanted)
        compared["HTTP history of types"] += len(web.world.facts.rows)


def walk(web: Web, who: Who, path: str) -> tuple[list[str], int]:
    """The resources of all pages, and the total that each page says."""
    found: list[str] = []
    totals = set()
    following: str | None = path
    while following is not None:
        answer = web.get(who, following)
        assert answer.status == 200, answer
        totals.add(answer.json["total"])
        for entry in answer.json.get("entry", ()):
            found.append("/".join(entry["fullUrl"].split("/")[-2:]))
        following = next_link(answer)
    assert len(totals) == 1
    return found, totals.pop()
