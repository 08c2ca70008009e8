"""Grant: one rule about one person's file, as plain data; what consents and other legal grounds compile to.

A resource that gives or refuses access (Consent, referral, contract, approval …) compiles to some of these;
the store keeps them beside the rows that they open and judges both in one query.
"""

from __future__ import annotations

from dataclasses import dataclass

from consent.vocabulary import CARE, CLINICAL, NO_SENSITIVITY, Purpose, RecordClass, Sensitivity

EVERYONE = "*"  # grantee of a refusal that names nobody
ALWAYS = 2**62
# How specific a rule is; a permit prevails over a refusal that it contains and exceeds (bits), see ``prevails``.
BY_INSTITUTION, BY_DEPARTMENT, BY_PERSON = 1, 3, 7
BY_CLASS, BY_SENSITIVITY, BY_PERIOD, BY_CUSTODIAN, BY_DOCUMENT = 8, 16, 32, 64, 128


@dataclass(frozen=True, slots=True)
class Grant:
    """One rule.

    ``patient``: id of the Patient whose file it is about. ``grantee``: a reference (``Organization/…``,
    ``Practitioner/…``, ``CareTeam/…``, ``Patient/…`` of a guardian) or EVERYONE. ``permit`` False refuses.
    ``classes``, ``purposes``: it is about rows and requests of these. ``sensitivity``: a permit opens rows with no
    other sensitivities than these; a refusal with a sensitivity is about rows that have one of them.
    ``low``/``high``: valid in [low, high), microseconds since 1970. ``data_low``/``data_high``: about rows whose
    clinical date (milliseconds) lies in [data_low, data_high). ``custodian``: only rows of this Organization id.
    ``document``: only this resource (``Type/id``). ``given``: when (µs) it was given. ``specificity``: bits above.
    ``depth``: nesting within one Consent; there the deeper provision prevails. ``overriding``: no refusal stops it
    (emergency, statute, guardianship). ``kind``: why there is access, a code for audit and explanation.
    """

    patient: str
    grantee: str
    kind: str
    permit: bool = True
    classes: RecordClass = CLINICAL
    sensitivity: Sensitivity = NO_SENSITIVITY
    purposes: Purpose = CARE
    low: int = 0
    high: int = ALWAYS
    data_low: int = -ALWAYS * 2
    data_high: int = ALWAYS * 2 - 1
    custodian: str = ""
    document: str = ""
    given: int = 0
    specificity: int = 0
    depth: int = 0
    overriding: bool = False


def prevails(permit: Grant, refusal: Grant, same_source: bool, sensitive: bool = True) -> bool:
    """Whether a permit prevails over a refusal that is about the same row; ``sensitive``: the row has a sensitivity.

    It does where it is more specific in some way and in no way less (IHE PCF), or stands deeper in the same
    Consent; otherwise the refusal does. Naming sensitivities makes a permit wider, not more specific, where
    ordinary rows are concerned.
    """
    if permit.overriding:
        return True
    if same_source and permit.depth > refusal.depth:
        return True
    specificity = permit.specificity if sensitive else permit.specificity & ~BY_SENSITIVITY
    return refusal.specificity & ~specificity == 0 and specificity != refusal.specificity


# Kinds (``Grant.kind``) and their legal bases (PIPL art. 13).
KINDS: dict[str, str] = {
    "consent": "CONSENT",
    "health-code": "CONSENT",
    "referral": "CONTRACT",
    "consultation": "CONTRACT",
    "diagnosis": "CONTRACT",
    "family-doctor": "CONTRACT",
    "registration": "CONTRACT",
    "task": "CONTRACT",
    "break-glass": "EMERGENCY",
    "statutory-report": "STATUTORY",
    "guardian": "CONSENT",
    "approval": "STATUTORY",
    "own": "CONTRACT",
    "self": "CONSENT",
    "identity": "STATUTORY",
    "shared": "LAW",
}
