"""Break-glass: access in an emergency without consent, for a stated reason, for a time, told and reviewed.

PIPL 13(1)(4) and 18, 民法典 1220, 医师法 27: to save life where nobody can be asked; the institution's head or a
delegate approves, now or within 24 hours; the person is told afterwards. The review Task gives the access
(``consent.compile``): it cannot be had without being on the reviewer's list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from consent import Access, Requester
from consent.vocabulary import ACT_REASON, ROLES, TASK_KIND
from fhir_server.audit.exchange import call_it, concerns
from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import issue
from fhir_server.auth.scopes import render
from fhir_server.context import Context
from fhir_server.errors import BadRequest, Conflict, Forbidden, NotFound
from fhir_server.http.desk import Answered, Asked, staff
from fhir_server.interactions.criteria import read_search
from fhir_server.records.acting import acting
from fhir_server.records.reach import in_file
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Stored, Transaction
from profiles.lossless import parse

KIND = "break-glass-review"
REASON = "urn:yidang:break-glass-reason"
REASONS: dict[str, str] = {
    "unconscious": "患者昏迷或不能表达意思",
    "life-threatening": "危及生命，须立即处置",
    "relatives-unreachable": "患者不能表达，且联系不到近亲属或监护人",
    "other-emergency": "其他紧急情况（见说明）",
}
_APPROVER = re.compile(r"Practitioner/[A-Za-z0-9.-]{1,64}", re.ASCII)
_PURPOSES = ("ETREAT", "BTG")
_FOREIGN_SECONDS = 3600  # of a file opened by a token of another issuer
_REVIEW_DAYS = 5  # working days
_OPEN, _JUSTIFIED, _UNJUSTIFIED = "requested", "completed", "rejected"


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """The endpoints. ``auth_file`` gives the token of an opened file; ``hours``: how long it stays open."""

    auth_file: AuthFile
    hours: int = 24

    async def open(self, asked: Asked) -> Answered:
        """``POST /break-glass`` {patient, reason, text, purpose?, approver?}: 201 with an access token to that file.

        Raises Forbidden for those who do not treat, BadRequest for a reason that is none, NotFound.
        """
        context, practitioner = asked.context, staff(asked.context)
        requester = _treating(context)
        patient = asked.text("patient", 64).removeprefix("Patient/")
        reason, text = asked.text("reason", 64), asked.text("text", 1000)
        purpose = str(asked.body.get("purpose", "ETREAT"))
        if reason not in REASONS:
            raise BadRequest(f"'reason' is one of {', '.join(REASONS)}", "reason", code="code-invalid")
        if purpose not in _PURPOSES or purpose not in ROLES[requester.role].purposes:
            raise BadRequest(f"'purpose' is one of {', '.join(_PURPOSES)}", "purpose", code="code-invalid")
        approver = asked.body.get("approver")
        if approver is not None and not (isinstance(approver, str) and _APPROVER.fullmatch(approver)):
            raise BadRequest("'approver' is a reference like Practitioner/123", "approver", code="value")
        scopes = in_file(requester, patient)
        if not scopes:
            raise Forbidden("No scope of this token reads in this person's file", "http.Authorization")
        base = self._base(requester, context.clock() / 1_000_000)
        server = Access.everything("break-glass")
        if (found := context.store.read("Patient", patient, server)) is None or found.deleted:
            raise NotFound(f"There is no Patient/{patient}")
        call_it("break-glass", "break-glass")
        concerns(patient)
        until = moment(context) + timedelta(hours=self.hours)
        task = self._task(context, requester, practitioner, patient, reason, text, until, approver)
        written = await context.store.write(
            lambda transaction: _file(transaction, task, _notice(task), context),
            replace(server, party=f"Organization/{requester.institution}"),
        )
        facts = replace(requester, purpose=purpose, patient=patient, encounter="", scopes=scopes)
        answer = {
            "task": f"Task/{written.id}",
            "patient": patient,
            "until": until.isoformat(timespec="seconds"),
            "access_token": base.token(self.auth_file, facts),
            "token_type": "Bearer",
            "expires_in": int(base.seconds),
            "scope": " ".join(map(render, scopes)),
            "purpose": purpose,
        }
        return Answered(answer, 201)

    async def reviews(self, asked: Asked) -> Answered:
        """``GET /break-glass``: the accesses of one's institution that await review, the oldest first."""
        found = [_told(task) for task in await _open_tasks(asked.context, _reviewer(asked.context))]
        return Answered({"reviews": found})

    async def review(self, asked: Asked) -> Answered:
        """``POST /break-glass/review`` {task, outcome: justified | unjustified, note}: closes a review.

        An access found unjustified ends at once.
        """
        institution = _reviewer(asked.context)
        outcome, note = asked.text("outcome", 20), asked.text("note", 1000)
        if outcome not in ("justified", "unjustified"):
            raise BadRequest("'outcome' is justified or unjustified", "outcome", code="code-invalid")
        status = _JUSTIFIED if outcome == "justified" else _UNJUSTIFIED
        return await self._close(asked, institution, status, note, None)

    async def end(self, asked: Asked) -> Answered:
        """``POST /break-glass/end`` {task}: who opened a file closes it before its time; the review stays."""
        practitioner = staff(asked.context)
        requester = asked.context.requester
        assert requester is not None
        return await self._close(asked, requester.institution, "", "", f"Practitioner/{practitioner}")

    async def _close(self, asked: Asked, institution: str, status: str, note: str, opened_by: str | None) -> Answered:
        context = asked.context
        id = asked.text("task", 80).removeprefix("Task/")
        now = moment(context).isoformat(timespec="milliseconds")

        def work(transaction: Transaction) -> Stored:
            current = transaction.read("Task", id)
            task = parse(current.body) if current is not None and current.body is not None else None
            if task is None or not _is_review(task) or current is None:
                raise NotFound(f"There is no Task/{id}")
            theirs = task["owner"]["reference"] == f"Organization/{institution}"
            if not theirs or (opened_by is not None and task["requester"]["reference"] != opened_by):
                raise NotFound(f"There is no Task/{id}")
            if task["status"] != _OPEN:
                raise Conflict("This review is closed")
            if status and context.requester and task["requester"]["reference"] == context.requester.subject:
                raise Forbidden("Nobody reviews an access of their own")
            if status:
                task["status"], task["lastModified"] = status, now
                author = {"authorReference": {"reference": context.requester.subject}} if context.requester else {}
                task["note"] = [*task.get("note", ()), {**author, "time": now, "text": note}]
            if status != _JUSTIFIED:
                task["restriction"]["period"]["end"] = now
            return transaction.put(prepare(task, id, context.extractor), "PUT")

        call_it("break-glass", "break-glass")
        server = replace(Access.everything("break-glass"), party=f"Organization/{institution}")
        stored = await context.store.write(work, server)
        concerns(stored.patient)
        return Answered(_told(parse(stored.body or b"{}")))

    def _base(self, requester: Requester, now: float) -> _Base:
        """What the new token rests on. Raises Forbidden for a token that was itself given in an emergency."""
        row = self.auth_file.row(
            "SELECT t.account, t.session, t.family, s.expires AS ends, json_extract(t.claims, '$.opened_by') AS opened"
            " FROM tokens t LEFT JOIN sessions s ON s.id = t.session WHERE t.id = ?",
            requester.token,
        )
        if row is None:
            # Of another issuer, who does not tell us when it withdraws something: not longer than its own may live.
            return _Base(requester.token, now, min(self.hours * 3600, _FOREIGN_SECONDS))
        if row["opened"]:
            raise Forbidden("The token of an opened file opens no further one", "http.Authorization")
        seconds = min(self.hours * 3600, row["ends"] - now) if row["ends"] else self.hours * 3600
        return _Base(requester.token, now, seconds, row["account"], row["session"], row["family"])

    def _task(
        self,
        context: Context,
        requester: Requester,
        practitioner: str,
        patient: str,
        reason: str,
        text: str,
        until: datetime,
        approver: object,
    ) -> dict[str, Any]:
        now = moment(context)
        due = now
        for _ in range(_REVIEW_DAYS):
            due += timedelta(days=1)
            while due.weekday() >= 5:
                due += timedelta(days=1)
        inputs = [{"type": {"text": "复核期限 / review due"}, "valueDateTime": due.isoformat(timespec="seconds")}]
        if isinstance(approver, str):
            inputs.append({"type": {"text": "批准人 / approver"}, "valueReference": {"reference": approver}})
        display = REASONS[reason]
        return {
            "resourceType": "Task",
            "status": _OPEN,
            "intent": "order",
            "priority": "stat",
            "code": {"coding": [{"system": TASK_KIND, "code": KIND, "display": "紧急访问复核"}]},
            "description": text,
            "for": {"reference": f"Patient/{patient}"},
            "authoredOn": now.isoformat(timespec="milliseconds"),
            "requester": {"reference": f"Practitioner/{practitioner}"},
            "owner": {"reference": f"Organization/{requester.institution}"},
            "reasonCode": {"coding": [{"system": REASON, "code": reason, "display": display}], "text": display},
            "restriction": {
                "period": {
                    "start": now.isoformat(timespec="milliseconds"),
                    "end": until.isoformat(timespec="milliseconds"),
                }
            },
            "input": inputs,
        }


@dataclass(frozen=True, slots=True)
class _Base:
    """What the token of an opened file rests on: it ends with the token, session, account or authorization."""

    opened_by: str
    now: float
    seconds: float
    account: str = ""
    session: str = ""
    family: str = ""

    def token(self, auth_file: AuthFile, facts: Requester) -> str:
        """A token of the same person, good for reading this file only."""
        return issue(
            auth_file,
            facts,
            self.seconds,
            now=self.now,
            account=self.account,
            session=self.session,
            family=self.family,
            extra={"opened_by": self.opened_by},
        )


def _treating(context: Context) -> Requester:
    requester = context.requester
    role = ROLES.get(requester.role) if requester is not None else None
    if requester is None or role is None or not role.care or "BTG" not in role.purposes:
        raise Forbidden("Only those who treat may open a file in an emergency")
    return requester


def _reviewer(context: Context) -> str:
    """The institution of the privacy officer who asks."""
    staff(context)
    requester = context.requester
    if requester is None or requester.role != "privacy-officer":
        raise Forbidden("Only the institution's privacy officer reviews emergency accesses")
    return requester.institution


def moment(context: Context) -> datetime:
    """The time, in the zone of the deployment."""
    return datetime.fromtimestamp(context.clock() / 1_000_000, ZoneInfo(context.settings.zone))


def _notice(task: Mapping[str, Any]) -> dict[str, Any]:
    """What the resident is told."""
    since, until = (text[:16].replace("T", " ") for text in (task["authoredOn"], task["restriction"]["period"]["end"]))
    reason = task["reasonCode"]["text"]
    text = (
        f"{since}，医务人员因紧急情况（{reason}）查看您的健康档案，至{until}为止。"
        "该访问将由其所在机构复核；如有疑问，您可以提出询问。"
    )
    return {
        "resourceType": "Communication",
        "status": "completed",
        "category": [{"coding": [{"system": ACT_REASON, "code": "BTG"}], "text": "紧急访问告知"}],
        "priority": "urgent",
        "subject": task["for"],
        "sent": task["authoredOn"],
        "recipient": [task["for"]],
        "sender": task["owner"],
        "payload": [{"contentString": text}],
    }


def _file(transaction: Transaction, task: dict[str, Any], notice: dict[str, Any], context: Context) -> Stored:
    stored = transaction.put(prepare(task, context.new_id(), context.extractor), "POST")
    # Nobody's to keep: the institution that opened the file neither changes what the resident was told nor deletes it.
    nobody = replace(transaction.access, party="")
    about = {**notice, "about": [{"reference": f"Task/{stored.id}"}]}
    with acting(transaction, nobody):
        transaction.put(prepare(about, context.new_id(), context.extractor), "POST")
    return stored


def _is_review(task: Mapping[str, Any]) -> bool:
    codings = task.get("code", {}).get("coding", ())
    return any((coding.get("system"), coding.get("code")) == (TASK_KIND, KIND) for coding in codings)


async def _open_tasks(context: Context, institution: str) -> list[dict[str, Any]]:
    pairs = [
        ("code", f"{TASK_KIND}|{KIND}"),
        ("status", _OPEN),
        ("owner", f"Organization/{institution}"),
        ("_sort", "authored-on"),
        ("_count", str(context.settings.page_max)),
    ]
    query = read_search(("Task",), pairs, context).query
    page = await context.store.search(query, Access.everything("break-glass reviews"))
    return [parse(found.body or b"{}") for found in page.matches]


def _told(task: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task": f"Task/{task['id']}",
        "status": task["status"],
        "patient": task["for"]["reference"].removeprefix("Patient/"),
        "practitioner": task["requester"]["reference"],
        "reason": task["reasonCode"]["coding"][0]["code"],
        "text": task["description"],
        "opened": task["authoredOn"],
        "until": task["restriction"]["period"]["end"],
    }
