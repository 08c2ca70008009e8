"""A server killed at any moment keeps what it answered, and half of nothing.

https://hl7.org/fhir/R4/http.html#transaction ("… the server SHALL either accept all actions …")
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.robustness.api import Answer, Api, Broken, Resource
from tests.robustness.nursery import Fork, Nursery, free_port

KILLS = 50
CLIENTS = 6
CHECK_EVERY = 17
ATTEMPT = "urn:attempt"


@dataclass
class Attempt:
    """One request that writes: what it puts and deletes, under a name that all its resources carry."""

    name: str
    creates: int = 0
    puts: list[str] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)


@dataclass
class State:
    """The state of a resource that was promised: its version and the attempt that wrote it (None: deleted)."""

    version: int
    attempt: str | None


class Ledger:
    """One client with ids of its own: it writes, remembers what was answered, and compares after a crash."""

    def __init__(self, number: int, seed: int) -> None:
        self.number = number
        self.random = random.Random(seed + number)
        self.promised: dict[str, State] = {}
        self.past: list[tuple[str, int, str]] = []
        self.touched: set[str] = set()
        self.doubt: Attempt | None = None
        self.attempts = 0
        self.refused: list[bytes] = []

    # -- writing -------------------------------------------------------------------------------

    def write_until_dead(self, url: str, stop: threading.Event | None = None) -> None:
        """Write until the server breaks off, or ``stop`` is set (where another worker may answer on)."""
        api = Api(url, timeout=20)
        try:
            while stop is None or not stop.is_set():
                self.write(api)
            api.close()
        except Broken:
            api.close()

    def write(self, api: Api) -> None:
        self.attempts += 1
        attempt = Attempt(f"{self.number}-{self.attempts}")
        living = [name for name, state in self.promised.items() if state.attempt is not None]
        kind = self.random.choice(["create", "update", "update", "delete", "transaction", "transaction"])
        if kind == "delete" and living:
            attempt.deletes = [self.random.choice(living)]
        elif kind == "update":
            attempt.puts = [self.own_id()]
        elif kind == "transaction":
            attempt.creates = self.random.choice([1, 3, 40])
            attempt.puts = sorted({self.own_id() for _ in range(3)})
            spare = [name for name in living if name not in attempt.puts]
            attempt.deletes = self.random.sample(spare, min(2, len(spare)))
        else:
            attempt.creates = 1
        self.doubt = attempt
        answer = self.send(api, attempt, kind)
        if answer.good:
            self.note(attempt, answer)
        else:
            self.refused.append(answer.body)
        self.doubt = None

    def own_id(self) -> str:
        return f"Observation/c{self.number}-{self.random.randrange(12)}"

    def send(self, api: Api, attempt: Attempt, kind: str) -> Answer:
        if kind == "transaction":
            return api.post("", transaction(attempt))
        if attempt.puts:
            path = attempt.puts[0]
            return api.put(path, observation(attempt, path.partition("/")[2]))
        if attempt.deletes:
            return api.delete(attempt.deletes[0])
        return api.post("Observation", observation(attempt))

    def note(self, attempt: Attempt, answer: Answer) -> None:
        """Keep what a good answer promised."""
        if answer.status == 204:
            self.promise(attempt.deletes[0], answer.version, None)
            return
        body = answer.json
        if body["resourceType"] != "Bundle":
            self.promise(f"Observation/{body['id']}", answer.version, attempt.name)
            return
        for entry in body["entry"]:
            response = entry["response"]
            if "location" in response:
                type_, id_, _, version = response["location"].split("/")[-4:]
                self.promise(f"{type_}/{id_}", int(version), attempt.name)
        for path in attempt.deletes:
            self.promise(path, self.promised[path].version + 1, None)

    def promise(self, path: str, version: int, attempt: str | None) -> None:
        self.promised[path] = State(version, attempt)
        self.touched.add(path)
        if attempt is not None:
            self.past.append((path, version, attempt))

    # -- comparing -----------------------------------------------------------------------------

    def settle(self, api: Api) -> bool:
        """Find out whether the unanswered request was carried out: wholly or not at all."""
        attempt, self.doubt = self.doubt, None
        if attempt is None:
            return False
        found = {}
        for type_ in ("Observation", "Patient"):
            answer = api.get(f"{type_}?identifier={ATTEMPT}|{attempt.name}&_count=1000")
            for entry in answer.json.get("entry", []):
                found[f"{type_}/{entry['resource']['id']}"] = entry["resource"]
        gone = [path for path in attempt.deletes if api.get(path).status == 410]
        done = bool(found or gone)
        if done:
            created = found.keys() - set(attempt.puts)
            assert len(created) == attempt.creates, f"{attempt}: {len(created)} of its creates are there"
            assert set(attempt.puts) <= found.keys(), f"{attempt}: updates are missing"
            assert gone == attempt.deletes, f"{attempt}: only {gone} are deleted"
            patients = {path for path in found if path.startswith("Patient/")}
            for path, resource in found.items():
                if "subject" in resource:
                    assert resource["subject"]["reference"] in patients, f"{path} refers to nothing"
                before = self.promised.get(path)
                version = int(resource["meta"]["versionId"])
                assert version == (before.version + 1 if before else 1), f"{path} has version {version}, was {before}"
                self.promise(path, version, attempt.name)
            for path in gone:
                self.promise(path, self.promised[path].version + 1, None)
        return done

    def compare(self, api: Api) -> None:
        """All that was promised since the last comparison is there, in that version."""
        for path in sorted(self.touched):
            state, answer = self.promised[path], api.get(path)
            if state.attempt is None:
                assert answer.status == 410, f"{path} was deleted, and answers {answer.status}"
            else:
                assert answer.status == 200, f"{path} was answered as written, and is {answer.status}"
                assert answer.version == state.version
                assert answer.json["identifier"][0]["value"] == state.attempt
        self.touched.clear()
        assert not self.refused, self.refused[0]

    def compare_past(self, api: Api, sample: int) -> None:
        """Versions that were answered long ago are there as well."""
        for path, version, attempt in self.random.sample(self.past, min(sample, len(self.past))):
            answer = api.get(f"{path}/_history/{version}")
            assert answer.status == 200, f"{path} version {version} is lost"
            assert answer.json["identifier"][0]["value"] == attempt


def observation(attempt: Attempt, id_: str | None = None, subject: str | None = None) -> Resource:
    found: Resource = {"resourceType": "Observation"}
    if id_ is not None:
        found["id"] = id_
    found |= {
        "identifier": [{"system": ATTEMPT, "value": attempt.name}],
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}], "text": "心率"},
        "effectiveDateTime": "2026-03-01T08:00:00+08:00",
        "valueQuantity": {"value": 72, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
    }
    if subject is not None:
        found["subject"] = {"reference": subject}
    return found


def transaction(attempt: Attempt) -> Resource:
    """A Patient and Observations about it that are created, others that are updated, others that are deleted."""
    patient = f"urn:uuid:{uuid.uuid4()}"
    named = {"resourceType": "Patient", "identifier": [{"system": ATTEMPT, "value": attempt.name}]}
    entries: list[Resource] = [{"fullUrl": patient, "resource": named, "request": {"method": "POST", "url": "Patient"}}]
    for _ in range(attempt.creates - 1):
        made = observation(attempt, subject=patient)
        entries.append({"resource": made, "request": {"method": "POST", "url": "Observation"}})
    for path in attempt.puts:
        made = observation(attempt, path.partition("/")[2], patient)
        entries.append({"resource": made, "request": {"method": "PUT", "url": path}})
    entries += [{"request": {"method": "DELETE", "url": path}} for path in attempt.deletes]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def assert_sound(nursery: Nursery, data: Path) -> None:
    done = nursery.run("check", "--data", data)
    assert done.returncode == 0, done.stderr


def crash(server: Fork, ledgers: list[Ledger], seconds: float) -> None:
    """Let all clients write, kill the server after ``seconds``, wait until all clients have noticed."""
    threads = [threading.Thread(target=ledger.write_until_dead, args=(server.url,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    threading.Event().wait(seconds)
    server.kill()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()


def test_fifty_kills_lose_nothing_that_was_answered(nursery: Nursery, tmp_path: Path) -> None:
    seed = int(os.environ.get("YIDANG_TEST_SEED") or random.randrange(10**6))
    print(f"seed {seed}")
    chance = random.Random(seed)
    data, port = tmp_path / "data", free_port()
    ledgers = [Ledger(number, seed) for number in range(CLIENTS)]
    carried_out = 0
    for kill in range(KILLS):
        # In every other round superseded versions are purged at once, beside the writes.
        server = nursery.serve(data, port, environment={"YIDANG_PAGE_SECONDS": "0" if kill % 2 else "3600"})
        if chance.random() < 0.1:  # already while it starts
            threading.Event().wait(chance.uniform(0, 0.1))
            server.kill()
            continue
        api = server.ready()
        for ledger in ledgers:
            carried_out += ledger.settle(api)
            ledger.compare(api)
        api.close()
        crash(server, ledgers, chance.uniform(0.05, 0.6))
        if kill % CHECK_EVERY == CHECK_EVERY - 1:
            assert_sound(nursery, data)
    api = nursery.serve(data, port).ready()
    for ledger in ledgers:
        ledger.settle(api)
        ledger.compare(api)
        ledger.touched.update(ledger.promised)
        ledger.compare(api)
        ledger.compare_past(api, 150)
    writes = sum(ledger.attempts for ledger in ledgers)
    living = sum(state.attempt is not None for ledger in ledgers for state in ledger.promised.values())
    assert api.count("Observation") + api.count("Patient") == living, "something is there that nobody wrote"
    assert_sound(nursery, data)
    print(f"{writes} requests, {carried_out} unanswered ones had been carried out")
    assert writes > KILLS * CLIENTS


def processes_of(pid: int) -> list[int]:
    """The server processes that ``pid`` started (not Python's own keeper of resources)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.02)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_a_killed_worker_is_replaced_and_loses_nothing(nursery: Nursery, tmp_path: Path) -> None:
    seed = int(os.environ.get("YIDANG_TEST_SEED") or random.randrange(10**6))
    print(f"seed {seed}")
    data, port = tmp_path / "data", free_port()
    server = nursery.serve(data, port, "--workers", "2")
    server.ready().close()
    wait_until(lambda: len(processes_of(server.pid)) == 2)
    ledgers = [Ledger(number, seed) for number in range(4)]
    for _ in range(2):
        stop = threading.Event()
        threads = [threading.Thread(target=ledger.write_until_dead, args=(server.url, stop)) for ledger in ledgers]
        for thread in threads:
            thread.start()
        threading.Event().wait(0.3)
        for worker in processes_of(server.pid):
            os.kill(worker, signal.SIGKILL)
        stop.set()  # a client that came late may have met a replaced worker already
        for thread in threads:
            thread.join(timeout=30)
            assert not thread.is_alive()
        api = server.ready()
        for ledger in ledgers:
            ledger.settle(api)
            ledger.compare(api)
        api.close()
    wait_until(lambda: len(processes_of(server.pid)) == 2)
    assert server.stop() == 0
    assert_sound(nursery, data)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_workers_end_with_the_process_that_started_them(nursery: Nursery, tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    server = nursery.serve(data, port, "--workers", "2")
    server.ready().close()
    workers = processes_of(server.pid)
    server.kill()
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    again = nursery.serve(data, port)
    api = again.ready()
    assert api.put("Patient/a", {"resourceType": "Patient", "id": "a"}).status == 201
    api.close()
    assert again.stop() == 0
