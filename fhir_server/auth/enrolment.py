"""Setting up the second factor: the secret as a QR code, the first code, the recovery codes."""

from __future__ import annotations

import re

import segno
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from fhir_server.auth import accounts, limits, sessions, totp
from fhir_server.auth.accounts import Account
from fhir_server.auth.sessions import Session
from fhir_server.auth.view import Problem, page
from fhir_server.auth.visit import Halt, House, Visit

_ISSUER = "Yidang 一档"
_TRIES = limits.Rate(10, 600.0)


async def show(house: House, visit: Visit) -> Response:
    """The secret, which stays the same while it is being set up."""
    secret = await run_in_threadpool(_secret, house, visit)
    return _page(house, visit, secret)


def _page(house: House, visit: Visit, secret: str, status: int = 200, problem: Problem | None = None) -> Response:
    account, session = _who(visit)
    label = accounts.login_of(house.auth_file, account.id) or account.name or account.subject
    uri = totp.provisioning_uri(secret, label, _ISSUER)
    return page(
        house,
        visit,
        "enrol",
        status,
        problem,
        required=session.level == "enrol",
        secret=secret,
        secret_shown=" ".join(re.findall("....", secret)),
        uri=uri,
        qr=""
        if visit.wants_json
        else segno.make(uri, error="m").svg_inline(svgclass=None, lineclass=None, omitsize=True),
    )


def _who(visit: Visit) -> tuple[Account, Session]:
    if visit.account is None or visit.session is None:
        raise Halt("csrf", 403)
    return visit.account, visit.session


def _about(session: Session) -> str:
    return f"totp being set up in {session.id}"


def begin(house: House, session: Session) -> str:
    """A fresh secret, kept sealed in the session until the first code proves that it arrived."""
    secret = totp.new_secret()
    sealed = house.auth_file.sealer.seal(secret.encode("ascii"), _about(session))
    sessions.keep_secret(house.auth_file, session, sealed.hex())
    return secret


def _secret(house: House, visit: Visit) -> str:
    _, session = _who(visit)
    if not session.secret:
        return begin(house, session)
    return house.auth_file.sealer.open(bytes.fromhex(session.secret), _about(session)).decode("ascii")


async def post(house: House, visit: Visit, after: str) -> Response:
    """Judge the first code; with it the second factor is set up, and the recovery codes are shown."""
    account, session = _who(visit)
    secret = await run_in_threadpool(_secret, house, visit)
    wait = await run_in_threadpool(limits.try_rate, house.auth_file, f"enrol:{account.id}", _TRIES, visit.now)
    if wait:
        return _page(house, visit, secret, 429, Problem("wait", {"minutes": limits.minutes(wait)}))
    step = totp.accepted_step(secret, visit.get("code"), visit.now, 0)
    if step is None:
        return _page(house, visit, secret, 403, Problem("code_wrong"))
    codes = await run_in_threadpool(_set_up, house, visit, secret, step)
    await run_in_threadpool(house.observe, visit.event("account", "second factor set up"))
    if not session.full:
        await run_in_threadpool(house.observe, visit.event("login", "pwd otp"))
    return page(house, visit, "recovery", recovery_codes=codes, next=after)


def _set_up(house: House, visit: Visit, secret: str, step: int) -> list[str]:
    """Keep the secret; the session is full then, under a new cookie. Raises Halt where it has ended."""
    account, session = _who(visit)
    if session.full:
        sessions.keep_secret(house.auth_file, session, "")
    else:
        token = sessions.raise_to_full(house.auth_file, session, "otp", visit.now)
        if token is None:
            raise Halt("csrf", 403)
        visit.keep_session(token)
        visit.session = sessions.find(house.auth_file, token, visit.now)
    limits.forgive(house.auth_file, f"enrol:{account.id}", all=True)
    limits.forgive(house.auth_file, f"account:{account.id}", all=True)
    return accounts.set_totp(house.auth_file, account.id, secret, step)
