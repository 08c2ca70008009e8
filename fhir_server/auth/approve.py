"""The approval: what an app will see and do, in plain words; and the person's answer.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from consent.requester import Requester
from fhir_server.auth import flow as flows
from fhir_server.auth.accounts import Account
from fhir_server.auth.choose import acting, complete, looking, offers, people_of, person_of, requester_of
from fhir_server.auth.directory import Person, Position
from fhir_server.auth.flow import Approved, Flow
from fhir_server.auth.scope_words import Line, lines
from fhir_server.auth.scopes import parse, parse_all
from fhir_server.auth.view import Problem, go, page
from fhir_server.auth.visit import Halt, House, Visit
from fhir_server.auth.words import text


async def show(house: House, visit: Visit) -> Response:
    """What the app asks for."""
    account, flow = person_of(visit)
    if not complete(flow, account):
        return go(visit, visit.path("choose"))
    return await _page(house, visit)


async def _page(house: House, visit: Visit, status: int = 200, problem: Problem | None = None) -> Response:
    account, flow = person_of(visit)
    position, patient, _ = await _chosen(house, visit)
    staff = account.kind == "staff"
    return page(
        house,
        visit,
        "approve",
        status,
        problem,
        app=flow.asked.client_name,
        acting=acting(visit, position),
        patient={"id": patient.id, "name": patient.name, "born": patient.born} if patient else None,
        scopes=[_told(line) for line in _lines(flow, patient, staff)],
        bound=text(visit.language, "approve_bound" if staff else "approve_bound_resident"),
        host=_host(flow.asked.redirect_uri),
        can_change=staff or not flow.asked.patient,
    )


def _lines(flow: Flow, patient: Person | None, staff: bool) -> list[Line]:
    return lines(flow.asked.scope, (patient.name or patient.id) if patient else "", staff)


def _told(line: Line) -> dict[str, object]:
    return {
        "scope": line.scope,
        "words": line.words,
        "note": line.note,
        "optional": line.optional,
        "writes": line.writes,
    }


def _host(address: str) -> str:
    parts = urlsplit(address)
    return parts.netloc.rpartition("@")[2] if parts.scheme in ("http", "https") else f"{parts.scheme}:"


async def _chosen(house: House, visit: Visit) -> tuple[Position | None, Person | None, Requester]:
    """Role, patient and requester as they stand in the records now. Raises Halt where they have ended."""
    account, flow = person_of(visit)
    if account.kind == "resident":
        people = await people_of(house, account)
        chosen = [person for person in people if person.id == flow.patient]
        if flow.patient and not chosen:
            raise Halt("no_patient", 403)
        return None, chosen[0] if chosen else None, requester_of(account, flow, people[0].id)
    position = next(
        (
            offer.position
            for offer in await offers(house, visit)
            if offer.position.role_id == flow.role_id
            and (offer.position.institution, offer.position.role) == (flow.institution, flow.role)
            and flow.purpose in offer.purposes
        ),
        None,
    )
    if position is None:
        raise Halt("bad_role", 403)
    patient = await house.directory.patient(looking(account, flow), flow.patient) if flow.patient else None
    if flow.patient and patient is None:
        raise Halt("no_patient", 403)  # a launch may name anybody: nobody is told who that is
    return position, patient, requester_of(account, flow, "")


async def post(house: House, visit: Visit) -> Response:
    """Take the answer, and send the browser back to the app."""
    account, flow = person_of(visit)
    answer = visit.get("approve").lower()
    if answer not in ("yes", "no"):
        return await _page(house, visit, 400, Problem("bad_form"))
    if answer == "no":
        await _end(house, flow)
        await run_in_threadpool(house.observe, visit.event("launch", "refused", patient=flow.patient))
        return go(visit, await run_in_threadpool(house.complete, flow.asked, None))
    if not complete(flow, account):
        return go(visit, visit.path("choose"))
    _, patient, requester = await _chosen(house, visit)
    scope = _given(visit, _lines(flow, patient, account.kind == "staff"), flow.asked.scope)
    if not scope:
        return await _page(house, visit, 400, Problem("approve_nothing"))
    approved = _approved(visit, account, replace(requester, scopes=parse_all(scope)), scope)
    await _end(house, flow)
    await run_in_threadpool(
        house.observe, visit.event("launch", f"{requester.role} {requester.purpose}".strip(), patient=requester.patient)
    )
    return go(visit, await run_in_threadpool(house.complete, flow.asked, approved))


async def _end(house: House, flow: Flow) -> None:
    if not await run_in_threadpool(flows.end, house.auth_file, flow):
        raise Halt("flow_gone")


def _given(visit: Visit, found: Sequence[Line], asked: str) -> str:
    """The scopes that were not withheld, in the order in which they were asked for; '' where none is of any use."""
    withheld = {part for value in visit.fields.get("withhold", []) for part in value.split()}
    kept = {line.scope for line in found if not line.optional or line.scope not in withheld}
    if any(map(parse, asked.split())) and not any(map(parse, kept)):
        return ""
    return " ".join(part for part in asked.split() if part in kept)


def _approved(visit: Visit, account: Account, requester: Requester, scope: str) -> Approved:
    session = visit.session
    assert session is not None
    return Approved(requester, scope, account.id, session.id, session.at, session.amr)
