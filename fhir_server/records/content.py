"""What becomes of a Patient's content when institutions register, feed and amend it (pure).

The one Patient of a person holds the local numbers of all institutions, each with its assigner; the custodian's
demographic data stand, others' differences are put before a steward.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from fhir_server.errors import Conflict, Unprocessable
from fhir_server.records.health_code import with_code, without_code
from fhir_server.records.matching.demographics import Born, born
from fhir_server.records.matching.identity_numbers import BY_SYSTEM, normalised, problems
from fhir_server.records.matching.names import equal, names_of
from fhir_server.records.matching.person import HEALTH_CODE, assigner_of
from fhir_server.search.national import is_national
from loaders.demo.identity import HEALTH_FILE_NUMBER
from profiles.issues import Issue

Patient = dict[str, Any]
REGISTRATION = "urn:yidang:registration"  # stands for an institution's own number where it sent none
_FILLED = ("birthDate", "gender", "telecom", "address", "contact", "maritalStatus", "communication", "extension")
_FILLED_MULTIPLE = ("multipleBirthInteger", "multipleBirthBoolean")
_MERGES = ("replaced-by", "replaces")


def incoming(patient: Patient, party: str, strict: bool) -> Patient:
    """A Patient as an institution sends it, made ready: numbers in their one form, its own ones with their assigner.

    Raises Unprocessable for identity numbers that are not well formed (where ``strict``; else they are kept as
    they are) and for numbers said to be another institution's.
    """
    wrong = problems(patient)
    if wrong and strict:
        raise Unprocessable.of([Issue("value", f"{what} (identity number)", (where,)) for where, what in wrong])
    found = without_code(without_merges(normalised(patient)))
    identifiers = []
    for place, identifier in enumerate(found.get("identifier", ())):
        if is_national(identifier.get("system", "")) or identifier.get("system") == REGISTRATION:
            identifiers.append({key: value for key, value in identifier.items() if key != "assigner"})
            continue
        if assigner_of(identifier) not in ("", party):
            raise Unprocessable(
                "An institution registers its own numbers, not another's", f"Patient.identifier[{place}].assigner"
            )
        identifiers.append({**identifier, "assigner": {**identifier.get("assigner", {}), "reference": party}})
    return {**found, "identifier": identifiers} if identifiers else found


def without_merges(patient: Patient) -> Patient:
    """The Patient without links of merges: those are made by ``$merge`` alone, and the index follows them."""
    if not any(link.get("type") in _MERGES for link in patient.get("link", ())):
        return patient
    links = [link for link in patient["link"] if link.get("type") not in _MERGES]
    rest = {key: value for key, value in patient.items() if key != "link"}
    return {**rest, "link": links} if links else rest


def asked(patient: Patient, party: str) -> Patient:
    """What an institution asks the index with: its own register numbers, not those that others gave."""
    found = normalised(patient)
    identifiers = [one for one in found.get("identifier", ()) if assigner_of(one) in ("", party)]
    rest = {key: value for key, value in found.items() if key != "identifier"}
    return {**rest, "identifier": identifiers} if identifiers else rest


def registered(patient: Patient, party: str, id: str) -> Patient:
    """The Patient with a number of the institution: its own, or one that stands for the registration."""
    identifiers = patient.get("identifier", [])
    if any(assigner_of(item) == party for item in identifiers):
        return patient
    number = {"use": "secondary", "system": REGISTRATION, "value": id, "assigner": {"reference": party}}
    return {**patient, "identifier": [*identifiers, number]}


def fresh(patient: Patient, party: str, id: str) -> Patient:
    """A new Patient of the index: registered by the institution, with a health code."""
    return with_code(registered(patient, party, id))


def joined(
    kept: Patient, new: Patient, party: str, id: str, today: str, sure: bool = True
) -> tuple[Patient, list[str]]:
    """The Patient ``kept`` after the institution ``party`` sent ``new`` (see ``incoming``) for the same person.

    ``sure``: it certainly is; else identity numbers that it has not are not taken over. It gains numbers and what
    was missing; the second value names the elements in which the two differ.
    """
    differences: list[str] = []
    found = {**kept, "identifier": _identifiers(kept, new, today, sure, differences)}
    if not found["identifier"]:
        del found["identifier"]
    found = _named(found, new, differences)
    for element in _FILLED:
        if element in new and element not in found:
            found[element] = new[element]
    if not any(element in found for element in _FILLED_MULTIPLE):
        found |= {element: new[element] for element in _FILLED_MULTIPLE if element in new}
    if born(str(kept.get("birthDate", "")), str(new.get("birthDate", ""))) not in (Born.EXACT, Born.MISSING):
        differences.append("birthDate")
    if new.get("gender", kept.get("gender")) != kept.get("gender", new.get("gender")):
        differences.append("gender")
    if _deceased(new) and not _deceased(kept):
        differences.append("deceased")
    return with_code(registered(found, party, id)), differences


def _deceased(patient: Patient) -> bool:
    return bool(patient.get("deceasedBoolean") or patient.get("deceasedDateTime"))


def _identifiers(kept: Patient, new: Patient, today: str, sure: bool, differences: list[str]) -> list[Any]:
    identifiers = list(kept.get("identifier", ()))
    for item in new.get("identifier", ()):
        system, value = item.get("system", ""), item.get("value")
        same = [one for one in identifiers if one.get("system") == system and one.get("use") != "old"]
        if any(one.get("value") == value and assigner_of(one) == assigner_of(item) for one in same):
            continue
        if system == HEALTH_FILE_NUMBER and same and sure:
            # The number says where the file is kept: a move gives a new one, told by its period.
            if not isinstance(item.get("period"), dict) or "start" not in item["period"]:
                differences.append("identifier")
                continue
            ended = {"use": "old", "period": {"end": item["period"]["start"][:10] or today}}
            identifiers = [_ended(one, ended) if one in same else one for one in identifiers]
        elif is_national(system) and ((system in BY_SYSTEM and BY_SYSTEM[system].owned and same) or not sure):
            differences.append("identifier")
            continue
        identifiers.append(item)
    return identifiers


def _ended(identifier: Patient, end: dict[str, Any]) -> Patient:
    return {**identifier, "use": end["use"], "period": {**identifier.get("period", {}), **end["period"]}}


def _named(kept: Patient, new: Patient, differences: list[str]) -> Patient:
    """The name of a newborn or of an unknown person gives way to the real one; other names are a difference."""
    mine, theirs = names_of(kept), names_of(new)
    real = [name for name in theirs if not name.temporary]
    if not real or any(equal(one, other) for one in mine for other in real):
        return kept
    if mine and not all(name.temporary for name in mine):
        differences.append("name")
        return kept
    former = [{**name, "use": "old"} for name in kept.get("name", ())]
    return {**kept, "name": [*new["name"], *former]}


def amended(patient: Patient, before: Patient, party: str, strict: bool) -> Patient:
    """What an institution makes of the Patient that it keeps: what is the index's own, and others', stays.

    Raises Unprocessable as ``incoming`` does, Conflict for a Patient that was merged into another.
    """
    if any(link.get("type") == "replaced-by" for link in before.get("link", ())):
        raise Conflict("This Patient was merged into another; write to that one", "Patient.link")
    others = [item for item in before.get("identifier", ()) if _of_others(item, party)]
    mine = {**patient, "identifier": [item for item in patient.get("identifier", ()) if item not in others]}
    if not mine["identifier"]:
        del mine["identifier"]
    found = incoming(mine, party, strict)
    identifiers = [*found.get("identifier", ()), *others]
    if identifiers:
        found = {**found, "identifier": identifiers}
    links = [link for link in patient.get("link", ()) if link.get("type") not in _MERGES]
    links += [link for link in before.get("link", ()) if link.get("type") in _MERGES]
    rest = {key: value for key, value in found.items() if key != "link"}
    return with_code({**rest, "link": links} if links else rest)


def _of_others(identifier: Patient, party: str) -> bool:
    """Whether the number is the health code or another institution's."""
    return identifier.get("system") == HEALTH_CODE or assigner_of(identifier) not in ("", party)


def identity_changes(patient: Patient, before: Patient) -> list[str]:
    """Which of names, birth date and identity numbers are others than before: who it is must be looked up again."""

    def facts(of: Patient) -> dict[str, object]:
        names = {name.text for name in names_of(of)}
        return {"name": names, "birthDate": of.get("birthDate"), "identifier": numbers_of(of)}

    now, then = facts(patient), facts(before)
    return [element for element in now if now[element] != then[element]]


def numbers_of(patient: Patient) -> frozenset[tuple[str, str]]:
    """The numbers that name the person to every authority: system and value."""
    return frozenset(
        (item["system"], str(item.get("value", "")))
        for item in patient.get("identifier", ())
        if is_national(item.get("system", ""))
    )


def is_another(patient: Patient, before: Patient) -> bool:
    """Whether the change makes somebody else of the Patient: a number in another's place, or both name and birth date.

    That a provisional name gives way to the real one is none.
    """
    if numbers_of(before) - numbers_of(patient):
        return True
    changed = identity_changes(patient, before)
    return {"name", "birthDate"} <= set(changed) and not all(name.temporary for name in names_of(before))


def with_identity_of(patient: Patient, before: Patient) -> Patient:
    """``patient`` with names, birth date and national numbers as they were ``before``."""
    found = {key: value for key, value in patient.items() if key not in ("name", "birthDate", "identifier")}
    found |= {key: before[key] for key in ("name", "birthDate") if key in before}
    kept = [item for item in before.get("identifier", ()) if is_national(item.get("system", ""))]
    kept += [item for item in patient.get("identifier", ()) if not is_national(item.get("system", ""))]
    return {**found, "identifier": kept} if kept else found


def identity_digest(patient: Patient) -> str:
    """A name for the identity that a Patient has, by which a change is known again without being told."""
    told = [sorted(name.text for name in names_of(patient)), patient.get("birthDate"), sorted(numbers_of(patient))]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()


def others_know(patient: Patient, party: str) -> bool:
    """Whether an institution other than ``party`` registered the person."""
    return any(assigner_of(item) not in ("", party) for item in patient.get("identifier", ()))


def minimal(patient: Patient) -> Patient:
    """What an institution without access learns of a person that it certainly knows: the id, and the masked name."""
    found: Patient = {"resourceType": "Patient", "id": patient["id"]}
    names = names_of(patient)
    if names:
        found["name"] = [{"text": masked(names[0].text)}]
    found["meta"] = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "MASKED"}]}
    return found


def masked(name: str) -> str:
    """A name with all but its first character hidden; of one long enough the last is shown, too."""
    if len(name) <= 2:
        return name[:1] + "*" * (len(name) - 1)
    return name[0] + "*" * (len(name) - 2) + name[-1]
