"""``yidang references``: reference intervals, critical and plausibility limits, put into the records as resources.

docs/references.md tells how they are used and changed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "references", help="install the shipped reference intervals and critical limits", description=__doc__
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    install = actions.add_parser(
        "install",
        help="put the shipped ObservationDefinitions into the records",
        description="What is missing is added, what is of an older edition is renewed. What administrators changed or "
        "deleted is left as it is.",
    )
    install.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
    install.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Install. Returns the exit status."""
    from fhir_server.local import open_records
    from fhir_server.records.shipped import install
    from terminology.references import definitions

    try:
        context = open_records(args.data, "references")
    except (OSError, ValueError) as error:
        print(f"yidang references: {error}", file=sys.stderr)
        return 1
    try:
        done = asyncio.run(install(definitions(), context))
    finally:
        context.store.close()
    print(f"{done.written} definitions written, {done.present} there already, {done.left} changed here and left alone")
    return 0
