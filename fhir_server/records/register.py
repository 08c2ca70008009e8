"""Create-or-find: an institution that sends a Patient gets the one Patient of that person, found or made.

``interactions`` call these where an institution (restricted Access) writes a Patient. A certain match gains the
institution's numbers (which compile to its registration grant), an uncertain one makes a new Patient and a
stewardship Task, none makes a new Patient. IHE PIXm ITI-104 (feed) is the conditional update.
https://profiles.ihe.net/ITI/PIXm/ITI-104.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from consent import Access
from consent.vocabulary import ROLES, RecordClass
from fhir_server.context import Context
from fhir_server.errors import Conflict, Forbidden, Unprocessable
from fhir_server.interactions.criteria import criteria
from fhir_server.interactions.listing import now
from fhir_server.records import content
from fhir_server.records.acting import acting, index_access
from fhir_server.records.index import Candidate, candidates, candidates_now
from fhir_server.records.matching.person import person_of
from fhir_server.records.matching.score import Grade, judge
from fhir_server.records.pace import check_pace
from fhir_server.records.stewardship import demographic_review, duplicate_review, question
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Prepared, Stored, Transaction
from profiles.lossless import encode, parse

_MOST_CANDIDATES = 5  # that one Task names
_MOST_TASKS = 50


def registers(type: str, access: Access) -> bool:
    """Whether a write of ``type`` on behalf of ``access`` goes through the person index."""
    return type == "Patient" and not access.unrestricted and access.party.startswith("Organization/")


def check_deletable(type: str, access: Access) -> None:
    """Raise Forbidden where an institution would delete a person: others' records refer to it, stewards merge."""
    if registers(type, access):
        raise Forbidden(
            "人员档案不能删除，重复的由主索引管理员合并 / Persons are not deleted; stewards merge duplicates"
        )


def incoming(resource: dict[str, Any], context: Context) -> dict[str, Any]:
    """The (valid) Patient as it is compared and kept. Raises Forbidden, TooManyRequests and Unprocessable."""
    access = context.access
    role = ROLES.get(access.role)
    if role is None or not (role.care and access.own & RecordClass.IDENTITY):
        raise Forbidden("Your role does not register persons")
    if not access.plainly("c", "Patient"):
        raise Forbidden("No scope of this token lets you register persons")
    # Whether somebody is known is seen by registering too: nobody goes through numbers and names by the thousand.
    check_pace("Registration of persons", context.settings.registrations_per_minute, context)
    return content.incoming(resource, access.party, context.settings.identity_numbers == "strict")


def enrolled(
    patient: dict[str, Any], transaction: Transaction, context: Context, id: str = ""
) -> tuple[int, Stored, str]:
    """File the Patient (see ``incoming``) with its person: status (200 found, 201 made), what stands now, a note.

    ``id`` is for a new Patient (default: a fresh one).
    """
    with acting(transaction, index_access(context.access.party)):
        found = candidates(patient, transaction, context)
        if found and found[0].verdict.grade is Grade.CERTAIN:
            stored = _join(found[0], patient, transaction, context)
            also = [one for one in found[1:] if one.verdict.grade is Grade.CERTAIN]
            _review(stored, also, transaction, context)  # two Patients of one person
            status, note = 200, "The person is known: your numbers were added"
        else:
            stored = _make(patient, id or context.new_id(), found, transaction, context)
            status, note = 201, "The person is new to the index"
    return status, _shown(stored, transaction, context), note


def _make(
    patient: dict[str, Any], id: str, found: list[Candidate], transaction: Transaction, context: Context
) -> Stored:
    new = content.fresh(patient, context.access.party, id)
    stored = transaction.put(_ready(new, id, context), "POST")
    _review(stored, found, transaction, context)
    return stored


def _review(stored: Stored, found: list[Candidate], transaction: Transaction, context: Context) -> None:
    """Ask a steward whether the Patient is one of the candidates that are probable."""
    probable = [one for one in found if one.verdict.grade in (Grade.CERTAIN, Grade.PROBABLE)]
    if probable:
        party, focus = context.access.party, f"Patient/{stored.id}"
        _file(duplicate_review(focus, probable[:_MOST_CANDIDATES], party, now(context)), transaction, context)


def _join(candidate: Candidate, patient: dict[str, Any], transaction: Transaction, context: Context) -> Stored:
    party, id, today = context.access.party, candidate.stored.id, now(context)[:10]
    sure = candidate.verdict.grade is Grade.CERTAIN
    new, differences = content.joined(candidate.patient, patient, party, id, today, sure)
    stored = candidate.stored
    if new != candidate.patient:
        stored = transaction.put(_ready(new, id, context), "PUT")
    if differences:
        _file(demographic_review(f"Patient/{id}", differences, party, now(context)), transaction, context)
    return stored


def _file(task: dict[str, Any], transaction: Transaction, context: Context) -> None:
    """Write a stewardship Task, unless the same was asked; without custodian, so that no institution sees it."""
    with acting(transaction, index_access()):
        asked = [("focus", task["focus"]["reference"])]  # closed ones too: what was decided is not asked again
        known = transaction.find("Task", criteria("Task", asked, context), _MOST_TASKS)
        if any(question(parse(other.body or b"{}")) == question(task) for other in known):
            return
        transaction.put(_ready(task, context.new_id(), context), "POST")


def _ready(resource: dict[str, Any], id: str, context: Context) -> Prepared:
    issues = [issue for issue in context.validator.check(resource) if issue.severity in ("error", "fatal")]
    if issues:
        raise Unprocessable.of(issues)
    return prepare(resource, id, context.extractor)


def _shown(stored: Stored, transaction: Transaction, context: Context) -> Stored:
    """What the institution may see of it: the Patient where its registration opens it, else the least."""
    if transaction.read("Patient", stored.id) is not None:
        return stored
    return replace(stored, body=encode(content.minimal(parse(stored.body or b"{}"))))


def fed(
    patient: dict[str, Any], found: Stored | None, transaction: Transaction, context: Context
) -> tuple[int, Stored, str]:
    """The feed of an institution whose criteria see ``found``, not its own: add to it; enrol the person without."""
    if found is None:
        return enrolled(patient, transaction, context)
    body = parse(found.body or b"{}")
    verdict = judge(person_of(body), person_of(patient))
    if verdict.grade is Grade.NOT and "other-identity-number" in verdict.why:
        raise Conflict("The identifier belongs to another person in the index: the identity numbers differ")
    with acting(transaction, index_access(context.access.party)):
        stored = _join(Candidate(found, body, verdict), patient, transaction, context)
    return 200, _shown(stored, transaction, context), "The person is known: your data were added"


def amended(transaction: Transaction, ready: Prepared, current: Stored, context: Context) -> Prepared:
    """A Patient that an institution changes, with what is the index's own kept, and looked up again if need be."""
    before = parse(current.body or b"{}")
    strict = context.settings.identity_numbers == "strict"
    resource = {key: value for key, value in ready.resource.items() if key != "meta"}
    meta = {k: v for k, v in ready.resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    if meta:
        resource["meta"] = meta
    new = content.amended(resource, before, context.access.party, strict)
    if changed := content.identity_changes(new, before):
        party = context.access.party
        with acting(transaction, index_access(party)):
            found = [one for one in candidates(new, transaction, context) if one.stored.id != current.id]
            _review(current, found, transaction, context)
        if content.others_know(before, party):
            # The records of others stand in this file: who it is must not change under them unseen.
            _file(demographic_review(f"Patient/{current.id}", changed, party, now(context)), transaction, context)
    return _ready(new, ready.id, context)


async def certain_id(patient: dict[str, Any], context: Context) -> str | None:
    """The id of the Patient that the person certainly is, by a snapshot (a transaction asks before it writes)."""
    found = await candidates_now(patient, context, sure=True)
    return found[0].stored.id if found and found[0].verdict.grade is Grade.CERTAIN else None
