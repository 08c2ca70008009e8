"""Work between institutions about a resident: referral up, and diagnosis at the county hospital of a township's films.

Each is a ServiceRequest of the institution that asks and a Task of it for the one that is asked.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from consent.compile import REQUEST_KIND
from consent.vocabulary import TASK_KIND
from loaders.demo import identity
from loaders.demo.county import CDC, Institution, offices
from loaders.demo.draft import Draft, Resource, Visit, organization, physician, visit

_NAMES = {"referral": "双向转诊", "diagnosis": "远程诊断", "statutory-report": "法定传染病报告"}
_RECENT_DAYS = 45


def _kind(code: str, system: str = TASK_KIND) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": _NAMES[code]}], "text": _NAMES[code]}


def _request(draft: Draft, seen: Visit, kind: str, what: str, done: bool, documents: list[str]) -> str:
    supporting = {"supportingInfo": [{"reference": document} for document in documents]} if documents else {}
    serial = draft.counts.get("ask", 0)
    return draft.record(
        seen,
        "ask",
        {
            "resourceType": "ServiceRequest",
            "identifier": [{"system": identity.REQUEST_NUMBER, "value": f"Q{draft.person.number:06d}{serial:03d}"}],
            "status": "completed" if done else "active",
            "intent": "order",
            "category": [_kind(kind, REQUEST_KIND)],
            "priority": "routine",
            "code": {"text": what},
            "subject": draft.subject,
            "encounter": {"reference": seen.encounter},
            "occurrencePeriod": {"start": seen.time.isoformat(), "end": seen.later(days=30)},
            "authoredOn": seen.time.isoformat(),
            "requester": organization(seen.place),
            "performer": [organization(draft.hospital)],
            "reasonCode": [{"text": what}],
            **supporting,
        },
    )


def _task(draft: Draft, seen: Visit, kind: str, what: str, request: str, done: bool) -> str:
    return draft.record(
        seen,
        "tsk",
        {
            "resourceType": "Task",
            "status": "completed" if done else "requested",
            "intent": "order",
            "priority": "routine",
            "code": _kind(kind),
            "description": what,
            "focus": {"reference": request},
            "for": draft.subject,
            "authoredOn": seen.time.isoformat(),
            "lastModified": seen.later(days=1 if done else 0),
            "requester": organization(seen.place),
            "owner": organization(draft.hospital),
            "restriction": {"period": {"start": seen.time.isoformat(), "end": seen.later(days=30)}},
        },
    )


def _done(draft: Draft, seen: Visit) -> bool:
    return (draft.person.last - seen.time.date()).days > _RECENT_DAYS or draft.random.random() < 0.5


def _latest(draft: Draft, place: Institution) -> list[str]:
    """The last reports of an institution that are not specially protected, for those it refers to."""
    found = [
        f"{resource['resourceType']}/{resource['id']}"
        for custodian, resource in draft.written
        if custodian == f"Organization/{place.id}"
        and resource["resourceType"] == "DiagnosticReport"
        and "meta" not in resource
    ]
    return found[-3:]


def up(draft: Draft, day: date, what: str) -> str:
    """A referral from the township to the county hospital; the ServiceRequest's reference."""
    seen = visit(draft, draft.township, day, what)
    done = _done(draft, seen)
    request = _request(draft, seen, "referral", f"上转：{what}", done, _latest(draft, draft.township))
    _task(draft, seen, "referral", f"上转{draft.hospital.name}：{what}", request, done)
    return request


def waiting(draft: Draft) -> None:
    """A referral of these days which the hospital has not taken up yet: it may see what belongs to it."""
    day = draft.person.last - timedelta(days=draft.random.randint(2, 12))
    seen = visit(draft, draft.township, day, "上转就诊")
    request = _request(draft, seen, "referral", "上转：血糖控制不佳", False, _latest(draft, draft.township))
    _task(draft, seen, "referral", f"上转{draft.hospital.name}：血糖控制不佳", request, False)


def remote_diagnosis(draft: Draft, seen: Visit, department: str, what: str, documents: list[str]) -> Visit:
    """The county hospital asked to read what was taken at ``seen``: its side of the visit."""
    done = _done(draft, seen)
    request = _request(draft, seen, "diagnosis", what, done, documents)
    _task(draft, seen, "diagnosis", f"{what}：{draft.hospital.name}", request, done)
    return replace(seen, place=draft.hospital, practitioner=physician(draft, draft.hospital, department))


def report(draft: Draft, seen: Visit, name: str, documents: list[str]) -> str:
    """A statutory report to disease control: opens to it what is reported, nothing else. The server's own Task."""
    return draft.record(
        seen,
        "tsk",
        {
            "resourceType": "Task",
            "status": "completed",
            "intent": "order",
            "priority": "urgent",
            "code": _kind("statutory-report"),
            "description": f"传染病报告卡：{name}",
            "focus": {"reference": documents[0]},
            "for": draft.subject,
            "authoredOn": seen.later(hours=1),
            "lastModified": seen.later(hours=2),
            "requester": organization(seen.place),
            "owner": {"reference": f"Organization/{CDC}", "display": offices()[0].name},
            "restriction": {"period": {"start": seen.time.isoformat()}},
            "input": [
                {"type": {"text": "报告依据"}, "valueReference": {"reference": document}} for document in documents
            ],
        },
    )
