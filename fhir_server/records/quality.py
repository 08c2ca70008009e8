"""Files read for the judgement on their quality: one person's, or those of an institution, one after the other.

What is read is what the requester may see; of an institution, of that only what it keeps itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

from fhir_server.audit.exchange import CURRENT
from fhir_server.records.acting import unseen
from fhir_server.records.matching.identity_numbers import readings
from fhir_server.records.references import references
from fhir_server.search.compartment import compartment_node
from fhir_server.search.tree import And, Id, Query
from profiles.quality import TYPES, Assessment, File, assess
from terminology.references import References

if TYPE_CHECKING:
    from fhir_server.context import Context
    from fhir_server.store.protocol import Stored

_PAGE = 1000
_PEOPLE = 200  # of a page of Patients
# Where else people of whom an institution keeps something are found: most of them by their visits.
_OTHERS = ("Encounter", *(type for type in TYPES if type not in ("Patient", "Encounter")))


@dataclass(frozen=True, slots=True)
class Judging:
    """By what files are judged: the definitions of values, and the day."""

    references: References
    today: date


async def judging(context: Context) -> Judging:
    """The definitions and the day of now."""
    zone = ZoneInfo(context.settings.zone)
    today = datetime.fromtimestamp(context.clock() / 1e6, UTC).astimezone(zone).date()
    return Judging(await references(context), today)


async def file_of(patient: str, context: Context) -> list[Stored]:
    """What is open of the file of this Patient (id), of the types that the rules read; the Patient first."""
    where = [("Patient", And((Id((patient,)),)))]
    where += [
        (type, And((compartment_node(context.definitions, "Patient", patient, type),)))
        for type in TYPES
        if type != "Patient"
    ]
    found: list[Stored] = []
    cursor: str | None = None
    while True:
        query = Query(tuple(where), count=_PAGE)
        page = await context.store.search(query, context.access, cursor, f"quality {patient}")
        found += page.matches
        cursor = page.cursor
        if cursor is None:
            return sorted(found, key=lambda stored: stored.type != "Patient")


def judged(stored: Iterable[Stored], by: Judging) -> Assessment:
    """The judgement on a file."""
    resources: list[dict[str, Any]] = [msgspec.json.decode(one.body) for one in stored if one.body is not None]
    patient = next((one for one in resources if one["resourceType"] == "Patient"), None)
    numbers = [reading for _, reading in readings(patient)] if patient else []
    return assess(File(resources, by.today, by.references, numbers))


async def files_of(institution: str, context: Context) -> AsyncIterator[tuple[str, list[Stored]]]:
    """The files of an institution (``Organization/id``): Patient id, and what the institution keeps of the file.

    First those of its own Patients, then of others of whom it keeps something. One file is in memory at a time; on
    record is that each file was looked at, not each item.
    """
    async for patient in _people(institution, context):
        with unseen():
            stored = [one for one in await file_of(patient, context) if one.custodian == institution]
        if stored:
            exchange = CURRENT.get()
            if exchange is not None:
                exchange.seen.append(stored[0])
            yield patient, stored


async def _people(institution: str, context: Context) -> AsyncIterator[str]:
    """The ids of the Patients of whom the institution keeps something that is open, each once."""
    given: set[str] = set()
    for type in ("Patient", *_OTHERS):
        cursor: str | None = None
        while True:
            query = Query(((type, And(())),), count=_PEOPLE if type == "Patient" else _PAGE)
            with unseen():
                page = await context.store.search(query, context.access, cursor, f"quality people {type}")
            for stored in page.matches:
                person = stored.id if type == "Patient" else stored.patient
                if stored.custodian == institution and person and person not in given:
                    given.add(person)
                    yield person
            cursor = page.cursor
            if cursor is None:
                break
