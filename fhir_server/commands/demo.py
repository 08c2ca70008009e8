"""``yidang demo``: demonstration records loaded and served on this machine, with commands to try on them."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhir_server.context import Context

_HEART_RATE = "http://loinc.org|8867-4"


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "demo",
        help="load demonstration records and serve them (development mode)",
        description="Load the files of PATH, or a small made-up county when none is given, and serve them with --open. "
        "Started again it serves what is there.",
    )
    parser.add_argument("--data", type=Path, default=Path("demo-data"), metavar="DIR", help="default demo-data")
    parser.add_argument("--host", default="127.0.0.1", help="default 127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="default 8080")
    parser.add_argument("--residents", type=int, default=100, metavar="N", help="of the made-up county (default 100)")
    parser.add_argument("--no-serve", action="store_true", help="only load, and print the commands")
    parser.add_argument("paths", type=Path, nargs="*", metavar="PATH", help="files and folders to load instead")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Load, print what to try, and serve. Returns the exit status."""
    from fhir_server.commands import serve
    from fhir_server.commands.load import load_paths
    from fhir_server.local import open_records

    if args.paths:
        status = load_paths(args.data, args.paths)
    else:
        with tempfile.TemporaryDirectory() as folder:
            _county(args.residents, Path(folder))
            status = load_paths(args.data, [Path(folder)])
    context = open_records(args.data, "demo")
    try:
        print(asyncio.run(tour(context, f"http://{args.host}:{args.port}/fhir")), flush=True)
    finally:
        context.store.close()
    if args.no_serve:
        return status
    return serve.run(argparse.Namespace(host=args.host, port=args.port, data=args.data, workers=1, open=True))


def _county(residents: int, folder: Path) -> None:
    from loaders.demo import bundles
    from profiles import lossless

    for name, bundle in bundles(residents, create=True):
        (folder / f"{name}.json").write_bytes(lossless.encode(bundle))


async def tour(context: Context, base: str) -> str:
    """curl commands that work as printed on these records; ``base`` is the FHIR base."""
    from profiles.lossless import parse

    found = await _first(context, "Observation", [("code", _HEART_RATE), ("_sort", "-date")])
    patient = found["subject"]["reference"].partition("/")[2] if found else None
    lines = ["", "Try, in another terminal:", "", f"  curl {base}/metadata"]
    if patient is None:
        return "\n".join([*lines, f"  curl '{base}/Patient?_count=3'", ""])
    stored = context.store.read("Patient", patient, context.access)
    name = parse(stored.body)["name"][0]["family"] if stored and stored.body else ""
    post = (
        '{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org",'
        f'"code":"8867-4"}}]}},"subject":{{"reference":"Patient/{patient}"}},'
        '"valueQuantity":{"value":72,"unit":"/min","system":"http://unitsofmeasure.org","code":"/min"}}'
    )
    lines += [
        f"  curl {base}/Patient/{patient}",
        f"  curl -G {base}/Patient --data-urlencode {shlex.quote(f'name={name}')}",
        f"  curl '{base}/Observation?patient={patient}&code={_HEART_RATE}&_sort=-date&_count=5'",
        f"  curl '{base}/Patient/{patient}/$everything?_count=20'",
        f"  curl {base}/Observation -H 'Content-Type: application/fhir+json' -d '{post}'",
        "",
    ]
    return "\n".join(lines)


async def _first(context: Context, type: str, pairs: list[tuple[str, str]]) -> dict[str, Any] | None:
    from fhir_server.interactions.criteria import read_search
    from profiles.lossless import parse

    query = read_search((type,), pairs, context).query
    page = await context.store.search(replace(query, count=1), context.access)
    body = page.matches[0].body if page.matches else None
    found: dict[str, Any] | None = parse(body) if body else None
    return found
