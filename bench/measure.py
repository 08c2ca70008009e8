"""The measurements of a run, one function each; every answer that is timed was checked against the truth."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench import floor, mix
from bench.drive import Driver, Round
from bench.population import PER_PERSON, Person, local_names, observation, own_names, person, resources
from bench.report import Row, of_rounds
from bench.server import Server, yidang
from bench.truth import Truth, WrongAnswer, check
from bench.wire import Wire
from profiles.lossless import encode

CONNECTIONS = 16
Requests = list[tuple[str, bytes]]


@dataclass(slots=True)
class Run:
    """What the measurements share. ``pace``: seconds of a round (1 = as in ``make bench``: 2 to 3 s)."""

    server: Server
    driver: Driver
    truth: Truth
    folder: Path
    data: Path
    pace: float = 1.0


def fine(found: Round, what: str) -> Round:
    """The round if no answer was an error; raises WrongAnswer otherwise."""
    if found.errors or not found.requests:
        raise WrongAnswer(f"{what}: {found.errors} errors in {found.requests} requests")
    return found


def definitions(rows: list[Row]) -> None:
    """Time and memory of loading the FHIR definitions in a fresh process."""
    code = (
        "import re,time;m=lambda:int(re.search('VmRSS:\\\\s+(\\\\d+)',open('/proc/self/status').read())[1])/1024;"
        "a=m();t=time.perf_counter();from profiles.definitions import load;load();print(time.perf_counter()-t,m()-a)"
    )
    seconds, megabytes = [], []
    for _ in range(3):
        made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        seconds.append(float(made[0]))
        megabytes.append(float(made[1]))
    middle = statistics.median(seconds)
    note = f"{middle * 1000:.0f} ms, +{statistics.median(megabytes):.0f} MB resident"
    rows.append(Row("definitions.load() in a fresh process", 1 / middle, middle * 1e6, note=note))


def load_floors(run: Run, rows: list[Row], load: Row, limit: int) -> None:
    """Bare SQLite: the same texts, and the store's own rows, in commits of one person each."""
    batches = []
    for p in run.truth.people:
        texts = resources(p, own_names(p, create=False))
        names = local_names(p.number)
        batches.append([(run.truth.id(n), encode(r)) for n, r in zip(names, texts, strict=True)])
    rate, cpu = floor.insert_text(run.folder / "floor.db", batches)
    load.floor_time, load.floor_cpu = rate / load.rate, load.cpu / cpu
    rows.append(Row("floor: bare SQLite, texts + 1 index", rate, cpu, note=f"{PER_PERSON} a commit, FULL"))
    rate, cpu = floor.insert_rows(run.data / "records.db", run.folder / "rows.db", PER_PERSON, limit)
    note = f"time × {rate / load.rate:.1f}, CPU × {load.cpu / cpu:.1f} for load"
    rows.append(Row("floor: bare SQLite, the store's own rows", rate, cpu, note=note))


def reads(run: Run, rows: list[Row], workers: Server | None) -> None:
    """Read by id: the server, the raw ASGI floor and two workers in interleaved rounds."""
    random = Random(3)
    names = [random.choice(local_names(random.choice(run.truth.people).number)) for _ in range(5000)]
    kinds = {"p": "Patient", "e": "Encounter", "c": "Condition", "o": "Observation"}
    requests: Requests = [(f"/fhir/{kinds[name[0]]}/{run.truth.id(name)}", b"") for name in names]
    alone = _check_reads(run, requests, names)
    seconds = 3 * run.pace
    ours: list[Round] = []
    bare: list[Round] = []
    double: list[Round] = []
    with floor.server(run.folder / "floor.db", run.folder / "floor.log") as raw:
        for _ in range(3):
            ours.append(fine(run.driver.round(run.server.port, run.server.pid, requests, seconds), "read"))
            bare.append(run.driver.round(raw.port, raw.pid, requests, seconds))
            if workers is not None:
                double.append(fine(run.driver.round(workers.port, workers.pid, requests, seconds), "read, 2 workers"))
    below = of_rounds("floor: raw ASGI + bare SQLite, read by id", bare)
    row = of_rounds("read by id", ours, alone)
    row.floor_time, row.floor_cpu = below.rate / row.rate, row.cpu / below.cpu
    rows += [row, below]
    if double:
        two = of_rounds("read by id, 2 worker processes", double)
        two.note = f"× {statistics.median(d.rate / o.rate for d, o in zip(double, ours, strict=True)):.2f} of one"
        rows.append(two)
    ids = [run.truth.id(name) for name in names]
    rate, cpu = floor.select(run.folder / "floor.db", ids, 1.0 * run.pace)
    rows.append(Row("floor: bare SQLite select by id, no HTTP", rate, cpu))


def _check_reads(run: Run, requests: Requests, names: Sequence[str]) -> float:
    """Read a thousand and compare what is in them; the median time of one (ms) on one connection."""
    wire = Wire(run.server.port)
    people = {p.number: p for p in run.truth.people}
    times: list[float] = []
    for (path, _), name in list(zip(requests, names, strict=True))[:1000]:
        began = time.perf_counter()
        status, body = wire.ask("GET", path)
        times.append(time.perf_counter() - began)
        found = json.loads(body)
        right = status == 200 and found["id"] == run.truth.id(name)
        if name[0] == "o":
            number, k = map(int, name[1:].split("-"))
            # Compared as text: every digit must be there.
            right = right and b'"value":%b,' % people[number].readings[k].value.encode() in body
        if not right:
            raise WrongAnswer(f"GET {path}: {status} {body[:500].decode(errors='replace')}")
    wire.close()
    return statistics.median(times) * 1000


def searches(run: Run, rows: list[Row], rounds: int, seconds: float) -> None:
    """Every kind of the mix: all its requests checked, then timed alone, then in rounds over 16 connections."""
    asked = {name: mix.asks(kind, count, run.truth) for name, kind, count in mix.SEARCHES}
    alone = {name: alone_ms(run.server, asks) for name, asks in asked.items()}
    found: dict[str, list[Round]] = {name: [] for name in asked}
    for _ in range(rounds):
        for name, asks in asked.items():
            requests: Requests = [(path, b"") for path, _ in asks]
            found[name].append(fine(run.driver.round(run.server.port, run.server.pid, requests, seconds), name))
    for name, made in found.items():
        rows.append(of_rounds(name, made, alone[name]))


def alone_ms(server: Server, asks: Sequence[mix.Ask]) -> float:
    """Ask everything once and check it; then the median time (ms) of asking on one idle connection."""
    wire = Wire(server.port)
    for path, expected in asks:
        check(expected, path, *wire.ask("GET", path))
    times: list[float] = []
    while len(times) < 60:
        for path, expected in asks:
            began = time.perf_counter()
            status, body = wire.ask("GET", path)
            times.append(time.perf_counter() - began)
            check(expected, path, status, body)
    wire.close()
    return statistics.median(times) * 1000


def _total(wire: Wire, path: str) -> int:
    status, body = wire.ask("GET", path)
    if status != 200:
        raise WrongAnswer(f"GET {path}: {status}")
    total: int = json.loads(body)["total"]
    return total


def creates(run: Run, rows: list[Row]) -> None:
    """Single creates over 16 connections; afterwards all that were answered are there."""
    number = 30_000  # a person whose own resources are not in the store
    bodies = []
    for p in run.truth.people[:200]:
        stranger = person(number + p.number)
        refer = {name: f"Patient/{run.truth.id(p.patient)}" for name in own_names(stranger, create=False)}
        for k in range(10):
            made = observation(stranger, k + 50, refer)
            del made["id"]
            bodies.append(encode({**made, "status": "preliminary"}))
    requests: Requests = [("/fhir/Observation", body) for body in bodies]
    wire = Wire(run.server.port)
    path = "/fhir/Observation?status=preliminary&_summary=count"
    before, answered, found = _total(wire, path), 0, []
    for _ in range(2):
        made_round = run.driver.round(
            run.server.port, run.server.pid, requests, 3 * run.pace, CONNECTIONS, method="POST"
        )
        found.append(fine(made_round, "create"))
        answered += made_round.requests
    added = _total(wire, path) - before
    if not answered <= added <= answered + 2 * CONNECTIONS:
        raise WrongAnswer(f"{answered} creates were answered, {added} are there")
    rate, cpu = floor.insert_text(run.folder / "single.db", [[(str(i), body)] for i, body in enumerate(bodies)])
    row = of_rounds("create, 16 connections, synchronous=FULL", found)
    row.floor_time, row.floor_cpu = rate / row.rate, row.cpu / cpu
    rows += [row, Row("floor: bare SQLite, 1 text a commit, FULL", rate, cpu)]
    wire.close()


def updates(run: Run, rows: list[Row]) -> None:
    """Updates of 300 Observations, then vread and history of them; versions and contents are checked."""
    wire = Wire(run.server.port)
    chosen: list[tuple[str, Person, int]] = []
    for p in run.truth.people[:300]:
        k = p.number % len(p.readings)
        chosen.append((run.truth.id(f"o{p.number}-{k}"), p, k))
    requests: Requests = []
    for id, _, _ in chosen:
        _, body = wire.ask("GET", f"/fhir/Observation/{id}")
        requests.append((f"/fhir/Observation/{id}", body))
    found = fine(
        run.driver.round(run.server.port, run.server.pid, requests, 3 * run.pace, CONNECTIONS, method="PUT"), "update"
    )
    rows.append(of_rounds("update, 16 connections, synchronous=FULL", [found]))
    versions = {id: _versions(wire, id, p.readings[k].value) for id, p, k in chosen}
    written = sum(versions.values()) - len(versions)
    if not found.requests <= written <= found.requests + CONNECTIONS:
        raise WrongAnswer(f"{found.requests} updates were answered, {written} versions were written")
    random = Random(5)
    for name, path in (("vread", "/fhir/Observation/{}/_history/{}"), ("history of an instance", "{}")):
        if name == "vread":
            asks = [(path.format(id, random.randint(1, most)), b"") for id, most in versions.items()]
        else:
            asks = [(f"/fhir/Observation/{id}/_history?_count=10", b"") for id in versions]
        made = [fine(run.driver.round(run.server.port, run.server.pid, asks, 2 * run.pace), name) for _ in range(2)]
        rows.append(of_rounds(name, made))
    wire.close()


def _versions(wire: Wire, id: str, value: str) -> int:
    """How many versions the history of an Observation has; each is read and compared."""
    _, body = wire.ask("GET", f"/fhir/Observation/{id}/_history?_count=5")
    found = json.loads(body)
    total: int = found["total"]
    shown = [int(e["resource"]["meta"]["versionId"]) for e in found["entry"]]
    if shown != list(range(total, max(total - 5, 0), -1)):
        raise WrongAnswer(f"history of Observation/{id}: versions {shown} of {total}")
    for version in {1, total}:
        status, body = wire.ask("GET", f"/fhir/Observation/{id}/_history/{version}")
        text = b'"value":%b,' % value.encode()
        if status != 200 or text not in body or json.loads(body)["meta"]["versionId"] != str(version):
            raise WrongAnswer(f"Observation/{id}/_history/{version}: {status} {body[:300].decode(errors='replace')}")
    return total


def two_workers(run: Run) -> Server:
    """A second server with two worker processes on the same records."""
    return yidang(run.data, run.folder / "two.log", workers=2)
