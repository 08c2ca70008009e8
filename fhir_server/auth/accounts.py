"""Accounts: the people who may sign in, one account each; kept in auth.db.

Identity numbers and phones are stored as keyed hashes only: they serve to sign in and can be read nowhere.
GB/T 22239-2019 8.1.4.1 (own account, complexity and expiry of passwords, lock after failures, second factor).
"""

from __future__ import annotations

import re
import secrets
import sqlite3
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fhir_server.auth import limits, passwords, totp
from fhir_server.auth.file import AuthFile

Kind = Literal["staff", "resident"]
KINDS: tuple[Kind, ...] = ("staff", "resident")
STAFF_PASSWORD_SECONDS = 90 * 24 * 3600.0  # then a member of staff chooses a new one
REMEMBERED_PASSWORDS = 5

_SUBJECT = {"staff": "Practitioner", "resident": "Patient"}
_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}", re.ASCII)
_LOGIN = re.compile(r"[a-z][a-z0-9._\-]{2,31}", re.ASCII)
_PHONE = re.compile(r"(?:\+?86)?(1[0-9]{10})", re.ASCII)
_NUMBER = re.compile(r"[0-9A-Z]{5,40}", re.ASCII)
_COLUMNS = "id, kind, name, subject, password, totp, totp_step, active, must_change, created, changed, expires"


class AccountError(ValueError):
    """What is asked of an account cannot be done; ``codes`` (``passwords.REASONS``) where it is the password."""

    def __init__(self, message: str, codes: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.codes = tuple(codes)


@dataclass(frozen=True, slots=True)
class Account:
    """One account. ``subject`` is the Practitioner or Patient it stands for; times in seconds since 1970.

    ``active`` is False while an administrator has locked it. ``totp``: a second factor is set up.
    """

    id: str
    kind: Kind
    name: str
    subject: str
    active: bool
    must_change: bool
    totp: bool
    created: float
    changed: float
    expires: float | None

    def usable(self, now: float) -> bool:
        """Whether it may be signed in to at all."""
        return self.active and (self.expires is None or now < self.expires)

    def needs_new_password(self, now: float) -> bool:
        """Whether the person has to choose a new password before anything else."""
        return self.must_change or (self.kind == "staff" and now - self.changed > STAFF_PASSWORD_SECONDS)


def handles(auth_file: AuthFile, typed: str) -> list[str]:
    """Under which handles somebody who typed this may be known; the first that is somebody's counts."""
    text = unicodedata.normalize("NFKC", typed).strip()
    found = []
    login = text.casefold()
    if _LOGIN.fullmatch(login):
        found.append(f"login:{login}")
    number = _plain_number(text)
    if _NUMBER.fullmatch(number):
        found.append(f"identity:{auth_file.sealer.keyed_hash(number, 'identity number')}")
    if match := _PHONE.fullmatch(_plain_number(text.removeprefix("+"))):
        found.append(f"phone:{auth_file.sealer.keyed_hash(match[1], 'phone')}")
    return found


def _plain_number(text: str) -> str:
    return re.sub(r"[\s\-]", "", text).upper()


def _own_handles(auth_file: AuthFile, login: str, identity_number: str, phone: str) -> list[str]:
    """The handles of a new account. Raises AccountError where one has no right form."""
    chosen = []
    for given, prefix, problem in (
        (login, "login:", "a login has 3 to 32 of a-z 0-9 . _ - and begins with a letter"),
        (identity_number, "identity:", "an identity number has 5 to 40 letters and digits"),
        (phone, "phone:", "a phone number for sign-in is a mobile number of 11 digits"),
    ):
        if not given:
            continue
        matching = [handle for handle in handles(auth_file, given) if handle.startswith(prefix)]
        if not matching:
            raise AccountError(problem)
        chosen.append(matching[0])
    if not chosen:
        raise AccountError("an account needs a login, an identity number or a phone number")
    return chosen


def create(
    auth_file: AuthFile,
    kind: Kind,
    subject: str,
    password: str,
    *,
    now: float,
    login: str = "",
    identity_number: str = "",
    phone: str = "",
    name: str = "",
    expires: float | None = None,
    must_change: bool = False,
    hashed: str = "",
) -> Account:
    """A new account of the Practitioner or Patient ``subject`` (an id); everybody has one.

    ``hashed``: the password's stored form, where it has been computed already. Raises AccountError for a weak
    password, a login (or number) that is another's, and a person who has an account already.
    """
    if kind not in KINDS or not _ID.fullmatch(subject):
        raise AccountError("an account is of a member of staff (Practitioner id) or of a resident (Patient id)")
    chosen = _own_handles(auth_file, login, identity_number, phone)
    personal = (login, identity_number, identity_number[6:14], phone, name)
    if codes := passwords.weaknesses(password, personal):
        raise AccountError("; ".join(passwords.REASONS[code][1] for code in codes), codes)
    id = secrets.token_hex(8)
    reference = f"{_SUBJECT[kind]}/{subject}"
    stored = hashed or passwords.hashed(password)
    with auth_file.write() as connection:
        if connection.execute("SELECT 1 FROM accounts WHERE subject = ?", (reference,)).fetchone():
            raise AccountError(f"{reference} has an account already: accounts are not shared, and everybody has one")
        connection.execute(
            "INSERT INTO accounts(id, kind, name, subject, password, must_change, created, changed, expires)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (id, kind, name, reference, stored, must_change, now, now, expires),
        )
        for handle in chosen:
            try:
                connection.execute("INSERT INTO logins(handle, account) VALUES (?, ?)", (handle, id))
            except sqlite3.IntegrityError:
                raise AccountError(f"this {handle.partition(':')[0]} is another account's") from None
    found = get(auth_file, id)
    assert found is not None
    return found


def _account(row: sqlite3.Row) -> Account:
    return Account(
        id=row["id"],
        kind=row["kind"],
        name=row["name"],
        subject=row["subject"].partition("/")[2],
        active=bool(row["active"]),
        must_change=bool(row["must_change"]),
        totp=row["totp"] is not None,
        created=row["created"],
        changed=row["changed"],
        expires=row["expires"],
    )


def get(auth_file: AuthFile, id: str) -> Account | None:
    """The account with this id, or None."""
    row = auth_file.row(f"SELECT {_COLUMNS} FROM accounts WHERE id = ?", id)
    return None if row is None else _account(row)


def of_subject(auth_file: AuthFile, reference: str) -> Account | None:
    """The account of ``Practitioner/…`` or ``Patient/…``, or None."""
    row = auth_file.row(f"SELECT {_COLUMNS} FROM accounts WHERE subject = ?", reference)
    return None if row is None else _account(row)


def known_as(auth_file: AuthFile, typed: str) -> Account | None:
    """The account of somebody who typed this as login, identity number or phone, or None."""
    for handle in handles(auth_file, typed):
        row = auth_file.row("SELECT account FROM logins WHERE handle = ?", handle)
        if row is not None:
            return get(auth_file, row["account"])
    return None


def everybody(auth_file: AuthFile) -> list[tuple[Account, str]]:
    """All accounts with their logins ('' for those who have none)."""
    columns = ", ".join(f"a.{column.strip()}" for column in _COLUMNS.split(","))
    rows = auth_file.rows(
        f"SELECT {columns}, (SELECT min(substr(handle, 7)) FROM logins WHERE account = a.id AND handle LIKE 'login:%')"
        " AS login FROM accounts a ORDER BY a.kind DESC, login, a.subject"
    )
    return [(_account(row), row["login"] or "") for row in rows]


def login_of(auth_file: AuthFile, id: str) -> str:
    """The login of an account; '' where it has none."""
    row = auth_file.row(
        "SELECT min(substr(handle, 7)) AS login FROM logins WHERE account = ? AND handle LIKE 'login:%'", id
    )
    return "" if row is None or row["login"] is None else str(row["login"])


def password_of(auth_file: AuthFile, id: str) -> str | None:
    """The stored password of an account, or None."""
    row = auth_file.row("SELECT password FROM accounts WHERE id = ?", id)
    return row["password"] if row is not None and row["password"] else None


def renew_hash(auth_file: AuthFile, id: str, password: str) -> None:
    """Store a password that was just verified with the present parameters; it stays as old as it is."""
    stored = passwords.hashed(password)
    with auth_file.write() as connection:
        connection.execute("UPDATE accounts SET password = ? WHERE id = ?", (stored, id))


def change_password(
    auth_file: AuthFile, account: Account, password: str, now: float, *, must_change: bool = False, keep: str = ""
) -> None:
    """Give ``account`` a new password, and end all its sessions and tokens but the session with the id ``keep``.

    Raises AccountError for one that is weak or was used lately. Takes about half a second.
    """
    codes = passwords.weaknesses(password, (login_of(auth_file, account.id), account.name))
    if not codes:
        past = auth_file.rows(
            "SELECT password FROM past_passwords WHERE account = ? ORDER BY at DESC LIMIT ?",
            account.id,
            REMEMBERED_PASSWORDS - 1,
        )
        used = [password_of(auth_file, account.id), *(row["password"] for row in past)]
        if any(passwords.verified(stored, password) for stored in used if stored):
            codes = ["same"]
    if codes:
        raise AccountError("; ".join(passwords.REASONS[code][1] for code in codes), codes)
    stored = passwords.hashed(password)
    with auth_file.write() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO past_passwords(account, at, password)"
            " SELECT id, ?, password FROM accounts WHERE id = ?",
            (now, account.id),
        )
        connection.execute(
            "DELETE FROM past_passwords WHERE account = ? AND at NOT IN"
            " (SELECT at FROM past_passwords WHERE account = ? ORDER BY at DESC LIMIT ?)",
            (account.id, account.id, REMEMBERED_PASSWORDS),
        )
        connection.execute(
            "UPDATE accounts SET password = ?, changed = ?, must_change = ? WHERE id = ?",
            (stored, now, must_change, account.id),
        )
        _end_everything(connection, account.id, now, keep)


def lock(auth_file: AuthFile, id: str, now: float) -> None:
    """Let nobody sign in to the account until it is unlocked; its sessions and tokens end."""
    with auth_file.write() as connection:
        connection.execute("UPDATE accounts SET active = 0 WHERE id = ?", (id,))
        _end_everything(connection, id, now, "")


def unlock(auth_file: AuthFile, id: str) -> None:
    """Let the account be signed in to again, at once."""
    with auth_file.write() as connection:
        connection.execute("UPDATE accounts SET active = 1 WHERE id = ?", (id,))
    limits.forgive(auth_file, f"account:{id}", all=True)


def remove(auth_file: AuthFile, reference: str) -> bool:
    """Remove the account of ``Patient/…`` or ``Practitioner/…`` with all that is kept of it; False if there is none."""
    with auth_file.write() as connection:
        row = connection.execute("SELECT id FROM accounts WHERE subject = ?", (reference,)).fetchone()
        if row is None:
            return False
        id = row["id"]
        connection.execute("DELETE FROM login_attempts WHERE key = ?", (f"account:{id}",))
        connection.execute("DELETE FROM flows WHERE session IN (SELECT id FROM sessions WHERE account = ?)", (id,))
        for table in _OF_ACCOUNTS:
            connection.execute(f"DELETE FROM {table} WHERE account = ?", (id,))
        connection.execute("DELETE FROM accounts WHERE id = ?", (id,))
    auth_file.fold()
    return True


_OF_ACCOUNTS = (
    *("tokens", "codes", "launches", "sessions", "logins", "account_roles"),
    *("past_passwords", "recovery_codes"),
)


def _end_everything(connection: sqlite3.Connection, id: str, now: float, keep: str) -> None:
    connection.execute(
        "UPDATE sessions SET revoked = ? WHERE account = ? AND revoked IS NULL AND id <> ?", (now, id, keep)
    )
    connection.execute("UPDATE tokens SET revoked = ? WHERE account = ? AND revoked IS NULL", (now, id))


def set_totp(auth_file: AuthFile, id: str, secret: str, step: int = 0) -> list[str]:
    """Set up the second factor: the secret, and ``step``, the last time step that was shown. Gives recovery codes."""
    sealed = auth_file.sealer.seal(secret.encode("ascii"), f"totp of {id}")
    codes = totp.new_recovery_codes()
    with auth_file.write() as connection:
        connection.execute("UPDATE accounts SET totp = ?, totp_step = ? WHERE id = ?", (sealed, step, id))
        connection.execute("DELETE FROM recovery_codes WHERE account = ?", (id,))
        connection.executemany(
            "INSERT INTO recovery_codes(account, handle) VALUES (?, ?)",
            [(id, _recovery_handle(auth_file, id, code)) for code in codes],
        )
    return codes


def remove_totp(auth_file: AuthFile, id: str, now: float) -> None:
    """Take the second factor away (a lost device); sessions and tokens end. Staff set up a new one at sign-in."""
    with auth_file.write() as connection:
        connection.execute("UPDATE accounts SET totp = NULL, totp_step = 0 WHERE id = ?", (id,))
        connection.execute("DELETE FROM recovery_codes WHERE account = ?", (id,))
        _end_everything(connection, id, now, "")


def _recovery_handle(auth_file: AuthFile, id: str, code: str) -> str:
    return auth_file.sealer.keyed_hash(f"{id}\0{totp.recovery_form(code)}", "recovery code")


def check_code(auth_file: AuthFile, id: str, code: str, now: float) -> Literal["otp", "recovery", ""]:
    """What ``code`` is: a one-time code that had not been used, a recovery code that had not been used, or neither.

    It is used up at once, whichever process is asked.
    """
    with auth_file.write() as connection:
        row = connection.execute("SELECT totp, totp_step FROM accounts WHERE id = ?", (id,)).fetchone()
        if row is None or row["totp"] is None:
            return ""
        secret = auth_file.sealer.open(row["totp"], f"totp of {id}").decode("ascii")
        step = totp.accepted_step(secret, code, now, row["totp_step"])
        if step is not None:
            connection.execute("UPDATE accounts SET totp_step = ? WHERE id = ?", (step, id))
            return "otp"
        if totp.recovery_form(code) is None:
            return ""
        changed = connection.execute(
            "UPDATE recovery_codes SET used = ? WHERE account = ? AND handle = ? AND used IS NULL",
            (now, id, _recovery_handle(auth_file, id, code)),
        ).rowcount
        return "recovery" if changed else ""


def recovery_codes_left(auth_file: AuthFile, id: str) -> int:
    """How many recovery codes are unused."""
    row = auth_file.row("SELECT count(*) AS number FROM recovery_codes WHERE account = ? AND used IS NULL", id)
    return 0 if row is None else int(row["number"])
