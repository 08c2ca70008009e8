"""``yidang reindex``: all index rows made anew from the stored texts, or those of one custom search parameter.

The work is a job in the record file: interrupted, it is continued by the same command, or by a server.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhir_server.context import Context
    from fhir_server.store.sqlite import SqliteStore
    from fhir_server.store.sqlite.registry import Job

_LOOK = 0.1  # seconds between looks at the job


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "reindex",
        help="make the search index anew from the records",
        description="A server on the same data goes on answering meanwhile; searches find everything when it is done.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
    parser.add_argument("--parameter", metavar="URL", help="only this custom SearchParameter (its url)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Start the job, or go on with it, and wait until it is done. Returns the exit status."""
    from fhir_server.local import existing_store, open_records
    from fhir_server.store.sqlite.registry import EVERYTHING

    store = existing_store(args.data, "reindex")
    if store is None:
        return 1
    context = open_records(args.data, "reindex") if args.parameter else None
    try:
        id = EVERYTHING if context is None else _id_of(args.parameter, context)
        if id is None:
            print(f"yidang reindex: there is no SearchParameter {args.parameter}", file=sys.stderr)
            return 1
        return _reindex(store, id)
    finally:
        if context is not None:
            context.store.close()
        store.close()


def _id_of(url: str, context: Context) -> str | None:
    """The logical id of the SearchParameter with this url."""
    from fhir_server.interactions.criteria import criteria

    query = criteria("SearchParameter", [("url", url)], context, "--parameter")
    page = asyncio.run(context.store.search(query, context.access))
    return page.matches[0].id if page.matches else None


def _job(store: SqliteStore, id: str) -> Job | None:
    return next((job for job in store.jobs() if job.id == id), None)


def _reindex(store: SqliteStore, id: str) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from consent import Access

    job = _job(store, id)
    if job is None or job.status not in ("queued", "running"):
        store.reindex_now([id], Access.everything("yidang reindex"))
        job = _job(store, id)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("indexing", total=None)
        while job is not None and job.status in ("queued", "running"):
            progress.update(task, completed=job.done, total=job.total or None)
            time.sleep(_LOOK)
            job = _job(store, id)
    if job is None or job.status != "completed":
        print(f"yidang reindex: {job.note if job else 'the job is gone'}", file=sys.stderr)
        return 1
    print(f"{job.done:,} resources indexed")
    return 0
