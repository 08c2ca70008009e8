"""The words of access: record classes, sensitivities, purposes of use, roles; each a bit where rows are compared.

Record classes are ours (they follow the sections of the health record file, WS/T 483); sensitivities and
purposes are HL7's (http://terminology.hl7.org/CodeSystem/v3-ActCode, …/v3-ActReason) and a few of our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

RECORD_CLASS = "urn:yidang:record-class"
ROLE = "urn:yidang:role"
CONSENT_KIND = "urn:yidang:consent-kind"
TASK_KIND = "urn:yidang:task-kind"
STEWARDSHIP = frozenset({"duplicate-review", "demographic-review"})  # TASK_KIND codes of the person index
TEAM_KIND = "urn:yidang:care-team-kind"
PURPOSE = "urn:yidang:purpose"
LEGAL_BASIS = "urn:yidang:legal-basis"
GUARDIAN_PERSON = "urn:yidang:guardian-person"  # extension of RelatedPerson: the guardian's own Patient
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
MERGING = frozenset({"merge", "unmerge"})  # LIFECYCLE codes: how two Patients became one, and two again
RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"


class RecordClass(IntFlag):
    """What kind of thing a resource is; each has exactly one. The code in RECORD_CLASS is the name in lower case."""

    SHARED = 1  # no person's: institutions, staff, definitions, schedules
    IDENTITY = 2
    ALLERGY = 4
    PROBLEM = 8
    MEDICATION = 16
    IMMUNIZATION = 32
    VITAL_SIGNS = 64
    LABORATORY = 128
    IMAGING = 256
    ECG = 512
    PATHOLOGY = 1024
    ENCOUNTER = 2048
    PROCEDURE = 4096
    DOCUMENT = 8192
    CARE_PLAN = 16384
    ORDER = 32768
    SURVEY = 65536  # questionnaires, social history
    CONSENT = 131072
    FINANCIAL = 262144
    OTHER = 524288


EVERY_CLASS = RecordClass(sum(RecordClass))
CLINICAL = EVERY_CLASS & ~RecordClass.SHARED  # everything that is about a person
EMERGENCY = (
    RecordClass.IDENTITY
    | RecordClass.ALLERGY
    | RecordClass.PROBLEM
    | RecordClass.MEDICATION
    | RecordClass.VITAL_SIGNS
    | RecordClass.LABORATORY
    | RecordClass.IMAGING
    | RecordClass.ECG
    | RecordClass.PROCEDURE
    | RecordClass.ENCOUNTER
    | RecordClass.DOCUMENT
    | RecordClass.IMMUNIZATION
    | RecordClass.PATHOLOGY
)


class Sensitivity(IntFlag):
    """Special protection; a row with any of these is seen only through a rule that names every one of them."""

    HIV = 1
    STD = 2
    MENTAL = 4
    REPRODUCTION = 8
    GENETIC = 16
    SUBSTANCE = 32
    MINOR = 64  # confidential care of adolescents
    ABUSE = 128
    RESTRICTED = 256  # confidentiality R or V without a reason that has a bit of its own
    NOPAT = 512  # not to be shown to the patient and the family


EVERY_SENSITIVITY = Sensitivity(sum(Sensitivity))
NO_SENSITIVITY = Sensitivity(0)
NO_CLASS = RecordClass(0)
# What a guardian does not see of an adolescent (our default, to be checked with counsel).
ADOLESCENT = Sensitivity.HIV | Sensitivity.STD | Sensitivity.MENTAL | Sensitivity.REPRODUCTION | Sensitivity.MINOR
# Codes of v3-ActCode (and of v3-Confidentiality) by the bit they mean.
SENSITIVITY_CODES: dict[str, Sensitivity] = {
    "HIV": Sensitivity.HIV,
    "STD": Sensitivity.STD,
    "PSY": Sensitivity.MENTAL,
    "PSYTHPN": Sensitivity.MENTAL,
    "MH": Sensitivity.MENTAL,
    "BH": Sensitivity.MENTAL,
    "EMOTDIS": Sensitivity.MENTAL,
    "SEX": Sensitivity.REPRODUCTION,
    "SRH": Sensitivity.REPRODUCTION,
    "GDIS": Sensitivity.GENETIC,
    "SICKLE": Sensitivity.GENETIC,
    "ETH": Sensitivity.SUBSTANCE,
    "ETHUD": Sensitivity.SUBSTANCE,
    "SUD": Sensitivity.SUBSTANCE,
    "OPIOIDUD": Sensitivity.SUBSTANCE,
    "ADOL": Sensitivity.MINOR,
    "SDV": Sensitivity.ABUSE,
    "VIO": Sensitivity.ABUSE,
    "TBOO": Sensitivity.RESTRICTED,
    "NOPAT": Sensitivity.NOPAT,
}
# The code that stands for each bit where we write one.
SENSITIVITY_NAMES: dict[Sensitivity, str] = {
    Sensitivity.HIV: "HIV",
    Sensitivity.STD: "STD",
    Sensitivity.MENTAL: "PSY",
    Sensitivity.REPRODUCTION: "SEX",
    Sensitivity.GENETIC: "GDIS",
    Sensitivity.SUBSTANCE: "ETH",
    Sensitivity.MINOR: "ADOL",
    Sensitivity.ABUSE: "SDV",
    Sensitivity.RESTRICTED: "TBOO",
    Sensitivity.NOPAT: "NOPAT",
}


class Purpose(IntFlag):
    """Why somebody looks; the code is the name (v3-ActReason; RECOG, REFER, CONSULT in PURPOSE)."""

    TREAT = 1
    ETREAT = 2  # emergency treatment
    BTG = 4  # break the glass
    CAREMGT = 8
    PUBHLTH = 16
    HOPERAT = 32
    PATRQT = 64
    HPAYMT = 128
    HRESCH = 256
    RECOG = 512  # looking for results to recognise
    REFER = 1024
    CONSULT = 2048
    FAMRQT = 4096  # a guardian's


OWN_PURPOSES = frozenset({"RECOG", "REFER", "CONSULT"})
CARE = Purpose.TREAT | Purpose.ETREAT | Purpose.BTG | Purpose.CAREMGT | Purpose.RECOG | Purpose.REFER | Purpose.CONSULT


@dataclass(frozen=True, slots=True)
class Role:
    """What a role may do with what its institution may see.

    ``classes`` and ``sensitivity`` bound everything it sees; ``own`` says whether it sees its institution's own
    items; ``care`` whether it treats (others need an approval for the files of minors); ``purposes`` what it may
    act for, the first by default. ``identities``: it sees the identity of every resident (stewardship of the
    person index). ``administers``: it writes what is no person's (institutions, staff, definitions).
    """

    code: str
    zh: str
    purposes: tuple[str, ...]
    classes: RecordClass = NO_CLASS
    sensitivity: Sensitivity = NO_SENSITIVITY
    own: bool = False
    care: bool = False
    identities: bool = False
    administers: bool = False


_TREATING = ("TREAT", "CAREMGT", "ETREAT", "BTG", "RECOG", "REFER", "CONSULT")
_ORDERED = RecordClass.IDENTITY | RecordClass.ORDER | RecordClass.ENCOUNTER | RecordClass.ALLERGY
ROLES: dict[str, Role] = {
    role.code: role
    for role in (
        Role("physician", "医师", _TREATING, CLINICAL, EVERY_SENSITIVITY, own=True, care=True),
        Role("nurse", "护士", _TREATING, CLINICAL, EVERY_SENSITIVITY, own=True, care=True),
        Role("village-doctor", "乡村医生", _TREATING, CLINICAL, EVERY_SENSITIVITY, own=True, care=True),
        Role(
            "technician",
            "技师",
            ("TREAT", "RECOG", "CONSULT"),
            _ORDERED | RecordClass.LABORATORY | RecordClass.IMAGING | RecordClass.ECG | RecordClass.PATHOLOGY,
            EVERY_SENSITIVITY,
            own=True,
            care=True,
        ),
        Role(
            "pharmacist",
            "药师",
            ("TREAT",),
            _ORDERED | RecordClass.MEDICATION | RecordClass.PROBLEM | RecordClass.LABORATORY,
            EVERY_SENSITIVITY,
            own=True,
            care=True,
        ),
        # An institution's EMR, laboratory or imaging system: acts for the institution as a whole.
        Role("system", "机构系统", _TREATING, CLINICAL, EVERY_SENSITIVITY, own=True, care=True),
        Role(
            "registrar",
            "登记员",
            ("TREAT", "HOPERAT"),
            RecordClass.IDENTITY | RecordClass.CONSENT | RecordClass.ENCOUNTER,
            own=True,
            care=True,
        ),
        Role("records-officer", "病案管理员", ("HOPERAT", "PATRQT"), CLINICAL, EVERY_SENSITIVITY, own=True),
        Role("steward", "主索引管理员", ("HOPERAT",), RecordClass.IDENTITY, own=True, identities=True),
        Role("privacy-officer", "隐私专员", ("HOPERAT",), RecordClass.IDENTITY | RecordClass.CONSENT, own=True),
        Role("public-health", "疾控人员", ("PUBHLTH",), CLINICAL, EVERY_SENSITIVITY, care=True),
        Role("quality", "质控人员", ("HOPERAT",), CLINICAL & ~RecordClass.CONSENT, own=True),
        Role("administrator", "系统管理员", ("HOPERAT",), administers=True),
        Role("security-administrator", "安全管理员", ("HOPERAT",)),
        Role("auditor", "审计管理员", ("HOPERAT",)),
        Role("aggregate", "监管统计人员", ("HOPERAT",)),
    )
}
