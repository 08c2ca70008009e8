"""Text index, custom search parameters, backup, and a check that notices damage."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from fhir_server.errors import BadRequest, TooCostly
from tests.store.conftest import EVERYTHING, Bench, observation, patient, run


def narrative(text: str) -> dict[str, str]:
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'}


def test_text_is_found_by_any_run_of_characters_and_by_word_starts(bench: Bench) -> None:
    bench.put(
        observation("o1", text=narrative("原发性高血压，二级"), note=[{"text": "blood pressure high"}]),
        observation("o2", text=narrative("糖尿病")),
        patient("p", text=narrative("高血压")),
    )
    assert bench.ids("Observation", "_text=血压") == ["o1"]
    assert bench.ids("Observation", "_text=压") == ["o1"]
    assert bench.ids("Observation", "_text=血糖") == []
    assert bench.ids("Observation", "_content=press") == ["o1"]
    assert bench.ids("Observation", "_text=pressure") == []
    bench.put(observation("o1", text=narrative("康复")))
    assert bench.ids("Observation", "_text=血压") == []


SPOT = {
    "resourceType": "SearchParameter",
    "id": "spot",
    "url": "http://example.org/SearchParameter/spot",
    "name": "spot",
    "status": "active",
    "description": "body site text",
    "code": "spot",
    "base": ["Observation"],
    "type": "string",
    "expression": "Observation.bodySite.text",
}


def finish(bench: Bench) -> None:
    deadline = time.monotonic() + 20
    while any(job.status in ("queued", "running") for job in bench.store.jobs()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_custom_parameter_is_searchable_when_its_job_is_done(bench: Bench) -> None:
    bench.put(*(observation(f"o{i}", bodySite={"text": "左手" if i % 2 else "arm"}) for i in range(450)))
    with pytest.raises(BadRequest):
        bench.ids("Observation", "spot=arm")
    bench.put(SPOT)
    finish(bench)
    (job,) = bench.store.jobs()
    assert (job.status, job.done, job.total) == ("completed", 450, 450)
    assert bench.total("Observation", "spot=arm") == 225
    assert bench.total("Observation", "spot:missing=true") == 0
    bench.put(observation("o0", bodySite={"text": "leg"}))
    assert bench.total("Observation", "spot=arm") == 224
    assert list(bench.store.check()) == []
    bench.restart()
    assert bench.total("Observation", "spot=leg") == 1


def test_a_changed_or_deleted_parameter_loses_its_old_rows(bench: Bench) -> None:
    bench.put(observation("o", bodySite={"text": "arm"}, method={"text": "ruler"}), SPOT)
    finish(bench)
    bench.put({**SPOT, "expression": "Observation.method.text"})
    finish(bench)
    assert bench.ids("Observation", "spot=arm") == [] and bench.ids("Observation", "spot=ruler") == ["o"]
    bench.delete("SearchParameter", "spot")
    finish(bench)
    with pytest.raises(BadRequest):
        bench.ids("Observation", "spot=ruler")
    assert list(bench.store.check()) == []


def test_parameters_that_cannot_work_are_ignored_and_say_why(bench: Bench) -> None:
    bench.put({**SPOT, "id": "a", "code": "code"}, {**SPOT, "id": "b", "expression": "Observation.where("})
    finish(bench)
    notes = {job.id: (job.status, job.note) for job in bench.store.jobs()}
    assert notes["a"][0] == "ignored" and "already" in notes["a"][1]
    assert notes["b"][0] == "ignored" and "expression" in notes["b"][1]


def test_of_two_parameters_with_one_code_the_first_is_in_force(bench: Bench) -> None:
    bench.put(observation("o", bodySite={"text": "arm"}, method={"text": "ruler"}), SPOT)
    finish(bench)
    bench.put({**SPOT, "id": "again", "url": "http://example.org/2", "expression": "Observation.method.text"})
    finish(bench)
    states = {job.id: (job.status, job.note) for job in bench.store.jobs()}
    assert states["again"] == ("ignored", "already SearchParameter/spot is for Observation.spot")
    assert bench.ids("Observation", "spot=arm") == ["o"]
    bench.delete("SearchParameter", "spot")
    finish(bench)
    assert bench.ids("Observation", "spot=ruler") == ["o"] and bench.ids("Observation", "spot=arm") == []
    assert list(bench.store.check()) == []


def test_a_custom_parameter_reaches_contained_resources_written_before(bench: Bench) -> None:
    inner = observation("inner", bodySite={"text": "arm"})
    bench.put({**patient("p"), "contained": [inner]}, observation("o", bodySite={"text": "arm"}), SPOT)
    finish(bench)
    assert bench.ids("Observation", "spot=arm") == ["o"]
    assert bench.ids("Observation", "spot=arm&_contained=true") == ["p"]
    bench.delete("SearchParameter", "spot")
    finish(bench)
    assert list(bench.store.check()) == []


def test_everything_can_be_indexed_anew(bench: Bench) -> None:
    bench.put(patient("p"), *(observation(f"o{i}") for i in range(5)))
    bench.store.reindex_now(["*"], EVERYTHING)
    with pytest.raises(TooCostly):  # never an answer from half an index
        bench.ids("Observation")
    finish(bench)
    assert bench.ids("Observation", "patient.name=王") == [f"o{i}" for i in range(5)]
    assert list(bench.store.check()) == []


def test_a_backup_holds_one_moment_and_opens_as_a_store(bench: Bench, tmp_path: Path) -> None:
    bench.put(*(observation(f"o{i}") for i in range(30)))
    folder = tmp_path / "copy"
    folder.mkdir()
    shutil.copy2(bench.folder / "master.key", folder)
    assert bench.store.backup(folder / "records.db") == 30
    bench.delete("Observation", "o3")
    copy = Bench(folder)
    assert copy.total("Observation") == 30
    assert list(copy.store.check()) == []
    copy.store.close()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE res SET body=zeroblob(40) WHERE rid=2", "damaged"),
        ("UPDATE res SET ver=7 WHERE rid=2", "versions"),
        ("DELETE FROM tok WHERE rid=2", "lacks an index row in tok"),
        ("INSERT INTO ref VALUES(1, 1, 1, 2, 0, 0, 0)", "ref has"),
        ("UPDATE ent SET cur=99 WHERE cur=2", "current version"),
        ("UPDATE res SET body=(SELECT body FROM res WHERE rid=1) WHERE rid=2", "that of another version"),
    ],
)
def test_the_check_notices_damage(bench: Bench, damage: str, said: str) -> None:
    bench.put(observation("o1"), observation("o2"), observation("o3"))
    assert list(bench.store.check()) == []
    bench.store.close()
    other = sqlite3.connect(bench.folder / "records.db", isolation_level=None)
    other.execute(damage)
    other.close()
    bench.restart_closed()
    assert any(said in problem for problem in bench.store.check())


def test_two_stores_on_one_file_see_each_other(bench: Bench) -> None:
    other = Bench(bench.folder)
    bench.put(patient("p"))
    other.put(patient("p", given="二"))
    assert bench.put(patient("p"))[0].version == 3
    other.put(SPOT)
    finish(other)
    bench.put(observation("o", bodySite={"text": "arm"}))  # written by the process that did not get the parameter
    assert other.ids("Observation", "spot=arm") == ["o"]
    assert list(bench.store.check()) == []
    other.store.close()


def test_searches_that_take_too_long_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_server.store.sqlite.store._QUICK", 0.0)
    bench = Bench(tmp_path / "slow", search_seconds=0.0)
    bench.put(*(observation(f"o{i}", date=None, note=[{"text": "x"}]) for i in range(3000)))
    with pytest.raises(TooCostly):
        run(bench.store.count(bench.query("Observation", "status:not=final"), EVERYTHING))
    bench.store.close()


def test_searches_go_on_after_many_were_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_server.store.sqlite.store._QUICK", 0.0)
    monkeypatch.setattr("fhir_server.store.sqlite.store._QUICK_STEPS", 1)
    bench = Bench(tmp_path / "data")
    bench.put(patient("p"), *(observation(f"o{i}") for i in range(30)))
    for _ in range(300):
        assert bench.total("Observation", "code=a") == 30
        assert len(bench.page("Observation", "patient=p&_count=5").matches) == 5
    bench.store.close()
