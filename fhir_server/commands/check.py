"""``yidang check``: the record file compared with itself: pages, checksums of texts, versions, index rows."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "check",
        help="verify the record file",
        description="Verify the pages, the checksums of all stored texts, the chains of versions, and every index "
        "row against the texts. Exit status 1 and one line for each problem if there are any.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, and print what is wrong. Returns the exit status."""
    from fhir_server.local import existing_store

    store = existing_store(args.data, "check")
    if store is None:
        return 1
    problems = 0
    try:
        for problem in store.check():
            problems += 1
            print(problem, file=sys.stderr, flush=True)
    finally:
        store.close()
    if problems:
        print(f"yidang check: {problems} problems", file=sys.stderr)
        return 1
    print("the records are sound")
    return 0
