"""``yidang user``: the accounts of people who sign in; passwords come from standard input or are asked for."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from fhir_server.auth.accounts import Account
    from fhir_server.auth.file import AuthFile
    from fhir_server.context import Context

_TYPES = {"staff": "Practitioner", "resident": "Patient"}


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("user", help="accounts of staff and residents", description=__doc__)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    adding = _action(actions, "add", _add, "give a person an account; the password is read from standard input")
    adding.add_argument("subject", metavar="Practitioner/ID|Patient/ID", help="whose account it is; everybody has one")
    adding.add_argument("--login", default="", help="login (staff need one): 3 to 32 of a-z 0-9 . _ -")
    adding.add_argument(
        "--phone", action="store_true", help="residents: the mobile phone of the record is a login beside the number"
    )
    adding.add_argument("--expires", metavar="DATE", help="the last day on which it may be used (YYYY-MM-DD)")
    adding.add_argument("--keep-password", action="store_true", help="the person need not choose a password at once")
    _action(actions, "list", _list, "list the accounts, without names")
    for name, work, help in (
        ("lock", _lock, "let nobody sign in to an account; its sessions and tokens end at once"),
        ("unlock", _unlock, "let an account be signed in to again, also after too many tries"),
        ("reset-password", _reset, "give an account a new password, to be changed at the next sign-in"),
        ("totp", _totp, "the second factor: set up a new one, or remove it (staff set it up at the next sign-in)"),
        ("role", _role, "show as what a member of staff may act; tokens of roles that ended end"),
    ):
        action = _action(actions, name, work, help)
        action.add_argument("who", metavar="WHO", help="login, Practitioner/ID or Patient/ID")
        if work is _totp:
            change = action.add_mutually_exclusive_group(required=True)
            change.add_argument("--new", action="store_true", help="make a secret and show it, with recovery codes")
            change.add_argument("--remove", action="store_true", help="take the second factor away (a lost phone)")


def _action(actions: Any, name: str, work: Any, help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help, description=help)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
    parser.set_defaults(run=run, work=work)
    return parser


def run(args: argparse.Namespace) -> int:
    """Do what is asked. Returns the exit status."""
    from fhir_server.auth.file import AuthFile

    try:
        if not args.data.is_dir():
            raise ValueError(f"there is no folder {args.data}")
        auth_file = AuthFile.open(args.data)
    except (OSError, ValueError) as error:
        return _refuse(str(error))
    try:
        done = args.work(args, auth_file)
        if done:
            _record(args.data, done)
    except (OSError, ValueError) as error:
        return _refuse(str(error))
    finally:
        auth_file.close()
    return 0


def _refuse(message: str) -> int:
    print(f"yidang user: {message}", file=sys.stderr)
    return 1


def _record(data: Path, detail: str) -> None:
    """Put on record what was done to an account."""
    from fhir_server.audit.current import FOLDER
    from fhir_server.audit.event import LOCAL, Event, encode
    from fhir_server.audit.trail import Trail

    trail = Trail(data / FOLDER)
    try:
        trail.append_now([encode(Event(time.time_ns() // 1000, "account", "E", who=LOCAL, detail=detail))])
    finally:
        trail.close()


def _password() -> str:
    """The password: asked for twice at a terminal, else the first line of standard input. Raises ValueError."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("password: ")
    if getpass.getpass("again: ") != first:
        raise ValueError("the two passwords differ")
    return first


def _whose(auth_file: AuthFile, who: str) -> Account:
    """The account of a login or reference. Raises ValueError where there is none."""
    from fhir_server.auth import accounts

    found = accounts.of_subject(auth_file, who) if "/" in who else accounts.known_as(auth_file, who)
    if found is None:
        raise ValueError(f"there is no account of {who}")
    return found


def _reference(account: Account) -> str:
    return f"{_TYPES[account.kind]}/{account.subject}"


def _add(args: argparse.Namespace, auth_file: AuthFile) -> str:
    from fhir_server.auth import accounts
    from fhir_server.settings import settings_from

    type, _, id = args.subject.partition("/")
    kind = next((kind for kind, known in _TYPES.items() if known == type), None)
    if kind is None or not id:
        raise ValueError("an account is of a Practitioner/ID (staff) or of a Patient/ID (resident)")
    if kind == "staff" and not args.login:
        raise ValueError("a member of staff needs a --login")
    expires = None
    if args.expires:
        day = datetime.strptime(args.expires, "%Y-%m-%d").replace(tzinfo=ZoneInfo(settings_from().zone))
        expires = day.timestamp() + 24 * 3600
    facts = _facts(args.data, type, id)
    made = accounts.create(
        auth_file,
        "staff" if kind == "staff" else "resident",
        id,
        _password(),
        now=time.time(),
        login=args.login,
        identity_number=facts["identity_number"] if kind == "resident" else "",
        phone=facts["phone"] if args.phone and kind == "resident" else "",
        name=facts["name"],
        expires=expires,
        must_change=not args.keep_password,
    )
    print(f"{args.subject} has the account {made.id}" + (f" with the login {args.login}" if args.login else ""))
    return f"added {args.subject}"


def _facts(data: Path, type: str, id: str) -> dict[str, str]:
    """Name, identity number and mobile phone of a Practitioner or Patient. Raises ValueError where there is none."""
    from fhir_server.auth.directory import name_of
    from fhir_server.local import open_records
    from loaders.demo.identity import IDENTITY_NUMBER
    from profiles.lossless import parse

    context = open_records(data, "user")
    try:
        stored = context.store.read(type, id, context.access)
    finally:
        context.store.close()
    if stored is None or stored.body is None:
        raise ValueError(f"there is no {type}/{id} in the records")
    found = parse(stored.body)
    numbers = [one["value"] for one in found.get("identifier", ()) if one.get("system") == IDENTITY_NUMBER]
    phones = [one["value"] for one in found.get("telecom", ()) if one.get("system") == "phone" and "value" in one]
    return {
        "name": name_of(found),
        "identity_number": numbers[0] if numbers else "",
        "phone": phones[0] if phones else "",
    }


def _list(args: argparse.Namespace, auth_file: AuthFile) -> str:
    from fhir_server.auth import accounts, limits

    now = time.time()
    for account, login in accounts.everybody(auth_file):
        marks = ["second factor"] if account.totp else []
        failures, until = limits.failures(auth_file, f"account:{account.id}", now)
        if not account.active:
            marks.append("locked")
        elif until:
            marks.append(f"waits {limits.minutes(until - now)} minutes after {failures} failures")
        if account.expires is not None and account.expires <= now:
            marks.append("expired")
        if account.needs_new_password(now):
            marks.append("new password due")
        print(f"{login or '-':<20} {_reference(account):<50} {', '.join(marks)}".rstrip())
    return ""


def _lock(args: argparse.Namespace, auth_file: AuthFile) -> str:
    from fhir_server.auth import accounts

    account = _whose(auth_file, args.who)
    accounts.lock(auth_file, account.id, time.time())
    print(f"{_reference(account)} is locked; its sessions and tokens have ended")
    return f"locked {_reference(account)}"


def _unlock(args: argparse.Namespace, auth_file: AuthFile) -> str:
    from fhir_server.auth import accounts

    account = _whose(auth_file, args.who)
    accounts.unlock(auth_file, account.id)
    print(f"{_reference(account)} may sign in again")
    return f"unlocked {_reference(account)}"


def _reset(args: argparse.Namespace, auth_file: AuthFile) -> str:
    from fhir_server.auth import accounts, limits

    account = _whose(auth_file, args.who)
    accounts.change_password(auth_file, account, _password(), time.time(), must_change=True)
    limits.forgive(auth_file, f"account:{account.id}", all=True)
    print(
        f"{_reference(account)} has a new password, to be changed at the next sign-in; sessions and tokens have ended"
    )
    return f"password of {_reference(account)} reset"


def _totp(args: argparse.Namespace, auth_file: AuthFile) -> str:
    from fhir_server.auth import accounts, totp

    account = _whose(auth_file, args.who)
    accounts.remove_totp(auth_file, account.id, time.time())
    if args.remove:
        print(f"{_reference(account)} has no second factor now; sessions and tokens have ended")
        return f"second factor of {_reference(account)} removed"
    secret = totp.new_secret()
    codes = accounts.set_totp(auth_file, account.id, secret)
    label = accounts.login_of(auth_file, account.id) or account.subject
    print(f"secret, shown only now: {secret}")
    print(totp.provisioning_uri(secret, label, "Yidang"))
    print(f"recovery codes: {' '.join(codes)}")
    return f"second factor of {_reference(account)} set up"


def _role(args: argparse.Namespace, auth_file: AuthFile) -> str:
    from fhir_server.local import open_records

    account = _whose(auth_file, args.who)
    if account.kind != "staff":
        raise ValueError("only staff have roles")
    context = open_records(args.data, "user")
    try:
        asyncio.run(_show_roles(auth_file, account, context))
    finally:
        context.store.close()
    return ""


async def _show_roles(auth_file: AuthFile, account: Account, context: Context) -> None:
    from consent import Access
    from fhir_server.auth.directory import RecordDirectory, standing
    from fhir_server.auth.words import ROLE_WORDS

    directory = RecordDirectory(
        context.store,
        context.extractor,
        lambda _: Access("a command looks at nobody's file"),
        lambda _: (),
        context.clock,
        context.settings.zone,
    )
    positions = await standing(auth_file, directory, account)
    for one in positions:
        place = f"Organization/{one.institution} {one.institution_name}"
        part = f" · Organization/{one.department} {one.department_name}" if one.department else ""
        print(f"PractitionerRole/{one.role_id} {one.role} {ROLE_WORDS[one.role][0]} · {place}{part}")
    if not positions:
        print("no role: there is no active PractitionerRole with a code of urn:yidang:role")
