"""``python -m bench [--save] [--scale N] [--people N]``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import measure, report
from bench.drive import Driver
from bench.loading import load
from bench.population import OBSERVATIONS, PER_PERSON, bundle, people
from bench.report import Row
from bench.server import resident_mb, yidang
from bench.truth import Truth, WrongAnswer
from bench.wire import Wire
from loaders.demo import county_bundle
from profiles.lossless import encode

_PEOPLE = 1250  # 100,000 Observations, 115,000 resources
_LOAD_SECONDS = 120  # what is not loaded by then is left out, so that the whole run stays below 5 minutes
_LOADERS = 4


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _run(folder: Path, count: int, pace: float, rows: list[Row]) -> dict[str, Any]:
    """Measure into ``rows``; the facts of the run."""
    driver = Driver(folder)
    _say(f"driven by {driver.name}; making {count * PER_PERSON:,} resources")
    measure.definitions(rows)
    everyone = list(people(count))
    bundles = [bundle(p, create=True) for p in everyone]
    data = folder / "data"
    with yidang(data, folder / "server.log") as server:
        started = f"{server.start_seconds:.2f} s, {resident_mb(server.pid):.0f} MB resident"
        rows.append(Row("server start to first answer", 1 / server.start_seconds, 0, note=started))
        wire = Wire(server.port)
        status, body = wire.ask("POST", "/fhir", encode(county_bundle(1)))
        if status != 200:
            raise WrongAnswer(f"the county's batch: {status} {body[:500].decode(errors='replace')}")
        wire.close()
        _say("loading")
        done = load(server, bundles, _LOADERS, _LOAD_SECONDS * pace)
        size = sum(map(len, bundles[: done.people])) / done.resources
        del bundles
        row = Row(
            "load: transaction Bundles, validated", done.resources / done.seconds, done.cpu / done.resources * 1e6
        )
        times = sorted(done.latencies)
        row.p50, row.p95, row.p99 = (times[int((len(times) - 1) * q)] for q in (0.5, 0.95, 0.99))
        row.note = f"{done.resources:,} of {PER_PERSON} a Bundle, {_LOADERS} connections; ms a Bundle"
        rows.append(row)
        _say(f"{row.rate:,.0f} resources/s")
        run = measure.Run(server, driver, Truth(everyone[: done.people], done.ids), folder, data, pace)
        measure.load_floors(run, rows, row, min(done.resources, 100 * PER_PERSON))
        _say("reads")
        with measure.two_workers(run) as two:
            measure.reads(run, rows, two)
        _say("searches")
        measure.searches(run, rows, rounds=2, seconds=2 * pace)
        _say("writes")
        measure.creates(run, rows)
        measure.updates(run, rows)
        memory = resident_mb(server.pid)
    disk = sum(f.stat().st_size for f in data.iterdir()) / 1e6
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "driver": driver.name,
        "resources": done.resources,
        "observations": done.people * OBSERVATIONS,
        "bytes_per_resource": round(size),
        "server_mb_after": round(memory),
        "disk_mb_after": round(disk),
    }


def main() -> int:
    """Run, print the table; 0 done, 1 a wrong answer (slowness is no failure)."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--save", action="store_true", help="keep this run in bench/results/latest.json")
    parser.add_argument("--people", type=int, default=_PEOPLE, help=f"people, {PER_PERSON} resources each")
    parser.add_argument("--pace", type=float, default=1.0, help="length of the rounds (0.4: a quick look)")
    parser.add_argument("--scale", type=int, metavar="N", help="compare N resources with 100,000 instead")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where --scale makes its records, kept for next time")
    parser.add_argument("--consent", action="store_true", help="what consent and audit cost instead")
    args = parser.parse_args()
    if args.consent:
        from bench.consent import run

        with tempfile.TemporaryDirectory(prefix="yidang-bench-") as folder:
            print("\n".join(run(Path(folder), args.people if args.people != _PEOPLE else 5000, 4 * args.pace)))
        return 0
    if args.scale:
        from bench.scale import compare

        return compare(args.scale, args.keep, args.save)
    began = time.monotonic()
    rows: list[Row] = []
    last = report.latest()
    try:
        with tempfile.TemporaryDirectory(prefix="yidang-bench-") as folder:
            facts = _run(Path(folder), args.people, args.pace, rows)
    except WrongAnswer as wrong:
        print(report.table(rows, last))
        _say(f"WRONG ANSWER: {wrong}")
        return 1
    print(report.table(rows, last))
    print("\n" + ", ".join(f"{key} {value}" for key, value in facts.items()))
    if last:
        print(f"last: {last['date']}, {last['machine']}")
    print(f"every answer was right; {time.monotonic() - began:.0f} s")
    if args.save:
        report.save(rows, facts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
