"""Two Patients of one person put together, and taken apart again, without anything being lost.

A merge makes the source inactive (``link`` replaced-by), gives the target its identifiers (``link`` replaces), leads
what belongs to the source into the target's file (``Transaction.alias``), closes the steward's Task, and says all
this in a Provenance. That names the versions before and after, so that ``unmerge`` restores them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from consent.vocabulary import LIFECYCLE
from fhir_server.context import Context
from fhir_server.errors import Conflict, NotFound, Unprocessable
from fhir_server.interactions.criteria import criteria
from fhir_server.interactions.listing import now
from fhir_server.records.acting import acting, index_access
from fhir_server.records.health_code import code_of
from fhir_server.records.index import merged_into
from fhir_server.records.matching.person import HEALTH_CODE, person_of
from fhir_server.records.matching.score import Grade, judge
from fhir_server.records.stewardship import OPEN, is_stewardship, persons_of
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Stored, Transaction
from profiles.lossless import parse

_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_MOST_TASKS = 200
_MOST_MERGES = 1000
Resource = dict[str, Any]
Version = Callable[[str, str, int], Stored | None]  # type, id, version


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge or its undoing left: the kept Patient, the other one, the Provenance, the Task (if any)."""

    target: Stored
    source: Stored
    provenance: Stored
    task: Stored | None = None


def merged_target(source: Resource, target: Resource, result: Resource | None) -> Resource:
    """The target after the merge: ``result`` where the steward says what it shall be, with the source's identifiers.

    The source's health code is kept as an old one. Raises Unprocessable where both have identity numbers of their
    own that differ, and nobody said which is right.
    """
    verdict = judge(person_of(source), person_of(target))
    if result is None and verdict.grade is Grade.NOT and "other-identity-number" in verdict.why:
        raise Unprocessable(
            "Their identity numbers differ, so they are two persons; if one is wrong, give the right result-patient",
            "Parameters.parameter.where(name='result-patient')",
            code="business-rule",
        )
    found = dict(result if result is not None else target)
    identifiers = list(found.get("identifier", ()))
    if result is not None and (code := code_of(target)) and code_of(found) != code:
        identifiers = [item for item in identifiers if item.get("system") != HEALTH_CODE]
        identifiers += [item for item in target["identifier"] if item.get("system") == HEALTH_CODE]
    if result is None:
        for item in source.get("identifier", ()):
            gained = {**item, "use": "old"} if item.get("system") == HEALTH_CODE else item
            if not any(_same(gained, one) for one in identifiers):
                identifiers.append(gained)
    if identifiers:
        found["identifier"] = identifiers
    link = {"other": {"reference": f"Patient/{source['id']}"}, "type": "replaces"}
    return {**found, "link": [*(one for one in found.get("link", ()) if one != link), link]}


def _same(one: Resource, other: Resource) -> bool:
    keys = ("system", "value")
    mine, theirs = one.get("assigner", {}), other.get("assigner", {})
    return all(one.get(key) == other.get(key) for key in keys) and mine.get("reference") == theirs.get("reference")


def merged_source(source: Resource, target_id: str) -> Resource:
    """The source after the merge: inactive, replaced by the target."""
    link = {"other": {"reference": f"Patient/{target_id}"}, "type": "replaced-by"}
    return {**source, "active": False, "link": [*source.get("link", ()), link]}


def content_of(stored: Stored) -> Resource:
    """The resource without what the server sets anew on every version."""
    resource: Resource = parse(stored.body or b"{}")
    meta = {key: value for key, value in resource.get("meta", {}).items() if key not in ("versionId", "lastUpdated")}
    rest = {key: value for key, value in resource.items() if key != "meta"}
    return {**rest, "meta": meta} if meta else rest


def current(transaction: Transaction, id: str) -> Stored:
    """The Patient. Raises NotFound where there is none (any more)."""
    stored = transaction.read("Patient", id)
    if stored is None or stored.body is None:
        raise NotFound(f"There is no Patient/{id}")
    return stored


def check_mergeable(source: Stored, target: Stored) -> None:
    """Raise Unprocessable or Conflict where the two cannot be merged now."""
    if source.id == target.id:
        raise Unprocessable("Source and target are the same Patient", code="business-rule")
    for stored in (source, target):
        if merged_into(content_of(stored)):
            raise Conflict(f"Patient/{stored.id} was merged into another before")


def merge(
    source_id: str, target_id: str, result: Resource | None, transaction: Transaction, context: Context
) -> Merged:
    """Merge the source into the target, inside a write."""
    party = context.access.party
    with acting(transaction, index_access(party)):
        source, target = current(transaction, source_id), current(transaction, target_id)
        check_mergeable(source, target)
        new_target = _put(
            merged_target(content_of(source), content_of(target), result), target_id, transaction, context
        )
        new_source = _put(merged_source(content_of(source), target_id), source_id, transaction, context)
        before = _open_task(source_id, target_id, transaction, context)
        task = None
        if before is not None:
            closed = {**content_of(before), "status": "completed", "businessStatus": {"text": "已合并"}}
            task = _put(closed, before.id, transaction, context, "Task")
        pairs = [(target, new_target), (source, new_source), *([(before, task)] if before and task else [])]
        provenance = _provenance("merge", pairs, context)
        stored = transaction.put(prepare(provenance, context.new_id(), context.extractor), "POST")
        transaction.alias(source_id, target_id)
    return Merged(new_target, new_source, stored, task)


def unmerge(source_id: str, version: Version, transaction: Transaction, context: Context) -> Merged:
    """Take the source out of the Patient that it was merged into, inside a write; ``version`` reads older ones."""
    with acting(transaction, index_access(context.access.party)):
        source = current(transaction, source_id)
        target_id = merged_into(content_of(source))
        if target_id is None:
            raise Conflict(f"Patient/{source_id} is not merged into another")
        target = current(transaction, target_id)
        pairs = _merge_of(source_id, target_id, transaction, context)
        transaction.unalias(source_id)
        new: dict[str, Stored] = {}
        for stored in (target, source, *_task(pairs, transaction)):
            reference = f"{stored.type}/{stored.id}"
            content = _restored(stored, pairs[reference], source_id, version)
            new[reference] = _put(content, stored.id, transaction, context, stored.type)
        found = [(target, new[f"Patient/{target_id}"]), (source, new[f"Patient/{source_id}"])]
        provenance = _provenance("unmerge", found, context)
        filed = transaction.put(prepare(provenance, context.new_id(), context.extractor), "POST")
    task = next((one for one in new.values() if one.type == "Task"), None)
    return Merged(found[0][1], found[1][1], filed, task)


def _put(resource: Resource, id: str, transaction: Transaction, context: Context, type: str = "Patient") -> Stored:
    issues = [issue for issue in context.validator.check(resource) if issue.severity in ("error", "fatal")]
    if issues:
        raise Unprocessable.of(issues)
    with acting(transaction, index_access("" if type == "Task" else context.access.party)):  # Tasks have no custodian
        return transaction.put(prepare(resource, id, context.extractor), "PUT")


def _open_task(source_id: str, target_id: str, transaction: Transaction, context: Context) -> Stored | None:
    """The open duplicate review that is about these two."""
    pair = {f"Patient/{source_id}", f"Patient/{target_id}"}
    for focus in sorted(pair):
        asked = [("focus", focus), ("status", ",".join(sorted(OPEN)))]
        for stored in transaction.find("Task", criteria("Task", asked, context), _MOST_TASKS):
            task = content_of(stored)
            if is_stewardship(task) and pair <= persons_of(task):
                return stored
    return None


def _provenance(activity: str, pairs: list[tuple[Stored, Stored]], context: Context) -> Resource:
    """Who merged (or took apart) what: targets the new versions, entities the versions before."""
    requester = context.requester
    who = {"reference": requester.subject} if requester else {"display": "local administrator"}
    agent: Resource = {"type": {"coding": [{"system": _PARTICIPANT, "code": "performer"}]}, "who": who}
    if context.access.party:
        agent["onBehalfOf"] = {"reference": context.access.party}
    return {
        "resourceType": "Provenance",
        "target": [{"reference": _versioned(new)} for _, new in pairs],
        "recorded": now(context),
        "activity": {"coding": [{"system": LIFECYCLE, "code": activity}]},
        "agent": [agent],
        "entity": [{"role": "revision", "what": {"reference": _versioned(old)}} for old, _ in pairs],
    }


def _versioned(stored: Stored) -> str:
    return f"{stored.type}/{stored.id}/_history/{stored.version}"


Pairs = dict[str, tuple[int, int]]
"""By reference: the numbers of the version before the merge and of the one that it made."""


def _merge_of(source_id: str, target_id: str, transaction: Transaction, context: Context) -> Pairs:
    """What the Provenance of the last merge of the source into the target says; only the server writes such."""
    query = criteria("Provenance", [("target", f"Patient/{source_id}")], context)
    both = {f"Patient/{source_id}", f"Patient/{target_id}"}
    found = [
        (stored.sequence, pairs)
        for stored in transaction.find("Provenance", query, _MOST_MERGES)
        if both <= (pairs := _pairs(content_of(stored))).keys()
    ]
    if not found:
        raise Conflict(f"How Patient/{source_id} was merged is not on record")
    return max(found, key=lambda pair: pair[0])[1]


def _pairs(provenance: Resource) -> Pairs:
    """The versions that a merge put in each other's place; none where it is not the Provenance of a merge."""
    codings = provenance.get("activity", {}).get("coding", ())
    if [(coding.get("system"), coding.get("code")) for coding in codings] != [(LIFECYCLE, "merge")]:
        return {}
    found: Pairs = {}
    entities, targets = provenance.get("entity", ()), provenance["target"]
    for entity, target in zip(entities, targets, strict=False):  # a load may bring one that is no merge of ours
        reference, old = _version_of(entity["what"])
        same, made = _version_of(target)
        if reference == same and old and made:
            found[reference] = old, made
    return found


def _version_of(reference: Resource) -> tuple[str, int]:
    """``Type/id`` and the number of the version that a reference names; 0 where it names none."""
    named, _, number = str(reference.get("reference", "")).partition("/_history/")
    return named, int(number) if re.fullmatch("[1-9][0-9]{0,8}", number) else 0


def _task(pairs: Pairs, transaction: Transaction) -> list[Stored]:
    """The Task that the merge closed, where it is still as the merge left it."""
    for reference, (_, made) in pairs.items():
        type, _, id = reference.partition("/")
        stored = transaction.read("Task", id) if type == "Task" else None
        if stored is not None and stored.body is not None and stored.version == made:
            return [stored]
    return []


def _restored(stored: Stored, versions: tuple[int, int], source_id: str, version: Version) -> Resource:
    """The content before the merge; where it was changed since, the present one less what the merge brought."""
    old, made = (version(stored.type, stored.id, number) for number in versions)
    if old is None or old.body is None or made is None or made.body is None:
        raise Conflict(f"The version of {stored.type}/{stored.id} before the merge is not there any more")
    before, after, present = content_of(old), content_of(made), content_of(stored)
    if present == after:
        return before
    found = dict(present)
    for element in ("identifier", "link"):
        brought = [item for item in after.get(element, ()) if item not in before.get(element, ())]
        left = [item for item in present.get(element, ()) if item not in brought]
        found[element] = left
        if not left:
            del found[element]
    if stored.id == source_id:
        found["active"] = before.get("active", True)
    return found
