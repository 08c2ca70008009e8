"""FHIR transaction interaction: all entries of a Bundle succeed in one atomic write, or none.

https://hl7.org/fhir/R4/http.html#transaction. ``transact`` is the door for HTTP and for loading alike;
parsing, validation, link resolution and indexing happen outside the store's writer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from fhir_server.errors import Conflict, FhirError, Gone, NotFound, Unprocessable
from fhir_server.http.conditional import check_if_match, check_if_none_match
from fhir_server.http.dispatch import query_pairs
from fhir_server.http.exchange import Request
from fhir_server.http.prefer import lenient
from fhir_server.interactions import patch_resource
from fhir_server.interactions.answers import Answer
from fhir_server.interactions.change import Work, judged, put
from fhir_server.interactions.criteria import criteria, read_search, text_asks_terminology
from fhir_server.interactions.entries import Entry, at_entry
from fhir_server.interactions.integrity import check_references, check_unreferenced
from fhir_server.interactions.listing import without
from fhir_server.interactions.placeholders import check_bound, forget, settle, waiting
from fhir_server.interactions.plan import Criterion, ParseCriterion, Plan, Step, changed, plan, resolve
from fhir_server.interactions.search import search_system, search_type
from fhir_server.interactions.subrequest import outer_request, request_of, run_entry
from fhir_server.records.bundles import Elsewhere, enrol, foresee
from fhir_server.search.rows import Rows
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Prepared, Stored, Transaction
from profiles.issues import Issue, operation_outcome

if TYPE_CHECKING:
    from fhir_server.context import Context

T = TypeVar("T")
_ATTEMPTS = 5
_ISSUES_MAX = 100
_THREAD_FROM = 50  # entries; preparing fewer takes less than a hop to a thread is worth


class _Stale(Exception):
    """Inside the write, a criterion has other matches than the plan was made for."""


async def transact(bundle: dict[str, Any], context: Context, outer: Request | None = None) -> list[Answer]:
    """Run a transaction Bundle; the answers in the order of its entries, committed and durable.

    ``bundle`` is parsed JSON; its links are rewritten in place. ``outer`` is the request that brought it,
    None when it did not come by HTTP.
    Raises FhirError, its issues naming the entries, and nothing is written then.
    """
    outer = outer or outer_request()
    entries = bundle.get("entry")
    threaded = isinstance(entries, list) and (len(entries) >= _THREAD_FROM or any(map(_asks_terminology, entries)))
    made = await _run(threaded, make_plan, bundle, context, outer.base_url)
    for entry in made.reads:
        await _run(threaded, _at, entry, _check_path, entry, outer, context)
    answers = await _write(made, context, threaded)
    for entry in made.reads:
        try:
            answers[entry.index] = await run_entry(entry, outer, context)
        except FhirError as error:
            # The writes stand by now; what is gone again since then can only be told.
            answers[entry.index] = Answer(error.status, outcome=operation_outcome(at_entry(error, entry.path).issues))
    return [answer for answer in answers if answer is not None]


def _asks_terminology(entry: Any) -> bool:
    request = entry.get("request") if isinstance(entry, dict) else None
    return isinstance(request, dict) and any(text_asks_terminology(request.get(key)) for key in ("url", "ifNoneExist"))


async def _run(threaded: bool, work: Callable[..., T], *arguments: Any) -> T:
    """Run ``work`` here, or in a thread when it is long, so that others are answered meanwhile."""
    return await asyncio.to_thread(work, *arguments) if threaded else work(*arguments)


def make_plan(bundle: dict[str, Any], context: Context, base_url: str = "") -> Plan:
    """Read the Bundle: the first half, which needs no store. See ``plan.plan``."""

    return plan(bundle, context.definitions, _parser(context), context.new_id, base_url, context.settings.bundle_max)


def _parser(context: Context) -> ParseCriterion:
    def parse(type_name: str, text: str, where: str) -> Criterion:
        try:
            query = criteria(type_name, query_pairs(text), context, where)
        except FhirError as error:
            raise type(error)(f"{type_name}?{text}: {error}", where, code=error.issues[0].code) from None
        return Criterion(f"{type_name}?{text}", type_name, query)

    return parse


def prepare_steps(made: Plan, stored: Mapping[str, frozenset[str]], context: Context) -> None:
    """Decide identities, rewrite links, validate and index: all that can be done outside the write.

    ``stored``: the ids of the matches of each criterion of the plan, by its text.
    Raises FhirError; Unprocessable carries the findings of all entries (up to 100).
    """

    def rows(step: Step) -> Rows:
        _validate([step], context)
        return context.extractor.rows(step.entry.resource or {})

    resolve(made, stored, rows, context.settings.delete_max)
    check_bound(made)
    writing = [step for step in made.steps if step.method in ("POST", "PUT") and not step.existing]
    _validate(writing, context)
    extractor = context.extractor
    for step in writing:
        step.prepared = prepare(step.entry.resource or {}, step.id, extractor)
        step.prepared.fresh = step.id == step.fresh
    for step in made.steps:
        if step.method == "PATCH":
            step.work = _at(step.entry, _patch_plan, step, context)


def _validate(steps: list[Step], context: Context) -> None:
    check = context.validator.check
    found: list[Issue] = []
    for step in steps:
        issues = [i for i in check(step.entry.resource or {}) if i.severity in ("error", "fatal")]
        if not issues:
            try:
                step.findings = judged(step.entry.resource or {}, context)
            except Unprocessable as refusal:
                issues = list(refusal.issues)
        if issues:
            found += at_entry(Unprocessable.of(issues), step.entry.path).issues
            if len(found) >= _ISSUES_MAX:
                break
    if found:
        raise Unprocessable.of(found[:_ISSUES_MAX])


async def _write(made: Plan, context: Context, threaded: bool) -> list[Answer | None]:
    """Prepare against a snapshot and commit; again where a condition's matches changed in between."""
    patches = any(step.method == "PATCH" for step in made.steps)
    for _ in range(_ATTEMPTS):
        forget(made)
        stored = await _matches(made, made.criteria, context)
        while waiting(made):
            stored |= await _matches(made, settle(made, stored, _parser(context)), context)
        await foresee(made, stored, context)
        await _run(threaded or patches, prepare_steps, made, stored, context)
        try:
            return await context.store.write(lambda transaction: commit(made, transaction, context), context.access)
        except (_Stale, Elsewhere) as stale:
            what = str(stale)
    raise changed(what)


async def _matches(made: Plan, wanted: Mapping[str, Criterion], context: Context) -> dict[str, frozenset[str]]:
    limits = made.limits(context.settings.delete_max)

    async def find(criterion: Criterion) -> frozenset[str]:
        query = replace(criterion.query, count=limits[criterion.text])
        page = await context.store.search(query, context.access)
        return frozenset(found.id for found in page.matches)

    found = await asyncio.gather(*(find(criterion) for criterion in wanted.values()))
    return dict(zip(wanted, found, strict=True))


def commit(made: Plan, transaction: Transaction, context: Context) -> list[Answer | None]:
    """The write itself, run by the store's writer: checks and puts. Answers of entries that read are None.

    Raises FhirError for a version condition that does not hold and for a resource to read that is not there.
    """
    answers: list[Answer | None] = [None] * made.count
    limits = made.limits(context.settings.delete_max)
    deletes = [step for step in made.steps if step.method == "DELETE"]
    _recheck(made, transaction, limits, {step.criterion.text for step in deletes if step.criterion})
    gone: dict[str, set[str]] = {}
    for step in deletes:
        answers[step.entry.index] = _at(step.entry, _delete, step, transaction)
        gone.setdefault(step.type, set()).update(step.ids)
    rest = made.criteria.keys() - {step.criterion.text for step in deletes if step.criterion}
    _recheck(made, transaction, limits, rest, gone)
    existing: list[Step] = []
    for step in made.steps:
        if step.existing:
            existing.append(step)
        elif step.method != "DELETE":
            answer = _at(step.entry, _WRITES[step.method], step, transaction, context)
            answer.findings = step.findings
            answers[step.entry.index] = answer
    for step in existing:
        answers[step.entry.index] = _at(step.entry, _found, step, transaction, context)
    check_references(transaction, [step.prepared for step in made.steps if step.prepared is not None], context)
    check_unreferenced(transaction, [(step.type, id) for step in deletes for id in step.ids], context)
    for entry in made.reads:
        _at(entry, _check_read, entry, transaction)
    return answers


def _at(entry: Entry, work: Callable[..., T], *arguments: Any) -> T:
    try:
        return work(*arguments)
    except FhirError as error:
        raise at_entry(error, entry.path) from None


def _recheck(
    made: Plan,
    transaction: Transaction,
    limits: Mapping[str, int],
    texts: Collection[str],
    gone: Mapping[str, set[str]] | None = None,
) -> None:
    for text in texts:
        wanted = made.criteria[text]
        found = {match.id for match in transaction.find(wanted.type, wanted.query, limits[text])}
        if found != made.expected[text] - (gone or {}).get(wanted.type, set()):
            raise _Stale(text)


def _delete(step: Step, transaction: Transaction) -> Answer:
    _check_version(step, transaction.read(step.type, step.id) if step.criterion is None else None)
    stored = None
    for id in step.ids:
        stored = transaction.delete(step.type, id)
    return Answer(204, stored if len(step.ids) == 1 else None)


def _found(step: Step, transaction: Transaction, context: Context) -> Answer:
    stored = enrol(step, transaction, context)[1] if step.known else transaction.read(step.type, step.id)
    return Answer(200, stored, located=True)


def _create(step: Step, transaction: Transaction, context: Context) -> Answer:
    if step.person is not None:
        return Answer(*enrol(step, transaction, context), located=True)
    return Answer(201, transaction.put(_prepared(step), "POST"), located=True)


def _update(step: Step, transaction: Transaction, context: Context) -> Answer:
    before = transaction.read(step.type, step.id)
    _check_version(step, before)
    if step.person is not None and (before is None or before.custodian != context.access.party):
        return Answer(*enrol(step, transaction, context), located=True)
    new = before is None or before.deleted
    if step.criterion is not None and step.created and not new:
        raise Conflict(f"{step.reference} exists, but does not satisfy the condition", f"{step.entry.path}.request.url")
    stored = put(transaction, _prepared(step), before, "PUT", context)
    new = stored.version == 1 if before is None else new
    return Answer(201 if new else 200, stored, located=True)


def _patch(step: Step, transaction: Transaction, context: Context) -> Answer:
    if step.work is None:
        raise RuntimeError(f"{step.entry.path} was not prepared")
    change = step.work(transaction)
    return Answer(change.status, change.stored, located=True)


def _patch_plan(step: Step, context: Context) -> Work:
    request = request_of(step.entry, outer_request())
    request.type, request.id = step.type, step.id
    return patch_resource.plan(request, context)


def _check_version(step: Step, current: Stored | None) -> None:
    headers = step.entry.headers
    if "if-match" in headers or "if-none-match" in headers:
        request = Request(step.method, (), [], headers, b"", "", "", type=step.type, id=step.id)
        check_if_match(request, current)
        check_if_none_match(request, current)


_WRITES: dict[str, Callable[[Step, Transaction, Context], Answer]] = {
    "POST": _create,
    "PUT": _update,
    "PATCH": _patch,
}


def _prepared(step: Step) -> Prepared:
    if step.prepared is None:
        raise RuntimeError(f"{step.entry.path} was not prepared")
    return step.prepared


def _check_path(entry: Entry, outer: Request, context: Context) -> None:
    """A read that no state of the store could answer fails the transaction: nothing there, no such parameter."""
    request = request_of(entry, outer)
    if context.routes.find(request).handler in (search_type, search_system):
        pairs = without(request.query, "_format", "_pretty")
        tolerant = lenient(request, context.settings.handling)
        read_search((request.type,) if request.type else (), pairs, context, request.base_url, tolerant)


def _check_read(entry: Entry, transaction: Transaction) -> None:
    """A read of one resource fails the transaction when there is no such resource after its writes."""
    if entry.method == "POST" or len(entry.segments) != 2 or entry.segments[1][:1] in ("_", "$"):
        return
    type_name, id = entry.segments
    found = transaction.read(type_name, id)
    if found is None:
        raise NotFound(f"There is no {type_name}/{id}", f"{entry.path}.request.url")
    if found.deleted:
        raise Gone(f"{type_name}/{id} is deleted", f"{entry.path}.request.url")
