"""``yidang guide``: the alliance's own implementation guide put into the records, or written out as a package."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "guide", help="the alliance's implementation guide: into the records, or as a package", description=__doc__
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    installing = actions.add_parser(
        "install",
        help="put the definitions into the records",
        description="FHIR clients then read and search them by their url, and search by its parameters. What is there "
        "and the same is left alone. Profiles are in force, and pages at /guide, without this.",
    )
    installing.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
    installing.set_defaults(run=run, work=_install)
    exporting = actions.add_parser("export", help="write the guide as a FHIR package (.tgz) for other validators")
    exporting.add_argument("file", type=Path, metavar="FILE", help="the archive to write")
    exporting.set_defaults(run=run, work=_export)


def run(args: argparse.Namespace) -> int:
    """Do what is asked. Returns the exit status."""
    try:
        status: int = args.work(args)
    except (OSError, ValueError) as error:
        print(f"yidang guide: {error}", file=sys.stderr)
        return 1
    return status


def _install(args: argparse.Namespace) -> int:
    from fhir_server.guide.install import install
    from fhir_server.local import open_records
    from profiles.alliance import VERSION, resources

    context = open_records(args.data, "guide")
    try:
        written = asyncio.run(install(context))
    finally:
        context.store.close()
    print(f"guide {VERSION}: {written} of {len(resources())} definitions written, the others were there")
    return 0


def _export(args: argparse.Namespace) -> int:
    from profiles.alliance.package import archive

    content = archive()
    args.file.write_bytes(content)
    print(f"{args.file}: {len(content):,} bytes")
    return 0
