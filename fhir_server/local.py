"""The records opened by a local command: whoever holds the folder may do everything in it."""

from __future__ import annotations

import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

from consent import Access
from fhir_server.app import open_context
from fhir_server.context import Context
from fhir_server.search.extract import Extractor
from fhir_server.settings import settings_from
from fhir_server.store.sqlite import SqliteStore
from fhir_server.store.sqlite.store import FILE
from profiles.definitions import load

_NO_LIMIT = 10_000_000


def open_records(data: Path, command: str, party: str = "") -> Context:
    """The context on the records in ``data``, made if they are not there; close its store at the end.

    ``party``: reference to the custodian of what is written.
    Raises ValueError when they are of another layout.
    """
    # A file is as large as it is: the limits of requests are not for those who hold the folder.
    settings = settings_from(data=data, bundle_max=_NO_LIMIT)
    return open_context(settings, replace(Access.everything(f"yidang {command}"), party=party))


def existing_records(data: Path, command: str) -> Context:
    """``open_records`` for commands that make no new folder. Raises FileNotFoundError where there are no records."""
    if not (data / FILE).is_file():
        raise FileNotFoundError(f"there are no records in {data}")
    return open_records(data, command)


def existing_store(data: Path, command: str) -> SqliteStore | None:
    """The store in ``data``; None, and said on standard error, when there is none or it cannot be opened."""
    try:
        if not (data / FILE).is_file():
            raise FileNotFoundError(f"there are no records in {data}")
        return SqliteStore.open(data, Extractor(load()), zone=settings_from(data=data).zone)
    except (OSError, ValueError, sqlite3.DatabaseError) as error:
        print(f"yidang {command}: {error}", file=sys.stderr)
        return None
