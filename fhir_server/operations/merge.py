"""Operations Patient/$merge and Patient/$unmerge: two Patients of one person put together, and apart again.

$merge as FHIR R5 defines it (https://hl7.org/fhir/R5/patient-operation-merge.html); $unmerge is ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fhir_server.audit.exchange import call_it, concerns
from fhir_server.errors import BadRequest, Forbidden, NotFound, PreconditionFailed, Unprocessable
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions.criteria import criteria
from fhir_server.operations.parameters import input_of, parts_of
from fhir_server.records.acting import index_access
from fhir_server.records.matching.blocking import escaped
from fhir_server.records.merge import Merged, check_mergeable, content_of, merged_target, unmerge
from fhir_server.records.merge import merge as merge_now
from fhir_server.store.protocol import Stored, Transaction
from profiles.issues import Issue, operation_outcome
from profiles.lossless import parse

if TYPE_CHECKING:
    from fhir_server.context import Context

_STEWARD = "steward"
_MERGE = frozenset(
    {"source-patient", "target-patient", "source-patient-identifier", "target-patient-identifier"}
    | {"result-patient", "preview"}
)
_UNMERGE = frozenset({"source-patient", "source-patient-identifier"})


async def merge(request: Request, context: Context) -> Response:
    """``POST Patient/$merge``: the source becomes part of the target; ``preview`` only shows the result."""
    check_steward(context)
    values = _values(request, "merge", _MERGE)
    source, target = await _patient("source", values, context), await _patient("target", values, context)
    check_mergeable(source, target)
    result = _result(values, target.id, context)
    if values.get("preview"):
        shown = merged_target(content_of(source), content_of(target), result)
        return _answer(shown, "This is what the merge would make; nothing was changed", values)
    done = await context.store.write(
        lambda transaction: merge_now(source.id, target.id, result, transaction, context), context.access
    )
    call_it("merge")
    concerns(source.id, target.id)
    return _told(done, f"Patient/{source.id} was merged into Patient/{target.id}", values)


async def unmerge_operation(request: Request, context: Context) -> Response:
    """``POST Patient/$unmerge``: the source is a Patient of its own again, as it was before the merge."""
    check_steward(context)
    values = _values(request, "unmerge", _UNMERGE)
    source = await _patient("source", values, context)
    access = index_access()

    def version(type: str, id: str, number: int) -> Stored | None:
        return context.store.vread(type, id, number, access)

    def work(transaction: Transaction) -> Merged:
        return unmerge(source.id, version, transaction, context)

    done = await context.store.write(work, context.access)
    call_it("unmerge")
    concerns(source.id, done.target.id)
    return _told(done, f"Patient/{source.id} was taken out of Patient/{done.target.id}", values)


def check_steward(context: Context) -> None:
    """Merging is for stewards of the person index alone: administrators see no persons."""
    if not context.access.unrestricted and not (context.access.role == _STEWARD and context.access.identities):
        raise Forbidden("Persons are merged by stewards of the person index (主索引管理员)")


def _values(request: Request, operation: str, known: frozenset[str]) -> dict[str, Any]:
    body = input_of(request)
    if body is None:
        raise BadRequest(f"${operation} needs Parameters", "Parameters", code="required")
    values: dict[str, Any] = {"input": body}
    for part in parts_of(body, operation):
        name = part["name"]
        where = f"Parameters.parameter.where(name='{name}')"
        if name not in known:
            raise BadRequest(f"${operation} has no parameter '{name}'; it has {', '.join(sorted(known))}", where)
        value = next((value for key, value in part.items() if key.startswith("value")), part.get("resource"))
        if name.endswith("-identifier"):
            values.setdefault(name, []).append(value)
        elif name in values:
            raise BadRequest(f"'{name}' is given twice", where, code="duplicate")
        else:
            values[name] = value
    return values


async def _patient(side: str, values: dict[str, Any], context: Context) -> Stored:
    """The Patient that the reference, or the identifiers, of one side name."""
    where = f"Parameters.parameter.where(name='{side}-patient')"
    given, identifiers = values.get(f"{side}-patient"), values.get(f"{side}-patient-identifier", [])
    if isinstance(given, dict) and isinstance(given.get("reference"), str):
        id = given["reference"].rpartition("Patient/")[2]
        stored = context.store.read("Patient", id, context.access) if id else None
        if stored is None or stored.body is None:
            raise NotFound(f"There is no such {side} Patient", where)
        return stored
    pairs = [
        ("identifier", f"{one.get('system', '')}|{escaped(one['value'])}")
        for one in identifiers
        if isinstance(one, dict) and isinstance(one.get("value"), str)
    ]
    if not pairs:
        raise BadRequest(f"Name the {side} by {side}-patient or {side}-patient-identifier", where, code="required")
    page = await context.store.search(replace(criteria("Patient", pairs, context), count=2), context.access)
    if len(page.matches) != 1:
        raise PreconditionFailed(f"The identifiers of the {side} name not exactly one Patient", where)
    return page.matches[0]


def _result(values: dict[str, Any], target_id: str, context: Context) -> dict[str, Any] | None:
    result = values.get("result-patient")
    if result is None:
        return None
    where = "Parameters.parameter.where(name='result-patient')"
    if not isinstance(result, dict) or result.get("resourceType") != "Patient" or result.get("id") != target_id:
        raise Unprocessable("The result-patient is a Patient with the id of the target", where)
    issues = [issue for issue in context.validator.check(result) if issue.severity in ("error", "fatal")]
    if issues:
        raise Unprocessable.of(issues)
    return {key: value for key, value in result.items() if key != "meta"}


def _told(done: Merged, note: str, values: dict[str, Any]) -> Response:
    answer = _answer(parse(done.target.body or b"{}"), note, values)
    if done.task is not None and answer.resource is not None:
        answer.resource["parameter"].append({"name": "task", "resource": parse(done.task.body or b"{}")})
    return answer


def _answer(result: dict[str, Any], note: str, values: dict[str, Any]) -> Response:
    outcome = operation_outcome([Issue("informational", note, severity="information")])
    parameters = [
        {"name": "input", "resource": values["input"]},
        {"name": "outcome", "resource": outcome},
        {"name": "result", "resource": result},
    ]
    return Response(200, resource={"resourceType": "Parameters", "parameter": parameters})
