"""One demonstration resident's file, from birth certificate facts to laboratory reports, as FHIR resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from loaders.demo import consents, illness, prevention, referrals, registration, sensitive
from loaders.demo.county import HOSPITAL, Institution
from loaders.demo.draft import Draft, Resource
from loaders.demo.people import Person, person


@dataclass(frozen=True, slots=True)
class File:
    """A resident's file: who it is about, and (custodian reference, resource) with the Patient first.

    ``consents``: id and meaning in Chinese of the Consents in it.
    """

    person: Person
    written: tuple[tuple[str, Resource], ...]
    consents: tuple[tuple[str, str], ...] = ()

    def parts(self) -> dict[str, list[Resource]]:
        """The resources by custodian, that of the Patient first."""
        found: dict[str, list[Resource]] = {}
        for custodian, resource in self.written:
            found.setdefault(custodian, []).append(resource)
        return found


_STEPS: tuple[Callable[[Draft], None], ...] = (
    registration.allergy,
    prevention.birth,
    illness.long_term,
    illness.passing,
    illness.operated,
    sensitive.protected,
    prevention.checkups,
    prevention.vaccines,
    prevention.child_health,
    prevention.family_doctor,
    registration.coverage,
)


def resident_file(number: int, seed: int, places: list[Institution]) -> File:
    """The file of resident ``number``: later resources refer to earlier ones, the county, and guardians' Patients.

    ``places`` are the county's institutions. The same number and seed always give the same file,
    whatever was generated before it.
    """
    clinics = [p for p in places if p.level == "village"]
    by_id = {p.id: p for p in places}
    one = person(number, seed, len(clinics))
    clinic = clinics[one.place]
    draft = Draft(
        one,
        Random(f"{seed}:{number}"),
        clinic,
        by_id[clinic.parent or HOSPITAL],
        by_id[HOSPITAL],
        _elsewhere(number, by_id[clinic.parent or HOSPITAL], places),
        traits=set(one.traits),
    )
    for step in _STEPS:
        step(draft)
    if draft.has("diabetes") and draft.has("uncontrolled") and draft.random.random() < 0.3:
        referrals.waiting(draft)
    known = {custodian for custodian, _ in draft.written}
    # Whoever treats somebody has the person in its books.
    books = [p for p in places if f"Organization/{p.id}" in known or p is clinic]
    first = (f"Organization/{clinic.id}", registration.patient(draft, books))
    acting = [person(guardian, seed, len(clinics)) for guardian in one.guardians]
    registration.guardians(draft, acting)
    consents.given(draft, acting)
    return File(one, (first, *draft.written), tuple(draft.summaries))


def _elsewhere(number: int, home: Institution, places: list[Institution]) -> Institution:
    """Another township's hospital, where the person is treated now and then."""
    others = [p for p in places if p.level == "township" and p is not home]
    return others[number % 3]


def resident(number: int, seed: int, places: list[Institution]) -> Iterator[Resource]:
    """All resources of resident ``number``, the Patient first; see ``resident_file``."""
    return iter([resource for _, resource in resident_file(number, seed, places).written])
