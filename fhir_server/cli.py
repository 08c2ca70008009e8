"""The command ``yidang``: one subcommand per module of ``fhir_server.commands``.

Exit status: 0 done, 1 something was refused (said on standard error), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from fhir_server import commands


def parser() -> argparse.ArgumentParser:
    """The parser with the subcommands of all command modules (each has ``add_parser`` and ``run``)."""
    top = argparse.ArgumentParser(prog="yidang", description="Yidang: FHIR R4 health record server")
    top.add_argument("--version", action="version", version=f"yidang {version('yidang')}")
    subparsers = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in sorted(info.name for info in pkgutil.iter_modules(commands.__path__)):
        importlib.import_module(f"fhir_server.commands.{module}").add_parser(subparsers)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; returns its exit status."""
    args = parser().parse_args(arguments)
    try:
        status: int = args.run(args)
        if status == 0:
            status = _told(args, list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        print("yidang: interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    return status


def _told(args: argparse.Namespace, words: list[str]) -> int:
    """Put what was done on record, where the data have an audit trail. Returns the exit status."""
    if not isinstance(getattr(args, "data", None), Path) or not words:
        return 0
    from fhir_server.audit.local import tell

    try:
        tell(args.data, words[0], words)
    except Exception as error:
        print(f"yidang: done, but it could not be put on record: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
