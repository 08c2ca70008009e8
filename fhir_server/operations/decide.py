"""Operation Task/[id]/$decide: a steward closes a question about who somebody is without merging.

``different`` (two persons), ``settled`` (the data were corrected, or stand) or ``accepted`` (a change of identity that
waits takes effect when it is sent again); a merge closes its Task itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consent.vocabulary import STEWARDSHIP
from fhir_server.errors import BadRequest, Conflict, NotFound
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions.listing import now
from fhir_server.operations.merge import check_steward
from fhir_server.operations.parameters import simple_pairs
from fhir_server.records.acting import acting, index_access
from fhir_server.records.merge import content_of
from fhir_server.records.stewardship import ACCEPTED, OPEN, is_stewardship, waits
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Stored, Transaction

if TYPE_CHECKING:
    from fhir_server.context import Context

_KNOWN = frozenset({"decision", "comment"})
_DECISIONS = {"different": "不是同一人", "settled": "已核实处理", ACCEPTED: "同意更正"}
_COMMENT_MOST = 1000


async def decide(request: Request, context: Context) -> Response:
    """``POST Task/[id]/$decide`` with ``decision`` (and ``comment``): the closed Task.

    The same question is not asked again. Raises Forbidden for others than stewards, NotFound for what is no such
    Task, Conflict for one that is closed.
    """
    check_steward(context)
    values = dict(simple_pairs(request, _KNOWN, "decide"))
    decision, comment = values.get("decision", ""), values.get("comment", "")
    if decision not in _DECISIONS or len(comment) > _COMMENT_MOST:
        raise BadRequest(f"decision is one of {', '.join(_DECISIONS)}", "http.decision", code="value")

    def work(transaction: Transaction) -> Stored:
        stored = transaction.read("Task", request.id)
        task = content_of(stored) if stored is not None and stored.body is not None else {}
        if not any(is_stewardship(task, kind) for kind in STEWARDSHIP):
            raise NotFound(f"There is no question to the stewards under Task/{request.id}")
        if task["status"] not in OPEN:
            raise Conflict(f"Task/{request.id} is closed already")
        if decision == ACCEPTED and not waits(task):
            raise BadRequest(f"No change waits for Task/{request.id}", "http.decision", code="business-rule")
        with acting(transaction, index_access()):
            closed = _closed(task, decision, comment, context)
            return transaction.put(prepare(closed, request.id, context.extractor), "PUT")

    stored = await context.store.write(work, context.access)
    return Response(200, body=stored.body or b"", stored=stored)


def _closed(task: dict[str, Any], decision: str, comment: str, context: Context) -> dict[str, Any]:
    text = _DECISIONS[decision]
    coding = {"system": "urn:yidang:task-output", "code": "decision"}
    closed = {
        **task,
        "status": "completed",
        "businessStatus": {"text": text},
        "lastModified": now(context),
        "output": [{"type": {"coding": [coding], "text": text}, "valueCode": decision}],
    }
    if comment:
        note: dict[str, Any] = {"text": comment, "time": now(context)}
        if context.requester is not None:
            note["authorReference"] = {"reference": context.requester.subject}
        closed["note"] = [*task.get("note", ()), note]
    return closed
