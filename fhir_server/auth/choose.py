"""The choice of a role (institution, role, purpose) and of the patient whose record an app is to use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from consent.requester import Requester
from consent.vocabulary import ROLES
from fhir_server.auth import flow as flows
from fhir_server.auth.accounts import Account
from fhir_server.auth.directory import Person, Position, standing
from fhir_server.auth.flow import Flow
from fhir_server.auth.scopes import parse, parse_all
from fhir_server.auth.view import Problem, go, page
from fhir_server.auth.visit import Halt, House, Visit
from fhir_server.auth.words import LANGUAGES, PURPOSES, ROLE_WORDS

# With this a member of staff looks up the patient; the app's own scopes come later.
_LOOKING = parse_all("user/Patient.rs")
SELF, WARD = "PATRQT", "FAMRQT"


@dataclass(frozen=True, slots=True)
class _Offer:
    """A role with the purposes that it, and the app, allow."""

    position: Position
    purposes: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """As the page shows it and programs are told."""
        one = self.position
        return {
            "institution": one.institution,
            "institution_name": one.institution_name,
            "department": one.department,
            "department_name": one.department_name,
            "role": one.role,
            "role_words": ROLE_WORDS[one.role],
            "purposes": [{"code": code, "words": PURPOSES[code]} for code in self.purposes],
        }


def person_of(visit: Visit) -> tuple[Account, Flow]:
    """Account and flow of a visit that has both. Raises Halt."""
    if visit.flow is None or visit.account is None:
        raise Halt("flow_gone")
    return visit.account, visit.flow


def needs_patient(flow: Flow) -> bool:
    """Whether the app asks for the record of one patient."""
    scopes = flow.asked.scope.split()
    return "launch/patient" in scopes or any((found := parse(one)) and found.context == "patient" for one in scopes)


def complete(flow: Flow, account: Account) -> bool:
    """Whether nothing is left to choose."""
    if account.kind == "staff" and not flow.role:
        return False
    return bool(flow.patient) or not needs_patient(flow)


def requester_of(account: Account, flow: Flow, own: str) -> Requester:
    """Who the person is with what was chosen, without scopes; ``own``: a resident's Patient id."""
    if account.kind == "staff":
        return Requester(
            kind="staff",
            subject=f"Practitioner/{account.subject}",
            client=flow.asked.client,
            purpose=flow.purpose,
            scopes=(),
            institution=flow.institution,
            department=flow.department,
            role=flow.role,
            role_id=flow.role_id,
            patient=flow.patient,
            encounter=flow.asked.encounter,
            name=account.name,
        )
    return Requester(
        kind="resident",
        subject=f"Patient/{own}",
        client=flow.asked.client,
        purpose=WARD if flow.patient not in ("", own) else SELF,
        scopes=(),
        person=own,
        patient=flow.patient,
        encounter=flow.asked.encounter,
        name=account.name,
    )


def looking(account: Account, flow: Flow) -> Requester:
    """The member of staff, in the role that was chosen, looking for a patient."""
    return replace(requester_of(account, replace(flow, patient=""), ""), scopes=_LOOKING)


def acting(visit: Visit, position: Position | None) -> str:
    """As whom the person acts, in words."""
    account, flow = person_of(visit)
    name = account.name or account.subject
    if position is None:
        return name
    index = LANGUAGES.index(visit.language)
    place = " ".join(filter(None, (position.institution_name, position.department_name)))
    role = ROLE_WORDS[position.role][index]
    return f"{name} · {place} · {role} · {PURPOSES[flow.purpose][index]}"


async def offers(house: House, visit: Visit) -> list[_Offer]:
    """The roles that the person has at present and the app may be used in. Raises Halt where there are none."""
    account, flow = person_of(visit)
    positions = await standing(house.auth_file, house.directory, account)
    if not positions:
        raise Halt("no_role", 403)
    institution = flow.asked.extra.get("institution", "")
    purposes = flow.asked.extra.get("purposes", "").split()
    found = []
    for position in positions:
        allowed = tuple(code for code in ROLES[position.role].purposes if not purposes or code in purposes)
        if allowed and institution in ("", position.institution):
            found.append(_Offer(position, allowed))
    if not found:
        raise Halt("no_role_for_app", 403)
    return found


def _wrong_launcher(account: Account, flow: Flow) -> bool:
    return flow.asked.extra.get("launch_account", "") not in ("", account.id)


async def people_of(house: House, account: Account) -> Sequence[Person]:
    """A resident and the wards. Raises Halt where there is no such living person."""
    people = await house.directory.people(account.subject)
    if not people:
        raise Halt("no_person", 403)
    return people


async def show(house: House, visit: Visit) -> Response:
    """What is still to be chosen; the approval where nothing is."""
    account, flow = person_of(visit)
    if _wrong_launcher(account, flow):
        raise Halt("wrong_launcher", 403)
    if visit.request.query_params.get("change") == "role":
        flow = replace(flow, institution="", department="", role="", role_id="", purpose="", patient="")
        visit.flow = flow
        await run_in_threadpool(flows.keep, house.auth_file, flow)
    elif flow.asked.patient and flow.patient != flow.asked.patient:
        visit.flow = flow = await _take(house, flow, flow.asked.patient)
    if complete(flow, account):
        return go(visit, visit.path("approve"))
    if account.kind == "resident":
        return await _show_people(house, visit, account)
    if not flow.role:
        return await _show_roles(house, visit)
    return await _show_patient(house, visit)


async def _show_roles(house: House, visit: Visit, status: int = 200, problem: Problem | None = None) -> Response:
    roles = [offer.told() for offer in await offers(house, visit)]
    return page(house, visit, "choose_role", status, problem, roles=roles)


async def _show_patient(house: House, visit: Visit, status: int = 200, problem: Problem | None = None) -> Response:
    _, flow = person_of(visit)
    mine = [offer.position for offer in await offers(house, visit) if _is_chosen(offer.position, flow)]
    return page(house, visit, "choose_patient", status, problem, acting=acting(visit, mine[0] if mine else None))


async def _show_people(
    house: House, visit: Visit, account: Account, status: int = 200, problem: Problem | None = None
) -> Response:
    people = await people_of(house, account)
    if len(people) == 1 and problem is None:
        _, flow = person_of(visit)
        visit.flow = await _take(house, flow, people[0].id)
        return go(visit, visit.path("approve"))
    told = [{"id": one.id, "name": one.name, "born": one.born} for one in people]
    return page(house, visit, "choose_person", status, problem, people=told)


def _is_chosen(position: Position, flow: Flow) -> bool:
    return (position.institution, position.department, position.role) == (flow.institution, flow.department, flow.role)


async def _take(house: House, flow: Flow, patient: str) -> Flow:
    chosen = replace(flow, patient=patient)
    await run_in_threadpool(flows.keep, house.auth_file, chosen)
    return chosen


async def post(house: House, visit: Visit) -> Response | None:
    """Take the choice: institution, role and purpose, or patient, or all at once. None when it is taken."""
    account, flow = person_of(visit)
    if _wrong_launcher(account, flow):
        raise Halt("wrong_launcher", 403)
    if account.kind == "resident":
        return await _post_person(house, visit, account)
    if visit.get("role") or visit.get("institution") or visit.get("purpose") or not flow.role:
        position = _match(await offers(house, visit), visit)
        if position is None:
            return await _show_roles(house, visit, 403, Problem("bad_role"))
        one = position.position
        flow = replace(
            flow,
            institution=one.institution,
            department=one.department,
            role=one.role,
            role_id=one.role_id,
            purpose=position.purposes[0],
            patient=flow.asked.patient,
        )
        await run_in_threadpool(flows.keep, house.auth_file, flow)
        visit.flow = flow
    if needs_patient(flow) and not flow.asked.patient and visit.get("patient"):
        person = await house.directory.find(looking(account, flow), visit.get("patient"))
        if person is None:
            return await _show_patient(house, visit, 404, Problem("no_patient"))
        visit.flow = await _take(house, flow, person.id)
    elif needs_patient(flow) and not flow.patient and "patient" in visit.fields:
        return await _show_patient(house, visit, 404, Problem("no_patient"))
    return None


def _match(found: Sequence[_Offer], visit: Visit) -> _Offer | None:
    """The one offer that was meant, with the purpose that was; None where there is none, or more than one."""
    wanted = {name: visit.get(name) for name in ("institution", "department", "role") if visit.get(name)}
    purpose = visit.get("purpose")
    meant = [
        offer
        for offer in found
        if all(getattr(offer.position, name) == value for name, value in wanted.items())
        and (not purpose or purpose in offer.purposes)
    ]
    if len(meant) != 1:
        return None
    return replace(meant[0], purposes=(purpose,)) if purpose else meant[0]


async def _post_person(house: House, visit: Visit, account: Account) -> Response | None:
    _, flow = person_of(visit)
    chosen = visit.get("patient") or account.subject
    people = {person.id for person in await people_of(house, account)}
    if chosen not in people or flow.asked.patient not in ("", chosen):
        return await _show_people(house, visit, account, 404, Problem("no_patient"))
    visit.flow = await _take(house, flow, chosen)
    return None
