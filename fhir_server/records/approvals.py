"""Approvals and reports: access that a responsible person or the law gives, each by a Task that only the server writes.

Files of minors are open to those who treat; others need an approval (未成年人网络保护条例 36). Notifiable diseases are
reported to the disease-control institution without consent, and only what is reported can be seen there
(传染病防治法).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from consent import Access
from consent.vocabulary import ROLE, ROLES, TASK_KIND
from fhir_server.audit.exchange import call_it, concerns
from fhir_server.context import Context
from fhir_server.errors import BadRequest, Forbidden, NotFound
from fhir_server.http.desk import Answered, Asked, staff
from fhir_server.interactions.criteria import criteria
from fhir_server.records.break_glass import moment
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Stored, Transaction
from profiles.lossless import parse

MINOR, REPORT = "minor-access-approval", "statutory-report"
_MOST_DAYS, _MOST_ITEMS, _MOST_ROLES = 90, 100, 1000


async def approve_minor(asked: Asked) -> Answered:
    """``POST /minor-access`` {patient, practitioner, reason, days?}: a privacy officer lets a colleague see the file
    of a minor for some days. Raises Forbidden, BadRequest, NotFound.
    """
    context = asked.context
    approver, requester = staff(context), context.requester
    if requester is None or requester.role != "privacy-officer":
        raise Forbidden("Only the institution's privacy officer approves access to the files of minors")
    patient = asked.text("patient", 64).removeprefix("Patient/")
    practitioner = asked.text("practitioner", 64).removeprefix("Practitioner/")
    reason, days = asked.text("reason", 1000), asked.body.get("days", 1)
    if practitioner == approver:
        raise Forbidden("Nobody approves for themselves")
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= _MOST_DAYS:
        raise BadRequest(f"'days' is a whole number from 1 to {_MOST_DAYS}", "days", code="value")
    _in_care(context, patient)
    _known(context, "Practitioner", practitioner)
    now = moment(context)
    task = _task(MINOR, "未成年人档案访问审批", patient, f"Organization/{requester.institution}", now.isoformat())
    task |= {
        "status": "accepted",
        "description": reason,
        "requester": {"reference": f"Practitioner/{practitioner}"},
        "restriction": {"period": {"start": now.isoformat(), "end": (now + timedelta(days=days)).isoformat()}},
        "input": [
            {"type": {"text": "批准人 / approver"}, "valueReference": {"reference": f"Practitioner/{approver}"}},
        ],
    }
    stored = await _file(context, task, requester.institution)
    return Answered({"task": f"Task/{stored.id}", "until": task["restriction"]["period"]["end"]}, 201)


async def report(asked: Asked) -> Answered:
    """``POST /statutory-report`` {patient, recipient, items, reason}: an institution reports items of its own to the
    disease-control institution ``recipient``: one with staff of the role public-health. Raises Forbidden,
    BadRequest, NotFound.
    """
    context = asked.context
    requester = context.requester
    role = ROLES.get(requester.role) if requester is not None else None
    if requester is None or role is None or not role.care or not role.own:
        raise Forbidden("Only those who treat report")
    patient = asked.text("patient", 64).removeprefix("Patient/")
    recipient = asked.text("recipient", 64).removeprefix("Organization/")
    reason, items = asked.text("reason", 1000), asked.body.get("items")
    if not isinstance(items, list) or not 1 <= len(items) <= _MOST_ITEMS:
        raise BadRequest(f"'items' is a list of 1 to {_MOST_ITEMS} references", "items", code="value")
    _known(context, "Organization", recipient)
    for item in items:
        _own_item(context, item, patient)
    now = moment(context).isoformat()
    task = _task(REPORT, "法定报告", patient, f"Organization/{recipient}", now)
    task |= {
        "status": "requested",
        "description": reason,
        "requester": {"reference": f"Organization/{requester.institution}"},
        "focus": {"reference": items[0]},
        "input": [{"type": {"text": "报告内容 / reported"}, "valueReference": {"reference": item}} for item in items],
    }
    stored = await _file(context, task, requester.institution, recipient)
    return Answered({"task": f"Task/{stored.id}"}, 201)


def _task(kind: str, display: str, patient: str, owner: str, now: str) -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "intent": "order",
        "code": {"coding": [{"system": TASK_KIND, "code": kind, "display": display}]},
        "for": {"reference": f"Patient/{patient}"},
        "authoredOn": now,
        "owner": {"reference": owner},
    }


async def _file(context: Context, task: dict[str, Any], institution: str, recipient: str = "") -> Stored:
    call_it("operation", "STATUTORY")
    concerns(task["for"]["reference"].removeprefix("Patient/"))

    staff_there = [("organization", f"Organization/{recipient}"), ("role", f"{ROLE}|public-health")]
    controls = criteria("PractitionerRole", staff_there, context) if recipient else None

    def work(transaction: Transaction) -> Stored:
        if controls is not None and not any(map(_active, transaction.find("PractitionerRole", controls, _MOST_ROLES))):
            raise BadRequest(f"Organization/{recipient} is no disease-control institution", "recipient", code="value")
        return transaction.put(prepare(task, context.new_id(), context.extractor), "POST")

    server = replace(Access.everything("approval or report"), party=f"Organization/{institution}")
    return await context.store.write(work, server)


def _active(role: Stored) -> bool:
    return parse(role.body or b"{}").get("active") is not False


def _known(context: Context, type: str, id: str) -> None:
    found = context.store.read(type, id, Access.everything("approval or report"))
    if found is None or found.deleted:
        raise NotFound(f"There is no {type}/{id}")


def _in_care(context: Context, patient: str) -> None:
    """Raise NotFound for a Patient whom the approver's institution does not know: others are not told who is here."""
    found = context.store.read("Patient", patient, replace(context.access, minors=True))
    if found is None or found.deleted:
        raise NotFound(f"There is no Patient/{patient}")


def _own_item(context: Context, item: object, patient: str) -> None:
    """Raise NotFound unless ``item`` is in the file of ``patient``, written by the institution that asks."""
    parts: Sequence[str] = item.split("/") if isinstance(item, str) else ()
    if len(parts) != 2 or parts[0] not in context.definitions.resource_types:
        raise BadRequest("'items' holds references like Condition/123", "items", code="value")
    found = context.store.read(parts[0], parts[1], context.access)
    if found is None or found.deleted or found.patient != patient or found.custodian != context.access.party:
        raise NotFound(f"There is no {item} of yours in this file")
