"""``yidang key``: the keys that sign id_tokens, and their rotation."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhir_server.auth.file import AuthFile


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("key", help="list and rotate the keys that sign id_tokens", description=__doc__)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the keys")
    rotating = actions.add_parser("rotate", help="make a new key; the present one stays published for a day")
    for action, work in ((listing, _list), (rotating, _rotate)):
        action.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
        action.set_defaults(run=run, work=work)


def run(args: argparse.Namespace) -> int:
    """Do what is asked. Returns the exit status."""
    from fhir_server.auth.file import AuthFile

    try:
        auth_file = AuthFile.open(args.data)
    except (OSError, ValueError) as error:
        print(f"yidang key: {error}", file=sys.stderr)
        return 1
    try:
        status: int = args.work(auth_file)
    finally:
        auth_file.close()
    return status


def _list(auth_file: AuthFile) -> int:
    from fhir_server.auth import keys

    for key in keys.listed(auth_file):
        made = datetime.fromtimestamp(key.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        print(f"{key.kid}\t{key.alg}\t{key.status}\t{made}")
    return 0


def _rotate(auth_file: AuthFile) -> int:
    from fhir_server.auth import keys

    print(f"{keys.rotate(auth_file)} signs from now on")
    return 0
