"""A reindexing job goes on where a killed server left it, while others write, and indexes everything once.

https://hl7.org/fhir/R4/search.html#custom
"""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path
from typing import Any

from tests.robustness.api import Api, Broken, Resource
from tests.robustness.nursery import Nursery, free_port

RECORDS, HAIRS = 4_000, 7
URL = "http://example.org/hair"
PARAMETER: Resource = {
    "resourceType": "SearchParameter",
    "id": "hair",
    "url": "http://example.org/SearchParameter/hair",
    "name": "Hair",
    "status": "active",
    "description": "The colour of hair",
    "code": "hair",
    "base": ["Patient"],
    "type": "token",
    "expression": f"Patient.extension.where(url='{URL}').value",
}


def patient(number: int, hair: int) -> Resource:
    extension = [{"url": URL, "valueCode": f"hair-{hair}"}]
    return {"resourceType": "Patient", "id": f"p{number}", "extension": extension}


def load(api: Api) -> dict[int, int]:
    """The hair of each patient, written in transactions."""
    hairs = {number: number % HAIRS for number in range(RECORDS)}
    for start in range(0, RECORDS, 1000):
        entries = [
            {"resource": patient(n, hairs[n]), "request": {"method": "PUT", "url": f"Patient/p{n}"}}
            for n in range(start, start + 1000)
        ]
        assert api.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries}).status == 200
    return hairs


def status(api: Api) -> dict[str, Any]:
    answer = api.get("SearchParameter/hair/$reindex")
    return {p["name"]: next(v for k, v in p.items() if k.startswith("value")) for p in answer.json["parameter"]}


def change(url: str, hairs: dict[int, int], chance: random.Random) -> None:
    """Give patients other hair until the server dies; an unanswered change is asked for again afterwards."""
    api = Api(url)
    try:
        while True:
            number, hair = chance.randrange(RECORDS), chance.randrange(HAIRS)
            hairs[number] = -1 - hair  # in doubt
            assert api.put(f"Patient/p{number}", patient(number, hair)).good
            hairs[number] = hair
    except Broken:
        api.close()


def test_a_reindexing_job_survives_kills_and_writes(nursery: Nursery, tmp_path: Path) -> None:
    seed = int(os.environ.get("YIDANG_TEST_SEED") or random.randrange(10**6))
    print(f"seed {seed}")
    chance = random.Random(seed)
    data, port = tmp_path / "data", free_port()
    server = nursery.serve(data, port)
    api = server.ready()
    hairs = load(api)
    assert api.put("SearchParameter/hair", PARAMETER).status == 201
    kills = 0
    while kills < 6:
        writer = threading.Thread(target=change, args=(server.url, hairs, random.Random(chance.random())))
        writer.start()
        threading.Event().wait(chance.uniform(0.02, 0.25))
        server.kill()
        writer.join(timeout=20)
        api.close()
        kills += 1
        server = nursery.serve(data, port)
        api = server.ready()
        for number, hair in hairs.items():
            if hair < 0:
                hairs[number] = -1 - hair
                assert api.put(f"Patient/p{number}", patient(number, hairs[number])).good
    end = time.monotonic() + 60
    while (found := status(api))["status"] != "completed":
        assert time.monotonic() < end, found
        threading.Event().wait(0.05)
    for hair in range(HAIRS):
        expected = {f"p{number}" for number, one in hairs.items() if one == hair}
        pages = api.walk(f"Patient?hair=hair-{hair}&_count=500&_total=accurate")
        ids = [entry["resource"]["id"] for page in pages for entry in page.get("entry", [])]
        assert len(ids) == len(set(ids)) == pages[0]["total"]
        assert set(ids) == expected
    api.close()
    assert server.stop() == 0
    done = nursery.run("check", "--data", data)
    assert done.returncode == 0, done.stderr[:2000]
