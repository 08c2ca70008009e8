"""``yidang restore``: records from a copy that ``yidang backup`` made."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

_KEYS = frozenset({"master.key", "master.wrapped", "root.key"})  # may be put into the folder before the records


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "restore",
        help="put a backup in place of the records; no server may be running on them",
        description="The backup is verified page by page before anything is replaced.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
    parser.add_argument("--force", action="store_true", help="replace the records that are there")
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Restore. Returns the exit status."""
    import sqlite3

    from fhir_server.auth.file import restore as restore_accounts
    from fhir_server.commands.backup import accounts_beside
    from fhir_server.secrets import MasterKey

    try:
        restore(args.file, args.data, force=args.force)
        if (accounts := accounts_beside(args.file)).is_file():
            restore_accounts(accounts, args.data)
    except (OSError, ValueError, sqlite3.DatabaseError) as error:
        print(f"yidang restore: {error}", file=sys.stderr)
        return 1
    print(f"{args.data}: the records of {args.file}")
    try:
        MasterKey.open(args.data)
    except ValueError as error:
        print(f"yidang restore: to read them, give the master key they were encrypted with: {error}", file=sys.stderr)
    return 0


def restore(file: Path, data: Path, *, force: bool = False) -> None:
    """Put the backup ``file`` in place of the records in ``data``.

    Raises FileNotFoundError, FileExistsError (records are there and ``force`` is not given), BlockingIOError
    (a server or command is writing), ValueError or sqlite3.DatabaseError (no sound backup); the
    records that were there are untouched then.
    """
    import os
    import shutil

    from fhir_server.store.sqlite.store import FILE

    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    if not force and data.is_dir() and any(path.name not in _KEYS for path in data.iterdir()):
        raise FileExistsError(f"{data} is not empty; --force replaces the records in it")
    data.mkdir(parents=True, exist_ok=True)
    arriving = data / (FILE + ".restoring")
    try:
        shutil.copyfile(file, arriving)
        _verify(arriving)
        _forget_head(arriving)
        with arriving.open("rb") as copied:
            os.fsync(copied.fileno())
        _refuse_running(data / FILE)
        for leftover in ("-wal", "-shm"):
            (data / (FILE + leftover)).unlink(missing_ok=True)
        arriving.replace(data / FILE)
    finally:
        arriving.unlink(missing_ok=True)
        for leftover in ("-wal", "-shm"):
            (data / (FILE + ".restoring" + leftover)).unlink(missing_ok=True)


def _forget_head(file: Path) -> None:
    """The backup may be of another chain than the one in the folder; the server's next start keeps its head."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(file)) as connection:
        if connection.execute("DELETE FROM state WHERE name='audit-head'").rowcount:
            connection.commit()


def _verify(file: Path) -> None:
    """Raise ValueError or sqlite3.DatabaseError when ``file`` is no sound record file."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(file)) as connection:
        problems = [line for (line,) in connection.execute("PRAGMA integrity_check(5)") if line != "ok"]
        if problems:
            raise ValueError(f"the backup is damaged: {'; '.join(problems)}")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        if not {"res", "state", "type"} <= tables:
            raise ValueError("the file is no backup of records")


def _refuse_running(records: Path) -> None:
    """Raise BlockingIOError while anybody has the records open."""
    import sqlite3
    from contextlib import closing

    if not records.exists():
        return
    with closing(sqlite3.connect(records, timeout=0, isolation_level=None)) as connection:
        try:
            # Leaving WAL needs the file for oneself: it fails while any other connection is open.
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError:
            raise BlockingIOError("a server or another command has the records open; stop it first") from None
        except sqlite3.DatabaseError:
            return  # the records are damaged: that is why a backup is restored
