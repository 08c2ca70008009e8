"""The synthetic patients, loaded and posted, are all there: as many of each type as their Bundles hold.

``YIDANG_TEST_ALL=1`` takes all 88 patients instead of the smallest ones.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.robustness.api import Api, Resource, matches
from tests.robustness.nursery import Fork, Nursery, free_port

LOADED, POSTED = 8, 3
PLACES = ("0-hospital-information", "0-practitioner-information")


@dataclass(frozen=True)
class Selection:
    """Some of the Bundles and what the index says of them."""

    folder: Path
    names: tuple[str, ...]
    expected: Counter[str]

    @property
    def files(self) -> list[Path]:
        return [self.folder / f"{name}.json.gz" for name in self.names]

    def bundles(self) -> list[Resource]:
        return [json.loads(gzip.decompress(path.read_bytes())) for path in self.files]


def select(folder: Path, start: int, number: int | None) -> Selection:
    """The batches of places and people (at the beginning), and the smallest patients from ``start`` on."""
    with (folder / "index.tsv").open() as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    people = sorted((row for row in rows if row["bundle"] not in PLACES), key=lambda row: int(row["entries"]))
    chosen = people[start : None if number is None else start + number]
    if start == 0:
        chosen = [row for row in rows if row["bundle"] in PLACES] + chosen
    expected: Counter[str] = Counter()
    for row in chosen:
        expected["entries"] += int(row["entries"])
        for type_ in ("Observation", "Encounter", "Condition", "MedicationRequest"):
            expected[type_] += int(row[type_])
    return Selection(folder, tuple(row["bundle"] for row in chosen), expected)


def load(data: Path, wanted: Selection) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fhir_server.cli", "load", "--quiet", "--data", str(data)]
    return subprocess.run([*command, *map(str, wanted.files)], capture_output=True, text=True)


def in_bundles(bundles: list[Resource]) -> Counter[str]:
    return Counter(entry["resource"]["resourceType"] for bundle in bundles for entry in bundle["entry"])


def in_store(api: Api, types: Counter[str]) -> Counter[str]:
    return Counter({type_: api.count(type_) for type_ in types})


@pytest.fixture(scope="module")
def synthea(shared: Path) -> Path:
    return shared / "synthea"


@pytest.fixture(scope="module")
def loaded(synthea: Path) -> Selection:
    return select(synthea, 0, None if os.environ.get("YIDANG_TEST_ALL") else LOADED)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, loaded: Selection) -> Path:
    folder = tmp_path_factory.mktemp("synthea") / "data"
    done = load(folder, loaded)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def serving(nursery: Nursery, data: Path) -> Fork:
    found = nursery.serve(data, free_port())
    found.ready().close()
    return found


@pytest.fixture
def api(serving: Fork) -> Api:
    return Api(serving.url, timeout=120)


def test_the_load_has_as_many_of_each_type_as_the_index_says(api: Api, loaded: Selection) -> None:
    expected = in_bundles(loaded.bundles())
    found = in_store(api, expected)
    assert found == expected
    assert sum(found.values()) == loaded.expected["entries"] == api.count("")
    for type_ in ("Observation", "Encounter", "Condition", "MedicationRequest"):
        assert found[type_] == loaded.expected[type_]


def test_every_value_is_there_and_every_link_leads_to_a_resource(api: Api, loaded: Selection) -> None:
    """Links inside a Bundle and conditional references are rewritten; all else is as it was in the file."""
    bundle = loaded.bundles()[-1]
    person = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
    identifier = person["identifier"][0]
    (id_,) = api.get(f"Patient?identifier={identifier['system']}|{identifier['value']}").ids()
    kept = {}
    for page in api.walk(f"Patient/{id_}/$everything?_count=200"):
        for entry in matches(page) + matches(page, "include"):
            kept[f"{entry['resource']['resourceType']}/{entry['resource']['id']}"] = entry["resource"]
    sent = Counter(without_links(entry["resource"]) for entry in bundle["entry"])
    about = Counter(without_links(r) for r in kept.values() if r["resourceType"] not in _PLACES)
    assert about <= sent
    assert sum((sent - about).values()) == sum(
        entry["resource"]["resourceType"] in ("Provenance", "Medication")
        and without_links(entry["resource"]) not in about
        for entry in bundle["entry"]
    )
    missing = [link for r in kept.values() for link in links(r) if link not in kept and api.get(link).status != 200]
    assert not missing


_PLACES = frozenset({"Organization", "Location", "Practitioner", "PractitionerRole"})


def links(resource: Any) -> list[str]:
    """Every reference inside."""
    if isinstance(resource, dict):
        own = [resource["reference"]] if isinstance(resource.get("reference"), str) else []
        inner = [link for value in resource.values() for link in links(value)]
        return [link for link in own if not link.startswith("#")] + inner
    return [link for value in resource for link in links(value)] if isinstance(resource, list) else []


def without_links(resource: Resource) -> str:
    """The resource but for its id, meta and the targets of its links."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: bare(inner) for key, inner in value.items() if key != "reference"}
        return [bare(inner) for inner in value] if isinstance(value, list) else value

    return json.dumps(bare({k: v for k, v in resource.items() if k not in ("id", "meta")}), sort_keys=True)


def test_the_same_load_again_changes_nothing(api: Api, data: Path, loaded: Selection) -> None:
    before = api.get("_history?_summary=count").json["total"]
    done = load(data, loaded)
    assert done.returncode == 0, done.stderr
    assert api.get("_history?_summary=count").json["total"] == before


def test_patients_posted_over_http_are_added_to_the_loaded_ones(api: Api, synthea: Path, loaded: Selection) -> None:
    if os.environ.get("YIDANG_TEST_ALL"):
        pytest.skip("all patients are loaded already")
    posted = select(synthea, LOADED, POSTED)
    bundles = posted.bundles()
    expected = in_bundles(loaded.bundles() + bundles)
    for bundle in bundles:
        answer = api.post("", bundle)
        assert answer.status == 200, answer.body[:500]
        statuses = {entry["response"]["status"] for entry in answer.json["entry"]}
        assert statuses == {"201 Created"}
    assert in_store(api, expected) == expected


def test_places_and_people_sent_twice_are_not_doubled(api: Api, loaded: Selection) -> None:
    """What says under which condition it is to be created; a PractitionerRole does not."""
    for bundle in loaded.bundles()[: len(PLACES)]:
        answer = api.post("", bundle)
        assert answer.status == 200
        for asked, answered in zip(bundle["entry"], answer.json["entry"], strict=True):
            again = "200 OK" if "ifNoneExist" in asked["request"] else "201 Created"
            assert answered["response"]["status"] == again, asked["request"]


def test_the_loaded_records_are_sound(nursery: Nursery, api: Api, data: Path) -> None:
    done = nursery.run("check", "--data", data)
    assert done.returncode == 0, done.stderr


def test_a_load_beside_a_serving_and_written_store_loses_nothing(
    nursery: Nursery, synthea: Path, tmp_path: Path
) -> None:
    small = select(synthea, 0, 2)
    data = tmp_path / "data"
    server = nursery.serve(data, free_port(), "--workers", "2")
    api = server.ready()
    stop = threading.Event()
    written: list[str] = []

    def write() -> None:
        own = Api(server.url)
        while not stop.is_set():
            answer = own.post("Basic", {"resourceType": "Basic", "code": {"text": "x"}})
            assert answer.status == 201, answer.body
            written.append(answer.json["id"])
        own.close()

    writer = threading.Thread(target=write)
    writer.start()
    done = load(data, small)
    stop.set()
    writer.join(timeout=20)
    assert done.returncode == 0, done.stderr
    expected = in_bundles(small.bundles())
    assert in_store(api, expected) == expected
    assert sorted(id for page in api.walk("Basic?_count=1000") for id in ids_of(page)) == sorted(written)
    assert len(written) > 5
    api.close()
    assert server.stop() == 0
    checked = nursery.run("check", "--data", data)
    assert checked.returncode == 0, checked.stderr


def ids_of(page: Resource) -> list[str]:
    return [entry["resource"]["id"] for entry in matches(page)]
