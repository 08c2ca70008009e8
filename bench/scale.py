"""``python -m bench --scale 1000000``: every search of the mix at 100,000 resources and at so many more.

The records are made by ``yidang load`` from Bundle files with several processes, as an operator would.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench import measure, mix, report
from bench.drive import Driver
from bench.population import MAX_PEOPLE, PER_PERSON, bundle, local_names, people
from bench.report import Row
from bench.server import ROOT, Server, yidang
from bench.truth import Truth, WrongAnswer
from loaders.demo import county_bundle
from profiles.lossless import encode

_BASE = 100_000
_PEOPLE_A_FILE = 10


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _make(folder: Path, count: int) -> float | None:
    """Load ``count`` people into ``folder`` unless they are there; resources a second."""
    done = folder / f"bench-{count}"
    if done.exists():
        return None
    shutil.rmtree(folder, ignore_errors=True)
    files = folder / "files"
    files.mkdir(parents=True)
    (files / "0-county.json").write_bytes(encode(county_bundle(1)))
    for start in range(0, count, _PEOPLE_A_FILE):
        some = people(min(_PEOPLE_A_FILE, count - start), start)
        entries = b",".join(_entries(bundle(p, create=False)) for p in some)
        text = b'{"resourceType":"Bundle","type":"transaction","entry":[' + entries + b"]}"
        (files / f"people-{start:07d}.json").write_bytes(text)
    command = [str(Path(sys.executable).with_name("yidang")), "load", "--quiet", "--data", str(folder), str(files)]
    began = time.perf_counter()
    made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if made.returncode:
        raise WrongAnswer(f"yidang load: {made.stderr[-2000:]}")
    seconds = time.perf_counter() - began
    shutil.rmtree(files)
    done.touch()
    return count * PER_PERSON / seconds


def _entries(text: bytes) -> bytes:
    """What stands between the brackets of a Bundle's entry."""
    return text[text.index(b"[") + 1 : -2]


@dataclass(slots=True)
class _Side:
    """One of the two sizes: its server, truth, and what was asked."""

    server: Server
    truth: Truth
    asked: dict[str, list[mix.Ask]]


def _side(folder: Path, count: int, log: Path) -> _Side:
    truth = Truth(list(people(count)))
    return _Side(yidang(folder, log), truth, {name: mix.asks(kind, n, truth) for name, kind, n in mix.SEARCHES})


def _sizes(store: Path) -> str:
    """Bytes of each table and index of the record file, the largest first, as Markdown."""
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    count = connection.execute("SELECT count(*) FROM res").fetchone()[0]
    rows = connection.execute(
        "SELECT name, sum(pgsize) AS size FROM dbstat GROUP BY name ORDER BY size DESC"
    ).fetchall()
    lines = ["| table or index | MB | bytes a resource |", "| --- | --: | --: |"]
    lines += [f"| {name} | {size / 1e6:.1f} | {size / count:.0f} |" for name, size in rows if size > 200_000]
    total = sum(size for _, size in rows)
    lines.append(f"| all | {total / 1e6:.0f} | {total / count:.0f} |")
    connection.close()
    return "\n".join(lines)


def compare(resources: int, keep: Path | None, save: bool) -> int:
    """Measure, print; 0 done, 1 a wrong answer."""
    folder = keep or Path(tempfile.mkdtemp(prefix="yidang-bench-"))
    try:
        return _compare(resources, folder, save)
    except WrongAnswer as wrong:
        _say(f"WRONG ANSWER: {wrong}")
        return 1
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _compare(resources: int, folder: Path, save: bool) -> int:
    counts = [_BASE // PER_PERSON, min(resources // PER_PERSON, MAX_PEOPLE)]
    stores = [folder / f"{count}-people" for count in counts]
    rates = []
    for count, store in zip(counts, stores, strict=True):
        _say(f"{count * PER_PERSON:,} resources")
        rates.append(_make(store, count))
    driver = Driver(folder)
    sides = [_side(store, count, folder / f"server-{count}.log") for store, count in zip(stores, counts, strict=True)]
    rows: list[Row] = []
    try:
        _say("asking")
        rows.append(_reads(driver, sides))
        for name, _, _ in mix.SEARCHES:
            rows.append(_search(driver, sides, name))
    finally:
        for side in sides:
            side.server.stop()
    _print(rows, counts, rates, stores[1])
    if save:
        facts = {"date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "resources": counts[1] * PER_PERSON}
        report.save(rows, facts, report.LATEST.with_name("scale.json"))
    return 0


def _row(name: str, alone: list[float], cpu: list[float]) -> Row:
    """``alone``, ``cpu`` of both sizes; ``floor_time``, ``floor_cpu`` are the ratios of the large to the small."""
    return Row(name, 0, cpu[1], p50=alone[0], alone=alone[1], floor_time=alone[1] / alone[0], floor_cpu=cpu[1] / cpu[0])


def _search(driver: Driver, sides: list[_Side], name: str) -> Row:
    alone = [measure.alone_ms(side.server, side.asked[name]) for side in sides]
    alone = [min(a, measure.alone_ms(side.server, side.asked[name])) for a, side in zip(alone, sides, strict=True)]
    cpu = []
    for side in sides:
        requests = [(path, b"") for path, _ in side.asked[name]]
        made = driver.round(side.server.port, side.server.pid, requests, 2)
        cpu.append(measure.fine(made, name).cpu)
    return _row(name, alone, cpu)


def _reads(driver: Driver, sides: list[_Side]) -> Row:
    random = Random(3)
    cpu, alone = [], []
    for side in sides:
        people_ = side.truth.people
        names = [random.choice(local_names(random.choice(people_).number)[12:]) for _ in range(5000)]
        requests = [(f"/fhir/Observation/{name}", b"") for name in names]
        one = measure.fine(driver.round(side.server.port, side.server.pid, requests, 2, connections=1), "read")
        cpu.append(measure.fine(driver.round(side.server.port, side.server.pid, requests, 2), "read").cpu)
        alone.append(one.latency[0])
    return _row("read by id", alone, cpu)


def _print(rows: list[Row], counts: list[int], rates: list[float | None], store: Path) -> None:
    small, large = (f"{count * PER_PERSON:,}" for count in counts)
    print(f"| one connection, p50 ms | {small} | {large} | ratio | CPU µs at {large} | CPU ratio |")
    print("| --- | --: | --: | --: | --: | --: |")
    for row in rows:
        figures = (row.p50, row.alone, row.floor_time, row.cpu, row.floor_cpu)
        print(f"| {row.name} | " + " | ".join(report.number(value) for value in figures) + " |")
    for count, rate in zip(counts, rates, strict=True):
        if rate:
            print(f"\nyidang load of {count * PER_PERSON:,} resources: {rate:,.0f}/s")
    print()
    print(_sizes(store / "records.db"))
