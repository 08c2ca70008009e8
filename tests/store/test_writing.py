"""Writes are atomic, isolated from one another in a group commit, and versions count on."""

from __future__ import annotations

import asyncio

import pytest

from consent import Access
from fhir_server.errors import TooCostly
from fhir_server.store.protocol import HistoryScope, Transaction
from profiles.lossless import parse
from tests.store.conftest import EVERYTHING, Bench, observation, patient, run


def test_versions_count_from_one_and_the_text_names_them(bench: Bench) -> None:
    bench.put(patient("p"))
    bench.put(patient("p", given="大明"))
    stored = bench.store.read("Patient", "p", EVERYTHING)
    assert stored is not None and stored.body is not None and stored.version == 2
    text = parse(stored.body)
    assert text["meta"]["versionId"] == "2" and text["name"][0]["given"] == ["大明"]
    first = bench.store.vread("Patient", "p", 1, EVERYTHING)
    assert first is not None and first.body is not None and b"\xe5\xb0\x8f\xe6\x98\x8e" in first.body


def test_keys_stay_in_their_order_and_numbers_keep_their_digits(bench: Bench) -> None:
    bench.put(
        {"resourceType": "Observation", "valueQuantity": {"value": parse(b"1.00")}, "meta": {"source": "x"}, "id": "o"}
    )
    stored = bench.store.read("Observation", "o", EVERYTHING)
    assert stored is not None and stored.body is not None
    assert list(parse(stored.body)) == ["resourceType", "valueQuantity", "meta", "id"]
    assert b'"value":1.00' in stored.body and b'"source":"x"' in stored.body


def test_a_failing_write_undoes_itself_whole(bench: Bench) -> None:
    ready = bench.prepared(patient("p"))

    def fail(tx: Transaction) -> None:
        tx.put(ready, "PUT")
        raise LookupError("no")

    with pytest.raises(LookupError):
        bench.write(fail)
    assert bench.store.read("Patient", "p", EVERYTHING) is None
    assert bench.ids("Patient", "name=王") == []
    bench.put(patient("q"))
    assert list(bench.store.check()) == []


def test_a_failing_write_leaves_its_neighbours_in_the_group_commit_alone(bench: Bench) -> None:
    good = [bench.prepared(observation(f"o{i}", patient=f"p{i}", code=f"c{i}")) for i in range(20)]

    async def everybody() -> list[object]:
        def one(number: int) -> object:
            def work(tx: Transaction) -> int:
                tx.put(good[number], "PUT")
                if number % 3 == 0:
                    raise LookupError
                return number

            return work

        tasks = [bench.store.write(one(number), EVERYTHING) for number in range(20)]  # type: ignore[arg-type]
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = asyncio.run(everybody())
    assert [x for x in outcomes if isinstance(x, int)] == [i for i in range(20) if i % 3]
    assert set(bench.ids("Observation")) == {f"o{i}" for i in range(20) if i % 3}
    assert list(bench.store.check()) == []


def test_a_write_sees_what_it_wrote_before(bench: Bench) -> None:
    ready = bench.prepared(patient("p"))
    query = bench.query("Patient", "name=王小明")

    def work(tx: Transaction) -> tuple[int, int, bool]:
        before = len(tx.find("Patient", query, 2))
        tx.put(ready, "POST")
        found = len(tx.find("Patient", query, 2))
        tx.put(ready, "PUT")
        tx.delete("Patient", "p")
        stored = tx.read("Patient", "p")
        return before, found, stored is not None and stored.deleted and stored.version == 3

    assert bench.write(work) == (0, 1, True)
    assert bench.ids("Patient") == []
    assert list(bench.store.check()) == []


def test_a_deleted_resource_comes_back_with_the_next_version(bench: Bench) -> None:
    bench.put(patient("p"))
    assert bench.delete("Patient", "p") is not None
    assert bench.delete("Patient", "p") is None
    assert bench.put(patient("p"))[0].version == 3
    assert bench.ids("Patient", "name=王") == ["p"]


def test_history_is_newest_first_and_pages_at_a_snapshot(bench: Bench) -> None:
    for n in range(5):
        bench.put(patient("p", given=str(n)))
    first = run(bench.store.history(HistoryScope(type="Patient", id="p", count=2), EVERYTHING))
    assert ([e.version for e in first.entries], first.total) == ([5, 4], 5)
    bench.put(patient("p", given="later"))
    second = run(bench.store.history(first.next, EVERYTHING))
    assert ([e.version for e in second.entries], second.total) == ([3, 2], 5)
    everything = run(bench.store.history(HistoryScope(count=10), EVERYTHING))
    assert [e.sequence for e in everything.entries] == sorted((e.sequence for e in everything.entries), reverse=True)


def test_what_was_committed_is_there_after_a_restart(bench: Bench) -> None:
    bench.put(patient("p"), observation("o"))
    bench.restart()
    assert bench.ids("Observation", "patient=p") == ["o"]
    assert bench.put(patient("p"))[0].version == 2


def test_an_access_that_says_nothing_sees_nothing(bench: Bench) -> None:
    bench.put(patient("p"))
    nobody = Access("nobody")
    assert bench.store.read("Patient", "p", nobody) is None
    assert run(bench.store.search(bench.query("Patient"), nobody)).matches == []
    assert run(bench.store.count(bench.query("Patient"), nobody)) == 0
    assert run(bench.store.history(HistoryScope(), nobody)).entries == []
    with pytest.raises(TypeError):
        bench.store.read("Patient", "p", None)  # type: ignore[arg-type]


def test_a_full_disk_refuses_writes_and_loses_nothing(bench: Bench) -> None:
    bench.put(patient("p"))
    pages = bench.write(lambda _: bench.store._writing.execute("PRAGMA page_count").fetchone()[0])
    bench.write(lambda _: bench.store._writing.execute(f"PRAGMA max_page_count={pages + 4}").fetchone())
    refused = 0
    kept: list[str] = []
    for n in range(40):
        try:
            bench.put(
                *(patient(f"p{n}-{m}", text={"status": "generated", "div": f"<div>{n}{m}</div>"}) for m in range(9))
            )
            kept += [f"p{n}-{m}" for m in range(9)]
        except TooCostly as error:
            refused += 1
            assert error.issues[0].code == "no-store"
    assert refused and kept
    bench.write(lambda _: bench.store._writing.execute("PRAGMA max_page_count=1073741823").fetchone())
    bench.put(patient("later"))
    assert set(bench.ids("Patient")) == {"p", "later", *kept}
    assert list(bench.store.check()) == []
