"""``yidang token``: an access token of somebody of the demonstration alliance, got from the running server."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "token",
        help="print an access token of the demonstration alliance, for trying things out",
        description="Run the OAuth flow against the server that the demonstration's file names: a system signs an "
        "assertion; people sign in with password (and one-time code) and approve the app. Prints the access token.",
    )
    parser.add_argument("--demo", type=Path, required=True, metavar="FILE", help="what `yidang demo` wrote")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--client", metavar="ID", help="the system of an institution")
    who.add_argument("--staff", metavar="LOGIN", help="a member of staff")
    who.add_argument("--resident", metavar="LOGIN", help="a resident")
    parser.add_argument("--institution", metavar="ID", help="of staff: where")
    parser.add_argument("--role", metavar="CODE", help="of staff: as what")
    parser.add_argument("--purpose", metavar="CODE", help="of staff: what for")
    parser.add_argument("--patient", metavar="ID", help="whose file (of residents: a ward's)")
    parser.add_argument("--scope", default="", help="what to ask for (default: what the client usually does)")
    parser.add_argument("--base", metavar="URL", help="FHIR base address (default: the one in the file)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the token. Returns the exit status."""
    from fhir_server.demonstration import file, tokens

    try:
        demo = file.read(args.demo)
        base = (args.base or demo["base"]).rstrip("/")
        if args.client:
            token = tokens.of_system(base, tokens.entry_of(demo, "clients", args.client), args.scope)
        else:
            kind = "staff" if args.staff else "residents"
            person = tokens.entry_of(demo, kind, args.staff or args.resident)
            names = ("institution", "role", "purpose", "patient")
            wish = {name: getattr(args, name) for name in names if getattr(args, name)}
            token = tokens.of_person(base, tokens.app_of(demo, kind), person, wish, args.scope)
    except (OSError, ValueError, tokens.Refused) as error:
        print(f"yidang token: {error}", file=sys.stderr)
        return 1
    print(token)
    return 0
