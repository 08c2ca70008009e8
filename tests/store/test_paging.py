"""A walk through pages shows the matches of its first moment, each once, whatever is written meanwhile."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fhir_server.errors import BadRequest, Gone
from tests.store.conftest import EVERYTHING, Bench, observation, patient, run

QUERIES = (
    "code=a&_count=3",
    "_count=4",
    "patient=p1&_count=2",
    "code=a,b&_count=3",
    "_sort=-date&_count=3",
    "_sort=date&_count=3",
    "_sort=code,-date&_count=3",
    "_sort=-_lastUpdated&_count=3",
    "_sort=_id&_count=3",
    "patient.name=王&_count=3",
    "code=a&_sort=value-quantity&_count=3",
    "status:not=amended&_count=5",
)


def some_observation(random_: random.Random, id: str) -> dict[str, object]:
    more: dict[str, object] = {}
    if random_.random() < 0.6:
        more["valueQuantity"] = {"value": random_.randrange(9), "unit": "kg"}
    date = random_.choice([None, "2020-05", "2021-03-04", "2022-01-01T10:00:00Z", "2023"])
    return observation(id, f"p{random_.randrange(3)}", random_.choice("abc"), date, **more)


@pytest.mark.parametrize("search", QUERIES)
def test_a_walk_is_exact_while_others_write(bench: Bench, search: str) -> None:
    random_ = random.Random(search)
    bench.put(*(patient(f"p{i}", family="王" if i else "李") for i in range(3)))
    bench.put(*(some_observation(random_, f"o{i}") for i in range(40)))
    expected = bench.ids("Observation", search)
    assert len(expected) == len(set(expected)) > 5

    seen: list[str] = []
    page = bench.page("Observation", search)
    while True:
        seen += [match.id for match in page.matches]
        bench.put(*(some_observation(random_, f"o{random_.randrange(60)}") for _ in range(4)))
        bench.delete("Observation", f"o{random_.randrange(60)}")
        bench.put(patient(f"p{random_.randrange(3)}", family=random_.choice("王李")))
        if page.cursor is None:
            break
        page = bench.page("Observation", search, page.cursor)
    assert seen == expected


def test_a_page_shows_the_versions_of_its_snapshot(bench: Bench) -> None:
    bench.put(*(observation(f"o{i}", date=f"2024-01-0{i + 1}") for i in range(3)))
    first = bench.page("Observation", "code=a&_count=1")
    bench.put(observation("o1", date="2025-01-01", status="amended"))
    second = bench.page("Observation", "code=a&_count=1", first.cursor)
    assert [(m.id, m.version) for m in second.matches] == [("o1", 1)]


def test_a_link_of_another_search_or_changed_by_hand_is_refused(bench: Bench) -> None:
    bench.put(*(observation(f"o{i}") for i in range(3)))
    query = bench.query("Observation", "_count=1")
    page = run(bench.store.search(query, EVERYTHING, digest="one"))
    assert page.cursor is not None
    for token, digest in (
        (page.cursor, "two"),
        (page.cursor[:-2] + "AA", "one"),
        ("", "one"),
        ("%%%", "one"),
        ("é", "one"),
    ):
        with pytest.raises(BadRequest):
            run(bench.store.search(query, EVERYTHING, token, digest))


def test_purged_versions_end_old_walks_and_leave_no_index_rows(tmp_path_factory: pytest.TempPathFactory) -> None:
    now = [1_000_000_000_000_000]
    bench = Bench(tmp_path_factory.mktemp("purge"), keep_seconds=60.0, clock=lambda: now[0])
    bench.put(*(observation(f"o{i}") for i in range(3)))
    first = bench.page("Observation", "code=a&_count=1")
    now[0] += 1_000_000
    bench.put(observation("o0", code="b"))
    bench.delete("Observation", "o1")
    assert first.cursor is not None
    now[0] += 120_000_000
    bench.put(patient("p"))
    bench.store.tidy()
    with pytest.raises(Gone):
        bench.page("Observation", "code=a&_count=1", first.cursor)
    assert bench.ids("Observation", "code=a") == ["o2"]
    assert list(bench.store.check()) == []
    bench.store.close()


def test_includes_beyond_the_cap_continue_to_the_last(tmp_path: Path) -> None:
    bench = Bench(tmp_path, include_max=4)
    bench.put(patient("p0"), patient("p1"))
    bench.put(*(observation(f"o{i}", f"p{i % 2}") for i in range(11)))
    page = bench.page("Patient", "_revinclude=Observation:patient&_count=5")
    found = [x.id for x in page.includes]
    assert len(page.matches) == 2
    while page.include_cursor:
        page = bench.page("Patient", "_revinclude=Observation:patient&_count=5", page.include_cursor)
        assert page.matches == []
        found += [x.id for x in page.includes]
    assert sorted(found) == sorted(f"o{i}" for i in range(11))
    bench.store.close()


def test_a_sort_reads_every_index_key_of_its_parameter(bench: Bench) -> None:
    part = {"code": {"coding": [{"code": "x"}]}}
    bench.put(
        observation("small", valueQuantity={"value": 1}),
        observation("parts", component=[{**part, "valueQuantity": {"value": 2}}]),
        observation("large", valueQuantity={"value": 3}),
        observation("none"),
    )
    assert bench.ids("Observation", "_sort=combo-value-quantity") == ["small", "parts", "large", "none"]
    assert bench.ids("Observation", "_sort=-combo-value-quantity") == ["large", "parts", "small", "none"]
    bench.put(
        {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "A"}}
        | {"subject": {"reference": "Group/a"}},
        {"resourceType": "Encounter", "id": "e2", "status": "finished", "class": {"code": "A"}}
        | {"subject": {"reference": "Patient/z"}},
        {"resourceType": "Group", "id": "a", "type": "person", "actual": True},
        patient("z"),
    )
    assert bench.ids("Encounter", "_sort=patient") == ["e2", "e1"]


def test_many_ids_without_type_are_gathered(bench: Bench) -> None:
    bench.put(observation("o", "p77"), observation("q", "p5000"))
    wanted = ",".join(f"p{i}" for i in range(300))
    assert bench.ids("Observation", f"subject={wanted}") == ["o"]
