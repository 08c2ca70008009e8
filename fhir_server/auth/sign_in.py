"""Sign-in: login and password, then the code; the same answer and the same work whether or not there is an account.

https://cheatsheetseries.owasp.org/cheatsheets/Authentication_Cheat_Sheet.html#authentication-and-error-messages
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from fhir_server.auth import accounts, limits, passwords
from fhir_server.auth.accounts import Account
from fhir_server.auth.file import AuthFile

LONGEST_LOGIN = 200


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nobody is signed in. ``inactive`` is told only to who knew the password; ``wait`` is in seconds.

    ``account`` is for the audit ('' unknown), never for the answer.
    """

    reason: Literal["credentials", "code", "inactive", "wait"]
    wait: float = 0.0
    account: str = ""


def check_password(auth_file: AuthFile, typed: str, password: str, address: str, now: float) -> Account | Refused:
    """The account of somebody who typed login (or identity number or phone) and password. Takes some 0.1 s."""
    typed = typed[:LONGEST_LOGIN]
    source = limits.address_key(address)
    if wait := limits.try_rate(auth_file, source, limits.ADDRESS, now):
        return Refused("wait", wait)
    account = accounts.known_as(auth_file, typed)
    key = _key(auth_file, account, typed)
    known = "" if account is None else account.id
    if wait := limits.try_login(auth_file, key, now):
        return Refused("wait", wait, known)
    stored = None if account is None else accounts.password_of(auth_file, account.id)
    if not _judged(auth_file, stored, password, (source, key)) or account is None or stored is None:
        return Refused("credentials", account=known)
    limits.forgive(auth_file, source, all=False)
    # What was tried before stays counted until the second factor is shown, too.
    limits.forgive(auth_file, key, all=not account.totp)
    if not account.usable(now):
        return Refused("inactive", account=known)
    if passwords.outdated(stored):
        accounts.renew_hash(auth_file, account.id, password)
    return account


def check_code(auth_file: AuthFile, account: Account, code: str, now: float) -> Literal["otp", "recovery"] | Refused:
    """Whether ``code`` is the account's: a one-time code or a recovery code, each good once."""
    key = _key(auth_file, account, "")
    if wait := limits.try_login(auth_file, key, now):
        return Refused("wait", wait, account.id)
    found = accounts.check_code(auth_file, account.id, code[:64], now)
    if not found:
        return Refused("code", account=account.id)
    limits.forgive(auth_file, key, all=True)
    return found


def check_again(auth_file: AuthFile, account: Account, password: str, now: float) -> Refused | None:
    """Whether a person who is signed in knows the password (before it, or the second factor, is changed)."""
    key = _key(auth_file, account, "")
    if wait := limits.try_login(auth_file, key, now):
        return Refused("wait", wait, account.id)
    if not _judged(auth_file, accounts.password_of(auth_file, account.id), password, (key,)):
        return Refused("credentials", account=account.id)
    limits.forgive(auth_file, key, all=False)
    return None


def _judged(auth_file: AuthFile, stored: str | None, password: str, keys: tuple[str, ...]) -> bool:
    """Whether the password is right. Where there is no room to judge it, it was no try; raises Crowded."""
    try:
        return passwords.verified(stored, password)
    except passwords.Crowded:
        for key in keys:
            limits.forgive(auth_file, key, all=False)
        raise


def _key(auth_file: AuthFile, account: Account | None, typed: str) -> str:
    """Under what tries are counted: of a person the account, whichever login is typed; of nobody what was typed."""
    if account is not None:
        return f"account:{account.id}"
    text = unicodedata.normalize("NFKC", typed).strip().casefold()
    return f"typed:{auth_file.sealer.keyed_hash(text, 'typed login')}"
