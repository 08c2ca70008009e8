"""The pages about one's own account: sessions and apps, password and second factor, sign-out."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from fhir_server.auth import accounts, enrolment, flow, limits, sessions, sign_in
from fhir_server.auth.accounts import Account, AccountError
from fhir_server.auth.sessions import Session
from fhir_server.auth.view import Problem, go, page
from fhir_server.auth.visit import Halt, House, Visit
from fhir_server.auth.words import text

_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("MicroMessenger", "微信 WeChat"),
    ("HarmonyOS", "HarmonyOS"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)
_NOTICES = frozenset({"session_ended", "app_revoked", "password_changed"})


def _own(visit: Visit) -> tuple[Account, Session]:
    if visit.account is None or visit.session is None:
        raise Halt("csrf", 403)
    return visit.account, visit.session


def browser(agent: str) -> str:
    """A browser's name of itself, as people call it."""
    found = [next((name for mark, name in table if mark in agent), "") for table in (_BROWSERS, _SYSTEMS)]
    return " · ".join(filter(None, found)) or re.sub(r"[^\w./ -]", "", agent)[:40]


def forget_session(house: House, visit: Visit) -> None:
    """End this browser's session, and what rests on it."""
    if visit.session is not None:
        sessions.end(house.auth_file, visit.session.account, visit.now, visit.session.id)
    visit.session = visit.account = None


async def show_sign_out(house: House, visit: Visit) -> Response:
    """Ask: a link from elsewhere must not sign anybody out."""
    if visit.session is None:
        return go(visit, visit.path("sign-in"))
    return page(house, visit, "sign_out")


async def post_sign_out(house: House, visit: Visit) -> Response:
    """End the session; in a flow, let somebody else sign in."""
    if visit.session is not None:
        await run_in_threadpool(house.observe, visit.event("logout"))
        if visit.flow is not None:
            await run_in_threadpool(flow.release, house.auth_file, visit.flow, visit.session.id)
        await run_in_threadpool(forget_session, house, visit)
    visit.keep_session("")
    if visit.flow is not None:
        return go(visit, visit.path("sign-in"))
    title, words = text(visit.language, "signed_out"), text(visit.language, "signed_out_why")
    return page(house, visit, "message", title=title, message=words, next="/auth/sign-in")


async def show_sessions(house: House, visit: Visit) -> Response:
    """Where one is signed in, and the apps that were let in."""
    account, session = _own(visit)
    found = await run_in_threadpool(sessions.current, house.auth_file, account.id, visit.now)
    told = [
        {
            "id": one.id,
            "agent": browser(one.agent),
            "address": one.address,
            "at": one.at,
            "seen": one.seen,
            "here": one.id == session.id,
        }
        for one in found
    ]
    apps = await run_in_threadpool(_apps, house, account, visit.now)
    done = visit.request.query_params.get("done", "")
    return page(house, visit, "sessions", sessions=told, apps=apps, notice=done if done in _NOTICES else "")


def _apps(house: House, account: Account, now: float) -> list[dict[str, Any]]:
    """The apps that hold tokens of this account, each authorization by its family."""
    rows = house.auth_file.rows(
        "SELECT t.family, coalesce(c.name, t.client) AS name, min(t.created) AS since, max(t.expires) AS until,"
        " max(t.claims) AS claims FROM tokens t LEFT JOIN clients c ON c.id = t.client"
        " LEFT JOIN sessions s ON s.id = t.session"
        " WHERE t.account = ? AND t.family <> '' AND t.revoked IS NULL AND t.used IS NULL AND t.expires > ?"
        " AND s.revoked IS NULL AND c.revoked IS NULL GROUP BY t.family ORDER BY since DESC",
        account.id,
        now,
    )
    return [
        {
            "id": row["family"],
            "name": row["name"],
            "since": row["since"],
            "until": row["until"],
            "scope": json.loads(row["claims"]).get("scope", ""),
        }
        for row in rows
    ]


async def post_sessions(house: House, visit: Visit) -> Response:
    """End a session (its id, ``others`` or ``all``), or an app's authorization."""
    account, session = _own(visit)
    chosen, app = visit.get("session"), visit.get("app")
    if app:
        await run_in_threadpool(_revoke_app, house, account, app, visit.now)
        await run_in_threadpool(house.observe, visit.event("revoke"))
        return go(visit, "/auth/sessions?done=app_revoked")
    if not chosen:
        raise Halt("bad_form")
    but = session.id if chosen == "others" else ""
    id = None if chosen in ("others", "all") else chosen
    ended = await run_in_threadpool(sessions.end, house.auth_file, account.id, visit.now, id, but)
    await run_in_threadpool(house.observe, visit.event("logout", f"sessions ended: {ended}"))
    if chosen in ("all", session.id):
        visit.session = visit.account = None
        visit.keep_session("")
        return go(visit, "/auth/sign-in")
    return go(visit, "/auth/sessions?done=session_ended")


def _revoke_app(house: House, account: Account, family: str, now: float) -> None:
    with house.auth_file.write() as connection:
        connection.execute(
            "UPDATE tokens SET revoked = ? WHERE account = ? AND family = ? AND revoked IS NULL",
            (now, account.id, family),
        )


async def show_account(house: House, visit: Visit) -> Response:
    """The form for a new password, and the second factor."""
    return await run_in_threadpool(_account_page, house, visit)


def _account_page(house: House, visit: Visit, status: int = 200, problem: Problem | None = None) -> Response:
    account, _ = _own(visit)
    done = visit.request.query_params.get("done", "")
    return page(
        house,
        visit,
        "account",
        status,
        problem,
        must_change=account.needs_new_password(visit.now),
        totp=account.totp,
        can_remove=account.kind == "resident",
        recovery_codes_left=accounts.recovery_codes_left(house.auth_file, account.id),
        notice=done if done in _NOTICES else "",
    )


async def post_account(house: House, visit: Visit) -> Response | None:
    """Change the password, or set up or take away the second factor; all need the present password."""
    account, session = _own(visit)
    refused = await run_in_threadpool(sign_in.check_again, house.auth_file, account, visit.get("password"), visit.now)
    if refused is not None:
        await run_in_threadpool(
            house.observe, visit.event("lockout" if refused.reason == "wait" else "refused-login", refused.reason)
        )
        if refused.reason == "wait":
            problem = Problem("wait", {"minutes": limits.minutes(refused.wait)})
            return await run_in_threadpool(_account_page, house, visit, 429, problem)
        return await run_in_threadpool(_account_page, house, visit, 403, Problem("old_wrong"))
    action = visit.get("action")
    if action == "password":
        return await run_in_threadpool(_change_password, house, visit)
    if account.needs_new_password(visit.now):
        return go(visit, visit.path("account"))
    if action == "totp":
        await run_in_threadpool(enrolment.begin, house, session)
        return go(visit, visit.path("totp"))
    if action == "remove-totp" and account.kind == "resident":
        await run_in_threadpool(accounts.remove_totp, house.auth_file, account.id, visit.now)
        await run_in_threadpool(house.observe, visit.event("account", "second factor removed"))
        visit.session = visit.account = None
        visit.keep_session("")
        title, words = text(visit.language, "account"), text(visit.language, "totp_removed")
        return page(house, visit, "message", title=title, message=words, next="/auth/sign-in")
    raise Halt("bad_form")


def _change_password(house: House, visit: Visit) -> Response | None:
    account, session = _own(visit)
    password = visit.get("new_password")
    if password != (visit.get("new_password_again") or (password if visit.posted_json else "")):
        return _account_page(house, visit, 400, Problem("passwords_differ"))
    try:
        accounts.change_password(house.auth_file, account, password, visit.now, keep=session.id)
    except AccountError as error:
        return _account_page(house, visit, 400, Problem(error.codes[0]))
    house.observe(visit.event("account", "password changed"))
    visit.account = accounts.get(house.auth_file, account.id)
    return None if visit.flow else go(visit, "/auth/account?done=password_changed")
