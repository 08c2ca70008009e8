"""What a written resource does to access: its rules and memberships, filed in the commit that writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from consent.compile import GRANTING, Facts, grants_of
from consent.grant import ALWAYS, EVERYONE
from consent.membership import GROUPING, memberships_of
from fhir_server.store.sqlite.sql import marks

Lid = Callable[[str, str], int]
RULING = GRANTING | GROUPING | {"Patient"}
ADULT_YEARS = (
    14  # under it the file of a minor is open only to those who treat, or by approval (未成年人网络保护条例 36)
)
_GRANT = f"INSERT INTO grants VALUES({','.join('?' * 19)})"


class Granting:
    """Files the rules of resources; used in the writer's open transaction."""

    def __init__(self, connection: sqlite3.Connection, lid: Lid, zone: ZoneInfo) -> None:
        self._connection = connection
        self._lid = lid
        self._zone = zone

    def file(self, resource: dict[str, Any], lid: int, custodian: str, trusted: bool, now: int) -> None:
        """Replace the rules and memberships of the resource ``lid`` by those of its new version.

        ``custodian``: reference to who wrote it; ``trusted``: not a client's own word.
        """
        type_ = resource["resourceType"]
        if type_ in GRANTING:
            self._forget("grants", lid)
            facts = Facts(custodian=custodian, trusted=trusted, now=now, born=self.born, alliance=self.alliance)
            rows = []
            for n, g in enumerate(grants_of(resource, facts)):
                grantee = 0 if g.grantee == EVERYONE else self._of(g.grantee)
                pat, org, doc = self._lid("Patient", g.patient), self._of(g.custodian), self._of(g.document)
                if pat <= 0 or (grantee <= 0 and g.grantee != EVERYONE):
                    continue
                numbers = (int(g.purposes), int(g.classes), int(g.sensitivity), g.low, g.high, g.data_low, g.data_high)
                last = (g.given, g.specificity, g.depth, int(g.overriding))
                rows.append((pat, grantee, lid, n, int(g.permit), g.kind, *numbers, org, doc, *last))
            self._connection.executemany(_GRANT, rows)
            self._ruled(lid)
        if type_ in GROUPING:
            self._regroup(lid)
            self._connection.executemany(
                "INSERT INTO member VALUES(?,?,?,?,?,?)",
                [
                    (self._of(m.party), self._of(m.group), lid, n, m.low, m.high)
                    for n, m in enumerate(memberships_of(resource))
                ],
            )

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

    def guarding(self, patient: int) -> list[int]:
        """The resources (lids) whose rules depend on the date of birth of this person."""
        found = self._connection.execute(
            "SELECT DISTINCT src FROM grants WHERE pat=? AND kind='guardian'", (patient,)
        ).fetchall()
        return [src for (src,) in found]

    def wards(self, guardians: tuple[int, ...], now: int) -> frozenset[int]:
        """The persons (lids) whose guardian is one of these now."""
        found = self._connection.execute(
            f"SELECT pat FROM grants WHERE grantee IN ({marks(len(guardians))})"
            " AND kind='guardian' AND low<=? AND high>?",
            (*guardians, now, now),
        ).fetchall()
        return frozenset(pat for (pat,) in found)

    def _adult(self, born: str | None) -> int:
        """When (µs) the person turns ADULT_YEARS; never where the date of birth is not known."""
        day = _last_day(born)
        if day is None:
            return ALWAYS
        leap = (day.month, day.day) == (2, 29)
        turned = date(day.year + ADULT_YEARS, 3, 1) if leap else day.replace(year=day.year + ADULT_YEARS)
        return int(datetime(turned.year, turned.month, turned.day, tzinfo=self._zone).timestamp()) * 1_000_000

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
