"""``yidang load``: FHIR files into the records, as often as needed: what is in already is not loaded again."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from fhir_server.loading import Total
    from loaders.bundles import Refusal

_BULK = 1000  # written resources from which the statistics are refreshed
_REASON = 500  # characters of a reason that are shown


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "load",
        help="load files: transaction and batch Bundles, NDJSON, single resources, gzipped or not",
        description="Load FHIR JSON files and folders of them. An interrupted load is continued by the same command; "
        "a file that was loaded before is left out. What is refused is said on standard error.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: as many as cores, fewer for little)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="a file or a folder")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Load the paths. Returns the exit status: 1 when something was refused."""
    if args.jobs is not None and args.jobs < 1:
        print("yidang load: --jobs must be at least 1", file=sys.stderr)
        return 2
    return load_paths(args.data, args.paths, args.jobs, quiet=args.quiet)


def load_paths(data: Path, paths: list[Path], jobs: int | None = None, *, quiet: bool = False, party: str = "") -> int:
    """Load files and folders into the records in ``data``, showing progress; the exit status.

    ``party``: reference to whose records they become, where they do not say it themselves.
    """
    from functools import partial

    from fhir_server.errors import FhirError
    from fhir_server.loading import Total, WorkerDied, load
    from fhir_server.local import open_records
    from loaders.bundles import files

    found, missing = files(paths)
    total = Total(refusals=list(missing))
    began = time.monotonic()
    with _progress(disable=quiet) as progress:
        for refusal in missing:
            _report(refusal, progress)
        task = progress.add_task("", total=sum(path.stat().st_size for path in found), resources=0, rate=0)
        try:
            for event in load(found, partial(open_records, data, "load", party), jobs):
                total.add(event)
                for refusal in event.refusals:
                    _report(refusal, progress)
                rate = total.written / max(time.monotonic() - began, 1e-3)
                progress.update(task, advance=event.read, resources=total.written, rate=rate)
        except (FhirError, WorkerDied, OSError, ValueError, KeyboardInterrupt) as error:
            progress.stop()
            print(f"yidang load: {str(error) or 'interrupted'}; the same command goes on from here", file=sys.stderr)
            return 1
    if total.written >= _BULK:
        _refresh(data)
    print(_summary(total, time.monotonic() - began))
    return 1 if total.refusals else 0


def _refresh(data: Path) -> None:
    from fhir_server.local import existing_store

    store = existing_store(data, "load")
    if store is not None:
        store.optimize()
        store.close()


def _progress(disable: bool) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    return Progress(
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[resources]:,} resources  {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=Console(stderr=True),
        disable=disable,
    )


def _report(refusal: Refusal, progress: Progress) -> None:
    where = f"{refusal.path}, {_place(refusal)}" if refusal.position else str(refusal.path)
    reason = refusal.reason if len(refusal.reason) <= _REASON else refusal.reason[:_REASON] + "…"
    progress.console.print(f"refused {where}: {reason}", markup=False, highlight=False, soft_wrap=True)


def _place(refusal: Refusal) -> str:
    return f"{'line' if '.ndjson' in refusal.path.name.lower() else 'entry'} {refusal.position}"


def _summary(total: Total, seconds: float) -> str:
    rate = total.written / max(seconds, 1e-3)
    text = f"{_counted(total.written, 'resource')} written from {_counted(total.files - total.skipped, 'file')}"
    text += f" in {seconds:.1f} s ({rate:,.0f}/s)"
    if total.skipped:
        text += f"; {_counted(total.skipped, 'file')} in before"
    if total.refusals:
        text += f"; {len(total.refusals):,} refused"
    return text


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
