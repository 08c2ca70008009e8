"""Limits on trying: counted in auth.db, so that all server processes count together.

Every try is noted before it is judged: a hundred at once are a hundred. GB/T 22239-2019 8.1.4.1 b),
https://cheatsheetseries.owasp.org/cheatsheets/Authentication_Cheat_Sheet.html#protect-against-automated-attacks
"""

from __future__ import annotations

import ipaddress
import math
import sqlite3
from dataclasses import dataclass

from fhir_server.auth.file import AuthFile

FREE = 5  # failures of one person before the first wait
FIRST_WAIT, LONGEST_WAIT = 60.0, 1800.0  # seconds; each further failure doubles the wait
FORGOTTEN = 24 * 3600.0  # after so long a failure counts no more


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``most`` tries in ``seconds``."""

    most: int
    seconds: float


# Failures from one address. Many may sit behind one (a hospital): only failures stay counted.
ADDRESS = Rate(60, 600.0)


def lock_wait(failures: int) -> float:
    """How long after the last of so many failures in a row the next try is refused, in seconds."""
    if failures < FREE:
        return 0.0
    return min(FIRST_WAIT * 2.0 ** min(failures - FREE, 16), LONGEST_WAIT)


def address_key(address: str) -> str:
    """What stands for an address: itself, of IPv6 its /64 (one household has them all)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return f"address:{address[:64]}"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return f"address:{parsed.ipv4_mapped}"
        return f"address:{ipaddress.IPv6Network((parsed, 64), strict=False)}"
    return f"address:{parsed}"


def try_login(auth_file: AuthFile, key: str, now: float) -> float:
    """Note a try for the login or account ``key``; 0, or how many seconds to wait (then it is not noted)."""
    with auth_file.write() as connection:
        row = connection.execute(
            "SELECT count(*), max(at) FROM login_attempts WHERE key = ? AND at > ?", (key, now - FORGOTTEN)
        ).fetchone()
        wait: float = row[1] + lock_wait(row[0]) - now if row[0] else 0.0
        if wait > 0:
            return wait
        _note(connection, key, now)
    return 0.0


def try_rate(auth_file: AuthFile, key: str, rate: Rate, now: float) -> float:
    """Note a try under ``key``; 0, or how many seconds to wait where there were too many (then it is not noted)."""
    with auth_file.write() as connection:
        count, oldest = connection.execute(
            "SELECT count(*), min(at) FROM login_attempts WHERE key = ? AND at > ?", (key, now - rate.seconds)
        ).fetchone()
        if count >= rate.most:
            left: float = oldest + rate.seconds - now
            return max(1.0, left)
        _note(connection, key, now)
    return 0.0


def _note(connection: sqlite3.Connection, key: str, now: float) -> None:
    connection.execute("DELETE FROM login_attempts WHERE at < ?", (now - FORGOTTEN,))
    connection.execute(
        "INSERT INTO login_attempts(key, at, number)"
        " SELECT ?, ?, coalesce(max(number), 0) + 1 FROM login_attempts WHERE key = ?",
        (key, now, key),
    )


def forgive(auth_file: AuthFile, key: str, all: bool) -> None:
    """The last try under ``key`` was none to count; with ``all``, none was (they proved who they are)."""
    with auth_file.write() as connection:
        if all:
            connection.execute("DELETE FROM login_attempts WHERE key = ?", (key,))
        else:
            connection.execute(
                "DELETE FROM login_attempts WHERE key = ? AND number ="
                " (SELECT max(number) FROM login_attempts WHERE key = ?)",
                (key, key),
            )


def failures(auth_file: AuthFile, key: str, now: float) -> tuple[int, float]:
    """How many failures of ``key`` count at present, and until when it has to wait (0: not at all)."""
    row = auth_file.row(
        "SELECT count(*) AS number, max(at) AS last FROM login_attempts WHERE key = ? AND at > ?", key, now - FORGOTTEN
    )
    if row is None or not row["number"]:
        return 0, 0.0
    until: float = row["last"] + lock_wait(row["number"])
    return row["number"], until if until > now else 0.0


def minutes(seconds: float) -> int:
    """``seconds`` as whole minutes to wait, at least one."""
    return max(1, math.ceil(seconds / 60))
