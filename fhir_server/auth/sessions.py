"""Sessions: who is signed in, in which browser; kept in auth.db, so that each can be seen and ended.

The browser holds 256 random bits in a cookie; the file only their hash. The bits are new at every step up
(password, second factor), so that nobody can plant a session. https://owasp.org/www-community/attacks/Session_fixation
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import new_secret, token_hash

IDLE_SECONDS = 1800.0
LONGEST_SECONDS = 12 * 3600.0  # a shift
STEP_SECONDS = 900.0  # to show the second factor in
MOST = 8  # of one account at a time; a further sign-in ends the oldest
_TOUCH_SECONDS = 60.0
_KEPT_SECONDS = 365 * 24 * 3600.0

# password: the second factor is awaited; enrol: it has to be set up; full: signed in.
Level = Literal["password", "enrol", "full"]


@dataclass(frozen=True, slots=True)
class Session:
    """One session. ``at``: when the person signed in; ``amr``: how (pwd, otp); ``secret``: sealed, being enrolled."""

    id: str
    account: str
    level: Level
    at: float
    created: float
    seen: float
    expires: float
    amr: tuple[str, ...]
    address: str
    agent: str
    secret: str = ""

    @property
    def full(self) -> bool:
        """Whether the person is signed in."""
        return self.level == "full"


def start(
    auth_file: AuthFile, account: str, level: Level, now: float, *, amr: tuple[str, ...], address: str, agent: str
) -> str:
    """Start a session; gives what the cookie holds."""
    token = new_secret()
    facts = {"level": level, "amr": amr, "at": now, "address": address[:64], "agent": agent[:200]}
    lifetime = LONGEST_SECONDS if level == "full" else STEP_SECONDS
    with auth_file.write() as connection:
        connection.execute("DELETE FROM sessions WHERE expires < ?", (now - _KEPT_SECONDS,))
        connection.execute(
            "UPDATE sessions SET revoked = ? WHERE account = ? AND revoked IS NULL AND id NOT IN"
            " (SELECT id FROM sessions WHERE account = ? AND revoked IS NULL AND expires > ?"
            " ORDER BY created DESC, id LIMIT ?)",
            (now, account, account, now, MOST - 1),
        )
        connection.execute(
            "INSERT INTO sessions(hash, id, account, created, seen, expires, facts) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (token_hash(token), secrets.token_hex(8), account, now, now, now + lifetime, json.dumps(facts)),
        )
    return token


_CURRENT = """
SELECT s.id, s.account, s.created, s.seen, s.expires, s.facts FROM sessions s JOIN accounts a ON a.id = s.account
WHERE s.revoked IS NULL AND s.expires > ?1 AND s.seen > ?2 AND a.active = 1
  AND (a.expires IS NULL OR a.expires > ?1)
"""


def find(auth_file: AuthFile, token: str, now: float) -> Session | None:
    """The session whose cookie holds ``token``; None where it or its account has ended."""
    key = token_hash(token)
    row = auth_file.row(f"{_CURRENT} AND s.hash = ?3", now, now - IDLE_SECONDS, key)
    if row is None:
        return None
    if now - row["seen"] > _TOUCH_SECONDS:
        with auth_file.write() as connection:
            connection.execute("UPDATE sessions SET seen = ? WHERE hash = ?", (now, key))
    return _session(row)


def _session(row: Any) -> Session:
    facts = json.loads(row["facts"])
    return Session(
        id=row["id"],
        account=row["account"],
        level=facts["level"],
        at=facts["at"],
        created=row["created"],
        seen=row["seen"],
        expires=row["expires"],
        amr=tuple(facts["amr"]),
        address=facts["address"],
        agent=facts["agent"],
        secret=facts.get("secret", ""),
    )


def raise_to_full(auth_file: AuthFile, session: Session, method: str, now: float) -> str | None:
    """The session after the second factor; gives what the cookie holds from now on (the old is nothing any more).

    None where the session has ended meanwhile, or is full already.
    """
    token = new_secret()
    with auth_file.write() as connection:
        row = connection.execute(
            "SELECT facts FROM sessions WHERE id = ? AND revoked IS NULL AND expires > ?", (session.id, now)
        ).fetchone()
        if row is None:
            return None
        facts = json.loads(row["facts"])
        if facts["level"] == "full":
            return None
        facts.pop("secret", None)
        facts |= {"level": "full", "amr": [*facts["amr"], method, "mfa"], "at": now}
        connection.execute(
            "UPDATE sessions SET hash = ?, facts = ?, seen = ?, expires = ? WHERE id = ?",
            (token_hash(token), json.dumps(facts), now, now + LONGEST_SECONDS, session.id),
        )
    return token


def keep_secret(auth_file: AuthFile, session: Session, sealed: str) -> None:
    """Keep (or, with '', drop) the secret that is being enrolled in this session."""
    with auth_file.write() as connection:
        connection.execute(
            "UPDATE sessions SET facts = json_set(facts, '$.secret', ?) WHERE id = ?", (sealed, session.id)
        )


def current(auth_file: AuthFile, account: str, now: float) -> list[Session]:
    """The sessions of ``account`` that go on, the latest first."""
    rows = auth_file.rows(f"{_CURRENT} AND s.account = ?3 ORDER BY s.created DESC", now, now - IDLE_SECONDS, account)
    return [_session(row) for row in rows]


def end(auth_file: AuthFile, account: str, now: float, id: str | None = None, but: str = "") -> int:
    """End the session ``id`` of ``account``, or all (``but`` one); the tokens that rest on them end too.

    Gives how many ended.
    """
    with auth_file.write() as connection:
        return connection.execute(
            "UPDATE sessions SET revoked = ?"
            " WHERE account = ? AND revoked IS NULL AND id <> ? AND (? IS NULL OR id = ?)",
            (now, account, but, id, id),
        ).rowcount
