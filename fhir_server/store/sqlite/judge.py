"""Whether a requester may write something: whose item it replaces, in whose file it comes, whom it would let in."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from consent import Access
from consent.compile import GRANTING
from consent.vocabulary import RecordClass
from consent.writing import Before, guardian_of, refused, unsound
from fhir_server.errors import Forbidden, Unprocessable
from fhir_server.store.sqlite.access import BRANCHES, Gate, at
from fhir_server.store.sqlite.filing import Place
from fhir_server.store.sqlite.granting import Granting
from fhir_server.store.sqlite.schema import ALIVE
from fhir_server.store.sqlite.sql import FALSE, TRUE, Sql, disjunction

MakeGate = Callable[[Access, str], Gate]
LETTING = GRANTING - {"Patient"}  # what lets others into a file


class Judge:
    """Judges writes, in the writer's open transaction. Everything is refused by an exception."""

    def __init__(self, connection: sqlite3.Connection, gate: MakeGate, granting: Granting) -> None:
        self._connection = connection
        self._gate = gate
        self._granting = granting

    def visible(self, access: Access, rid: int, letter: str) -> bool:
        """Whether the requester may see this version."""
        return access.unrestricted or self._holds(access, rid, self._gate(access, letter).condition)

    def _holds(self, access: Access, rid: int, condition: Sql) -> bool:
        if condition in (TRUE, FALSE):
            return condition == TRUE
        condition = at(condition, access.now)
        sql = f"SELECT 1 FROM res r WHERE r.rid=? AND {condition.text}"
        return self._connection.execute(sql, (rid, *condition.args)).fetchone() is not None

    def own(self, access: Access, rid: int, letter: str, type_: str) -> None:
        """Refuse where the (visible) version is not the requester's own."""
        if access.unrestricted:
            return
        gate = self._gate(access, letter)
        grounds = [gate.own()]
        if access.administers:
            grounds.append(gate.branch("shared"))
        if type_ in access.amends:
            grounds += [gate.branch("self"), gate.granted()]
        if not self._holds(access, rid, disjunction(grounds)):
            raise Forbidden(f"This {type_} was not written by you: only its custodian changes it")
        if access.person and self._decided_by_an_adolescent(gate, rid):
            raise Forbidden(
                "年满十四周岁者的决定由本人更改 / what somebody of 14 to 17 decided, a guardian does not change"
            )

    def _decided_by_an_adolescent(self, gate: Gate, rid: int) -> bool:
        """Whether the version is in the file of a ward of 14 to 17 and not the guardian's own."""
        pat, org = self._connection.execute("SELECT pat, org FROM res WHERE rid=?", (rid,)).fetchone()
        me = gate.lid(f"Patient/{gate.access.person}")
        return me not in (pat, org) and self._granting.adolescent(pat, gate.access.now)

    def may_delete(self, access: Access, resource: dict[str, Any] | None) -> None:
        """Refuse a deletion that the resource itself forbids."""
        objection = None if access.unrestricted or resource is None else refused(access, None, Before(resource))
        if objection is not None:
            raise Forbidden(objection)

    def may_file(
        self,
        access: Access,
        rid: int,
        resource: dict[str, Any],
        place: Place,
        before: Place | None,
        replaced: Before | None,
    ) -> None:
        """Refuse a new version that the requester may not write where it would stand; ``replaced`` is written over."""
        type_ = resource["resourceType"]
        if before is not None and before.pat not in (0, place.pat):
            raise Unprocessable(f"This {type_} cannot be moved to another person", f"{type_}")
        letter = "c" if before is None else "u"
        if place.record_class == RecordClass.SHARED:
            if not access.administers:
                raise Forbidden(f"{type_} is kept by the administrators of the alliance")
        elif access.party.startswith("Patient/"):
            self._may_write_in_file(access, type_, place.pat)
        elif not access.party:
            raise Forbidden("Nobody is named in whose name this is written")
        elif not access.minors or not place.record_class & access.own:
            raise Forbidden("Your role does not write this into the files of residents")
        elif type_ in LETTING and place.pat > 0 and not self._knows(access, place.pat):
            # Who may write what gives access could otherwise let itself into any file by naming it.
            raise Forbidden(f"You write {type_} only about persons whom your institution knows")
        if not access.plainly(letter, type_) and not self._holds(access, rid, self._gate(access, letter).scope()):
            raise Forbidden(f"The token's scopes do not reach this {type_}")
        objection = refused(access, resource, replaced)
        if objection is not None:
            raise Forbidden(objection)
        guardian = guardian_of(resource) if type_ == "RelatedPerson" else None
        if guardian and not self._knows(access, self._gate(access, "r").lid(guardian)):
            raise Forbidden("监护人须是本机构登记的居民 / a guardian is somebody whom your institution knows")
        if type_ == "Consent":
            self._may_consent(access, resource, place)

    def _may_consent(self, access: Access, resource: dict[str, Any], place: Place) -> None:
        """Refuse a Consent that is no proof: of a child alone, of nobody's file, refused on somebody's bare word."""
        facts = self._granting.facts(place.pat, access.party, trusted=False, now=access.now)
        issues = unsound(resource, facts)
        if issues:
            raise Unprocessable.of(issues)

    def _knows(self, access: Access, pat: int) -> bool:
        """Whether the requester may see who this person is: registered there, by a consent, request, or code."""
        gate = self._gate(access, "r")
        opened = disjunction([*(gate.branch(name) for name in BRANCHES), gate.granted()])
        row = self._connection.execute(f"SELECT rid FROM res WHERE lid=? AND till={ALIVE}", (pat,)).fetchone()
        return row is not None and self._holds(access, row[0], opened)

    def _may_write_in_file(self, access: Access, type_: str, pat: int) -> None:
        """A resident writes some types in the own file and in those of wards."""
        if type_ not in access.amends:
            raise Forbidden(f"Residents do not write {type_} themselves")
        gate = self._gate(access, "c")
        own = pat == gate.lid(f"Patient/{access.person}")
        if not own and pat not in self._granting.wards(gate.grantees.named, access.now):
            raise Forbidden(f"This {type_} is not about you or somebody in your care")
