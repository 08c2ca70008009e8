"""Who may see and write what, in plain Python: written from the rules alone, apart from the engine.

It knows nothing of consent.compile, consent.labels, consent.policy or the store. It judges one version of a resource
for one requester at one moment, from facts that the author of a world states beside each resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

DAY = 86_400_000_000  # µs
MINOR_YEARS = 18

# Everything that is about a person; what is nobody's has the class "shared".
CLASSES = frozenset(
    {"identity", "allergy", "problem", "medication", "immunization", "vital_signs", "laboratory", "imaging", "ecg"}
    | {"pathology", "encounter", "procedure", "document", "care_plan", "order", "survey", "consent", "financial"}
    | {"other"}
)
SENSITIVITIES = frozenset(
    {"HIV", "STD", "MENTAL", "REPRODUCTION", "GENETIC", "SUBSTANCE", "MINOR", "ABUSE", "RESTRICTED", "NOPAT"}
)
CARE = frozenset({"TREAT", "ETREAT", "BTG", "CAREMGT", "RECOG", "REFER", "CONSULT"})
EVERYONE = "*"
SEVERAL = "*"  # the person of what is about several persons


@dataclass(frozen=True, slots=True)
class RoleRights:
    """What a role sees at most, for which purposes; ``own``: its institution's items; ``care``: minors as well."""

    purposes: frozenset[str]
    classes: frozenset[str] = frozenset()
    sensitive: bool = False
    own: bool = False
    care: bool = False
    identities: bool = False
    administers: bool = False


def _role(purposes: str, classes: Iterable[str] = (), flags: str = "") -> RoleRights:
    return RoleRights(
        frozenset(purposes.split()), frozenset(classes), **{flag: True for flag in flags.split()}
    )  # every flag is a field


_TREATING = "TREAT CAREMGT ETREAT BTG RECOG REFER CONSULT"
_ORDERED = {"identity", "order", "encounter", "allergy"}
ROLES: Mapping[str, RoleRights] = {
    "physician": _role(_TREATING, CLASSES, "sensitive own care"),
    "nurse": _role(_TREATING, CLASSES, "sensitive own care"),
    "village-doctor": _role(_TREATING, CLASSES, "sensitive own care"),
    "system": _role(_TREATING, CLASSES, "sensitive own care"),
    "technician": _role(
        "TREAT RECOG CONSULT", _ORDERED | {"laboratory", "imaging", "ecg", "pathology"}, "sensitive own care"
    ),
    "pharmacist": _role("TREAT", _ORDERED | {"medication", "problem", "laboratory"}, "sensitive own care"),
    "registrar": _role("TREAT HOPERAT", {"identity", "consent", "encounter"}, "own care"),
    "records-officer": _role("HOPERAT PATRQT", CLASSES, "sensitive own"),
    "steward": _role("HOPERAT", {"identity"}, "own identities"),
    "privacy-officer": _role("HOPERAT", {"identity", "consent"}, "own"),
    "public-health": _role("PUBHLTH", CLASSES, "sensitive care"),
    "quality": _role("HOPERAT", CLASSES - {"consent"}, "own"),
    "administrator": _role("HOPERAT", (), "administers"),
    "security-administrator": _role("HOPERAT"),
    "auditor": _role("HOPERAT"),
    "aggregate": _role("HOPERAT"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One version of a resource and what is true of it. ``date``: clinical, in milliseconds; None undated.

    ``person`` is a Patient id, '' nobody's, SEVERAL; ``custodian`` a reference or ''.
    """

    type: str
    id: str
    version: int
    person: str
    custodian: str
    cls: str
    sensitivity: frozenset[str] = frozenset()
    date: int | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A permission or refusal; ``source`` is the resource that gives it. None in a set's place: no restriction.

    ``names``: sensitivities that a permit opens, or that a refusal is about (empty: about every row).
    ``aspects``: in which ways it is specific: institution, department, person, class, sensitivity, period,
    custodian, document.
    """

    source: str
    person: str
    grantee: str
    permit: bool = True
    kind: str = "consent"
    classes: frozenset[str] | None = None
    names: frozenset[str] = frozenset()
    purposes: frozenset[str] | None = CARE
    low: int = -(2**62)
    high: int = 2**62
    data: tuple[int, int] | None = None
    custodian: str = ""
    document: str = ""
    given: int = 0
    aspects: frozenset[str] = frozenset()
    depth: int = 0
    overriding: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """A SMART scope; ``context`` patient reaches only the file of the launch context."""

    context: str
    type: str
    letters: str


@dataclass(frozen=True, slots=True)
class Who:
    """A requester. ``kind``: staff, system or resident; ``subject`` a reference; ``patient`` the launch context."""

    name: str
    kind: str
    subject: str
    purpose: str
    institution: str = ""
    department: str = ""
    role: str = ""
    person: str = ""
    patient: str = ""
    scopes: tuple[Scope, ...] = (Scope("user", "*", "cruds"),)


@dataclass(frozen=True, slots=True)
class Membership:
    """``institution`` belongs to ``alliance`` since ``since`` (µs)."""

    alliance: str
    institution: str
    since: int
    active: bool = True


@dataclass(frozen=True, slots=True)
class Team:
    """A care team and the practitioners (references) who take part."""

    reference: str
    members: frozenset[str]
    active: bool = True


@dataclass
class Facts:
    """Everything that decides: rows, rules, memberships, teams, and when persons were born (µs)."""

    rows: list[Row] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    teams: list[Team] = field(default_factory=list)
    born: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # year, month, day


def visible(facts: Facts, row: Row, who: Who, letter: str, now: int, today: tuple[int, int, int]) -> str:
    """Why ``who`` may see ``row`` ('' when not); ``letter`` r for reads and history, s for searches."""
    if not any(_scope_reaches(scope, row, who, letter) for scope in who.scopes):
        return ""
    rights = ROLES.get(who.role)
    if who.kind == "resident":
        return _resident_sees(facts, row, who, now)
    if rights is None or who.purpose not in rights.purposes or not who.institution:
        return ""
    if row.cls == "shared":
        return "nobody's"
    young = not rights.care and _is_minor(facts, row.person, today)
    may = {rule.kind for rule in _permits(facts, row, who, rights, now)}
    if rights.identities and row.cls == "identity":
        return "identity"
    if young and not may - {"registration"}:
        return ""
    sensitive = SENSITIVITIES if rights.sensitive else frozenset[str]()
    mine = row.custodian == f"Organization/{who.institution}"
    if mine and rights.own and row.cls in rights.classes and row.sensitivity <= sensitive:
        return "own"
    return "granted: " + sorted(may)[0] if may else ""


def _resident_sees(facts: Facts, row: Row, who: Who, now: int) -> str:
    if who.purpose not in CARE | {"PUBHLTH", "HOPERAT", "PATRQT", "HPAYMT", "HRESCH", "FAMRQT"}:
        return ""
    if row.cls == "shared":
        return "nobody's"
    if row.person == who.person and "NOPAT" not in row.sensitivity:
        return "self"
    rights = RoleRights(frozenset({who.purpose}), CLASSES, sensitive=True, care=True)
    may = {rule.kind for rule in _permits(facts, row, who, rights, now)}
    return "granted: " + sorted(may)[0] if may else ""


def _scope_reaches(scope: Scope, row: Row, who: Who, letter: str) -> bool:
    if letter not in scope.letters or scope.type not in ("*", row.type):
        return False
    return scope.context != "patient" or row.cls == "shared" or (bool(who.patient) and row.person == who.patient)


def _is_minor(facts: Facts, person: str, today: tuple[int, int, int]) -> bool:
    if not person:
        return False
    born = facts.born.get(person)
    if born is None:
        return True  # of whom nothing is known may be one; so may one of several
    return (born[0] + MINOR_YEARS, born[1], born[2]) > today


def _permits(facts: Facts, row: Row, who: Who, rights: RoleRights, now: int) -> list[Rule]:
    """The permissions that open ``row`` to ``who`` and that no refusal stops."""
    if row.cls not in rights.classes or row.person in ("", SEVERAL):
        return []
    if row.sensitivity and not rights.sensitive:
        return []
    about = [rule for rule in facts.rules if _is_about(facts, rule, row, who, now)]
    refusals = [rule for rule in about if not rule.permit]
    return [rule for rule in about if rule.permit and all(prevails(rule, refusal, row) for refusal in refusals)]


def _is_about(facts: Facts, rule: Rule, row: Row, who: Who, now: int) -> bool:
    """Whether the rule speaks of this row and this requester, now."""
    if rule.person != row.person or not rule.low <= now < rule.high:
        return False
    if rule.purposes is not None and who.purpose not in rule.purposes:
        return False
    if rule.classes is not None and row.cls not in rule.classes:
        return False
    if rule.custodian and row.custodian != rule.custodian:
        return False
    if rule.document and rule.document != f"{row.type}/{row.id}":
        return False
    if not _names(facts, rule, who):
        return False
    if rule.permit:
        within = rule.data is None or (row.date is not None and rule.data[0] <= row.date < rule.data[1])
        return within and row.sensitivity <= rule.names
    within = rule.data is None or row.date is None or rule.data[0] <= row.date < rule.data[1]
    return within and (not rule.names or bool(rule.names & row.sensitivity))


def _names(facts: Facts, rule: Rule, who: Who) -> bool:
    """Whether the rule's grantee is the requester, or something it belongs to."""
    if rule.grantee == EVERYONE:
        return not rule.permit
    if who.kind == "resident":
        return rule.grantee == f"Patient/{who.person}"
    mine = {f"Organization/{who.institution}"} | ({f"Organization/{who.department}"} if who.department else set())
    if who.kind == "staff":
        mine.add(who.subject)
        mine |= {team.reference for team in facts.teams if team.active and who.subject in team.members}
    if rule.grantee in mine:
        return True
    return any(
        f"Organization/{m.alliance}" == rule.grantee
        and m.institution == who.institution
        and m.active
        and (not rule.permit or m.since <= rule.given)  # who joins later has no part in what was permitted before
        for m in facts.memberships
    )


def prevails(permit: Rule, refusal: Rule, row: Row) -> bool:
    """Whether the permission stands against the refusal: by law, as its exception, or as the narrower of the two."""
    if permit.overriding or (permit.source == refusal.source and permit.depth > refusal.depth):
        return True
    # A permit that names a sensitivity is wider by it, not narrower, where ordinary items are concerned.
    narrower = permit.aspects if row.sensitivity else permit.aspects - {"sensitivity"}
    return narrower > refusal.aspects
