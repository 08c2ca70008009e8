"""Search parameters of AuditEvent on the index of the chain, within what the asker may read of it.

https://hl7.org/fhir/R4/auditevent.html#search. ``purpose`` is ours. ``entity`` and ``agent-role`` are judged on the
entries themselves, among those that the other parameters leave.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from consent.access import Access
from fhir_server.audit.event import Event, Part
from fhir_server.audit.index import Found, Index
from fhir_server.audit.kinds import codes_with
from fhir_server.errors import BadRequest, TooCostly
from fhir_server.http.exchange import Pairs
from fhir_server.search.times import Reader

READS_ALL = frozenset({"auditor"})
READS_INSTITUTION = frozenset({"privacy-officer"})
_JUDGED_MOST = 20_000  # entries that one search looks into
PARAMETERS = frozenset(
    {"_id", "_lastUpdated", "action", "agent", "agent-role", "date", "entity", "outcome", "patient", "subtype", "type"}
)  # of FHIR; purpose is ours
_SHAPE = frozenset({"_format", "_pretty", "_total", "_summary", "_count", "_sort", "_cursor"})

_MOST_VALUES = 500
_PLACE = re.compile(r"([1-9]\d{0,17})-(0|[1-9]\d{0,8})", re.ASCII)

Test = Callable[[Event, Part], bool]


@dataclass(slots=True)
class Wanted:
    """What is asked: SQL conditions on ``part``, tests on the entries, and the page."""

    where: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)
    tests: list[Test] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)  # those named
    ignored: list[str] = field(default_factory=list)
    count: int = 20
    newest_first: bool = True
    only_count: bool = False
    total: bool = True
    cursor: str = ""
    applied: list[tuple[str, str]] = field(default_factory=list)

    def add(self, condition: str, *values: object) -> None:
        """Another condition."""
        self.where.append(condition)
        self.values += values


@dataclass(frozen=True, slots=True)
class Reading:
    """What of the log an access opens. ``patients``: ids of the people whose entries; None for no bound."""

    patients: tuple[str, ...] | None = None
    institution: str = ""
    agent: str = ""
    nothing: bool = False

    def condition(self) -> tuple[str, list[object]]:
        """It as SQL on ``part``."""
        if self.nothing:
            return "0", []
        if self.institution:
            inside = (
                "EXISTS(SELECT 1 FROM involved i WHERE i.institution=? AND i.seq=part.seq AND i.number=part.number)"
            )
            return inside, [self.institution]
        if self.patients is None:
            return "1", []
        marks = ",".join("?" * len(self.patients))
        return f"(patient IN ({marks}) OR (patient='' AND agent=?))", [*self.patients, self.agent]

    def guards(self, patient: str) -> bool:
        """Whether a resident reads of this patient as a guardian."""
        return self.patients is not None and bool(patient) and f"Patient/{patient}" != self.agent


def reading(access: Access, letter: str, wards: Sequence[str] = ()) -> Reading:
    """What of the log this access reads: residents of themselves and their ``wards``, officers, auditors all."""
    if access.unrestricted:
        return Reading()
    reaching = [s for s in access.scopes if letter in s.letters and s.type in ("*", "AuditEvent") and not s.query]
    if not reaching:
        return Reading(nothing=True)
    if access.person:
        patients = (access.person, *wards)
        if access.patient and all(scope.context == "patient" for scope in reaching):
            patients = tuple(id for id in patients if id == access.patient)
        return Reading(patients, agent=f"Patient/{access.person}")
    if all(scope.context == "patient" for scope in reaching):
        return Reading(nothing=True)
    if access.role in READS_ALL:
        return Reading()
    if access.role in READS_INSTITUTION and access.party.startswith("Organization/"):
        return Reading(institution=access.party.removeprefix("Organization/"))
    return Reading(nothing=True)


class Parameters:
    """Reads the parameters. ``patient_of(type, id)``: in whose file a resource is, '' where that is not known."""

    def __init__(self, dates: Reader, patient_of: Callable[[str, str], str], page: int, page_max: int) -> None:
        self._dates = dates
        self._patient_of = patient_of
        self._page = page
        self._page_max = page_max
        self._readers: dict[str, Callable[[Wanted, str], None]] = {
            "_id": self._id,
            "patient": self._patient,
            "agent": self._agent,
            "agent-role": self._role,
            "entity": self._entity,
            "action": lambda wanted, text: self._token(wanted, "action", text, str.upper),
            "outcome": lambda wanted, text: self._token(wanted, "outcome", text, _outcome),
            "purpose": lambda wanted, text: self._token(wanted, "purpose", text, str),
            "type": self._kind,
            "subtype": self._kind,
            "date": self._date,
            "_lastUpdated": self._date,
        }

    def read(self, pairs: Pairs, lenient: bool) -> Wanted:
        """What the pairs ask. Raises BadRequest for what cannot be understood, or is unknown unless ``lenient``."""
        wanted = Wanted(count=self._page)
        if sum(1 + text.count(",") for _, text in pairs) > _MOST_VALUES:
            raise BadRequest(f"A search of AuditEvent has at most {_MOST_VALUES} values", "http")
        for name, text in pairs:
            if name in _SHAPE:
                self._shape(wanted, name, text)
                continue
            reader = self._readers.get("patient" if name == "patient:Patient" else name)
            if reader is None:
                if not lenient:
                    known = ", ".join(self._readers)
                    raise BadRequest(f"AuditEvent is not searched by '{name}'; there are {known}", f"http.{name}")
                wanted.ignored.append(f"{name}={text}")
                continue
            if text:
                reader(wanted, text)
                wanted.applied.append((name, text))
        return wanted

    def _shape(self, wanted: Wanted, name: str, text: str) -> None:
        if name == "_count":
            if not (text.isascii() and text.isdigit()):
                raise BadRequest("_count must be a whole number", "http._count")
            wanted.count = min(int(text), self._page_max) if len(text) < 10 else self._page_max
            wanted.only_count = wanted.count == 0
            wanted.applied.append((name, str(wanted.count)))
        elif name == "_sort":
            if text.lstrip("-") not in ("date", "_lastUpdated"):
                raise BadRequest("AuditEvent is sorted by date or -date", "http._sort")
            wanted.newest_first = text.startswith("-")
            wanted.applied.append((name, text))
        elif name == "_summary":
            if text not in ("count", "false"):
                raise BadRequest("_summary of AuditEvent is count or false", "http._summary")
            wanted.only_count |= text == "count"
        elif name == "_total":
            wanted.total = text != "none"
        elif name == "_cursor":
            wanted.cursor = text

    def _id(self, wanted: Wanted, text: str) -> None:
        places = [place for one in text.split(",") if (place := place_of(one)) is not None]
        wanted.add(f"(seq, number) IN (VALUES {','.join('(?,?)' for _ in places) or '(0,0)'})")
        wanted.values += [number for place in places for number in place]

    def _patient(self, wanted: Wanted, text: str) -> None:
        ids = [_bare(one, "Patient") for one in text.split(",")]
        marks = ",".join("?" * len(ids))
        wanted.add(f"(patient IN ({marks}) OR agent IN ({marks}))", *ids, *(f"Patient/{id}" for id in ids))
        wanted.patients += ids

    def _agent(self, wanted: Wanted, text: str) -> None:
        some: list[str] = []
        for one in text.split(","):
            type, slash, id = _relative(one).partition("/")
            if type == "Organization" and slash:
                some.append("institution=?")
                wanted.values.append(id)
            elif slash:
                some.append("agent=?")
                wanted.values.append(f"{type}/{id}")
            else:
                some.append("(institution=? OR agent IN (?,?,?))")
                wanted.values += [type, f"Practitioner/{type}", f"Patient/{type}", f"Device/{type}"]
        wanted.where.append(f"({' OR '.join(some)})")

    def _role(self, wanted: Wanted, text: str) -> None:
        roles = {one.rpartition("|")[2] for one in text.split(",")}
        wanted.tests.append(lambda event, part: event.who.role in roles)

    def _entity(self, wanted: Wanted, text: str) -> None:
        references = [_relative(one) for one in text.split(",")]
        people = [one.removeprefix("Patient/") for one in references if one.startswith("Patient/")]
        if len(people) == len(references):
            marks = ",".join("?" * len(people))
            wanted.add(f"patient IN ({marks})", *people)
            return
        owners = {self._patient_of(*one.split("/")[:2]) for one in references if "/" in one}
        if owners and "" not in owners:
            wanted.add(f"patient IN ({','.join('?' * len(owners))})", *sorted(owners))
        sought = set(references)
        wanted.tests.append(
            lambda event, part: any(
                f"{item.type}/{item.id}" in sought or f"{item.type}/{item.id}/_history/{item.version}" in sought
                for item in part.items
            )
        )

    def _token(self, wanted: Wanted, column: str, text: str, convert: Callable[[str], object]) -> None:
        values = []
        for one in text.split(","):
            try:
                values.append(convert(one.rpartition("|")[2]))
            except ValueError:
                raise BadRequest(f"'{one}' is no {column}", f"http.{column}") from None
        wanted.add(f"{column} IN ({','.join('?' * len(values))})", *values)

    def _kind(self, wanted: Wanted, text: str) -> None:
        codes: set[str] = set()
        for one in text.split(","):
            system, _, code = one.rpartition("|")
            codes.update(codes_with(system, code))
        wanted.add(f"code IN ({','.join('?' * len(codes))})", *sorted(codes))

    def _date(self, wanted: Wanted, text: str) -> None:
        some: list[str] = []
        for one in text.split(","):
            prefix = one[:2] if one[:2].isalpha() else "eq"
            interval = self._dates(one[2:] if one[:2].isalpha() else one)
            if interval is None or prefix not in _RANGES:
                raise BadRequest(f"'{one}' is no date", "http.date")
            condition, ends = _RANGES[prefix]
            some.append(condition)
            wanted.values += [interval[end] for end in ends]
        wanted.where.append(f"({' OR '.join(some)})")


# Prefixes on an instant against the interval [low, high) that a date stands for.
_RANGES: dict[str, tuple[str, tuple[int, ...]]] = {
    "eq": ("(time>=? AND time<?)", (0, 1)),
    "ap": ("(time>=? AND time<?)", (0, 1)),
    "ne": ("(time<? OR time>=?)", (0, 1)),
    "gt": ("time>=?", (1,)),
    "sa": ("time>=?", (1,)),
    "ge": ("time>=?", (0,)),
    "lt": ("time<?", (0,)),
    "eb": ("time<?", (0,)),
    "le": ("time<?", (1,)),
}


def _outcome(text: str) -> int:
    if text not in ("0", "4", "8", "12"):  # http://hl7.org/fhir/audit-event-outcome
        raise ValueError(text)
    return int(text)


def place_of(id: str) -> tuple[int, int] | None:
    """Entry and part of an AuditEvent's id, or None for what is none."""
    match = _PLACE.fullmatch(id)
    return (int(match[1]), int(match[2])) if match else None


def _relative(reference: str) -> str:
    """``Type/id`` of an absolute or relative reference; a bare id stays one."""
    parts = reference.split("/")
    if len(parts) >= 4 and parts[-2] == "_history":
        return "/".join(parts[-4:])
    return "/".join(parts[-2:]) if len(parts) > 1 else reference


def _bare(reference: str, type: str) -> str:
    return _relative(reference).removeprefix(f"{type}/")


@dataclass(frozen=True, slots=True)
class Answer:
    """One page: what was found, how many there are in all (None: not asked), and where the next begins."""

    found: Sequence[tuple[Found, Event, Part]]
    total: int | None
    cursor: str


def search(index: Index, wanted: Wanted, read: Reading) -> Answer:
    """The page that is wanted, of what may be read. Raises BadRequest for a cursor that is none, TooCostly."""
    bound, values = read.condition()
    where = " AND ".join([bound, *wanted.where])
    values = [*values, *wanted.values]
    start, snapshot = _start(wanted.cursor)
    snapshot = snapshot or index.last()
    where += " AND seq<=?"
    values.append(snapshot)
    descending = "DESC" if wanted.newest_first else "ASC"
    order = f"ORDER BY time {descending}, seq {descending}, number {descending}"
    if wanted.tests:
        return _judged(index, wanted, where, values, order, start, snapshot)
    total = None
    if wanted.total or wanted.only_count:
        rows = index.select(f"SELECT count(*) FROM part WHERE {where}", values)
        total = int(str(rows[0][0]))
    if wanted.only_count:
        return Answer((), total, "")
    if start:
        where += f" AND (time, seq, number) {'<' if wanted.newest_first else '>'} (?,?,?)"
        values += start
    sql = f"SELECT seq, number, time FROM part WHERE {where} {order} LIMIT ?"
    found = [_found(row) for row in index.select(sql, [*values, wanted.count + 1])]
    return _page(index, found, wanted.count, total, snapshot)


def _judged(
    index: Index,
    wanted: Wanted,
    where: str,
    values: Sequence[object],
    order: str,
    start: tuple[int, int, int] | None,
    snapshot: int,
) -> Answer:
    """The page of a search whose tests look into the entries."""
    sql = f"SELECT seq, number, time FROM part WHERE {where} {order} LIMIT ?"
    candidates = [_found(row) for row in index.select(sql, [*values, _JUDGED_MOST + 1])]
    if len(candidates) > _JUDGED_MOST:
        raise TooCostly("this looks into too many entries: narrow it by patient, agent or date")
    passed = []
    for one in candidates:
        told = index.part(one.seq, one.number)
        if told is not None and all(test(*told) for test in wanted.tests):
            passed.append(one)
    total = len(passed)
    if wanted.only_count:
        return Answer((), total, "")
    if start:
        later = [(one.time, one.seq, one.number) for one in passed]
        passed = [
            one for one, key in zip(passed, later, strict=True) if (key < start if wanted.newest_first else key > start)
        ]
    return _page(index, passed[: wanted.count + 1], wanted.count, total if wanted.total else None, snapshot)


def _page(index: Index, found: Sequence[Found], count: int, total: int | None, snapshot: int) -> Answer:
    more = len(found) > count
    shown = [(one, *told) for one in found[:count] if (told := index.part(one.seq, one.number)) is not None]
    cursor = ""
    if more:
        last = found[count - 1]
        text = f"{last.time}.{last.seq}.{last.number}.{snapshot}"
        cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return Answer(shown, total, cursor)


def _found(row: Sequence[object]) -> Found:
    seq, number, time = (int(str(value)) for value in row)
    return Found(seq, number, time)


def _start(cursor: str) -> tuple[tuple[int, int, int] | None, int]:
    """Where a page begins, and up to which entry its search looks. Who may read what is judged on every page."""
    if not cursor:
        return None, 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        time, seq, number, snapshot = (int(part) for part in text.split("."))
    except (ValueError, binascii.Error, UnicodeDecodeError):
        raise BadRequest("This is no page of the audit log", "http._cursor") from None
    if not all(abs(value) < 1 << 62 for value in (time, seq, number, snapshot)):
        raise BadRequest("This is no page of the audit log", "http._cursor")
    return (time, seq, number), snapshot
