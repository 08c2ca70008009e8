"""``yidang audit``: verify the chain of audit entries, write it out, show its head, remove what is past its time."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhir_server.audit.anchors import Anchor


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("audit", help="verify, export or prune the audit trail", description=__doc__)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    verify = _action(actions, "verify", _verify, "find any removed, altered, inserted or reordered entry")
    verify.add_argument(
        "--anchor",
        action="append",
        default=[],
        metavar="SEQ:HASH",
        help="an entry's hash that was noted elsewhere (`yidang audit head` prints it); shows a chain that was cut off",
    )
    verify.add_argument("--anchors", type=Path, metavar="FILE", help="a copy of anchors.ndjson kept elsewhere")
    head = _action(actions, "head", _head, "print the last entry's number and hash, to note it elsewhere")
    head.add_argument("--json", action="store_true", help="as a line of anchors.ndjson")
    export = _action(actions, "export", _export, "write the entries as AuditEvents, one a line (NDJSON)")
    export.add_argument("--since", metavar="DATE", help="only entries at or after this date")
    export.add_argument("--patient", metavar="ID", help="only what concerns this Patient")
    copying = _action(actions, "copy", _copy, "bring a copy of the chain up to date, for other media")
    copying.add_argument("target", type=Path, metavar="FOLDER", help="the copy, made if it is not there")
    prune = _action(actions, "prune", _prune, "remove what is older than the retention; the chain stays verifiable")
    prune.add_argument(
        "--years", type=int, help="how many years are kept, at least 3 (default YIDANG_AUDIT_YEARS, or 10)"
    )


def _action(actions: Any, name: str, run: Any, help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help, description=help)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
    parser.set_defaults(run=run)
    return parser


def _folder(args: argparse.Namespace) -> Path | None:
    from fhir_server.audit.chain import segments
    from fhir_server.audit.current import FOLDER

    folder: Path = args.data / FOLDER
    if not segments(folder):
        print(f"yidang audit: there is no audit chain in {folder}", file=sys.stderr)
        return None
    return folder


def _anchor_key(args: argparse.Namespace) -> bytes:
    """The key that anchors are signed with; b'' where the master key is not at hand."""
    from fhir_server.secrets import KeyUnavailable, MasterKey

    try:
        return MasterKey.open(args.data).derive("audit anchor")
    except KeyUnavailable as error:
        print(f"yidang audit: anchors are compared without their signatures ({error})", file=sys.stderr)
        return b""


def _verify(args: argparse.Namespace) -> int:
    from fhir_server.audit import anchors
    from fhir_server.audit.verify import verify
    from fhir_server.settings import settings_from
    from fhir_server.store.sqlite.store import FILE

    folder = _folder(args)
    if folder is None:
        return 1
    records: Path = args.data / FILE
    try:
        known = [anchors.parsed(text) for text in args.anchor]
        configured = settings_from().audit_anchors
        known += _anchors_of(folder, args.anchors or (Path(configured) if configured else None))
        head = _head_in(records)
    except (ValueError, OSError) as error:
        print(f"yidang audit: {error}", file=sys.stderr)
        return 1
    key = _anchor_key(args)
    verdict = verify(folder, known, key, head, due=True)
    if verdict.served and head is None and records.is_file():
        verdict.problems.append(
            "the record file keeps no head of the chain: it was removed, unless no server ran since a restore"
        )
    for problem in verdict.problems:
        print(problem, file=sys.stderr)
    if verdict.problems:
        print(f"yidang audit: {len(verdict.problems)} problems", file=sys.stderr)
        return 1
    print(f"the audit chain is whole: entries {verdict.first} to {verdict.last}, {len(known)} anchors hold")
    print(f"head {verdict.last}:{verdict.hash}")
    return 0


def _head_in(records: Path) -> Anchor | None:
    """The end of the chain as the record file keeps it, None where it keeps none. Raises ValueError."""
    import sqlite3
    from contextlib import closing

    from fhir_server.audit import anchors

    if not records.is_file():
        return None
    try:
        with closing(sqlite3.connect(records)) as connection:
            row = connection.execute("SELECT value FROM state WHERE name='audit-head'").fetchone()
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{records.name} cannot be read: {error}") from None
    return None if row is None else anchors.of_line(str(row[0]))


def _anchors_of(folder: Path, elsewhere: Path | None) -> Iterator[Anchor]:
    from fhir_server.audit import anchors

    if elsewhere is not None and not elsewhere.exists():
        raise ValueError(f"{elsewhere} is not there")
    for file in (folder / anchors.FILE, elsewhere):
        if file is not None:
            yield from anchors.read(file)


def _head(args: argparse.Namespace) -> int:
    from fhir_server.audit.anchors import Anchor
    from fhir_server.audit.trail import wall_clock
    from fhir_server.audit.verify import tail

    folder = _folder(args)
    if folder is None:
        return 1
    seq, hash = tail(folder)
    if args.json:
        print(Anchor(seq, hash.hex(), wall_clock()).signed(_anchor_key(args)).line())
    else:
        print(f"{seq}:{hash.hex()}")
    return 0


def _export(args: argparse.Namespace) -> int:
    from fhir_server.audit.export import lines
    from fhir_server.search.times import interval_reader

    folder = _folder(args)
    if folder is None:
        return 1
    since = 0
    if args.since:
        interval = interval_reader()(args.since)
        if interval is None:
            print(f"yidang audit: '{args.since}' is no date", file=sys.stderr)
            return 2
        since = interval[0]
    for line in lines(folder, since, args.patient or ""):
        sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
    return 0


def _copy(args: argparse.Namespace) -> int:
    from fhir_server.audit.chain import Broken
    from fhir_server.audit.copying import copy

    folder = _folder(args)
    if folder is None:
        return 1
    try:
        seq, hash = copy(folder, args.target)
    except (Broken, OSError) as error:
        print(f"yidang audit: {error}", file=sys.stderr)
        return 1
    print(f"{args.target}: entries up to {seq}:{hash.hex()}")
    return 0


def _prune(args: argparse.Namespace) -> int:
    from fhir_server.audit.index import Index
    from fhir_server.audit.retention import prune
    from fhir_server.audit.trail import Trail, wall_clock
    from fhir_server.settings import settings_from

    folder = _folder(args)
    if folder is None:
        return 1
    try:
        years = settings_from(audit_years=args.years).audit_years
    except ValueError as error:
        print(f"yidang audit: {error}", file=sys.stderr)
        return 2
    trail, index = Trail(folder), Index(folder)
    try:
        upto = prune(trail, index, years, wall_clock())
    except ValueError as error:
        print(f"yidang audit: {error}", file=sys.stderr)
        return 1
    finally:
        trail.close()
        index.close()
    print(f"entries up to {upto} are removed" if upto else f"nothing is older than {years} years")
    return 0
