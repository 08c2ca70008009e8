"""The terminology file: a code system there is the same as in memory, versions stand side by side, readers notice."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from terminology import service
from terminology.arguments import Arguments
from terminology.concepts import in_order
from terminology.file import FILE, TerminologyFile
from terminology.memory import MemorySystem
from terminology.registry import Terminology
from tests.terminology.test_compose import SYSTEM, Raw

PARTS = ["原发性", "高血压", "糖尿病", "肺炎", "慢性", "急性", "heart", "lung", "左侧", "并发症"]


def flat(resource: Raw) -> list[Raw]:
    found: list[Raw] = []
    for raw, parent in in_order(resource["concept"]):
        own = {key: value for key, value in raw.items() if key != "concept"}
        found.append({**own, "parents": [found[parent]["code"]]} if parent >= 0 else own)
    return found


def head(resource: Raw, **more: Any) -> Raw:
    return {**{key: value for key, value in resource.items() if key != "concept"}, **more}


@pytest.fixture
def file(tmp_path: Path) -> TerminologyFile:
    return TerminologyFile(tmp_path / FILE)


def big(size: int) -> Raw:
    chosen = random.Random(5)
    concepts: list[Raw] = []
    for n in range(size):
        concept: Raw = {"code": f"C{n // 10:04d}.x{n:05d}", "display": "".join(chosen.sample(PARTS, 3))}
        if n % 7 == 0:
            concept["property"] = [
                {"code": "kind", "valueCode": f"k{n % 3}"},
                {"code": "inactive", "valueBoolean": n % 2 == 0},
            ]
        concepts.append(concept)
    nested = [{**concepts[n], "concept": concepts[n + 1 : n + 10]} for n in range(0, size, 10)]
    return {**head(SYSTEM, url="urn:big", language="zh-CN", caseSensitive=False), "concept": nested}


def test_it_answers_as_the_same_system_in_memory_does(file: TerminologyFile) -> None:
    resource = big(500)
    told: list[int] = []
    assert file.load_system(head(resource), flat(resource), told.append) == 500
    assert told[-1] == 500
    (kept,) = file.layer().systems("urn:big")
    memory = MemorySystem(resource)
    assert kept.size == memory.size and kept.info == memory.info
    everything = range(500)
    assert kept.codes(everything) == memory.codes(everything)
    assert [(c.code, c.display, c.inactive) for c in kept.at([7, 3, 499])] == [
        (c.code, c.display, c.inactive) for c in memory.at([7, 3, 499])
    ]
    assert kept.inactive() == memory.inactive()
    for place in range(0, 500, 13):
        assert list(kept.parents(place)) == list(memory.parents(place))
        assert sorted(kept.children(place)) == sorted(memory.children(place))
        assert kept.descendants(place) == memory.descendants(place)
        assert kept.ancestors(place) == memory.ancestors(place)
        code = memory.codes([place])[0]
        assert kept.find(code) == kept.find(code.lower()) and kept.find(code) is not None
    for text in ("高血压", "gxy", "heart", "c0003", "慢性 lung", "zz", ""):
        assert kept.search(text) == memory.search(text), text
    assert kept.holders("kind", "k1") == memory.holders("kind", "k1")
    assert kept.holders("kind", None) == memory.holders("kind", None)
    assert kept.find("nothing") is None


def test_versions_stand_side_by_side_and_are_replaced_alone(file: TerminologyFile) -> None:
    assert file.stamp() is None and file.listing() == []
    file.load_system(head(SYSTEM), flat(SYSTEM))
    first = file.stamp()
    file.load_system(head(SYSTEM, version="3"), [{"code": "new"}])
    assert file.stamp() != first
    known = Terminology((file.layer(),))
    assert [one.info.version for one in known.versions("urn:s")] == ["3", "2"]
    file.load_system(head(SYSTEM, version="3"), [{"code": "newer"}])
    latest = Terminology((file.layer(),)).system("urn:s")
    assert latest is not None and latest.find("newer") and not latest.find("new")
    old = Terminology((file.layer(),)).system("urn:s", "2")
    assert old is not None and old.size == 6


def test_a_load_that_fails_changes_nothing(file: TerminologyFile) -> None:
    file.load_system(head(SYSTEM), flat(SYSTEM))
    before = file.stamp(), file.listing()
    with pytest.raises(ValueError, match="twice"):
        file.load_system(head(SYSTEM), [{"code": "x"}, {"code": "x"}])
    assert (file.stamp(), file.listing()) == before


def test_a_file_that_is_still_being_made_is_as_none(file: TerminologyFile, tmp_path: Path) -> None:
    def look(_: int) -> None:
        reader = TerminologyFile(tmp_path / FILE)
        assert reader.stamp() is None
        assert Terminology((reader.layer(),)).system("urn:s") is None

    file.load_system(head(SYSTEM), flat(SYSTEM), look)
    assert Terminology((file.layer(),)).system("urn:s") is not None


def test_another_layout_is_refused(file: TerminologyFile, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(ValueError, match="layout"):
        file.load_system(head(SYSTEM), [])


def test_forty_thousand_codes_are_filtered_quickly(file: TerminologyFile) -> None:
    resource = big(40_000)
    file.load_system(head(resource), flat(resource))
    known = Terminology((file.layer(),))
    spent: list[float] = []
    for text in ["高血压", "gaoxueya", "gxy", "heart", "慢性 糖尿病", "c0003", "feiyan heart", "左侧"] * 5:
        named = [("url", "urn:big?fhir_vs"), ("filter", text), ("count", 20)]
        start = time.thread_time()
        found = service.expand(known, Arguments(named), "urn:uuid:x", "2026-01-01T00:00:00Z")
        spent.append(time.thread_time() - start)
        assert found["expansion"]["total"] > 0
    # 16 ms where it was measured (docs/terminology.md); a slow machine passes, a slow search does not
    assert sorted(spent)[len(spent) * 9 // 10] < 0.1, spent


def test_a_file_that_is_replaced_or_taken_away_is_noticed(file: TerminologyFile, tmp_path: Path) -> None:
    file.load_system(head(SYSTEM), flat(SYSTEM))
    before = file.stamp()
    other = TerminologyFile(tmp_path / "other" / FILE)
    other.load_system({**head(SYSTEM), "url": "urn:other"}, flat(SYSTEM))
    (tmp_path / "other" / FILE).replace(tmp_path / FILE)
    assert file.stamp() not in (before, None)
    assert [url for _, url, _, _ in file.listing()] == ["urn:other"]
    (tmp_path / FILE).unlink()
    assert file.stamp() is None and file.listing() == []
