"""The result of a run: rows of a table, kept as JSON, compared with the last committed run."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.drive import Round

LATEST = Path(__file__).parent / "results" / "latest.json"


@dataclass(slots=True)
class Row:
    """One line: what, how many a second, percentiles (ms) under load, p50 (ms) alone, CPU µs each.

    ``floor_time`` and ``floor_cpu`` are how many times the floor of the same run it takes.
    """

    name: str
    rate: float
    cpu: float
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    alone: float | None = None
    floor_time: float | None = None
    floor_cpu: float | None = None
    note: str = ""


def of_rounds(name: str, rounds: Sequence[Round], alone: float | None = None, note: str = "") -> Row:
    """The medians of several rounds."""
    middle = statistics.median
    p50, p95, p99 = (middle([r.latency[i] for r in rounds]) for i in range(3))
    return Row(name, middle([r.rate for r in rounds]), middle([r.cpu for r in rounds]), p50, p95, p99, alone, note=note)


def number(value: float | None) -> str:
    """A figure as short as it is exact enough; empty for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


_HEAD = (
    "what", "per s", "p50 ms", "p95 ms", "p99 ms", "alone p50", "CPU µs", "× floor time", "× floor CPU", "× last rate",
    "× last CPU",
)  # fmt: skip


def table(rows: Sequence[Row], last: dict[str, Any] | None) -> str:
    """The rows as a Markdown table, with ratios to the last run where it has the row."""
    before = {row["name"]: row for row in (last or {}).get("rows", ())}
    lines = [_HEAD, tuple("---" if i == 0 else "--:" for i in range(len(_HEAD)))]
    for row in rows:
        old = before.get(row.name)
        rate = row.rate / old["rate"] if old and old["rate"] else None
        cpu = row.cpu / old["cpu"] if old and old["cpu"] else None
        figures = (row.rate, row.p50, row.p95, row.p99, row.alone, row.cpu, row.floor_time, row.floor_cpu, rate, cpu)
        lines.append((row.name + (f" ({row.note})" if row.note else ""), *map(number, figures)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
    made = []
    for line in lines:
        cells = [cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(line)]
        made.append("| " + " | ".join(cells) + " |")
    return "\n".join(made)


def latest() -> dict[str, Any] | None:
    """The last committed run, or None."""
    if not LATEST.is_file():
        return None
    found: dict[str, Any] = json.loads(LATEST.read_text())
    return found


def save(rows: Sequence[Row], facts: dict[str, Any], path: Path = LATEST) -> None:
    """Write a run as the one that later runs are compared with."""
    path.parent.mkdir(exist_ok=True)
    rounded = [
        {k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(row).items() if v not in (None, "")}
        for row in rows
    ]
    path.write_text(json.dumps({**facts, "rows": rounded}, ensure_ascii=False, indent=1) + "\n")
