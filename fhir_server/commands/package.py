"""``yidang package``: implementation guides (FHIR NPM packages) whose profiles take part in validation."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "package", help="add, list and remove implementation guides (FHIR packages)", description=__doc__
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    adding = actions.add_parser(
        "add",
        help="add a package (.tgz)",
        description="A running server takes it up within seconds. What it depends on is named where it is missing.",
    )
    adding.add_argument("files", type=Path, nargs="+", metavar="FILE", help="the package, a .tgz archive")
    adding.set_defaults(work=_add)
    listing = actions.add_parser("list", help="list the packages")
    listing.set_defaults(work=_list)
    removing = actions.add_parser("remove", help="remove a package")
    removing.add_argument("name", metavar="NAME[#VERSION]", help="all versions where none is named")
    removing.set_defaults(work=_remove)
    for action in (adding, listing, removing):
        action.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
        action.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what is asked. Returns the exit status."""
    from profiles.packages import PackageError

    try:
        status: int = args.work(args)
    except (OSError, PackageError) as error:
        return _refuse(str(error))
    return status


def _refuse(message: str) -> int:
    print(f"yidang package: {message}", file=sys.stderr)
    return 1


def _add(args: argparse.Namespace) -> int:
    from fhir_server.validation import packages

    for file in args.files:
        package, missing = packages.add(args.data, file)
        kinds = Counter(resource["resourceType"] for resource in package.resources)
        held = ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds))
        print(f"{package.id} is added: {held or 'no definitions'}")
        for name in missing:
            print(f"yidang package: {package.id} depends on {name}, which is not here", file=sys.stderr)
    return 0


def _list(args: argparse.Namespace) -> int:
    from fhir_server.validation import packages
    from profiles.packages import missing_dependencies

    present = packages.ids(args.data)
    for package in packages.Packages(args.data).all():
        missing = missing_dependencies(package, present)
        needs = f"\tmissing: {', '.join(missing)}" if missing else ""
        print(f"{package.id}\t{len(package.resources)} definitions\t{package.title}{needs}")
    return 0


def _remove(args: argparse.Namespace) -> int:
    from fhir_server.validation import packages

    removed = packages.remove(args.data, args.name)
    if not removed:
        return _refuse(f"there is no package {args.name}")
    for id in removed:
        print(f"{id} is removed")
    return 0
