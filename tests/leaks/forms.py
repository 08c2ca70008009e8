"""What gives or refuses access, as FHIR resources beside the rules that they mean (for the oracle)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.leaks.oracle import CARE, EVERYONE, Rule

Resource = dict[str, Any]
ZONE = ZoneInfo("Asia/Shanghai")
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
LABELS = {
    "HIV": "HIV",
    "STD": "STD",
    "MENTAL": "PSY",
    "REPRODUCTION": "SEX",
    "GENETIC": "GDIS",
    "SUBSTANCE": "ETH",
    "MINOR": "ADOL",
    "ABUSE": "SDV",
    "NOPAT": "NOPAT",
}
OWN_PURPOSES = {"RECOG", "REFER", "CONSULT"}
ADOLESCENT = frozenset({"HIV", "STD", "MENTAL", "REPRODUCTION", "MINOR"})
FAR = 2**62


def micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def instant(moment: datetime) -> str:
    return moment.astimezone(ZONE).isoformat(timespec="milliseconds")


def label(name: str) -> dict[str, str]:
    """The coding of ``meta.security`` (or of a provision) for one of the oracle's sensitivities."""
    if name == "RESTRICTED":
        return {"system": CONFIDENTIALITY, "code": "R"}
    return {"system": ACT_CODE, "code": LABELS[name]}


@dataclass(frozen=True, slots=True)
class Part:
    """One provision: to whom (references; none: everyone), about what. Days are local, both ends included."""

    permit: bool = True
    grantees: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    valid: tuple[datetime, datetime] | None = None
    data: tuple[date, date] | None = None
    custodian: str = ""
    document: str = ""
    parts: tuple[Part, ...] = ()


def consent(
    id: str,
    patient: str,
    part: Part,
    given: datetime,
    status: str = "active",
    performer: str = "",
    kind: str = "",
) -> Resource:
    """A Consent whose root provision is ``part``."""
    return {
        "resourceType": "Consent",
        "id": id,
        "extension": [{"url": "urn:yidang:legal-basis", "valueCode": "CONSENT"}],
        "status": status,
        "scope": _concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [
            _concept("http://loinc.org", "59284-0"),
            *([_concept("urn:yidang:consent-kind", kind)] if kind else []),
        ],
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": instant(given),
        "performer": [{"reference": performer or f"Patient/{patient}"}],
        "sourceAttachment": {
            "contentType": "text/plain",
            "url": "urn:notice:1",
            "hash": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=",
        },
        "policy": [{"uri": "urn:notice|1"}],
        "provision": provision(part),
    }


def named(part: Part) -> frozenset[str]:
    """The sensitivities that a provision and those within name."""
    return frozenset(part.names).union(*(named(inner) for inner in part.parts))


def provision(part: Part) -> Resource:
    made: Resource = {"type": "permit" if part.permit else "deny"}
    if part.valid:
        made["period"] = {"start": instant(part.valid[0]), "end": instant(part.valid[1])}
    actors = [_actor("IRCP", grantee) for grantee in part.grantees]
    if part.custodian:
        actors.append(_actor("CST", part.custodian))
    if actors:
        made["actor"] = actors
    if part.names:
        made["securityLabel"] = [label(name) for name in part.names]
    if part.purposes:
        made["purpose"] = [
            {"system": "urn:yidang:purpose" if code in OWN_PURPOSES else ACT_REASON, "code": code}
            for code in part.purposes
        ]
    if part.classes:
        made["class"] = [{"system": "urn:yidang:record-class", "code": name.replace("_", "-")} for name in part.classes]
    if part.data:
        made["dataPeriod"] = {"start": part.data[0].isoformat(), "end": part.data[1].isoformat()}
    if part.document:
        made["data"] = [{"meaning": "instance", "reference": {"reference": part.document}}]
    if part.parts:
        made["provision"] = [provision(inner) for inner in part.parts]
    return made


def rules(id: str, patient: str, part: Part, given: datetime) -> list[Rule]:
    """What an active Consent with this root provision means; an inner provision narrows the one that it is in."""
    return list(_rules(Rule(f"Consent/{id}", patient, EVERYONE, given=micros(given)), part, _Outer()))


@dataclass(frozen=True, slots=True)
class _Outer:
    """What the provisions around one say and it does not say itself. None: nothing."""

    grantees: tuple[str, ...] = ()
    purposes: frozenset[str] | None = None
    names: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()


def _rules(around: Rule, part: Part, outer: _Outer) -> Iterable[Rule]:
    grantees = part.grantees or outer.grantees
    purposes = _meet(outer.purposes, frozenset(part.purposes) or None)
    names = frozenset(part.names) or outer.names
    refused = outer.refused if part.permit or not part.names else frozenset(part.names)
    default = CARE if part.permit else None
    own = replace(
        around,
        permit=part.permit,
        classes=_meet(around.classes, frozenset(part.classes) or None),
        names=names if part.permit else refused,
        purposes=default if purposes is None else purposes,
        low=max(around.low, micros(part.valid[0])) if part.valid else around.low,
        high=min(around.high, micros(part.valid[1]) + 1000) if part.valid else around.high,
        data=_overlap(around.data, part.data),
    )
    possible = True
    for name in ("custodian", "document"):
        before, now = getattr(around, name), getattr(part, name)
        own = replace(own, **{name: now or before})
        possible = possible and (not before or not now or before == now)
    if own.classes == frozenset() or own.purposes == frozenset() or (own.data and own.data[0] >= own.data[1]):
        possible = False  # an exception outside of what it is an exception from is about nothing
    if possible:
        for grantee in grantees or (() if part.permit else (EVERYONE,)):
            yield replace(own, grantee=grantee, aspects=_aspects(own, grantee))
        for inner in part.parts:
            deeper = replace(own, depth=own.depth + 1)
            yield from _rules(deeper, inner, _Outer(grantees, purposes, names, refused))


def _meet(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _overlap(one: tuple[int, int] | None, days: tuple[date, date] | None) -> tuple[int, int] | None:
    if days is None:
        return one
    low, high = local_ms(days[0]), local_ms(days[1] + timedelta(days=1))
    return (low, high) if one is None else (max(low, one[0]), min(high, one[1]))


def _aspects(rule: Rule, grantee: str) -> frozenset[str]:
    """In which ways the rule is specific. The alliance as a whole is nobody in particular."""
    named = {
        "Organization": {"institution"},
        "CareTeam": {"institution", "department"},
        "Practitioner": {"institution", "department", "person"},
    }
    found = {
        "class": rule.classes is not None,
        "sensitivity": bool(rule.names),
        "period": rule.data is not None,
        "custodian": bool(rule.custodian),
        "document": bool(rule.document),
    }
    who = set() if grantee == "Organization/alliance" else named.get(grantee.partition("/")[0], set())
    return frozenset({name for name, true in found.items() if true} | who)


def local_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp() * 1000)


def _concept(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def _actor(role: str, reference: str) -> Resource:
    system = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
    return {"role": _concept(system, role), "reference": {"reference": reference}}
