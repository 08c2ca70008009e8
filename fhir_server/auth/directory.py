"""Directory: what the records say about the people who sign in, read anew at each sign-in and refresh.

Staff: the active PractitionerRoles of their Practitioner (organization, code in urn:yidang:role, period); residents:
themselves and their wards. https://hl7.org/fhir/R4/practitionerrole.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from consent import Access
from consent.requester import Requester
from consent.vocabulary import ROLE, ROLES
from fhir_server.auth.accounts import Account, get
from fhir_server.auth.file import AuthFile
from fhir_server.records.health_code import read_code
from fhir_server.records.matching.person import HEALTH_CODE
from fhir_server.search.extract import Extractor
from fhir_server.search.parse import parse as parse_search
from fhir_server.search.times import interval_reader
from fhir_server.store.protocol import Store
from profiles.lossless import parse

_ORGANIZATION_TYPE = "http://terminology.hl7.org/CodeSystem/organization-type"
_REFERENCE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")
_PATIENT = re.compile(r"(?:Patient/)?([A-Za-z0-9\-.]{1,64})", re.ASCII)
_MOST_ROLES = 100
_MOST_STEPS = 5  # from a department up to its institution, from a merged Patient to the one that is kept


@dataclass(frozen=True, slots=True)
class Position:
    """One role at one institution; ``role_id`` is the PractitionerRole."""

    role_id: str
    role: str
    institution: str
    institution_name: str
    department: str = ""
    department_name: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """One Patient, with as much as is needed to choose the right one."""

    id: str
    name: str
    born: str = ""


class Directory(Protocol):
    """What sign-in asks of the records."""

    async def positions(self, practitioner: str) -> Sequence[Position]:
        """What the Practitioner may act as at present; empty when nothing."""
        ...

    async def people(self, patient: str) -> Sequence[Person]:
        """The resident, then the wards; empty when there is no such living Patient."""
        ...

    async def find(self, requester: Requester, text: str) -> Person | None:
        """The Patient whom ``text`` (an id or a health code) names, if ``requester`` may see that there is one."""
        ...

    async def patient(self, requester: Requester, id: str) -> Person | None:
        """The Patient of this id, if ``requester`` may see that there is one."""
        ...

    async def name(self, reference: str) -> str:
        """The name of a Practitioner or Patient; '' when it is not known."""
        ...


class RecordDirectory:
    """The directory of the record store.

    ``access_of``: the Access of a requester. ``wards``: from a guardian's Patient id to those of the wards.
    """

    def __init__(
        self,
        store: Store,
        extractor: Extractor,
        access_of: Callable[[Requester], Access],
        wards: Callable[[str], Sequence[str]],
        clock: Callable[[], int],
        zone: str,
    ) -> None:
        self._store = store
        self._extractor = extractor
        self._access_of = access_of
        self._wards = wards
        self._clock = clock
        self._interval = interval_reader(zone)
        self._access = Access.everything("who may sign in as what")

    async def positions(self, practitioner: str) -> Sequence[Position]:
        """What the Practitioner may act as at present."""
        person = self._read("Practitioner", practitioner)
        if person is None or person.get("active") is False:
            return ()
        pairs = [("practitioner", f"Practitioner/{practitioner}"), ("_count", str(_MOST_ROLES))]
        query = parse_search(["PractitionerRole"], pairs, self._extractor).query
        page = await self._store.search(query, self._access)
        found: dict[tuple[str, str, str], Position] = {}
        for stored in page.matches:
            if stored.body is not None:
                for position in self._positions_of(parse(stored.body), stored.id):
                    found.setdefault((position.institution, position.department, position.role), position)
        return sorted(found.values(), key=lambda one: (one.institution_name, one.institution, one.department, one.role))

    def _positions_of(self, role: dict[str, Any], id: str) -> list[Position]:
        organization = _referred(role.get("organization"), "Organization")
        if role.get("active") is False or not organization or not self._is_now(role.get("period")):
            return []
        codes = [
            coding.get("code", "")
            for concept in role.get("code", ())
            for coding in concept.get("coding", ())
            if coding.get("system") == ROLE and coding.get("code") in ROLES
        ]
        place = self._place(organization)
        if place is None:
            return []
        return [Position(id, code, *place) for code in dict.fromkeys(codes)]

    def _place(self, organization: str) -> tuple[str, str, str, str] | None:
        """Id and name of the institution, and of the department where ``organization`` is one of its parts."""
        department, department_name = "", ""
        id = organization
        for _ in range(_MOST_STEPS):
            found = self._read("Organization", id)
            if found is None or found.get("active") is False:
                return None
            if not _is_department(found):
                return id, str(found.get("name", id)), department, department_name
            department, department_name = department or id, department_name or str(found.get("name", id))
            id = _referred(found.get("partOf"), "Organization")
            if not id:
                return None
        return None

    def _is_now(self, period: dict[str, Any] | None) -> bool:
        """Whether a Period includes this moment; one that cannot be read does not."""
        if period is None:
            return True
        now = self._clock()
        bounds = {key: self._interval(str(period[key])) for key in ("start", "end") if key in period}
        if None in bounds.values():
            return False
        start, end = bounds.get("start") or (now, now), bounds.get("end") or (now, now + 1)
        return start[0] <= now < end[1]

    def holds(self, requester: Requester) -> bool:
        """Whether a member of staff still has the role by which the token was issued (True where it names none)."""
        if not requester.role_id:
            return True
        person = self._read(*requester.subject.split("/", 1)) if "/" in requester.subject else None
        role = self._read("PractitionerRole", requester.role_id)
        if person is None or person.get("active") is False or role is None:
            return False
        same = f"Practitioner/{_referred(role.get('practitioner'), 'Practitioner')}" == requester.subject
        asked = (requester.institution, requester.department, requester.role)
        found = self._positions_of(role, requester.role_id) if same else ()
        return asked in {(one.institution, one.department, one.role) for one in found}

    async def people(self, patient: str) -> Sequence[Person]:
        """The resident (of merged Patients the one that is kept), then the wards by name."""
        own = self._living(patient)
        if own is None:
            return ()
        wards = [self._living(id) for id in self._wards(own.id)]
        others = {ward.id: ward for ward in wards if ward is not None and ward.id != own.id}
        return (own, *sorted(others.values(), key=lambda one: (one.born, one.name, one.id)))

    def _living(self, id: str) -> Person | None:
        for _ in range(_MOST_STEPS):
            found = self._read("Patient", id)
            if found is None:
                return None
            kept = [link for link in found.get("link", ()) if link.get("type") == "replaced-by"]
            if not kept:
                break
            id = _referred(kept[0].get("other"), "Patient")
        else:
            return None
        gone = found.get("active") is False or "deceasedDateTime" in found or found.get("deceasedBoolean") is True
        return None if gone else _person(found, id)

    async def find(self, requester: Requester, text: str) -> Person | None:
        """The Patient whom ``text`` names, read on behalf of ``requester``."""
        access = self._access_of(requester)
        if code := read_code(text):
            pairs = [("identifier", f"{HEALTH_CODE}|{code}"), ("_count", "2")]
            page = await self._store.search(parse_search(["Patient"], pairs, self._extractor).query, access)
            if len(page.matches) == 1 and (body := page.matches[0].body) is not None:
                return _person(parse(body), page.matches[0].id)
        match = _PATIENT.fullmatch(text.strip())
        return await self.patient(requester, match[1]) if match else None

    async def patient(self, requester: Requester, id: str) -> Person | None:
        """The Patient of this id, read on behalf of ``requester``."""
        stored = self._store.read("Patient", id, self._access_of(requester))
        return _person(parse(stored.body), stored.id) if stored is not None and stored.body is not None else None

    async def name(self, reference: str) -> str:
        """The name of a Practitioner or Patient."""
        type, _, id = reference.partition("/")
        found = self._read(type, id)
        return "" if found is None else name_of(found)

    def _read(self, type: str, id: str) -> dict[str, Any] | None:
        stored = self._store.read(type, id, self._access) if id else None
        if stored is None or stored.body is None:
            return None
        resource: dict[str, Any] = parse(stored.body)
        return resource


def _referred(reference: Any, type: str) -> str:
    """The id in a Reference to a resource of ``type`` here; '' when it is none."""
    match = _REFERENCE.fullmatch(str((reference or {}).get("reference", "")))
    return match[2] if match and match[1] == type else ""


def _is_department(organization: dict[str, Any]) -> bool:
    return any(
        coding.get("system") == _ORGANIZATION_TYPE and coding.get("code") == "dept"
        for concept in organization.get("type", ())
        for coding in concept.get("coding", ())
    )


def _person(patient: dict[str, Any], id: str) -> Person:
    return Person(id, name_of(patient), str(patient.get("birthDate", "")))


def name_of(resource: dict[str, Any]) -> str:
    """The name as it is written: the text, or family and given names."""
    for name in resource.get("name", ()):
        if name.get("text"):
            return str(name["text"])
        parts = [*([name["family"]] if "family" in name else []), *name.get("given", ())]
        if parts:
            chinese = any(ord(character) >= 0x3400 for part in parts for character in part)
            return ("" if chinese else " ").join(map(str, parts))
    return ""


async def standing(auth_file: AuthFile, directory: Directory, account: Account) -> Sequence[Position]:
    """What a member of staff may act as now; noted in auth.db, so that tokens of what has ended end."""
    positions = await directory.positions(account.subject)
    wanted = {(one.institution, one.department, one.role): one.role_id for one in positions}
    rows = auth_file.rows(
        "SELECT institution, department, role, role_id FROM account_roles WHERE account = ?", account.id
    )
    noted = {(row["institution"], row["department"], row["role"]): row["role_id"] for row in rows}
    if noted != wanted:
        with auth_file.write() as connection:
            for key in noted.keys() - wanted.keys():
                connection.execute(
                    "DELETE FROM account_roles WHERE account = ? AND institution = ? AND department = ? AND role = ?",
                    (account.id, *key),
                )
            for key, role_id in wanted.items():
                connection.execute(
                    "INSERT INTO account_roles(account, institution, department, role, role_id) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET role_id = excluded.role_id WHERE role_id <> excluded.role_id",
                    (account.id, *key, role_id),
                )
    return positions


async def still_stands(auth_file: AuthFile, directory: Directory, id: str, requester: Requester) -> bool:
    """Whether the account ``id`` still is what a token says: in that role; a living resident, guardian of the ward.

    Asked when tokens are refreshed; ends the tokens of roles that have ended.
    """
    account = get(auth_file, id)
    if account is None or not account.usable(time.time()):
        return False
    if account.kind == "staff":
        asked = (requester.institution, requester.department, requester.role)
        positions = await standing(auth_file, directory, account)
        return asked in {(one.institution, one.department, one.role) for one in positions}
    people = await directory.people(account.subject)
    if not people or people[0].id != requester.person:
        return False
    return not requester.patient or requester.patient in {person.id for person in people}
