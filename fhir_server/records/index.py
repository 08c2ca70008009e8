"""The person index: who in the store may be the person of a Patient resource, and how surely.

Candidates come from the store's own indexes, over all residents whoever asks; what of them is told to a requester
is decided by the callers (``register``, ``operations.match``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from consent import Access
from fhir_server.context import Context
from fhir_server.interactions.criteria import criteria
from fhir_server.records.acting import index_access, unseen
from fhir_server.records.matching.blocking import searches
from fhir_server.records.matching.person import Person, person_of
from fhir_server.records.matching.score import Grade, Verdict, judge
from fhir_server.search.tree import Query
from fhir_server.store.protocol import Stored, Transaction
from profiles.lossless import parse

_BLOCK = 100  # candidates of one search; more would tell nobody apart
_HOPS = 8
_ORDER = list(Grade)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A Patient of the store and the judgement on it; a merged one is judged, and stands for, the one it led to."""

    stored: Stored
    patient: dict[str, Any]
    verdict: Verdict

    @property
    def reference(self) -> str:
        """``Patient/id``."""
        return f"Patient/{self.stored.id}"


def queries(person: Person, context: Context) -> list[Query]:
    """The searches that find the candidates of ``person``."""
    return [replace(criteria("Patient", pairs, context), count=_BLOCK) for pairs in searches(person)]


def graded(found: Iterable[Candidate]) -> list[Candidate]:
    """The candidates that may be the person, the surest first, each once."""
    best: dict[str, Candidate] = {}
    for candidate in found:
        before = best.get(candidate.stored.id)
        if candidate.verdict.grade is not Grade.NOT and (before is None or _rank(candidate) < _rank(before)):
            best[candidate.stored.id] = candidate
    return sorted(best.values(), key=_rank)


def _rank(candidate: Candidate) -> tuple[int, float, int]:
    return _ORDER.index(candidate.verdict.grade), -candidate.verdict.bits, candidate.stored.sequence


def candidates(patient: dict[str, Any], transaction: Transaction, context: Context) -> list[Candidate]:
    """Who the Patient may be, inside a write that acts for the person index (see ``acting``).

    Who is certain by a number ends the search: what is merely alike does not matter then.
    """
    person = person_of(patient)
    found: dict[str, Candidate] = {}
    for query in queries(person, context):
        for stored in transaction.find("Patient", query, _BLOCK):
            if stored.id not in found:
                found[stored.id] = _judged(person, stored, lambda id: transaction.read("Patient", id))
        if _certain(found):
            break
    return graded(found.values())


def _certain(found: dict[str, Candidate]) -> bool:
    return any(one.verdict.grade is Grade.CERTAIN for one in found.values())


def _judged(person: Person, stored: Stored, read: Callable[[str], Stored | None]) -> Candidate:
    body = parse(stored.body or b"{}")
    verdict = judge(person, person_of(body))
    for _ in range(_HOPS):
        following = merged_into(body)
        kept = read(following) if following else None
        if kept is None or kept.body is None:
            break
        stored, body = kept, parse(kept.body)
    return Candidate(stored, body, verdict)


async def candidates_now(patient: dict[str, Any], context: Context, sure: bool = False) -> list[Candidate]:
    """Who the Patient may be, by a snapshot of the store; ``sure``: who is certain by a number ends the search."""
    person, access = person_of(patient), index_access()
    read = partial(_read, context, access)
    found: dict[str, Candidate] = {}
    with unseen():
        for query in queries(person, context):
            page = await context.store.search(query, access)
            for stored in page.matches:
                if stored.id not in found:
                    found[stored.id] = _judged(person, stored, read)
            if sure and _certain(found):
                break
    return graded(found.values())


def _read(context: Context, access: Access, id: str) -> Stored | None:
    return context.store.read("Patient", id, access)


def merged_into(patient: dict[str, Any]) -> str | None:
    """The id of the Patient by which this one was replaced, if it was."""
    for link in patient.get("link", ()):
        if link.get("type") == "replaced-by":
            reference = link.get("other", {}).get("reference", "")
            if isinstance(reference, str) and reference.startswith("Patient/"):
                return reference.removeprefix("Patient/")
    return None
