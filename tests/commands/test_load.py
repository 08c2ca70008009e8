"""``yidang load``: everything goes in once, however often it is started, killed, or run beside a server."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from loaders.demo import bundles, residents
from profiles import lossless

SYNTHEA = Path(__file__).parents[2] / ".." / "shared" / "fhir" / "synthea"
PATIENT = {"resourceType": "Patient", "id": "p1", "name": [{"family": "王"}]}


def ndjson(path: Path, *resources: dict | str) -> Path:
    lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in resources]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def bundle(path: Path, kind: str, *entries: dict) -> Path:
    path.write_text(json.dumps({"resourceType": "Bundle", "type": kind, "entry": list(entries)}))
    return path


def quietly(data: Path, folder: Path) -> list[str]:
    return [sys.executable, "-m", "fhir_server.cli", "load", "--quiet", "--data", str(data), str(folder)]


def post(resource: dict, **more: object) -> dict:
    return {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}, **more}


def test_a_folder_of_bundles_is_loaded_whole(yidang, counted, county, tmp_path, capsys):
    folder, expected = county
    assert yidang("load", "--data", tmp_path / "data", folder) == 0
    assert counted(tmp_path / "data") == expected
    assert f"{expected.total():,} resources written from 13 files" in capsys.readouterr().out


def test_loading_again_writes_nothing(yidang, counted, county, tmp_path, capsys):
    folder, expected = county
    for _ in range(2):
        assert yidang("load", "--data", tmp_path / "data", folder) == 0
    assert counted(tmp_path / "data") == expected
    assert "0 resources written from 0 files" in capsys.readouterr().out.splitlines()[-1]


def test_two_processes_load_the_same_as_one(yidang, counted, county, tmp_path):
    folder, expected = county
    assert yidang("load", "--data", tmp_path / "data", "--jobs", 2, folder) == 0
    assert counted(tmp_path / "data") == expected


def test_references_between_the_resources_of_a_bundle_are_kept(yidang, versions, county, tmp_path):
    folder, _ = county
    yidang("load", "--data", tmp_path / "data", folder)
    found = versions(tmp_path / "data")
    known = {f"{version.type}/{version.id}" for version in found}
    subjects = [lossless.parse(v.body)["subject"]["reference"] for v in found if v.type == "Observation"]
    assert subjects and set(subjects) <= known


def test_ndjson_keeps_ids_and_gives_ids_where_there_are_none_but_only_once(yidang, versions, tmp_path):
    file = ndjson(tmp_path / "p.ndjson", PATIENT, {"resourceType": "Patient", "active": True})
    for _ in range(2):
        assert yidang("load", "--data", tmp_path / "data", file) == 0
    found = versions(tmp_path / "data")
    assert len(found) == 2 and "p1" in {v.id for v in found}


def test_one_bad_line_does_not_cost_the_others_and_is_named(yidang, versions, tmp_path, capsys):
    good = [{"resourceType": "Patient", "id": f"g{n}"} for n in range(3)]
    bad = {"resourceType": "Patient", "id": "bad", "birthDate": "yesterday"}
    posted = {"resourceType": "Patient", "active": True}
    file = ndjson(tmp_path / "p.ndjson", good[0], good[1], bad, posted, "{no json", good[2])
    for _ in range(2):
        assert yidang("load", "--data", tmp_path / "data", file) == 1
        report = capsys.readouterr().err
        assert f"refused {file}, line 3: " in report and "birthDate" in report
        assert f"refused {file}, line 5: " in report
    found = versions(tmp_path / "data")
    assert len(found) == 4 and {"g0", "g1", "g2"} < {v.id for v in found}


def test_an_id_that_comes_twice_in_ndjson_makes_two_versions_in_order(yidang, versions, tmp_path):
    later = {**PATIENT, "name": [{"family": "李"}]}
    assert yidang("load", "--data", tmp_path / "data", ndjson(tmp_path / "p.ndjson", PATIENT, later)) == 0
    found = versions(tmp_path / "data")
    assert [v.version for v in found] == [1, 2]
    assert lossless.parse(found[-1].body)["name"] == [{"family": "李"}]


def test_bad_files_are_refused_and_the_rest_goes_on(yidang, counted, county, tmp_path, capsys):
    folder, expected = county
    (folder / "a-broken.json").write_bytes(b'{"resourceType":"Bundle"')
    (folder / "b-empty.json.gz").write_bytes(b"\x1f\x8b\x08")
    bundle(folder / "c-bad.json", "transaction", post(PATIENT), post({"resourceType": "Observation"}))
    assert yidang("load", "--data", tmp_path / "data", folder, tmp_path / "missing") == 1
    assert counted(tmp_path / "data") == expected
    report = capsys.readouterr().err
    for name in ("a-broken.json", "b-empty.json.gz", "c-bad.json", "missing"):
        assert f"{name}: " in report
    assert "Observation.status" in report or "status" in report


def test_of_a_batch_only_the_bad_entries_are_refused(yidang, versions, tmp_path, capsys):
    entries = [post({"resourceType": "Patient"}), post({"resourceType": "Patient", "gender": "?"}), post(PATIENT)]
    file = bundle(tmp_path / "batch.json", "batch", *entries)
    for _ in range(2):
        assert yidang("load", "--data", tmp_path / "data", file) == 1
        assert f"refused {file}, entry 2: " in capsys.readouterr().err
    assert len(versions(tmp_path / "data")) == 2


def test_what_refers_to_a_later_file_is_loaded_in_a_second_round(yidang, counted, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    reference = {"reference": "Patient?identifier=urn:x|1"}
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": reference}
    bundle(folder / "a.json", "transaction", post(observation))
    bundle(folder / "b.json", "transaction", post({**PATIENT, "identifier": [{"system": "urn:x", "value": "1"}]}))
    assert yidang("load", "--data", tmp_path / "data", "--jobs", 1, folder) == 0
    assert counted(tmp_path / "data") == Counter(Observation=1, Patient=1)
    assert capsys.readouterr().err.count("refused") == 0


def test_numbers_keep_their_digits_on_the_way_in(yidang, versions, tmp_path):
    text = '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00}}'
    yidang("load", "--data", tmp_path / "data", ndjson(tmp_path / "o.ndjson", text))
    assert b'"value":1.00' in versions(tmp_path / "data")[0].body


def test_killed_at_any_moment_it_goes_on_without_doubles(counted, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    expected: Counter[str] = Counter()
    for name, made in bundles(40, create=True):
        (folder / f"{name}.json").write_bytes(lossless.encode(made))
        expected.update(entry["resource"]["resourceType"] for entry in made["entry"])
    for n, file in enumerate(residents(8, seed=2)):  # NDJSON without ids: every line a POST
        lines = [{k: v for k, v in r.items() if k != "id"} for r in file] * 8
        (folder / f"x{n}.ndjson").write_bytes(b"\n".join(map(lossless.encode, lines)))
        expected.update(r["resourceType"] for r in lines)
    command = quietly(tmp_path / "data", folder)
    moments = random.Random(4)
    kills = 0
    for _ in range(4):
        with subprocess.Popen([*command, "--jobs", "1"], stdout=subprocess.DEVNULL) as process:
            # The first signs of life of the store, then some moment of the load.
            while process.poll() is None and not (tmp_path / "data" / "write.lock").exists():
                time.sleep(0.01)
            try:
                process.wait(timeout=moments.uniform(0.1, 2.0))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
    assert subprocess.run([*command, "--jobs", "2"], check=False).returncode == 0
    assert counted(tmp_path / "data") == expected
    assert kills


def test_a_running_server_sees_what_is_loaded_beside_it(yidang, county, start_server, tmp_path):
    folder, expected = county
    server = start_server("--open", data=tmp_path / "data")
    with server.client() as client:
        assert client.get("Patient?_summary=count").json()["total"] == 0
        assert yidang("load", "--data", tmp_path / "data", "--jobs", 2, folder) == 0
        for type, count in expected.items():
            assert client.get(f"{type}?_summary=count").json()["total"] == count
        assert client.post("Patient", json={"resourceType": "Patient"}).status_code == 201
    server.stop()


def children(process: subprocess.Popen) -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in listed.read_text().split()] if listed.exists() else []


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("victim", ["worker", "parent"])
def test_when_one_of_its_processes_is_killed_the_others_end_and_nothing_is_lost(counted, county, tmp_path, victim):
    if not Path("/proc/self/task").is_dir():
        pytest.skip("no /proc here to find the processes of a load in")
    folder, expected = county
    for n, file in enumerate(residents(60, seed=3)):
        lines = [{k: v for k, v in r.items() if k != "id"} for r in file] * 4
        (folder / f"x{n:02d}.ndjson").write_bytes(b"\n".join(map(lossless.encode, lines)))
        expected.update(r["resourceType"] for r in lines)
    command = quietly(tmp_path / "data", folder)
    with subprocess.Popen([*command, "--jobs", "2"], stderr=subprocess.PIPE, text=True) as process:
        crew: list[int] = []
        while len(crew) < 2 and process.poll() is None:
            crew = children(process)
        os.kill(crew[0] if victim == "worker" else process.pid, signal.SIGKILL)
        said = process.communicate(timeout=60)[1]
        assert process.returncode != 0
        assert victim == "parent" or "the same command goes on from here" in said
    deadline = time.monotonic() + 20
    while any(map(running, crew)):
        assert time.monotonic() < deadline, "a loading process was left behind"
        time.sleep(0.02)
    assert subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0
    assert counted(tmp_path / "data") == expected


@pytest.mark.parametrize("arguments", [["--jobs", "0", "x"], [], ["--jobs", "many", "x"]])
def test_wrong_usage_ends_with_2(yidang, arguments, tmp_path):
    assert yidang("load", "--data", tmp_path / "data", *arguments) == 2


def test_all_synthea_patients_end_with_the_counts_of_their_index(yidang, counted, tmp_path):
    if not SYNTHEA.is_dir():
        pytest.skip("the Synthea Bundles (../shared/fhir/synthea) are not beside the project")
    assert yidang("load", "--data", tmp_path / "data", SYNTHEA) == 0
    found = counted(tmp_path / "data")
    rows = [line.split("\t") for line in (SYNTHEA / "index.tsv").read_text().splitlines()]
    header, files = rows[0], rows[1:]
    assert found.total() == sum(int(row[header.index("entries")]) for row in files)
    for type in header[4:]:
        assert found[type] == sum(int(row[header.index(type)]) for row in files), type
    assert found["Patient"] == 88
