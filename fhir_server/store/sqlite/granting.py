"""What a written resource does to access: its rules and memberships, filed in the commit that writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from consent.compile import ADULT, CONSENTS_ITSELF, GRANTING, Facts, grants_of
from consent.grant import ALWAYS, EVERYONE
from consent.membership import GROUPING, memberships_of
from consent.times import birthday
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.schema import ALIVE
from fhir_server.store.sqlite.sql import marks

Lid = Callable[[str, str], int]
RULING = GRANTING | GROUPING | {"Patient"}
_CONTRACT = ("status", "category", "subject", "participant", "period")  # what a family-doctor contract says
_GRANT = f"INSERT INTO grants VALUES({','.join('?' * 19)})"


class Filed(NamedTuple):
    """Where a resource with rules stands: its number, in whose file, whose item, and whether it is its own proof.

    ``custodian``: reference to who wrote it; ``trusted``: written by the server itself, or without restriction.
    """

    lid: int
    person: int
    custodian: str
    trusted: bool


class Granting:
    """Files the rules of resources; used in the writer's open transaction."""

    def __init__(self, connection: sqlite3.Connection, lid: Lid) -> None:
        self._connection = connection
        self._lid = lid

    def file(self, resource: dict[str, Any], filed: Filed, now: int) -> None:
        """Replace the rules and memberships of the resource by those of its new version.

        It gives rules for the file that it is in, whatever it names.
        """
        type_, lid = resource["resourceType"], filed.lid
        if type_ in GRANTING:
            self._forget("grants", lid)
            facts = self.facts(filed.person, filed.custodian, filed.trusted, now)
            rows = []
            for n, g in enumerate(grants_of(resource, facts)):
                grantee = 0 if g.grantee == EVERYONE else self._of(g.grantee)
                pat, org, doc = self._lid("Patient", g.patient), self._of(g.custodian), self._of(g.document)
                if pat <= 0 or pat != filed.person or (grantee <= 0 and g.grantee != EVERYONE):
                    continue
                numbers = (int(g.purposes), int(g.classes), int(g.sensitivity), g.low, g.high, g.data_low, g.data_high)
                last = (g.given, g.specificity, g.depth, int(g.overriding))
                rows.append((pat, grantee, lid, n, int(g.permit), g.kind, *numbers, org, doc, *last))
            self._connection.executemany(_GRANT, rows)
            self._ruled(lid)
        if type_ in GROUPING:
            before = self._since(lid)
            self._regroup(lid)
            members = []
            for n, m in enumerate(memberships_of(resource)):
                party, group = self._of(m.party), self._of(m.group)
                # What was consented to a group is for those who were in it then (PIPL 23): nobody comes in backdated.
                low = m.low if filed.trusted else max(m.low, min(now, before.get((party, group), now)))
                members.append((party, group, lid, n, low, m.high))
            self._connection.executemany("INSERT INTO member VALUES(?,?,?,?,?,?)", members)

    def _since(self, lid: int) -> dict[tuple[int, int], int]:
        """Since when the resource has stated its memberships (party, group)."""
        found = self._connection.execute(
            "SELECT party, grantee, min(low) FROM member WHERE src=? GROUP BY 1, 2", (lid,)
        )
        return {(party, group): low for party, group, low in found}

    def facts(self, person: int, custodian: str, trusted: bool, now: int) -> Facts:
        """What a resource in the file of ``person``, written by ``custodian``, does not say itself."""
        return Facts(
            custodian=custodian,
            trusted=trusted,
            now=now,
            born=self.born,
            alliance=self.alliance,
            guardians=lambda: self._guardians(person, now),
        )

    def _guardians(self, person: int, now: int) -> frozenset[str]:
        """The guardians of a person now: their Patients, and the RelatedPersons that say so."""
        found = self._connection.execute(
            "SELECT DISTINCT e.id, s.id FROM grants g JOIN ent e ON e.lid=g.grantee JOIN ent s ON s.lid=g.src"
            " WHERE g.pat=? AND g.kind='guardian' AND g.permit=1 AND g.low<=? AND g.high>?",
            (person, now, now),
        ).fetchall()
        return frozenset(name for one, by in found for name in (f"Patient/{one}", f"RelatedPerson/{by}"))

    def trust(self, lid: int, trusted: bool, resource: dict[str, Any], before: Mapping[str, Any] | None) -> bool:
        """Note whether the new version of a resource is its own proof; it is told.

        A team whose contract the server filed keeps it while a client changes nothing of it.
        """
        if resource["resourceType"] == "Patient":  # that it is registered somewhere needs no proof
            return trusted
        if not trusted and resource["resourceType"] == "CareTeam" and before is not None and self.trusted(lid):
            trusted = all(resource.get(name) == before.get(name) for name in _CONTRACT)
        run = self._connection.execute
        if trusted:
            run("INSERT OR IGNORE INTO trusted VALUES(?)", (lid,))
        else:
            run("DELETE FROM trusted WHERE lid=?", (lid,))
        return trusted

    def trusted(self, lid: int) -> bool:
        """Whether the present version of a resource is its own proof."""
        return self._connection.execute("SELECT 1 FROM trusted WHERE lid=?", (lid,)).fetchone() is not None

    def adolescent(self, person: int, now: int) -> bool:
        """Whether a person of this number is 14 to 17 years old at ``now`` (µs): decides about the own file."""
        row = self._connection.execute("SELECT born FROM person WHERE pat=?", (person,)).fetchone()
        born = None if row is None else _last_day(row[0])
        return born is not None and birthday(born, CONSENTS_ITSELF) <= now < birthday(born, ADULT)

    def drop(self, type_: str, lid: int) -> None:
        """The resource is deleted: its rules end."""
        if type_ in GRANTING:
            self._forget("grants", lid)
        if type_ in GROUPING:
            self._regroup(lid)

    def person(self, resource: dict[str, Any], lid: int) -> bool:
        """Note what access needs to know of a Patient; whether the date of birth changed."""
        born = resource.get("birthDate")
        born = born if isinstance(born, str) else None
        before = self._connection.execute("SELECT born FROM person WHERE pat=?", (lid,)).fetchone()
        if before is not None and before[0] == born:
            return False
        self._connection.execute("INSERT OR REPLACE INTO person VALUES(?,?,?)", (lid, born, self._adult(born)))
        return before is None or before[0] != born

    def born(self, patient: str) -> date | None:
        """The date of birth of the Patient of this id, the last day of a year or month that alone is known."""
        row = self._connection.execute(
            "SELECT born FROM person WHERE pat=?", (self._lid("Patient", patient),)
        ).fetchone()
        return None if row is None else _last_day(row[0])

    def alliance(self, reference: str) -> bool:
        """Whether the reference is to an Organization that others are affiliated to."""
        if not reference.startswith("Organization/"):
            return False
        found = self._connection.execute("SELECT 1 FROM member WHERE grantee=? LIMIT 1", (self._of(reference),))
        return found.fetchone() is not None

    def resting_on(self, patient: int, type_: str, names: Names) -> list[int]:
        """The resources (lids) whose rules depend on the person's date of birth (``type_`` Patient) or guardians."""
        found: list[int] = []
        for one in ("RelatedPerson", "Consent") if type_ == "Patient" else ("Consent",):
            p = names.param(names.type(one), "patient")
            rows = self._connection.execute(
                "SELECT r.lid FROM ref x CROSS JOIN res r ON r.rid=x.rid"
                f" WHERE x.p=? AND x.key=? AND r.till={ALIVE} AND r.body IS NOT NULL",
                (p, patient),
            )
            found += [lid for (lid,) in rows]
        return found

    def wards(self, guardians: tuple[int, ...], now: int) -> frozenset[int]:
        """The persons (lids) whose guardian is one of these now."""
        found = self._connection.execute(
            f"SELECT pat FROM grants WHERE grantee IN ({marks(len(guardians))})"
            " AND kind='guardian' AND low<=? AND high>?",
            (*guardians, now, now),
        ).fetchall()
        return frozenset(pat for (pat,) in found)

    def _adult(self, born: str | None) -> int:
        """When (µs) the person is of age; never where the date of birth is not known.

        Until then the file is open only to those who treat, or by approval (未成年人网络保护条例 36).
        """
        day = _last_day(born)
        if day is None:
            return ALWAYS
        return birthday(day, ADULT)

    def _regroup(self, lid: int) -> None:
        self._forget("member", lid)
        self._connection.execute("UPDATE state SET value=value+1 WHERE name='standing'")

    def _of(self, reference: str) -> int:
        type_, _, id_ = reference.partition("/")
        return self._lid(type_, id_) if id_ else 0

    def _ruled(self, lid: int) -> None:
        """Tell whose rules the resource ``lid`` gives."""
        self._connection.execute("INSERT INTO ruled(pat) SELECT DISTINCT pat FROM grants WHERE src=?", (lid,))

    def _forget(self, table: str, lid: int) -> None:
        if table == "grants":
            self._ruled(lid)
        self._connection.execute(f"DELETE FROM {table} WHERE src=?", (lid,))


def _last_day(born: str | None) -> date | None:
    """The last day that a FHIR date may mean."""
    try:
        match (born or "").split("-"):
            case [year, month, day]:
                return date(int(year), int(month), int(day))
            case [year, month]:
                return date(int(year) + int(month) // 12, int(month) % 12 + 1, 1) - timedelta(days=1)
            case [year] if year:
                return date(int(year), 12, 31)
    except ValueError:
        pass
    return None
