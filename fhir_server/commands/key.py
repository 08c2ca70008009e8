"""``yidang key``: the keys that sign id_tokens, the master key and the data keys of the records, and their rotation.

docs/security.md tells what hangs on which key.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhir_server.auth.file import AuthFile
    from fhir_server.store.sqlite import SqliteStore


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "key", help="list and rotate the keys: of id_tokens, of the records, the master key", description=__doc__
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the keys")
    rotating = actions.add_parser("rotate", help="make a new key; the present one stays published for a day")
    _add_custody(actions)
    for action, work in ((listing, _list), (rotating, _rotate)):
        action.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
        action.set_defaults(run=run, work=work)


def _add_custody(actions: Any) -> None:
    """The actions on the keys that the records are encrypted with."""
    status = actions.add_parser("status", help="show master keys and how many data keys each wraps; no secrets")
    master = actions.add_parser(
        "rotate-master", help="make a new master key and wrap every data key with it; servers go on meanwhile"
    )
    master.add_argument(
        "--retire-old", action="store_true", help="remove the old master keys in the end; older backups need them"
    )
    master.add_argument(
        "--no-new", action="store_true", help="make none: wrap everything with the present (last) key of the ring"
    )
    data = actions.add_parser("rotate-data", help="give everybody, or one person, a new data key; encrypt texts anew")
    data.add_argument("--patient", metavar="ID", help="only the file of this Patient")
    data.add_argument("--wait", action="store_true", help="until all texts are encrypted anew")
    for action, work in ((status, _status), (master, _rotate_master), (data, _rotate_data)):
        action.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
        action.set_defaults(run=_run_custody, work=work)


def _run_custody(args: argparse.Namespace) -> int:
    from fhir_server.errors import FhirError
    from fhir_server.local import existing_store

    store = existing_store(args.data, "key")
    if store is None:
        return 1
    try:
        status: int = args.work(store, args)
        return status
    except (OSError, ValueError, FhirError) as error:
        print(f"yidang key: {error}", file=sys.stderr)
        return 1
    finally:
        store.close()


def _status(store: SqliteStore, args: argparse.Namespace) -> int:
    from fhir_server.store.sqlite import custody

    master = store.vault.master
    print(f"master keys: {', '.join(master.ids)} (present: {master.current}); new texts: {master.algorithm}")
    for state, algorithm, wrapped_by, number in custody.counts(store):
        print(f"data keys\t{state}\t{algorithm}\t{wrapped_by or '-'}\t{number}")
    return 0


def _rotate_master(store: SqliteStore, args: argparse.Namespace) -> int:
    from fhir_server.store.sqlite import custody

    total = 0

    def told(done: int) -> None:
        nonlocal total
        total = done

    gone = custody.rotate_master(
        store, retire=args.retire_old, add=not args.no_new, told=told, entry=_entry("master key rotated")
    )
    print(f"{store.vault.master.current} is the master key; {total:,} data keys were wrapped anew")
    if gone:
        print(f"removed: {', '.join(gone)}. Backups made before need them: keep a copy apart as long as those.")
    return 0


def _rotate_data(store: SqliteStore, args: argparse.Namespace) -> int:
    from fhir_server.store.sqlite import custody

    number = custody.rotate_data(store, args.patient, _entry("data keys rotated"))
    if args.wait:
        store.tidy()
    print(f"{number:,} data keys retired; the texts are encrypted anew by a running server" + (" (done)" * args.wait))
    return 0


def _entry(detail: str) -> bytes:
    """The audit's entry of a change of keys."""
    from fhir_server.audit.event import LOCAL, Event, encode

    return encode(Event(time.time_ns() // 1000, "key", "E", who=LOCAL, detail=detail, ident=os.urandom(13)))


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
