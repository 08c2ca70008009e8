"""``yidang demo``: the demonstration alliance built in a folder, and the file that says how to get into it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

_MOST = 100_000
_BULK = 1000  # written resources from which the statistics are refreshed


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "demo",
        help="build the demonstration alliance: made-up institutions, staff, residents, consents, clients",
        description="Build the demonstration alliance in DIR, the same for the same seed, and write FILE, which holds "
        "what an outside program needs to get in: clients with keys, accounts with passwords, all of them derived "
        "from the seed. Built again it adds what is missing. Nobody in it exists; never mix it with real people.",
    )
    parser.add_argument("--data", type=Path, default=Path("demo-data"), metavar="DIR", help="default demo-data")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default demo.json in DIR")
    parser.add_argument("--residents", type=int, default=60, metavar="N", help=f"1 to {_MOST} (default 60)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="default 1")
    parser.add_argument("--host", default="127.0.0.1", help="of the address in FILE (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="of the address in FILE (default 8080)")
    parser.add_argument("--serve", action="store_true", help="then serve it there")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no tour")
    parser.add_argument("--jobs", type=int, metavar="J", help="processes (default: as many as cores)")
    parser.add_argument(
        "paths", type=Path, nargs="*", metavar="PATH", help="files and folders to load beside it, as the hospital's"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build, print what to try, and serve if asked to. Returns the exit status."""
    if not 1 <= args.residents <= _MOST:
        return _refuse(f"--residents must be from 1 to {_MOST}, not {args.residents}")
    if args.jobs is not None and args.jobs < 1:
        return _refuse("--jobs must be at least 1")
    out = args.out or args.data / "demo.json"
    base = f"http://{args.host}:{args.port}/fhir"
    try:
        args.data.mkdir(parents=True, exist_ok=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        status = _build(args, out, base)
    except (OSError, ValueError, RuntimeError, KeyboardInterrupt) as error:
        text = str(error) or "interrupted; the same command goes on from here"
        print(f"yidang demo: {text}", file=sys.stderr)
        return 1
    if not args.quiet:
        print(_tour(base, out, args.seed), flush=True)
    return _serve(args) if args.serve and status == 0 else status


def _refuse(message: str) -> int:
    print(f"yidang demo: {message}", file=sys.stderr)
    return 2


def _build(args: argparse.Namespace, out: Path, base: str) -> int:
    from fhir_server.auth.file import AuthFile
    from fhir_server.demonstration import file, tour
    from fhir_server.demonstration.entrance import WARNING

    began = time.monotonic()
    _guide(args.data)
    written = _records(args)
    _shipped(args.data)
    status = _beside(args) if args.paths else 0
    auth_file = AuthFile.open(args.data)
    try:
        file.write(out, auth_file, args.seed, args.residents, base)
        tour.write_consent(out, args.seed)
    finally:
        auth_file.close()
    seconds = time.monotonic() - began
    print(
        f"{written:,} resources written for {args.residents:,} residents in {seconds:.1f} s; {out} says how to get in"
    )
    print(f"*** {WARNING} ***", file=sys.stderr)
    return status


def _guide(data: Path) -> None:
    """Put the alliance's implementation guide into the records."""
    from fhir_server.guide.install import install_now
    from fhir_server.local import open_records

    context = open_records(data, "demo")
    try:
        install_now(context)
    finally:
        context.store.close()


def _records(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from fhir_server.demonstration.records import build, steps

    written = 0
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[resources]:,} resources"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=args.quiet) as progress:
        task = progress.add_task("", total=steps(args.residents), resources=0)
        for count in build(args.data, args.residents, args.seed, args.jobs):
            written += count
            progress.update(task, advance=1, resources=written)
        progress.update(task, completed=steps(args.residents))
    if written >= _BULK:
        from fhir_server.local import existing_store

        store = existing_store(args.data, "demo")
        if store is not None:
            store.optimize()
            store.close()
    return written


def _shipped(data: Path) -> None:
    """Reference intervals, critical limits, the Measure of the quality of files."""
    import asyncio

    from fhir_server.local import open_records
    from fhir_server.records.shipped import install
    from profiles.quality import measure
    from terminology.references import definitions

    context = open_records(data, "demo")
    try:
        asyncio.run(install([*definitions(), measure()], context))
    finally:
        context.store.close()


def _beside(args: argparse.Namespace) -> int:
    """Load other files as records that the county hospital keeps."""
    from fhir_server.commands.load import load_paths
    from loaders.demo.county import HOSPITAL

    return load_paths(args.data, args.paths, args.jobs, quiet=args.quiet, party=f"Organization/{HOSPITAL}")


def _tour(base: str, out: Path, seed: int) -> str:
    from fhir_server.demonstration import tour

    called = Path(sys.argv[0])
    command = str(called) if called.name == "yidang" else f"{sys.executable} -m fhir_server.cli"
    return tour.text(base, out, seed, command)


def _serve(args: argparse.Namespace) -> int:
    from fhir_server.cli import parser

    words = ["serve", "--host", args.host, "--port", str(args.port), "--data", str(args.data)]
    serving = parser().parse_args(words)
    status: int = serving.run(serving)
    return status
