"""Resources that give access → grants: Consent, requests, Tasks, CareTeam, RelatedPerson, Patient.

Each kind of access of the alliance is one function. Grants of requests, contracts and approvals have no
specificity: any refusal of the resident's that is about the row prevails over them, unless they are overriding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from consent.grant import ALWAYS, Grant
from consent.labels import custodian_of, sensitivity_of
from consent.provisions import EVERY_PURPOSE, grants_of_provisions
from consent.references import reference_of, references_of
from consent.times import DAY, birthday, interval, period_of
from consent.vocabulary import (
    ADOLESCENT,
    CARE,
    CONSENT_KIND,
    EMERGENCY,
    EVERY_SENSITIVITY,
    GUARDIAN_PERSON,
    LEGAL_BASIS,
    NO_SENSITIVITY,
    RECORD_CLASS,
    STEWARDSHIP,
    TASK_KIND,
    TEAM_KIND,
    Purpose,
    RecordClass,
    Sensitivity,
)

Resource = Mapping[str, Any]
REQUEST_KIND = "urn:yidang:request-kind"
RESERVED = frozenset({"break-glass-review", "minor-access-approval", "statutory-report"})
# What stays closed in an emergency: it changes no treatment, or a minor or a victim relies on it (our default).
BREAK_GLASS_CLOSED = Sensitivity.GENETIC | Sensitivity.ABUSE | Sensitivity.MINOR
REQUEST_DAYS = 90  # how long a request opens what it needs, where it has no end of its own
LONGEST_DAYS = 366
ADULT, CONSENTS_ITSELF = 18, 14  # years (民法典 17, PIPL 31)
_GUARDIAN_PURPOSES = Purpose.FAMRQT | Purpose.PATRQT
_SNOMED = "http://snomed.info/sct"
_KINDS = ("referral", "consultation", "diagnosis")
_REQUEST_CODES: dict[tuple[str, str], str] = {
    **{(system, kind): kind for system in (REQUEST_KIND, TASK_KIND) for kind in _KINDS},
    (_SNOMED, "3457005"): "referral",
    (_SNOMED, "306206005"): "referral",
    (_SNOMED, "11429006"): "consultation",
    (_SNOMED, "363679005"): "diagnosis",
    (_SNOMED, "108252007"): "diagnosis",
    (_SNOMED, "108257001"): "diagnosis",
    (_SNOMED, "29303009"): "diagnosis",
    **{(RECORD_CLASS, code): "diagnosis" for code in ("laboratory", "imaging", "ecg", "pathology")},
}
_REQUEST_PURPOSES = {
    "referral": Purpose.TREAT | Purpose.REFER,
    "consultation": Purpose.TREAT | Purpose.CONSULT,
    "diagnosis": Purpose.TREAT | Purpose.CONSULT,
}
_ORDERS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
_OPEN_TASKS = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})
_NEEDED = RecordClass.ALLERGY | RecordClass.PROBLEM | RecordClass.MEDICATION
# v3-RoleCode and RoleClass: who acts for an adult without capacity (民法典 28, 33)
_FOR_ADULTS = frozenset({"GUARD", "GUADLTM", "HPOWATT", "DPOWATT", "POWATT", "SPOWATT", "RESPRSN"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the resource does not say itself.

    ``custodian``: reference to who wrote it. ``trusted``: written by the server itself or without restriction.
    ``now``: microseconds. ``born``: date of birth of the Patient with an id. ``alliance``: whether a reference is to
    an Organization that others are affiliated to. ``guardians``: references to who is guardian of the person now,
    as Patient and as RelatedPerson.
    """

    custodian: str
    trusted: bool
    now: int
    born: Callable[[str], date | None]
    alliance: Callable[[str], bool] = lambda reference: False
    guardians: Callable[[], frozenset[str]] = frozenset


def grants_of(resource: Resource, facts: Facts) -> list[Grant]:
    """The grants that ``resource`` gives, none where it gives no access."""
    maker = _MAKERS.get(resource["resourceType"])
    if maker is None:
        return []
    try:
        return list(maker(resource, facts))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        # Not a valid resource: whatever cannot be read gives no access.
        return []


# -- Consent -----------------------------------------------------------------------------------


def _consent(resource: Resource, facts: Facts) -> Iterator[Grant]:
    patient = _patient(resource.get("patient"))
    scope = {c.get("code") for c in resource.get("scope", {}).get("coding", ())}
    if resource.get("status") != "active" or "patient-privacy" not in scope or not patient:
        return
    health_code = facts.trusted and _has_code(resource.get("category"), CONSENT_KIND, "health-code")
    given = min(_given(resource), facts.now)
    template = Grant(patient, "", "health-code" if health_code else "consent", given=given)
    permits = _counts(resource, facts)
    until, withheld = reach(resource, facts)
    for grant in grants_of_provisions(resource.get("provision", {}), template, facts.alliance):
        if not grant.permit:
            yield grant
        elif permits and grant.low < until:
            yield replace(grant, high=min(grant.high, until), sensitivity=grant.sensitivity & ~withheld)


def _given(resource: Resource) -> int:
    written = resource.get("dateTime") or resource.get("meta", {}).get("lastUpdated")
    try:
        return interval(written)[0] if written else ALWAYS
    except ValueError:
        return 0  # before any group of recipients had a member


def _counts(resource: Resource, facts: Facts) -> bool:
    """Whether its permissions count: an institution must have verified them with the person."""
    if "modifierExtension" in resource or "implicitRules" in resource:
        return False
    if facts.trusted or facts.custodian.startswith("Patient/"):
        return True
    return facts.custodian.startswith("Organization/") and verified(resource)


def verified(resource: Resource) -> bool:
    """Whether who asserts a Consent says with whom and when it was checked."""
    return any(
        v.get("verified") is True and v.get("verifiedWith") and v.get("verificationDate")
        for v in resource.get("verification", ())
    )


def reach(resource: Resource, facts: Facts) -> tuple[int, Sensitivity]:
    """Until when (µs) the permissions of a Consent last, and which sensitivities they never open.

    What a guardian gives for a child ends when the child can consent itself; a child alone gives nothing (0). From
    14 on a guardian gives what a guardian sees, until the child is of age (PIPL 31, 民法典 17).
    """
    patient = _patient(resource.get("patient"))
    born = facts.born(patient)
    if born is None:
        return ALWAYS, NO_SENSITIVITY
    given = min(_given(resource), facts.now)
    fourteen, adult = birthday(born, CONSENTS_ITSELF), birthday(born, ADULT)
    own = f"Patient/{patient}"
    another, by_guardian = _given_by(resource, own, facts)
    if given < fourteen:
        return (fourteen if by_guardian or facts.trusted else 0), NO_SENSITIVITY
    if another and given < adult:
        return (adult if by_guardian or facts.trusted else 0), ADOLESCENT
    if another:
        return (ALWAYS if by_guardian else 0), NO_SENSITIVITY
    return ALWAYS, NO_SENSITIVITY


def _given_by(resource: Resource, own: str, facts: Facts) -> tuple[bool, bool]:
    """Whether somebody else than the person (``own``) gave it, and whether that is a guardian."""
    if facts.custodian == own:
        return False, False
    performers = set(references_of(resource.get("performer")))
    persons = {reference for reference in performers if reference.startswith(("Patient/", "RelatedPerson/"))} - {own}
    if facts.custodian.startswith("Patient/"):
        persons.add(facts.custodian)
    elif own in performers:
        persons = set() if not facts.trusted else persons
    return bool(persons), bool(persons) and bool(persons & facts.guardians())


# -- requests ----------------------------------------------------------------------------------


def _service_request(resource: Resource, facts: Facts) -> Iterator[Grant]:
    patient = _patient(resource.get("subject"))
    kind = _request_kind(resource)
    keeper = _keeper(resource, facts)
    if resource.get("status") != "active" or resource.get("intent") not in _ORDERS or not patient or not kind:
        return
    documents = [f"ServiceRequest/{resource['id']}"]
    for element in ("supportingInfo", "reasonReference", "specimen", "basedOn", "encounter"):
        documents += references_of(resource.get(element))
    template = Grant(patient, "", kind, purposes=_REQUEST_PURPOSES[kind], **_validity(resource, facts))
    for grantee in _performers(resource.get("performer"), keeper):
        grant = replace(template, grantee=grantee)
        yield from _documents(grant, resource, documents, keeper)
        if kind != "diagnosis" and keeper:
            yield replace(grant, classes=_NEEDED, custodian=keeper)


def _task(resource: Resource, facts: Facts) -> Iterator[Grant]:
    patient = _patient(resource.get("for"))
    kinds = {c.get("code", "") for c in _codings(resource.get("code")) if c.get("system") == TASK_KIND}
    reserved = kinds & RESERVED
    if not patient or kinds & STEWARDSHIP:  # a question to the stewards opens nothing
        return
    if reserved:
        if facts.trusted and len(reserved) == 1:
            yield from _RESERVED[reserved.pop()](resource, facts, patient)
        return
    if resource.get("status") not in _OPEN_TASKS or resource.get("intent") not in _ORDERS:
        return
    keeper = _keeper(resource, facts)
    template = Grant(patient, "", _request_kind(resource) or "task", purposes=CARE, **_validity(resource, facts))
    for grantee in _performers(resource.get("owner"), keeper):
        yield from _documents(replace(template, grantee=grantee), resource, _of_task(resource), keeper)


def _of_task(resource: Resource) -> list[str]:
    documents = [
        f"Task/{resource['id']}",
        *references_of(resource.get("focus")),
        *references_of(resource.get("basedOn")),
    ]
    for given in resource.get("input", ()):
        documents += references_of(given.get("valueReference"))
    return documents


def _documents(grant: Grant, resource: Resource, documents: list[str], keeper: str) -> Iterator[Grant]:
    """The named items of the requester's own, as sensitive as the request itself is, and the person's identity."""
    sensitivity = sensitivity_of(resource)
    for document in dict.fromkeys(documents):
        yield replace(grant, document=document, custodian=keeper, sensitivity=sensitivity)
    yield replace(grant, classes=RecordClass.IDENTITY, document=f"Patient/{grant.patient}")


def _request_kind(resource: Resource) -> str:
    for element in ("category", "code"):
        for coding in _codings(resource.get(element)):
            kind = _REQUEST_CODES.get((coding.get("system", ""), coding.get("code", "")))
            if kind:
                return kind
    return ""


def _keeper(resource: Resource, facts: Facts) -> str:
    """The institution whose items a request can open; '' where nobody says."""
    if facts.custodian.startswith("Organization/") or not facts.trusted:
        return facts.custodian
    return custodian_of(resource)


def _performers(value: Any, keeper: str) -> Iterator[str]:
    """Whom a request addresses. Nobody gives access to itself."""
    for reference in dict.fromkeys(references_of(value)):
        if reference.startswith(("Organization/", "Practitioner/")) and reference != keeper:
            yield reference


def _validity(resource: Resource, facts: Facts) -> dict[str, Any]:
    asked = resource.get("authoredOn")
    low = interval(asked)[0] if asked else facts.now
    period = resource.get("occurrencePeriod") or resource.get("restriction", {}).get("period") or {}
    high = period_of(period)[1] if "end" in period else low + REQUEST_DAYS * DAY
    return {"low": max(low, 0), "high": min(high, facts.now + LONGEST_DAYS * DAY), "given": min(low, facts.now)}


# -- Tasks that only the server writes ---------------------------------------------------------


def _break_glass(resource: Resource, facts: Facts, patient: str) -> Iterator[Grant]:
    low, high = _bounded(resource)
    requester = reference_of(resource.get("requester"))
    if resource.get("status") in ("cancelled", "rejected", "failed", "entered-in-error", "draft"):
        return
    if requester.startswith("Practitioner/") and low < high:
        yield Grant(
            patient,
            requester,
            "break-glass",
            classes=EMERGENCY,
            sensitivity=EVERY_SENSITIVITY & ~BREAK_GLASS_CLOSED,
            purposes=Purpose.BTG | Purpose.ETREAT,
            low=low,
            high=high,
            given=facts.now,
            overriding=True,
        )


def _approval(resource: Resource, facts: Facts, patient: str) -> Iterator[Grant]:
    """Opens to one member of staff the institution's own items about a minor (未成年人网络保护条例 36)."""
    low, high = _bounded(resource)
    requester = reference_of(resource.get("requester"))
    approved = resource.get("status") in ("accepted", "in-progress", "completed")
    own = facts.custodian.startswith("Organization/")
    if approved and own and requester.startswith("Practitioner/") and low < high:
        grant = Grant(
            patient,
            requester,
            "approval",
            sensitivity=EVERY_SENSITIVITY,
            purposes=EVERY_PURPOSE,
            low=low,
            high=high,
            custodian=facts.custodian,
            given=facts.now,
            overriding=True,
        )
        yield grant
        yield replace(grant, classes=RecordClass.IDENTITY, custodian="", document=f"Patient/{patient}")


def _statutory(resource: Resource, facts: Facts, patient: str) -> Iterator[Grant]:
    if resource.get("status") in ("draft", "cancelled", "rejected", "entered-in-error"):
        return
    low, high = period_of(resource.get("restriction", {}).get("period"))
    for owner in references_of(resource.get("owner")):
        if owner.startswith("Organization/"):
            template = Grant(
                patient,
                owner,
                "statutory-report",
                sensitivity=EVERY_SENSITIVITY,
                purposes=Purpose.PUBHLTH,
                low=max(low, 0),
                high=high,
                given=facts.now,
                overriding=True,
            )
            for document in dict.fromkeys(_of_task(resource)):
                yield replace(template, document=document)
            # Whose illness is reported is part of the report.
            yield replace(template, classes=RecordClass.IDENTITY, document=f"Patient/{patient}")


def _bounded(resource: Resource) -> tuple[int, int]:
    """The period of the restriction; nothing where it has no end."""
    period = resource.get("restriction", {}).get("period", {})
    low, high = period_of(period)
    return (max(low, 0), high) if "start" in period and "end" in period else (0, 0)


_RESERVED: dict[str, Callable[[Resource, Facts, str], Iterator[Grant]]] = {
    "break-glass-review": _break_glass,
    "minor-access-approval": _approval,
    "statutory-report": _statutory,
}

# -- contracts, guardians, registration ----------------------------------------------------------


def _care_team(resource: Resource, facts: Facts) -> Iterator[Grant]:
    patient = _patient(resource.get("subject"))
    if resource.get("status") != "active" or not patient or not _has_code(resource.get("category"), TEAM_KIND, _DOCTOR):
        return
    if not facts.trusted:
        return  # a contract is the resident's too: written by a client it takes the resident's Consent naming the team
    low, high = period_of(resource.get("period"))
    for participant in resource.get("participant", ()):
        begins, ends = period_of(participant.get("period"))
        begins, ends = max(low, begins, 0), min(high, ends)
        for member in references_of(participant.get("member")):
            if member.startswith("Practitioner/") and begins < ends:
                purposes = Purpose.CAREMGT | Purpose.TREAT
                yield Grant(patient, member, _DOCTOR, purposes=purposes, low=begins, high=ends, given=facts.now)


_DOCTOR = "family-doctor"


def _related_person(resource: Resource, facts: Facts) -> Iterator[Grant]:
    ward = _patient(resource.get("patient"))
    guardian = next((_patient(e.get("valueReference")) for e in _extensions(resource, GUARDIAN_PERSON)), "")
    attested = facts.trusted or facts.custodian.startswith("Organization/")
    if resource.get("active") is False or not ward or not guardian or ward == guardian or not attested:
        return
    low, high = period_of(resource.get("period"))
    template = Grant(
        ward, f"Patient/{guardian}", "guardian", purposes=_GUARDIAN_PURPOSES, given=facts.now, overriding=True
    )
    everything = EVERY_SENSITIVITY & ~Sensitivity.NOPAT
    stages = []
    born = facts.born(ward)
    adult = 0
    if born is not None:
        fourteen, adult = birthday(born, CONSENTS_ITSELF), birthday(born, ADULT)
        stages += [(0, fourteen, everything), (fourteen, adult, everything & ~ADOLESCENT)]
    acts = any(c.get("code") in _FOR_ADULTS for c in _codings(resource.get("relationship")))
    if acts and any(True for _ in _extensions(resource, LEGAL_BASIS)):
        stages.append((adult, ALWAYS, everything))
    for begins, ends, sensitivity in stages:
        begins, ends = max(begins, low, 0), min(ends, high)
        if begins < ends:
            yield replace(template, low=begins, high=ends, sensitivity=sensitivity)


def _registration(resource: Resource, facts: Facts) -> Iterator[Grant]:
    """Institutions that gave the person a number know who that is."""
    if not isinstance(resource.get("id"), str):
        return
    assigners = (reference_of(identifier.get("assigner")) for identifier in resource.get("identifier", ()))
    for assigner in dict.fromkeys(assigners):
        if assigner.startswith("Organization/"):
            yield Grant(
                resource["id"],
                assigner,
                "registration",
                classes=RecordClass.IDENTITY,
                sensitivity=EVERY_SENSITIVITY,
                purposes=EVERY_PURPOSE,
                given=facts.now,
                overriding=True,
            )


_MAKERS: dict[str, Callable[[Resource, Facts], Iterator[Grant]]] = {
    "Consent": _consent,
    "ServiceRequest": _service_request,
    "Task": _task,
    "CareTeam": _care_team,
    "RelatedPerson": _related_person,
    "Patient": _registration,
}
GRANTING: frozenset[str] = frozenset(_MAKERS)


# -- elements ------------------------------------------------------------------------------------


def _patient(reference: Any) -> str:
    """Id of the Patient that a Reference names, ''."""
    type, _, id = reference_of(reference).partition("/")
    return id if type == "Patient" else ""


def _codings(value: Any) -> list[Mapping[str, Any]]:
    concepts = value if isinstance(value, list) else [value] if value else []
    return [coding for concept in concepts for coding in concept.get("coding", ())]


def _has_code(value: Any, system: str, code: str) -> bool:
    return any(c.get("system") == system and c.get("code") == code for c in _codings(value))


def _extensions(resource: Resource, url: str) -> Iterator[Mapping[str, Any]]:
    return (extension for extension in resource.get("extension", ()) if extension.get("url") == url)
