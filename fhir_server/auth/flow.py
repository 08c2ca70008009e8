"""Flow: one visit of a person who signs in and decides about an app's request; kept in auth.db, not in the browser.

The authorize endpoint checks the app's request and calls ``begin``; the pages (``pages.py``) lead the person
through sign-in, choice and approval; ``Complete``, given by the authorize endpoint's module, then makes the code.
https://hl7.org/fhir/smart-app-launch/app-launch.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

from consent.requester import Requester
from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import new_secret, token_hash

SECONDS = 900.0  # for everything from the app's request to the approval
SIGN_IN = "/auth/sign-in"


@dataclass(frozen=True, slots=True)
class Asked:
    """What an app asks for, as the authorize endpoint found it right.

    ``scope``: the scopes that its registration allows. ``patient``, ``encounter``: of an EHR launch.
    ``login_again``: the person must give the password in this flow (prompt=login); ``max_age`` seconds, or None.
    ``extra`` goes through untouched (code_challenge, nonce …).
    """

    client: str
    client_name: str
    redirect_uri: str
    scope: str
    state: str = ""
    patient: str = ""
    encounter: str = ""
    login_hint: str = ""
    login_again: bool = False
    max_age: int | None = None
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Approved:
    """What the person allows: the requester that the app's tokens will stand for.

    ``scope`` as the app is told (a part of ``Asked.scope``); ``account`` and ``session`` (its id) on which the
    tokens rest; ``at``: when the person signed in (auth_time); ``amr``: how, https://www.rfc-editor.org/rfc/rfc8176
    """

    requester: Requester
    scope: str
    account: str
    session: str
    at: float
    amr: tuple[str, ...]


# Makes the code, or the refusal (None), and gives the URI to which the browser is sent.
Complete = Callable[[Asked, Approved | None], str]


@dataclass(frozen=True, slots=True)
class Flow:
    """Where a person stands in an app's request; ``session`` is bound at sign-in and by nothing else.

    ``role_id`` is the chosen PractitionerRole with its ``institution``, ``department`` and ``role``; ``patient``
    the chosen Patient ('' none yet, or none needed: then ``patient_chosen``).
    """

    id: str
    asked: Asked
    created: float
    session: str = ""
    institution: str = ""
    department: str = ""
    role: str = ""
    role_id: str = ""
    purpose: str = ""
    patient: str = ""
    patient_chosen: bool = False


def begin(auth_file: AuthFile, asked: Asked, now: float) -> str:
    """Keep the request, and give the path to which the browser is to be sent."""
    flow = Flow(new_secret(), asked, now)
    with auth_file.write() as connection:
        connection.execute("DELETE FROM flows WHERE expires < ?", (now,))
        connection.execute(
            "INSERT INTO flows(hash, session, facts, created, expires) VALUES (?, '', ?, ?, ?)",
            (token_hash(flow.id), _facts(flow), now, now + SECONDS),
        )
    return f"{SIGN_IN}?flow={flow.id}"


def find(auth_file: AuthFile, id: str, now: float) -> Flow | None:
    """The flow that ``id`` names; None when there is none (any more)."""
    row = auth_file.row("SELECT facts, session, created FROM flows WHERE hash = ? AND expires > ?", token_hash(id), now)
    if row is None:
        return None
    stored = json.loads(row["facts"])
    asked = Asked(**stored.pop("asked"))
    return Flow(id=id, asked=asked, session=row["session"], created=row["created"], **stored)


def bind(auth_file: AuthFile, flow: Flow, session: str) -> Flow | None:
    """``flow`` as that of ``session``; None where it is another's already."""
    with auth_file.write() as connection:
        changed = connection.execute(
            "UPDATE flows SET session = ? WHERE hash = ? AND session IN ('', ?)",
            (session, token_hash(flow.id), session),
        ).rowcount
    return replace(flow, session=session) if changed else None


def release(auth_file: AuthFile, flow: Flow, session: str) -> None:
    """Take the flow from ``session``, which ends, with what was chosen: another sign-in goes on with it."""
    fresh = Flow(flow.id, flow.asked, flow.created)
    with auth_file.write() as connection:
        connection.execute(
            "UPDATE flows SET session = '', facts = ? WHERE hash = ? AND session IN ('', ?)",
            (_facts(fresh), token_hash(flow.id), session),
        )


def keep(auth_file: AuthFile, flow: Flow) -> None:
    """Keep what was chosen."""
    with auth_file.write() as connection:
        connection.execute("UPDATE flows SET facts = ? WHERE hash = ?", (_facts(flow), token_hash(flow.id)))


def end(auth_file: AuthFile, flow: Flow) -> bool:
    """End the flow; False when it has ended already: a flow gives one code."""
    with auth_file.write() as connection:
        return connection.execute("DELETE FROM flows WHERE hash = ?", (token_hash(flow.id),)).rowcount == 1


def _facts(flow: Flow) -> str:
    stored = asdict(flow)
    for name in ("id", "session", "created"):
        del stored[name]
    return json.dumps(stored, ensure_ascii=False)
