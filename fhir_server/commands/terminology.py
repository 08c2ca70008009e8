"""``yidang terminology``: code systems, value sets and maps of the user's own (licensed) files for the server.

They are kept in ``terminology.db`` in the folder of the records; running servers notice. Versions stand side by side.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from loaders.terminology import Mapping
    from loaders.terminology.content import Content
    from terminology.file import TerminologyFile


def add_parser(subparsers: Any) -> None:
    """Register the command with its parts."""
    from loaders.terminology import shipped_names

    parser = subparsers.add_parser(
        "terminology", help="load code systems, value sets and maps; list and remove them", description=__doc__
    )
    parts = parser.add_subparsers(title="parts", metavar="PART", required=True)
    loading = parts.add_parser(
        "load",
        help="load files: tables with a mapping, a LOINC zip, FHIR JSON",
        description="Load terminology. A table (CSV, TSV; UTF-8 or GB 18030) needs a mapping that says what its "
        f"columns are: a JSON file, or one of those that are shipped: {', '.join(shipped_names())}.",
    )
    _data(loading)
    loading.add_argument("--mapping", metavar="NAME|FILE", help="what the columns of the table are")
    loading.add_argument("--version", metavar="V", help="version of what is loaded, if not what is said in it")
    loading.add_argument("--variant", default="zhCN", metavar="LANG", help="LOINC: linguistic variant (default: zhCN)")
    loading.add_argument("--quiet", action="store_true", help="no progress bar")
    loading.add_argument("paths", type=Path, nargs="+", metavar="FILE", help="a table, a LOINC zip, FHIR JSON")
    loading.set_defaults(run=load)
    listing = parts.add_parser("list", help="what is loaded")
    _data(listing)
    listing.set_defaults(run=show)
    removing = parts.add_parser("remove", help="remove a version of what was loaded")
    _data(removing)
    removing.add_argument("url", metavar="URL", help="canonical URL")
    removing.add_argument("version", nargs="?", metavar="VERSION", help="its version, where it has one")
    removing.set_defaults(run=remove)


def _data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")


def _file(data: Path) -> TerminologyFile:
    from terminology.file import FILE, TerminologyFile

    return TerminologyFile(data / FILE)


def load(args: argparse.Namespace) -> int:
    """Load the files. Returns the exit status: 1 when one was refused; what came before it stays loaded."""
    from loaders.terminology import BadFile, contents, mapping_of

    try:
        mapping: Mapping | None = mapping_of(args.mapping, args.version) if args.mapping else None
    except BadFile as error:
        print(f"yidang terminology load: {error}", file=sys.stderr)
        return 2
    file, status = _file(args.data), 0
    with _progress(args.quiet) as progress:
        for path in args.paths:
            try:
                for content in contents(path, mapping, args.version, args.variant):
                    _load(file, path, content, progress)
            except (ValueError, OSError) as error:
                print(f"yidang terminology load: {path}: {error}", file=sys.stderr)
                status = 1
    return status


def _load(file: TerminologyFile, path: Path, content: Content, progress: Progress) -> None:
    from loaders.terminology import MapContent, SystemContent

    began = time.monotonic()
    task = progress.add_task(path.name, total=None)
    if isinstance(content, SystemContent):
        told: Callable[[int], None] = lambda n: progress.update(  # noqa: E731
            task, completed=n, total=max(content.expected, n) or None
        )
        size = file.load_system(content.head, content.concepts, told)
        what, head = f"{size:,} concepts", content.head
    elif isinstance(content, MapContent):
        size = file.load_map(content.head, content.groups)
        what, head = f"{size:,} mappings", content.head
    else:
        file.load_resource(content.resource)
        what, head = "a value set", content.resource
    progress.update(task, completed=1, total=1)
    name = f"{head['url']}|{head['version']}" if head.get("version") else head["url"]
    progress.console.print(
        f"{name}: {what} in {time.monotonic() - began:.1f} s", markup=False, highlight=False, soft_wrap=True
    )


def show(args: argparse.Namespace) -> int:
    """List what is loaded. Returns the exit status."""
    for kind, url, version, size in _file(args.data).listing():
        print(f"{kind}\t{url}\t{version or '-'}\t{size:,}")
    return 0


def remove(args: argparse.Namespace) -> int:
    """Remove a version. Returns the exit status: 1 when there is none such."""
    if _file(args.data).remove(args.url, args.version):
        return 0
    print(f"yidang terminology remove: {args.url} {args.version or ''} is not loaded", file=sys.stderr)
    return 1


def _progress(quiet: bool) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        disable=quiet,
    )
