"""``yidang person``: last deletion of a person's file, by destroying its keys (PIPL art. 47; docs/security.md).

What was destroyed is noted in ``destroyed.ndjson`` beside the records, so that a restored backup can be brought
to the same state: ``yidang person destroy --again``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhir_server.store.sqlite import SqliteStore

LOG = "destroyed.ndjson"


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("person", help="destroy a person's file for good", description=__doc__)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    destroy = actions.add_parser(
        "destroy",
        help="destroy the keys of a person's file: no copy of its texts can be read any more",
        description="There is no way back. Audit entries stay. A running server need not be stopped.",
    )
    destroy.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
    destroy.add_argument("patient", nargs="?", metavar="PATIENT", help="logical id of the Patient")
    destroy.add_argument("--reason", help="why, and who ordered it; kept in the audit trail")
    destroy.add_argument("--yes", action="store_true", help="do not ask")
    destroy.add_argument(
        "--again", action="store_true", help="destroy everybody again whom a restored backup brought back"
    )
    destroy.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Destroy. Returns the exit status."""
    from fhir_server.local import existing_store

    if args.again == bool(args.patient) or (args.patient and not (args.reason or "").strip()):
        print("yidang person destroy: give a PATIENT with --reason, or --again", file=sys.stderr)
        return 2
    if args.patient and not args.yes and not _sure(args.patient):
        return 1
    store = existing_store(args.data, "person destroy")
    if store is None:
        return 1
    try:
        if args.again:
            return _again(store)
        return _destroy(store, args.patient, args.reason.strip())
    finally:
        store.close()


def _sure(patient: str) -> bool:
    """Whether the operator types the id once more."""
    if not sys.stdin.isatty():
        print("yidang person destroy: --yes is needed where nobody can be asked", file=sys.stderr)
        return False
    return input(f"Everything in the file of Patient/{patient} will be gone for good. Type its id again: ") == patient


def _destroy(store: SqliteStore, patient: str, reason: str) -> int:
    from fhir_server.audit.event import LOCAL, Event, encode
    from fhir_server.errors import FhirError
    from fhir_server.store.sqlite import custody

    now = time.time_ns() // 1000
    entry = encode(
        Event(now, "destroy", "D", who=LOCAL, patients=(patient,), detail=reason[:1000], ident=os.urandom(13))
    )
    # First of all: were this cut short, nobody could sign in to what is gone; and the same command goes on with it.
    _remove_accounts(store, patient)
    try:
        done = custody.destroy(store, patient, entry=entry)
    except FhirError as error:
        print(f"yidang person destroy: {error}", file=sys.stderr)
        return 1
    # The reason is the audit's: here only what a restored backup needs.
    with (store.folder / LOG).open("a", encoding="utf-8") as log:
        os.fchmod(log.fileno(), 0o600)
        log.write(json.dumps({"patient": patient, "time": now}) + "\n")
        log.flush()
        os.fsync(log.fileno())
    print(f"Patient/{patient}: {done.versions:,} versions destroyed. Backups still hold the file until they expire:")
    print("see docs/security.md, and run `yidang person destroy --again` after restoring one.")
    return 0


def _remove_accounts(store: SqliteStore, patient: str) -> None:
    """Remove the person's account, and those of Patients merged with this one, with logins, sessions and tokens."""
    from fhir_server.auth import accounts
    from fhir_server.auth.file import NAME, AuthFile
    from fhir_server.store.sqlite import custody

    if not (store.folder / NAME).exists():
        return
    auth_file = AuthFile.open(store.folder)
    try:
        for id_ in custody.patients_of(store, patient):
            accounts.remove(auth_file, f"Patient/{id_}")
    finally:
        auth_file.close()


def _again(store: SqliteStore) -> int:
    from fhir_server.errors import Gone, NotFound
    from fhir_server.store.sqlite import custody

    log = store.folder / LOG
    known = [json.loads(line)["patient"] for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    number = 0
    for patient in dict.fromkeys(known):
        _remove_accounts(store, patient)
        try:
            custody.destroy(store, patient)
            number += 1
        except (Gone, NotFound):
            continue  # destroyed already, or younger than the backup
    print(f"{number:,} files that came back were destroyed again")
    return 0
