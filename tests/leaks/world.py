"""The world of the leak suite: residents' files in one alliance, everything that opens and closes them, and the facts.

A world is a list of steps, each a resource that somebody writes (or a deletion) at some moment, with what is true of
that version. ``Loaded`` is a store that has them all, and the oracle's facts beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from consent import Access
from fhir_server.search.extract import Extractor
from fhir_server.secrets import MasterKey
from fhir_server.store.prepare import prepare
from fhir_server.store.sqlite import SqliteStore
from profiles.definitions import load
from tests.leaks import grounds, people, records
from tests.leaks.forms import Part, consent, micros, named, rules
from tests.leaks.oracle import SEVERAL, Facts, Row, Rule
from tests.leaks.records import Resource, labelled, to

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """One write: ``resource`` by the custodian ``by`` ('' the server itself), or the deletion of ``delete``.

    ``person``, ``cls``, ``names`` and ``date`` are what is true of the version; ``at`` moves the clock (µs).
    """

    resource: Resource | None
    by: str = ""
    person: str = ""
    cls: str = "shared"
    names: frozenset[str] = frozenset()
    date: str | None = None
    delete: Key | None = None
    rules: tuple[Rule, ...] = ()
    at: int = 0


def moment(text: str | None) -> int | None:
    """The milliseconds of a clinical date."""
    return None if text is None else int(datetime.fromisoformat(text).timestamp() * 1000)


class Writer:
    """Collects the steps of a world."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.steps: list[Step] = []

    def ago(self, days: float) -> datetime:
        return self.now - timedelta(days=days)

    def nobody(self, resource: Resource) -> None:
        """Something that is no person's."""
        self.steps.append(Step(resource))

    def put(self, resource: Resource, by: str, person: str, cls: str, *names: str, date: str | None = None) -> None:
        """Something in the file of ``person``, with the labels ``names``, kept by the institution ``by``."""
        keeper = by if "/" in by or not by else f"Organization/{by}"
        self.steps.append(Step(labelled(resource, *names), keeper, person, cls, frozenset(names), date))

    def add(self, cls: str, patient: str, by: str, date: str | None, *names: str, id: str = "") -> str:
        """A record of the class; returns its id."""
        name = id or f"{patient}-{cls.replace('_', '-')}-{by}"
        made = records.MAKERS[cls](name, patient, date)
        self.put(made, by, patient, cls, *names, date=None if cls in records.UNDATED else date)
        return name

    def born(self, patient: str) -> tuple[int, int, int]:
        return people.born(patient, self.now)

    def delete(self, type: str, id: str) -> None:
        self.steps.append(Step(None, delete=(type, id)))

    def consent(self, id: str, patient: str, part: Part, days: float = 200, **more: Any) -> None:
        """A Consent that the resident (or ``performer``) gave ``days`` ago; only an active one means anything."""
        given = self.ago(days)
        by = more.pop("by", f"Patient/{patient}")
        made = consent(id, patient, part, given, **more)
        meant = rules(id, patient, part, given) if made["status"] == "active" else []
        names = named(part) - {"NOPAT"}  # whoever reads what it names can guess what there is
        self.steps.append(Step(made, by, patient, "consent", names, made["dateTime"], rules=tuple(meant)))

    def rule(self, resource: Resource, by: str, person: str, cls: str, date: str | None, *meant: Rule) -> None:
        """Another resource that gives access: what it is, and what it means."""
        keeper = by if "/" in by or not by else f"Organization/{by}"
        self.steps.append(Step(resource, keeper, person, cls, date=date, rules=meant))


@dataclass
class Loaded:
    """A store with a world in it, and the facts about each version of each resource."""

    store: SqliteStore
    extractor: Extractor
    facts: Facts
    now: datetime
    clock: list[int]
    current: dict[Key, Row] = field(default_factory=dict)
    given: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    resources: dict[tuple[str, str, int], Resource | None] = field(default_factory=dict)

    @property
    def today(self) -> tuple[int, int, int]:
        from zoneinfo import ZoneInfo

        local = datetime.fromtimestamp(self.clock[0] / 1e6, ZoneInfo("Asia/Shanghai"))
        return local.year, local.month, local.day

    def do(self, steps: Iterable[Step]) -> None:
        """Write the steps in order, one commit each."""
        for step in steps:
            if step.at:
                self.clock[0] = step.at
            self._do(step)

    def _do(self, step: Step) -> None:
        if step.delete is not None:
            type, id = step.delete
            before = self.current[step.delete]
            access = custodian(before.custodian)
            done = self.store.write_now(lambda tx: tx.delete(type, id), access)
            assert done is not None
            row = replace(before, version=done.version, deleted=True, date=None)
            key, resource = step.delete, None
        else:
            resource = step.resource
            assert resource is not None
            type, id = key = resource["resourceType"], resource["id"]
            ready = prepare(resource, id, self.extractor)
            done = self.store.write_now(lambda tx: tx.put(ready, "PUT"), custodian(step.by))
            row = Row(type, id, done.version, step.person, step.by, step.cls, step.names, moment(step.date))
        if key in self.current:
            # What is protected now was so in its earlier versions, too, and is of the same kind.
            self.facts.rows = [
                replace(old, sensitivity=old.sensitivity | row.sensitivity, cls=row.cls)
                if (old.type, old.id) == key
                else old
                for old in self.facts.rows
            ]
        self.facts.rows.append(row)
        self.current[key] = row
        self.resources[(*key, row.version)] = resource
        self.given[f"{key[0]}/{key[1]}"] = step.rules
        self.facts.rules = [rule for given in self.given.values() for rule in given]


def custodian(party: str) -> Access:
    """The server itself, writing in the name of ``party``."""
    return replace(Access.everything("leak suite"), party=party)


def open_store(folder: Path, clock: list[int]) -> tuple[SqliteStore, Extractor]:
    MasterKey.open(folder)  # as a server's first start does: its other files need one
    extractor = Extractor(load())
    return SqliteStore.open(folder, extractor, clock=lambda: clock[0]), extractor


def build(folder: Path, now: datetime | None = None) -> Loaded:
    """The world in a fresh store in ``folder``, at ``now`` (default: the present)."""
    at = (now or datetime.now(UTC)).replace(microsecond=0)
    clock = [micros(at)]
    store, extractor = open_store(folder, clock)
    made = Loaded(store, extractor, Facts(), at, clock)
    made.facts.memberships = people.memberships(at)
    made.facts.teams = people.teams()
    made.facts.born = {id: people.born(id, at) for id in people.RESIDENTS}
    made.do(steps(at))
    return made


# -- what is in it --------------------------------------------------------------------------------

HOMES = ("town-east", "town-west", "town-north")


def home(patient: str) -> str:
    """The township hospital where a resident is registered."""
    return HOMES[int(patient[1:]) % 3]


def steps(now: datetime) -> list[Step]:
    """All the steps of the world."""
    writer = Writer(now)
    for resource in people.resources(now):
        writer.nobody(resource)
    for number, id in enumerate(people.RESIDENTS):
        _file(writer, id, number)
    _sensitive(writer)
    _shared_between(writer)
    _changed(writer)
    _consents(writer)
    _teams(writer)
    _grounds(writer)
    return writer.steps


def _file(w: Writer, id: str, number: int) -> None:
    """The resident, and a record of each class at home and at the county hospital."""
    year, month, day = people.born(id, w.now)
    w.put(
        {
            "resourceType": "Patient",
            "id": id,
            "active": True,
            "name": [{"family": people.NAMES[number][0], "given": [people.NAMES[number][1:]]}],
            "gender": "male" if number % 2 else "female",
            "birthDate": f"{year:04}-{month:02}-{day:02}",
            "identifier": [
                {"system": f"urn:local:{by}", "value": f"{by}-{id}", "assigner": to("Organization", by)}
                for by in (home(id), "county")
            ],
            "address": [{"city": "长汀县", "text": f"{id} 号"}],
        },
        home(id),
        id,
        "identity",
    )
    known = tuple(grounds.registration(id, by) for by in (home(id), "county"))
    w.steps[-1] = replace(w.steps[-1], rules=known)
    at_home = ("allergy", "problem", "medication", "immunization", "vital_signs", "encounter", "survey", "financial")
    for cls in at_home:
        w.add(cls, id, home(id), f"2024-03-{10 + number:02}T09:00:00+08:00")
    w.add("laboratory", id, home(id), "2023-06-01T08:00:00+08:00")
    w.add("vital_signs", id, "village", None)
    at_county = (
        "laboratory", "imaging", "ecg", "pathology", "procedure", "encounter", "care_plan", "order", "other", "problem",
    )  # fmt: skip
    for cls in at_county:
        w.add(cls, id, "county", f"2025-0{1 + number % 9}-15T10:00:00+08:00")
    if number % 3 == 0:
        w.add("laboratory", id, "outside", "2024-12-31T23:30:00+08:00")
        _letter(w, id)


def _letter(w: Writer, id: str) -> None:
    """A discharge letter with its text as a Binary, its Provenance, and a List of the file."""
    date = "2025-05-05T12:00:00+08:00"
    letter = f"{id}-letter"
    about = to("DocumentReference", letter)
    w.put(records.document(letter, id, date, f"{id}-text"), "county", id, "document", date=date)
    text = records.binary(f"{id}-text", f"DocumentReference/{letter}", f"出院小结 {id}")
    w.put(text, "county", id, "document", date=None)
    w.put(
        {
            "resourceType": "Provenance",
            "id": f"{id}-provenance",
            "target": [about],
            "recorded": date,
            "agent": [{"who": to("Practitioner", "dr-county")}],
        },
        "county",
        id,
        "document",
        date=date,
    )
    w.put(
        {
            "resourceType": "List",
            "id": f"{id}-list",
            "status": "current",
            "mode": "working",
            "subject": to("Patient", id),
            "entry": [
                {"item": to("Observation", f"{id}-laboratory-county")},
                {"item": to("DocumentReference", letter)},
            ],
        },
        "county",
        id,
        "other",
    )


def _sensitive(w: Writer) -> None:
    """Items under special protection, one for each kind of label."""
    date = "2025-02-02T10:00:00+08:00"
    for patient, cls, names in (
        ("r4", "laboratory", ("HIV",)),
        ("r4", "problem", ("HIV",)),
        ("r2", "laboratory", ("HIV",)),
        ("r2", "document", ("NOPAT",)),
        ("r5", "problem", ("MENTAL", "SUBSTANCE")),
        ("r5", "medication", ("MENTAL",)),
        ("r7", "problem", ("MENTAL",)),
        ("r9", "encounter", ("ABUSE",)),
        ("r11", "laboratory", ("REPRODUCTION",)),
        ("r11", "encounter", ("MINOR",)),
        ("r12", "laboratory", ("GENETIC",)),
        ("r10", "laboratory", ("STD",)),
        ("r3", "procedure", ("RESTRICTED",)),
        ("r3", "procedure", ("RESTRICTED", "HIV")),  # the confidentiality is the label's
    ):
        kind = "-".join(name.lower() for name in names)
        w.add(cls, patient, "county", date, *names, id=f"{patient}-{cls.replace('_', '-')}-{kind}")
        if names == ("RESTRICTED", "HIV"):
            w.steps[-1] = replace(w.steps[-1], names=frozenset({"HIV"}))


def _shared_between(w: Writer) -> None:
    """Items that are about several persons, or hold others inside."""
    two = [to("Patient", "r2"), to("Patient", "r3")]
    w.put(
        {
            "resourceType": "Appointment",
            "id": "two-patients",
            "status": "booked",
            "start": "2025-04-01T09:00:00+08:00",
            "end": "2025-04-01T09:30:00+08:00",
            "participant": [{"actor": one, "status": "accepted"} for one in two],
        },
        "county",
        SEVERAL,
        "encounter",
        date="2025-04-01T09:00:00+08:00",
    )
    w.put(
        {
            "resourceType": "Group",
            "id": "group-of-two",
            "type": "person",
            "actual": True,
            "member": [{"entity": one} for one in two],
        },
        "county",
        SEVERAL,
        "other",
    )
    performed = records.MAKERS["laboratory"]("by-another", "r2", "2025-04-02T09:00:00+08:00")
    performed["performer"] = [to("Patient", "r10")]  # a relative measured: two compartments, one subject
    w.put(performed, "county", "r2", "laboratory", date="2025-04-02T09:00:00+08:00")
    inside = records.MAKERS["laboratory"]("with-contained", "r3", "2025-04-03T09:00:00+08:00")
    inside["contained"] = [{"resourceType": "Specimen", "id": "s", "type": records.concept("blood")}]
    inside["specimen"] = {"reference": "#s"}
    w.put(inside, "county", "r3", "laboratory", date="2025-04-03T09:00:00+08:00")
    panel = records.MAKERS["ecg"]("r3-panel", "r3", "2025-04-04T09:00:00+08:00")
    panel["result"] = [to("Observation", "with-contained"), to("Observation", "r3-laboratory-county")]
    panel["encounter"] = to("Encounter", "r3-encounter-county")
    w.put(panel, "county", "r3", "ecg", date="2025-04-04T09:00:00+08:00")
    focus = records.MAKERS["laboratory"]("r3-about-r2", "r3", "2025-04-05T09:00:00+08:00")
    focus["focus"] = [to("Patient", "r2")]  # focus makes no compartment
    w.put(focus, "county", "r3", "laboratory", date="2025-04-05T09:00:00+08:00")


def _changed(w: Writer) -> None:
    """Items with a past: amended, relabelled, deleted, restored."""
    date = "2025-06-01T10:00:00+08:00"
    for patient in ("r2", "r3"):
        lab = records.MAKERS["laboratory"](f"{patient}-amended", patient, date)
        w.put(lab, "county", patient, "laboratory", date=date)
        w.put({**lab, "status": "amended"}, "county", patient, "laboratory", date=date)
        w.put(lab, "county", patient, "laboratory", "STD", date=date)  # a label added later
        other = records.MAKERS["laboratory"](f"{patient}-declassified", patient, date)
        w.put(other, "county", patient, "laboratory", "MENTAL", date=date)
        w.put({**other, "status": "amended"}, "county", patient, "laboratory", date=date)
        gone = records.MAKERS["problem"](f"{patient}-gone", patient, date)
        w.put(gone, "county", patient, "problem", date=date)
        w.delete("Condition", f"{patient}-gone")
        back = records.MAKERS["problem"](f"{patient}-back", patient, date)
        w.put(back, home(patient), patient, "problem", date=date)
        w.delete("Condition", f"{patient}-back")
        w.put(back, home(patient), patient, "problem", date=date)


def _consents(w: Writer) -> None:
    """Consents of every kind, alone and against each other."""
    county, east, west, north, outside = (
        f"Organization/{id}" for id in ("county", "town-east", "town-west", "town-north", "outside")
    )
    alliance = (f"Organization/{people.ALLIANCE}",)
    w.consent("c2-general", "r2", Part(grantees=alliance), kind="sharing")
    w.consent("c3-county", "r3", Part(grantees=(county,)), kind="institution")
    w.consent(
        "c4-laboratory", "r4", Part(grantees=(county, east), classes=("laboratory", "imaging")), kind="record-class"
    )
    w.consent("c4-hiv", "r4", Part(grantees=(east,), classes=("laboratory",), names=("HIV",)), kind="sensitive")
    w.consent("c5-team", "r5", Part(grantees=("CareTeam/team-west",)), kind="care-team")
    w.consent("c5-team-old", "r5", Part(grantees=("CareTeam/team-old",)), kind="care-team")
    w.consent("c5-doctor", "r5", Part(grantees=("Practitioner/dr-cardio",), names=("MENTAL",)), kind="care-team")
    year = (date(2024, 1, 1), date(2024, 12, 31))
    w.consent("c6-year", "r6", Part(grantees=(east,), data=year), kind="data-period")
    one = "Observation/r6-laboratory-county"
    w.consent("c6-document", "r6", Part(grantees=(outside,), document=one), kind="document")
    w.consent("c6-custodian", "r6", Part(grantees=(north,), custodian=county))
    w.consent("c7-general", "r7", Part(grantees=alliance, names=("MENTAL",)), days=50)
    w.consent("c7-not-east", "r7", Part(permit=False, grantees=(east,)), kind="refusal")
    w.consent("c7-not-mental", "r7", Part(permit=False, names=("MENTAL",)), kind="refusal")
    w.consent(
        "c1-nested",
        "r1",
        Part(
            grantees=(west,),
            parts=(
                Part(
                    permit=False,
                    classes=("laboratory", "imaging"),
                    parts=(Part(classes=("laboratory",), custodian=county),),
                ),
            ),
        ),
    )
    _ended_consents(w, county, east)
    _contradictions(w, county, east)
    w.consent("c9-guardian", "r9", Part(grantees=(east,)), performer="Patient/r10", by="Patient/r10", kind="guardian")
    w.consent("c12-purpose", "r12", Part(grantees=(east, county), purposes=("REFER", "ETREAT")))


def _ended_consents(w: Writer, county: str, east: str) -> None:
    """What once was, will be, or never came into force."""
    past, soon = (w.ago(300), w.ago(1)), (w.ago(-1), w.ago(-300))
    w.consent("c8-past", "r8", Part(grantees=(county,), valid=past))
    w.consent("c8-future", "r8", Part(grantees=(county,), valid=soon))
    w.consent("c8-withdrawn", "r8", Part(grantees=(county,)))
    w.consent("c8-withdrawn", "r8", Part(grantees=(county,)), status="inactive")
    w.consent("c8-deleted", "r8", Part(grantees=(county,)))
    w.delete("Consent", "c8-deleted")
    for status in ("draft", "proposed", "rejected", "entered-in-error"):
        w.consent(f"c8-{status}", "r8", Part(grantees=(county,)), status=status)
    w.consent("c8-now", "r8", Part(grantees=(east,), classes=("ecg",), valid=(w.ago(1), w.ago(-1))))


def _contradictions(w: Writer, county: str, east: str) -> None:
    """Permits and refusals about the same rows: equal, narrower, wider, and narrower in different ways."""
    w.consent("c10-yes", "r10", Part(grantees=(county,), classes=("laboratory", "imaging", "ecg"), names=("STD",)))
    w.consent("c10-no", "r10", Part(permit=False, grantees=(county,), classes=("imaging",)), kind="refusal")
    w.consent("c10-nobody", "r10", Part(permit=False), kind="refusal")
    w.consent("c10-east", "r10", Part(grantees=(east,), custodian=county))
    w.consent("c10-no-laboratory", "r10", Part(permit=False, classes=("laboratory",)), kind="refusal")
    w.consent(
        "c10-one", "r10", Part(grantees=(east,), classes=("laboratory",), document="Observation/r10-laboratory-county")
    )


def _teams(w: Writer) -> None:
    for id, (members, status) in people.TEAMS.items():
        team = {
            "resourceType": "CareTeam",
            "id": id,
            "status": status,
            "name": id,
            "participant": [{"member": to("Practitioner", member)} for member in members],
        }
        w.put(team, "town-west", "", "care_plan")


def _grounds(w: Writer) -> None:
    """Every kind of access that needs no Consent."""
    county, visit = "Organization/county", "Encounter/r5-encounter-town-west"
    lab = "Observation/r{0}-laboratory-{1}"
    here = lab.format(8, "town-west")
    grounds.request(w, "referral", "referral-r8", "r8", "town-west", county, (here,))
    there = lab.format(7, "county")
    grounds.request(w, "consultation", "consult-r7", "r7", "county", "Practitioner/dr-outside", (there,))
    grounds.request(w, "diagnosis", "ecg-r5", "r5", "town-west", county, (visit,))
    grounds.request(w, "referral", "referral-old", "r8", "town-west", "Organization/town-north", (), days=100)
    grounds.task(w, "task-r6", "r6", "county", "Organization/town-north", lab.format(6, "county"))
    grounds.family_doctor(w, "family-r5", "r5", "town-west", ("dr-west", "dr-north"))
    grounds.guardian(w, "parent-r9", "r9", "r10", home("r9"))
    grounds.guardian(w, "parent-r11", "r11", "r10", home("r11"))
    grounds.guardian(w, "guardian-r12", "r12", "r2", home("r12"), adult=True)
    grounds.guardian(w, "former-r12", "r12", "r3", home("r12"), adult=True, ended=3)
    grounds.guardian(w, "parent-of-grown-up", "r4", "r3", home("r4"))
    grounds.break_glass(w, "glass-r10", "r10", "dr-east", "town-east")
    grounds.break_glass(w, "glass-r9", "r9", "dr-county", "county")
    grounds.break_glass(w, "glass-over", "r1", "dr-county", "county", hours_ago=25)
    grounds.approval(w, "approval-r9", "r9", "rec-county", "county")
    grounds.approval(w, "approval-refused", "r9", "quality-county", "county", status="rejected")
    grounds.statutory_report(w, "report-r4", "r4", "county", ("Condition/r4-problem-hiv",))
