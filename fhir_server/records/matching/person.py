"""What of a Patient resource tells persons apart, read once, in the form in which it is compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.records.matching.demographics import Place, phones_of, places_of
from fhir_server.records.matching.identity_numbers import (
    BY_SYSTEM,
    PERSONAL_SYSTEMS,
    Reading,
    read_number,
    readings,
)
from fhir_server.records.matching.names import Name, names_of
from fhir_server.search.national import is_national

MOTHER = "urn:yidang:mother"  # extension of Patient: valueReference to the mother's Patient, or by her identity number
HEALTH_CODE = "urn:yidang:health-code"
NEWBORN_DAYS = 28


@dataclass(frozen=True, slots=True)
class Person:
    """One record of a person.

    ``numbers``: checked identity numbers as (system, value); ``unchecked``: those without (or with a wrong)
    checksum; ``personal``: numbers of cards, files and of institutions' own registers, each one person's.
    ``born`` is a FHIR date, read off the identity number where the record says none. ``mother``: (system, value)
    of her identity number, or ('', her Patient's id); ``order``: birth order of a multiple birth, 0 for a single
    one, None where it is not said.
    """

    names: tuple[Name, ...]
    numbers: frozenset[tuple[str, str]]
    unchecked: frozenset[tuple[str, str]]
    personal: frozenset[tuple[str, str]]
    born: str
    sex: str
    phones: frozenset[str]
    places: tuple[Place, ...]
    mother: tuple[str, str] | None = None
    order: int | None = None

    @property
    def name(self) -> Name | None:
        """The name in use."""
        return self.names[0] if self.names else None

    @property
    def owned(self) -> dict[str, set[str]]:
        """By system, the checked numbers of kinds of which a person has only one."""
        found: dict[str, set[str]] = {}
        for system, value in self.numbers:
            if system in BY_SYSTEM and BY_SYSTEM[system].owned:
                found.setdefault(system, set()).add(value)
        return found


def person_of(patient: dict[str, Any]) -> Person:
    """The Person of a Patient resource (also of a partial one, as ``$match`` takes)."""
    read = [reading for _, reading in readings(patient)]
    known = [reading for reading in read if not reading.problem]
    checked = [reading for reading in known if reading.checked]
    sex = patient.get("gender")
    if sex not in ("male", "female"):
        sex = next((reading.sex for reading in checked if reading.sex), "")
    return Person(
        names=names_of(patient),
        numbers=frozenset((reading.system, reading.value) for reading in checked),
        unchecked=frozenset((reading.system, reading.value) for reading in read if not reading.checked),
        personal=_personal(patient),
        born=_born(patient, checked),
        sex=sex,
        phones=phones_of(patient),
        places=places_of(patient),
        mother=_mother(patient),
        order=_order(patient),
    )


def _born(patient: dict[str, Any], checked: list[Reading]) -> str:
    said = patient.get("birthDate")
    if isinstance(said, str) and len(said) >= 4:
        return said
    found = next((reading.born for reading in checked if reading.born), None)
    return found.isoformat() if found else ""


def _personal(patient: dict[str, Any]) -> frozenset[tuple[str, str]]:
    """Numbers that name one person within their system: cards, files, health code, institutions' register numbers.

    A register number counts with its assigner, since institutions share the systems of their kinds (门诊号 …).
    """
    found = set()
    identifiers = patient.get("identifier")
    for item in identifiers if isinstance(identifiers, list) else ():
        if not isinstance(item, dict) or item.get("use") == "old":
            continue
        system, value = item.get("system"), item.get("value")
        if not isinstance(system, str) or not isinstance(value, str) or not system or not value.strip():
            continue
        if system in PERSONAL_SYSTEMS or system == HEALTH_CODE:
            found.add((system, value.strip()))
        elif not is_national(system) and (assigner := assigner_of(item)):
            found.add((f"{system} {assigner}", value.strip()))
    return frozenset(found)


def assigner_of(identifier: dict[str, Any]) -> str:
    """The reference of the Organization that gave the identifier, or ''."""
    assigner = identifier.get("assigner")
    reference = assigner.get("reference") if isinstance(assigner, dict) else None
    return reference if isinstance(reference, str) else ""


def _mother(patient: dict[str, Any]) -> tuple[str, str] | None:
    extensions = patient.get("extension")
    for item in extensions if isinstance(extensions, list) else ():
        value = item.get("valueReference") if isinstance(item, dict) and item.get("url") == MOTHER else None
        if not isinstance(value, dict):
            continue
        identifier = value.get("identifier")
        if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
            reading = read_number(str(identifier.get("system", "")), identifier["value"])
            if reading is not None and reading.checked:
                return reading.system, reading.value
        if isinstance(value.get("reference"), str):
            return "", value["reference"]
    return None


def _order(patient: dict[str, Any]) -> int | None:
    order = patient.get("multipleBirthInteger")
    if isinstance(order, int) and not isinstance(order, bool):
        return order
    return 0 if patient.get("multipleBirthBoolean") is False else None
