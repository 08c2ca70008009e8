"""Work between institutions about a resident: referral up, and diagnosis at the county hospital of a township's films.

Each is a ServiceRequest of the institution that asks and a Task of it for the one that is asked.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from consent.vocabulary import TASK_KIND
from loaders.demo import identity
from loaders.demo.county import HOSPITAL
from loaders.demo.draft import Draft, Resource, Visit, organization, physician, visit

_NAMES = {"referral": "双向转诊", "diagnosis": "远程诊断", "consultation": "远程会诊"}
_RECENT_DAYS = 45


def _kind(code: str) -> Resource:
    return {"coding": [{"system": TASK_KIND, "code": code, "display": _NAMES[code]}], "text": _NAMES[code]}


def _request(draft: Draft, seen: Visit, kind: str, what: str, department: str, done: bool) -> str:
    serial = draft.counts.get("ask", 0)
    return draft.record(
        seen,
        "ask",
        {
            "resourceType": "ServiceRequest",
            "identifier": [{"system": identity.REQUEST_NUMBER, "value": f"Q{draft.person.number:06d}{serial:03d}"}],
            "status": "completed" if done else "active",
            "intent": "order",
            "category": [_kind(kind)],
            "priority": "routine",
            "code": {"text": what},
            "subject": draft.subject,
            "encounter": {"reference": seen.encounter},
            "occurrencePeriod": {"start": seen.time.isoformat(), "end": seen.later(days=30)},
            "authoredOn": seen.time.isoformat(),
            "requester": organization(seen.place),
            "performer": [organization(draft.hospital)],
            "reasonCode": [{"text": what}],
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


def up(draft: Draft, day: date, what: str, department: str) -> str:
    """A referral from the township to the county hospital; the ServiceRequest's reference."""
    seen = visit(draft, draft.township, day, what)
    done = _done(draft, seen)
    request = _request(draft, seen, "referral", f"上转：{what}", department, done)
    _task(draft, seen, "referral", f"上转县人民医院：{what}", request, done)
    return request


def waiting(draft: Draft) -> None:
    """A referral of these days which the hospital has not taken up yet: it may see what belongs to it."""
    day = draft.person.last - timedelta(days=draft.random.randint(2, 12))
    seen = visit(draft, draft.township, day, "上转就诊")
    request = _request(draft, seen, "referral", "上转：血糖控制不佳", "internal", False)
    _task(draft, seen, "referral", "上转县人民医院：血糖控制不佳", request, False)


def remote_diagnosis(draft: Draft, seen: Visit, department: str, what: str) -> Visit:
    """The county hospital asked to read what was taken at ``seen``: its side of the visit."""
    done = _done(draft, seen)
    request = _request(draft, seen, "diagnosis", what, department, done)
    _task(draft, seen, "diagnosis", f"{what}：{HOSPITAL}", request, done)
    return replace(seen, place=draft.hospital, practitioner=physician(draft, draft.hospital, department))
