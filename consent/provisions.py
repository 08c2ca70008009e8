"""Consent → grants: the tree of provisions flattened to rules that each stand alone.

A nested provision is an exception to the one it is in: it inherits what that says, narrows it and, standing
deeper, prevails over it. What we cannot enforce never widens access: a permission with such a condition
compiles to nothing, a refusal applies without it. https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from consent.classes import CLASS_OF_TYPE
from consent.grant import (
    ALWAYS,
    BY_CLASS,
    BY_CUSTODIAN,
    BY_DEPARTMENT,
    BY_DOCUMENT,
    BY_INSTITUTION,
    BY_PERIOD,
    BY_PERSON,
    BY_SENSITIVITY,
    EVERYONE,
    Grant,
)
from consent.labels import CUSTODIAN
from consent.references import reference_of, references_of
from consent.times import period_of
from consent.vocabulary import (
    ACT_CODE,
    ACT_REASON,
    CARE,
    CLINICAL,
    CONFIDENTIALITY,
    NO_CLASS,
    NO_SENSITIVITY,
    OWN_PURPOSES,
    PURPOSE,
    RECORD_CLASS,
    RESOURCE_TYPES,
    SENSITIVITY_CODES,
    Purpose,
    RecordClass,
    Sensitivity,
)

Element = Mapping[str, Any]
UNENFORCEABLE = ("code", "modifierExtension")
RECIPIENT_ROLES = frozenset({"IRCP", "PRCP"})  # v3-ParticipationType: (primary) information recipient
CUSTODIAN_ROLES = frozenset({"CST", "AUT"})  # whose items it is about (IHE PCF names the author so)
ACTIONS = frozenset({"access", "disclose"})
EVERY_PURPOSE = Purpose(sum(Purpose))
RANK = {"Organization": BY_INSTITUTION, "CareTeam": BY_DEPARTMENT, "Practitioner": BY_PERSON, "Patient": BY_PERSON}
# Types whose resources can be of several record classes: a permission has to name the class.
MANIFOLD = frozenset({"Observation", "DiagnosticReport", "DocumentReference", "Composition", "Media", "Procedure"})
_MANIFOLD_CLASSES = CLINICAL & ~RecordClass.IDENTITY
CLASS_CODES: dict[str, RecordClass] = {
    bit.name.lower().replace("_", "-"): bit for bit in CLINICAL if bit.name is not None
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a provision says together with those it is in; None: it says nothing about it."""

    grantees: frozenset[str] | None = None
    purposes: Purpose | None = None
    classes: RecordClass | None = None
    labels: Sensitivity | None = None  # of the nearest provision that names some
    refused: Sensitivity | None = None  # of the nearest refusal that names some
    low: int = -ALWAYS
    high: int = ALWAYS
    data: tuple[int, int] | None = None
    custodians: frozenset[str] | None = None
    documents: frozenset[str] | None = None
    sound: bool = True  # everything it says can be enforced


def rules_of(provision: Element) -> Iterator[tuple[bool, int, Rule]]:
    """Each provision of the tree as (permit, depth, rule); a root without a type only restricts what is in it."""
    yield from _walk(provision, Rule(), 0)


def _walk(provision: Element, outer: Rule, depth: int) -> Iterator[tuple[bool, int, Rule]]:
    type = provision.get("type")
    rule = _narrowed(outer, provision, type == "deny")
    if type in ("permit", "deny"):
        yield type == "permit", depth, rule
    for nested in provision.get("provision", ()):
        yield from _walk(nested, rule, depth + 1)


def _narrowed(outer: Rule, provision: Element, refuses: bool) -> Rule:
    """What ``provision`` says within ``outer``."""
    sound = outer.sound and not any(provision.get(name) for name in UNENFORCEABLE) and _actions(provision)
    grantees, custodians, actors = _actors(provision)
    documents, authors, data = _data(provision)
    custodians = _meet(custodians, authors)
    sound = sound and actors and data
    purposes, known = _purposes(provision)
    classes, exact = _classes(provision, refuses)
    labels, labelled = _labels(provision, refuses)
    low, high, dated = _times(provision.get("period"))
    data_low, data_high, data_dated = _times(provision.get("dataPeriod"))
    if not dated or not data_dated:
        sound = False
    inner_data = None if provision.get("dataPeriod") is None or not data_dated else (data_low, data_high)
    return Rule(
        grantees=outer.grantees if grantees is None else grantees,
        purposes=_both(outer.purposes, purposes),
        classes=_both(outer.classes, classes),
        labels=outer.labels if labels is None else labels,
        refused=labels if refuses and labels is not None else outer.refused,
        low=max(outer.low, low),
        high=min(outer.high, high),
        data=_overlap(outer.data, inner_data),
        custodians=_meet(outer.custodians, custodians),
        documents=_meet(outer.documents, documents),
        sound=sound and known and exact and labelled,
    )


def _both(outer: Any, inner: Any) -> Any:
    if inner is None:
        return outer
    return inner if outer is None else outer & inner


def _meet(outer: frozenset[str] | None, inner: frozenset[str] | None) -> frozenset[str] | None:
    if inner is None or outer is None:
        return outer if inner is None else inner
    return outer & inner


def _overlap(outer: tuple[int, int] | None, inner: tuple[int, int] | None) -> tuple[int, int] | None:
    if inner is None or outer is None:
        return outer if inner is None else inner
    return max(outer[0], inner[0]), min(outer[1], inner[1])


def _codes(value: Any) -> list[tuple[str, str]]:
    """(system, code) of the codings of a CodeableConcept or of a list of them."""
    concepts = value if isinstance(value, list) else [value] if value else []
    return [(c.get("system", ""), c.get("code", "")) for concept in concepts for c in concept.get("coding", ())]


def _actions(provision: Element) -> bool:
    """Whether the actions are those that we can tell from others: reading and passing on."""
    actions = provision.get("action")
    return not actions or all(any(code in ACTIONS for _, code in _codes(action)) for action in actions)


def _actors(provision: Element) -> tuple[frozenset[str] | None, frozenset[str] | None, bool]:
    """Recipients, custodians whose items it is about, and whether all actors were understood."""
    grantees: set[str] = set()
    custodians = {
        reference
        for extension in provision.get("extension", ())
        if extension.get("url") == CUSTODIAN
        for reference in references_of(extension.get("valueReference"))
    }
    sound, named = True, False
    for actor in provision.get("actor", ()):
        reference = reference_of(actor.get("reference"))
        codes = {code for _, code in _codes(actor.get("role"))}
        if codes & CUSTODIAN_ROLES and reference.startswith("Organization/"):
            custodians.add(reference)
        elif codes & CUSTODIAN_ROLES or (codes and not codes & RECIPIENT_ROLES):
            sound = False
        else:
            named = True
            if reference.split("/")[0] in RANK:
                grantees.add(reference)
            else:
                sound = False
    return (frozenset(grantees) if named else None, frozenset(custodians) if custodians else None, sound)


def _data(provision: Element) -> tuple[frozenset[str] | None, frozenset[str] | None, bool]:
    """Single documents, institutions whose items they are, and whether all was understood."""
    documents: set[str] = set()
    authors: set[str] = set()
    sound = True
    for item in provision.get("data", ()):
        reference, meaning = reference_of(item.get("reference")), item.get("meaning")
        if reference and meaning == "instance":
            documents.add(reference)
        elif reference.startswith("Organization/") and meaning == "authoredby":
            authors.add(reference)
        else:
            sound = False
    return (frozenset(documents) if documents else None, frozenset(authors) if authors else None, sound)


def _purposes(provision: Element) -> tuple[Purpose | None, bool]:
    found, known = Purpose(0), True
    for coding in provision.get("purpose", ()):
        code = coding.get("code", "")
        system = PURPOSE if code in OWN_PURPOSES else ACT_REASON
        if code in Purpose.__members__ and coding.get("system") == system:
            found |= Purpose[code]
        else:
            known = False
    return (found or None, known)


def _classes(provision: Element, refuses: bool) -> tuple[RecordClass | None, bool]:
    found, known = NO_CLASS, True
    for coding in provision.get("class", ()):
        system, code = coding.get("system"), coding.get("code", "")
        if system == RECORD_CLASS and code in CLASS_CODES:
            found |= CLASS_CODES[code]
        elif system == RESOURCE_TYPES and code in MANIFOLD and refuses:
            found |= _MANIFOLD_CLASSES
        elif system == RESOURCE_TYPES and code not in MANIFOLD and CLASS_OF_TYPE.get(code, NO_CLASS) & CLINICAL:
            found |= CLASS_OF_TYPE[code]
        else:
            known = False
    # A refusal of what we do not know is one of everything.
    return (None if refuses and not known else found or None, known)


def _labels(provision: Element, refuses: bool) -> tuple[Sensitivity | None, bool]:
    found, known = NO_SENSITIVITY, True
    labels = provision.get("securityLabel", ())
    for coding in labels:
        system, code = coding.get("system"), coding.get("code", "")
        if system == ACT_CODE and code in SENSITIVITY_CODES:
            found |= SENSITIVITY_CODES[code]
        elif system == CONFIDENTIALITY and code in ("R", "V"):
            found |= Sensitivity.RESTRICTED
        elif system == CONFIDENTIALITY and code == "N" and not refuses:
            pass
        else:
            known = False
    if not labels or (refuses and not known):
        return None, known
    return found, known


def _times(period: Element | None) -> tuple[int, int, bool]:
    try:
        return (*period_of(period), True)
    except (ValueError, OverflowError):
        return -ALWAYS, ALWAYS, False


def grants_of_provisions(provision: Element, template: Grant, alliance: Callable[[str], bool]) -> Iterator[Grant]:
    """The grants of a tree of provisions; ``template`` gives the person, kind and time.

    ``alliance``: whether a reference is to a group of institutions; naming it names nobody in particular.
    """
    for permit, depth, rule in rules_of(provision):
        base = _base(replace(template, permit=permit, depth=depth), rule)
        if base is None:
            continue
        grantees = (rule.grantees or ()) if permit else (rule.grantees or (EVERYONE,))
        for grantee in sorted(grantees):
            for custodian in sorted(rule.custodians) if rule.custodians is not None else [""]:
                for document in sorted(rule.documents) if rule.documents is not None else [""]:
                    named = replace(base, grantee=grantee, custodian=custodian, document=document)
                    rank = 0 if alliance(grantee) else RANK.get(grantee.split("/")[0], 0)
                    yield replace(named, specificity=base.specificity | rank)


def _base(grant: Grant, rule: Rule) -> Grant | None:
    """``grant`` with what ``rule`` restricts; None where it can never apply or cannot be enforced."""
    if grant.permit and not rule.sound:
        return None
    classes = CLINICAL if rule.classes is None else rule.classes
    default = CARE if grant.permit else EVERY_PURPOSE
    purposes = default if rule.purposes is None else rule.purposes
    labels = rule.labels if grant.permit else rule.refused
    low, high = max(0, rule.low), rule.high
    data_low, data_high = grant.data_low, grant.data_high
    if rule.data is not None:
        data_low, data_high = (bound // 1000 for bound in rule.data)
    if not classes or not purposes or low >= high or data_low >= data_high:
        return None
    return replace(
        grant,
        classes=classes,
        purposes=purposes,
        sensitivity=labels or NO_SENSITIVITY,
        low=max(grant.low, low),
        high=min(grant.high, high),
        data_low=data_low,
        data_high=data_high,
        specificity=(BY_CLASS if rule.classes is not None else 0)
        | (BY_SENSITIVITY if labels else 0)
        | (BY_PERIOD if rule.data is not None else 0)
        | (BY_CUSTODIAN if rule.custodians is not None else 0)
        | (BY_DOCUMENT if rule.documents is not None else 0),
    )
