"""Every way into the store, for every requester and every version: what the oracle lets them see and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from fhir_server.store.protocol import HistoryScope, Stored
from tests.leaks.compare import Asked, access, requester, run, seen
from tests.leaks.oracle import Row, Who
from tests.leaks.paths import Paths
from tests.leaks.people import requesters
from tests.leaks.world import Loaded

WHO = requesters()
SEARCHERS = [who for who in WHO if who.name in {
    "dr-county for TREAT", "dr-east for TREAT", "dr-west for TREAT", "tech-county for TREAT", "rec-west for HOPERAT",
    "rec-county as steward of county", "cdc-officer for PUBHLTH", "dr-outside for TREAT", "emr-county",
    "r3 (user )", "r10 (user )", "dr-county in the file of r3", "quality-county as auditor of county",
}]  # fmt: skip
by_name = pytest.mark.parametrize("who", WHO, ids=lambda who: who.name)
by_searcher = pytest.mark.parametrize("who", SEARCHERS, ids=lambda who: who.name)
Version = tuple[str, str, int]


def key(one: Stored | Row) -> Version:
    return one.type, one.id, one.version


def explain(world: Loaded, who: Who, got: set[Version], wanted: set[Version]) -> str:
    lines = [f"{who.name} sees what is hidden: {one}" for one in sorted(got - wanted)[:10]]
    lines += [f"{who.name} misses what is open: {one}" for one in sorted(wanted - got)[:10]]
    return "\n".join(lines)


@by_name
def test_a_read_gives_what_may_be_seen(world: Loaded, who: Who, compared: Counter[str]) -> None:
    given = access(who, world)
    wanted = {key(row) for row in seen(world, who, "r")}
    got = set()
    for row in world.facts.rows:
        if world.store.vread(row.type, row.id, row.version, given) is not None:
            got.add(key(row))
    assert got == wanted, explain(world, who, got, wanted)
    current = {key(row) for row in world.current.values()}
    got = {key(found) for row in current if (found := world.store.read(row[0], row[1], given)) is not None}
    assert got == wanted & current, explain(world, who, got, wanted & current)
    compared["read, vread"] += len(world.facts.rows) + len(current)


@by_name
def test_histories_and_feed_give_what_may_be_seen(world: Loaded, who: Who, compared: Counter[str]) -> None:
    given = access(who, world)
    wanted = [key(row) for row in seen(world, who, "r")]
    assert walk(world, HistoryScope(count=17), given) == wanted[::-1]
    for type in sorted({row.type for row in world.facts.rows}):
        assert walk(world, HistoryScope(type=type, count=17), given) == [w for w in wanted[::-1] if w[0] == type]
    for type, id in world.current:
        of_one = [w for w in wanted[::-1] if w[:2] == (type, id)]
        assert walk(world, HistoryScope(type=type, id=id), given) == of_one
    assert [key(one) for one in world.store.feed(0, 10_000, given)] == wanted
    compared["history, feed"] += 3 * len(world.facts.rows)


def walk(world: Loaded, scope: HistoryScope, given: object) -> list[Version]:
    """All pages of a history; every page tells the true total."""
    found: list[Version] = []
    following: HistoryScope | None = scope
    while following is not None:
        page = run(world.store.history(following, given))  # type: ignore[arg-type]
        found += [key(one) for one in page.entries]  # type: ignore[attr-defined]
        total, following = page.total, page.next  # type: ignore[attr-defined]
    assert total == len(found), f"the total of {scope} is {total}, but {len(found)} can be seen"
    return found


@by_name
def test_searches_of_a_type_find_what_may_be_seen(world: Loaded, who: Who, compared: Counter[str]) -> None:
    asked = Asked(world.store, world.extractor, access(who, world))
    current = set(world.current.values())
    rows = [row for row in seen(world, who, "s") if row in current and not row.deleted]
    for type in sorted({row.type for row in world.facts.rows}):
        wanted = {f"{row.type}/{row.id}" for row in rows if row.type == type}
        outcome = asked.search(f"{type}?_count=7", world.clock[0])
        assert set(outcome.matches) == wanted
        assert len(outcome.matches) == outcome.total == len(wanted)
        for row in current:
            if row.type == type:
                found = asked.search(f"{type}?_id={row.id}", world.clock[0])
                assert set(found.matches) == wanted & {f"{type}/{row.id}"}
    compared["search"] += 2 * len(current)


@by_searcher
def test_every_search_answers_as_if_the_hidden_did_not_exist(
    world: Loaded, who: Who, shadow_of: Callable[[Who], Asked], compared: Counter[str]
) -> None:
    asked, truth = Asked(world.store, world.extractor, access(who, world)), shadow_of(who)
    resources = [world.resources[key(row)] for row in world.current.values()]
    wrong: list[str] = []
    for kind, paths in Paths([r for r in resources if r], world.extractor, most=1).all().items():
        for path in paths:
            got, wanted = asked.search(path, world.clock[0]), truth.search(path, world.clock[0])
            if got != wanted:
                wrong.append(f"{path}\n   got {got}\n  true {wanted}")
            compared[f"search by {kind}"] += 1
    assert not wrong, f"{who.name}: {len(wrong)} paths leak or lose\n" + "\n".join(wrong[:10])


def test_requesters_are_told_apart_by_their_page_links() -> None:
    bindings = {requester(who).identity for who in WHO}
    assert len(bindings) == len(WHO)
