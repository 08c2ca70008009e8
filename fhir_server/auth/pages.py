"""The pages of sign-in: routes, and which comes next; forms without scripts, the same in JSON for programs.

sign-in → totp → (account, where a new password is due) → choose → approve → back to the app. docs/api/sign-in.md
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth import account_pages, accounts, approve, choose, enrolment, flow, limits, sessions, sign_in
from fhir_server.auth.account_pages import forget_session
from fhir_server.auth.accounts import Account
from fhir_server.auth.flow import Flow
from fhir_server.auth.passwords import Crowded
from fhir_server.auth.sessions import Session
from fhir_server.auth.sign_in import Refused
from fhir_server.auth.view import STYLE, Problem, go, page
from fhir_server.auth.visit import Event, Halt, House, Visit, begin, look_up
from fhir_server.auth.words import LANGUAGES, text
from fhir_server.errors import TooCostly

Step = Callable[[House, Visit], Awaitable[Response]]
_log = logging.getLogger(__name__)


def router(house: House) -> APIRouter:
    """The routes of the pages, all under /auth."""
    routes = APIRouter(include_in_schema=False)
    steps: tuple[tuple[str, Step, Step], ...] = (
        ("sign-in", show_sign_in, post_sign_in),
        ("totp", signed(show_totp, half=True), signed(post_totp, half=True)),
        ("choose", signed(choose.show), signed(_then(choose.post))),
        ("approve", signed(approve.show), signed(approve.post)),
        ("sign-out", account_pages.show_sign_out, account_pages.post_sign_out),
        ("sessions", signed(account_pages.show_sessions), signed(account_pages.post_sessions)),
        (
            "account",
            signed(account_pages.show_account, aged=True),
            signed(_then(account_pages.post_account), aged=True),
        ),
    )
    for path, show, post in steps:
        routes.add_api_route(f"/auth/{path}", _endpoint(house, show), methods=["GET"], response_model=None)
        routes.add_api_route(f"/auth/{path}", _endpoint(house, post), methods=["POST"], response_model=None)
    routes.add_api_route("/auth/style.css", _style, methods=["GET"], response_model=None)
    return routes


async def _style() -> Response:
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(STYLE, media_type="text/css; charset=utf-8", headers=headers)


def _endpoint(house: House, step: Step) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        visit = Visit(request, house.clock(), "", LANGUAGES[0])
        try:
            visit = await begin(house, request)
            await run_in_threadpool(look_up, house, visit)
            return await step(house, visit)
        except Halt as halt:
            problem, status = Problem(halt.code), halt.status
        except Crowded:
            problem, status = Problem("crowded", {"minutes": 1}), 503
        except TooCostly:
            problem, status = Problem("crowded", {"minutes": 1}), 503  # the records cannot be asked just now
        except Exception:
            _log.exception("a page of sign-in failed")
            problem, status = Problem("internal"), 500
        visit.flow = None
        return message(house, visit, problem, status)

    return endpoint


def message(house: House, visit: Visit, problem: Problem, status: int) -> Response:
    """A page that says why this does not go on."""
    title = text(visit.language, "refused")
    words = text(visit.language, problem.code, **problem.values)
    if visit.wants_json:
        return page(house, visit, "message", status, problem)
    response = page(house, visit, "message", status, title=title, message=words, next="")
    if status == 503:
        response.headers["Retry-After"] = "60"
    return response


def signed(step: Step, half: bool = False, aged: bool = False) -> Step:
    """``step`` for who is signed in (``half``: the second factor may be missing; ``aged``: a new password due)."""

    async def guarded(house: House, visit: Visit) -> Response:
        if visit.session is None or visit.account is None:
            return go(visit, visit.path("sign-in"))
        if not visit.session.full and not half:
            return go(visit, visit.path("totp"))
        if visit.session.full and visit.account.needs_new_password(visit.now) and not (half or aged):
            return go(visit, visit.path("account"))
        if visit.flow is not None and not (half or aged):
            if _stale(visit.flow, visit.session, visit.now):
                return go(visit, visit.path("sign-in"))
            bound = await run_in_threadpool(flow.bind, house.auth_file, visit.flow, visit.session.id)
            if bound is None:
                raise Halt("flow_other", 403)
            visit.flow = bound
        return await step(house, visit)

    return guarded


def _then(step: Callable[[House, Visit], Awaitable[Response | None]]) -> Step:
    """``step``; where it gives nothing, it is done and the next one comes."""

    async def stepped(house: House, visit: Visit) -> Response:
        return await step(house, visit) or go(visit, following(visit, visit.account, visit.session))

    return stepped


def _stale(flow: Flow, session: Session, now: float) -> bool:
    """Whether the app wants the person to have signed in later than this session was."""
    if flow.asked.login_again and session.at < flow.created:
        return True
    return flow.asked.max_age is not None and now - session.at > max(flow.asked.max_age, 60)


def following(visit: Visit, account: Account | None, session: Session | None) -> str:
    """Where a person who has come so far goes next."""
    if session is None or account is None:
        return visit.path("sign-in")
    if not session.full:
        return visit.path("totp")
    if account.needs_new_password(visit.now):
        return visit.path("account")
    return visit.path("choose") if visit.flow else visit.path("sessions")


async def show_sign_in(house: House, visit: Visit) -> Response:
    """The form for login and password; who is signed in already goes on."""
    again = False
    if visit.session is not None:
        again = visit.session.full and visit.flow is not None and _stale(visit.flow, visit.session, visit.now)
        if not again:
            return go(visit, following(visit, visit.account, visit.session))
    hint = visit.flow.asked.login_hint if visit.flow else ""
    return page(house, visit, "sign_in", login=hint[: sign_in.LONGEST_LOGIN], again=again)


async def post_sign_in(house: House, visit: Visit) -> Response:
    """Judge login and password, and start a session: a new one, whatever cookie came along."""
    typed, password = visit.get("login"), visit.get("password")
    found = await run_in_threadpool(sign_in.check_password, house.auth_file, typed, password, visit.address, visit.now)
    if isinstance(found, Refused):
        await run_in_threadpool(house.observe, _refusal(house, visit, found))
        problem, status = problem_of(found)
        return page(house, visit, "sign_in", status, problem, login=typed[: sign_in.LONGEST_LOGIN], again=False)
    await run_in_threadpool(_enter, house, visit, found)
    if visit.session is not None and visit.session.full:
        await run_in_threadpool(house.observe, visit.event("login", "pwd"))
    return go(visit, following(visit, visit.account, visit.session))


def _enter(house: House, visit: Visit, account: Account) -> None:
    """Start the session of ``account`` in this browser; the one before ends, its flow goes on."""
    level: sessions.Level = "password" if account.totp else "enrol" if account.kind == "staff" else "full"
    if visit.session is not None:
        if visit.flow is not None:
            flow.release(house.auth_file, visit.flow, visit.session.id)
        forget_session(house, visit)
    token = sessions.start(
        house.auth_file, account.id, level, visit.now, amr=("pwd",), address=visit.address, agent=visit.agent
    )
    visit.keep_session(token)
    visit.session, visit.account = sessions.find(house.auth_file, token, visit.now), account


def _as_full(session: Session) -> Session:
    return replace(session, level="full", secret="")


def _refusal(house: House, visit: Visit, refused: Refused) -> Event:
    account = accounts.get(house.auth_file, refused.account) if refused.account else None
    return visit.event("lockout" if refused.reason == "wait" else "refused-login", refused.reason, account)


def problem_of(refused: Refused) -> tuple[Problem, int]:
    """What somebody who was refused is told, and with which status."""
    if refused.reason == "wait":
        return Problem("wait", {"minutes": limits.minutes(refused.wait)}), 429
    return Problem("code_wrong" if refused.reason == "code" else refused.reason), 403


async def show_totp(house: House, visit: Visit) -> Response:
    """The form for the code, or what is needed to set up the second factor."""
    assert visit.session is not None
    if visit.session.level == "enrol" or visit.session.secret:
        return await enrolment.show(house, visit)
    if visit.session.full:
        return go(visit, following(visit, visit.account, visit.session))
    return page(house, visit, "totp")


async def post_totp(house: House, visit: Visit) -> Response:
    """Judge the code; the session is full then, under a new cookie."""
    account, session = visit.account, visit.session
    assert account is not None and session is not None
    if session.level == "enrol" or session.secret:
        after = following(visit, account, _as_full(session))
        return await enrolment.post(house, visit, after)
    if session.full:
        return go(visit, following(visit, account, session))
    found = await run_in_threadpool(sign_in.check_code, house.auth_file, account, visit.get("code"), visit.now)
    if isinstance(found, Refused):
        await run_in_threadpool(house.observe, _refusal(house, visit, found))
        problem, status = problem_of(found)
        return page(house, visit, "totp", status, problem)
    token = await run_in_threadpool(sessions.raise_to_full, house.auth_file, session, found, visit.now)
    if token is None:
        raise Halt("csrf", 403)
    visit.keep_session(token)
    await run_in_threadpool(house.observe, visit.event("login", f"pwd {found}"))
    return go(visit, following(visit, account, _as_full(session)))
