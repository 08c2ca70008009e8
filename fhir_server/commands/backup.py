"""``yidang backup``: a consistent copy of the records, also while a server writes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "backup",
        help="write a consistent copy of the records to a file, also while the server runs",
        description="The copy holds every write that was answered before the command began. Clients and accounts "
        "are copied to FILE.auth.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
    parser.add_argument("file", type=Path, metavar="FILE", help="where the copy goes; it must not exist yet")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the copy. Returns the exit status."""
    from fhir_server.local import existing_store

    store = existing_store(args.data, "backup")
    if store is None:
        return 1
    # A half-written copy must never pass for a whole one: it gets its name when it is complete.
    partial = args.file.with_name(args.file.name + ".partial")
    try:
        if args.file.exists():
            raise FileExistsError(f"{args.file} exists")
        partial.unlink(missing_ok=True)
        sequence = store.backup(partial)
        _copy_accounts(args.data, args.file)
        partial.rename(args.file)
    except (OSError, ValueError) as error:
        partial.unlink(missing_ok=True)
        print(f"yidang backup: {error}", file=sys.stderr)
        return 1
    finally:
        store.close()
    size = args.file.stat().st_size / 1e6
    print(f"{args.file}: the records up to sequence {sequence}, {size:,.1f} MB")
    return 0


def accounts_beside(file: Path) -> Path:
    """Where the copy of clients and accounts is that belongs to the backup ``file``."""
    return file.with_name(f"{file.name}.auth")


def _copy_accounts(data: Path, file: Path) -> None:
    """Copy clients, accounts and signing keys, where there are any."""
    from fhir_server.auth.file import NAME, AuthFile

    if (data / NAME).is_file():
        auth_file = AuthFile.open(data)
        try:
            auth_file.backup(accounts_beside(file))
        finally:
            auth_file.close()
