"""``yidang guide``: the alliance's implementation guide into the records, as a package, and files checked by it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "guide", help="the alliance's implementation guide: install, export, check files by it", description=__doc__
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
    checking = actions.add_parser(
        "check",
        help="hold files against the guide",
        description="Bundles, NDJSON, single resources and folders of them, as a system would send them. Each is "
        "checked by the profile for its kind. Nothing is written. Exit status 1 where something is wrong.",
    )
    checking.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="a file or a folder")
    checking.add_argument("--most", type=int, default=100, metavar="N", help="errors that are printed (default 100)")
    checking.set_defaults(run=run, work=_check)


def run(args: argparse.Namespace) -> int:
    """Do what is asked. Returns the exit status."""
    try:
        status: int = args.work(args)
    except (OSError, ValueError) as error:
        print(f"yidang guide: {error}", file=sys.stderr)
        return 1
    return status


def _install(args: argparse.Namespace) -> int:
    from fhir_server.guide.install import install_now
    from fhir_server.local import open_records
    from profiles.alliance import VERSION, resources

    context = open_records(args.data, "guide")
    try:
        written = install_now(context)
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


def _check(args: argparse.Namespace) -> int:
    from fhir_server.guide.checking import Report, check
    from loaders.bundles import Refusal

    report, told = Report(), 0
    for one in check(args.paths, report):
        if isinstance(one, Refusal):
            print(f"{one.path}{_at(one.position)}: {one.reason}", file=sys.stderr)
            continue
        for issue in one.errors:
            told += 1
            if told <= args.most:
                where = ", ".join(issue.expression)
                print(f"{one.path}{_at(one.position)}: {one.resource}: {where}: {issue.diagnostics}")
    if told > args.most:
        print(f"… and {told - args.most:,} more errors")
    for profile, number in sorted(report.checked.items()):
        print(f"{number:>8,} checked {report.wrong.get(profile, 0):>8,} wrong  {profile}")
    return 1 if told or report.unread else 0


def _at(position: int) -> str:
    """A place in a file; the whole of it is 0."""
    return f":{position}" if position else ""
