"""Explanations of access: the verdict on one version and the rules in force in a file, by the predicate itself.

Every condition here is the text of ``access.Gate``, so that an explanation cannot differ from what is enforced.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace

from consent import Access, Grant
from consent.explain import InForce, Verdict
from consent.grant import EVERYONE
from consent.vocabulary import EVERY_SENSITIVITY, Purpose, RecordClass, Sensitivity
from fhir_server.store.sqlite.access import BRANCHES, Gate, at
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.rows import find_lid
from fhir_server.store.sqlite.schema import ALIVE
from fhir_server.store.sqlite.sql import FALSE, Sql

MakeGate = Callable[[Access, str], Gate]
Reference = Callable[[int], str]
_RULE = (
    "{0}.grantee, {0}.src, {0}.permit, {0}.kind, {0}.purposes, {0}.classes, {0}.sensitivity, {0}.low, {0}.high,"
    " {0}.data_low, {0}.data_high, {0}.org, {0}.doc, {0}.given, {0}.spec, {0}.depth, {0}.overriding"
)
_WIDTH = 17
UNKNOWN = "?"  # a resource that rules name and that was never stored


class Explaining:
    """Explains on one connection; used by one thread at a time. ``reference`` names a lasting number (Type/id)."""

    def __init__(self, connection: sqlite3.Connection, names: Names, gate: MakeGate, reference: Reference) -> None:
        self._connection = connection
        self._names = names
        self._gate = gate
        self._reference = reference

    def verdict(self, rid: int, patient: str, access: Access) -> Verdict:
        """Why ``access`` may or may not see the version ``rid``, which is in the file of ``patient`` (id)."""
        if access.unrestricted:
            return Verdict(("unrestricted",))
        gate = self._gate(access, "r")
        scope = self._holds(rid, gate.scope(), access)
        grounds = [name for name in BRANCHES if self._holds(rid, gate.branch(name), access)]
        within = self._holds(rid, gate.within(), access)
        rules, withheld = self._rules(rid, patient, gate) if within else ((), ())
        kinds = [rule.grant.kind for rule in rules]
        if not scope:
            return Verdict((), scope=False)
        if grounds or rules:
            return Verdict((*grounds, *kinds), rules)
        reaches = within or self._holds(rid, gate.own(), access)
        named = bool(withheld) or not self._but_for_labels(rid, patient, access)
        return Verdict((), (), withheld, reaches=reaches, named=named)

    def _rules(
        self, rid: int, patient: str, gate: Gate
    ) -> tuple[tuple[InForce, ...], tuple[tuple[InForce, InForce], ...]]:
        """The permits that open the version, and those that would, each with a refusal that withholds it."""
        if not gate.grantees.named or not gate.access.purpose:
            return (), ()
        opening = self._select(gate.permits(_RULE.format("g")), rid, gate.access)
        about = self._select(gate.permit(_RULE.format("g")), rid, gate.access)
        rules = tuple(self._rule(patient, row) for row in opening)
        if rules or not about:
            return rules, ()
        both = gate.permit(_RULE.format("g") + ", " + _RULE.format("f"))
        refusal = gate.refusal("1")
        # Permit and refusal side by side: the refusal's conditions joined to the permit's.
        joined = both.text.replace("FROM grants g", "FROM res r CROSS JOIN grants g CROSS JOIN grants f", 1)
        condition = refusal.text.partition(" WHERE ")[2]
        sql = at(Sql(f"{joined} AND {condition} AND r.rid=?", (*both.args, *refusal.args, rid)), gate.access.now)
        found = self._connection.execute(sql.text, sql.args).fetchall()
        return (), tuple((self._rule(patient, row[:_WIDTH]), self._rule(patient, row[_WIDTH:])) for row in found)

    def _but_for_labels(self, rid: int, patient: str, access: Access) -> bool:
        """Whether a permit would open the version if it named its sensitivities."""
        gate = self._gate(access, "r")
        if not gate.grantees.named or not access.purpose:
            return False
        permit = gate.permit("1")
        text = permit.text.replace("r.sensitivity&~g.sensitivity=0", "r.sensitivity<>0")
        return bool(self._select(Sql(text, permit.args), rid, access))

    def in_force(self, patient: str, now: int) -> list[InForce]:
        """The rules about the file of ``patient`` (id) that are valid now, in the order of their sources."""
        pat = find_lid(self._connection, self._names, "Patient", patient)
        rows = self._connection.execute(
            f"SELECT {_RULE.format('g')} FROM grants g WHERE g.pat=? AND g.low<=? AND g.high>? ORDER BY g.src, g.n",
            (pat, now, now),
        )
        return [self._rule(patient, row) for row in rows]

    def reach(self, patient: str, access: Access) -> dict[RecordClass, int]:
        """How many current items of the file of ``patient`` (id) ``access`` may see, by record class."""
        pat = find_lid(self._connection, self._names, "Patient", patient)
        condition = self._gate(access, "r").condition
        if pat is None or condition == FALSE:
            return {}
        sql = Sql(f"SELECT r.class, count(*) FROM res r WHERE r.pat=? AND r.till={ALIVE} AND r.body IS NOT NULL AND ")
        sql = Sql(sql.text, (pat,)) + condition
        found = self._connection.execute(sql.text + " GROUP BY r.class ORDER BY r.class", sql.args)
        return {RecordClass(bit): count for bit, count in found}

    def parties(self, access: Access) -> frozenset[str]:
        """As whom rules address ``access``: references, those of its alliances and teams among them."""
        grantees = self._gate(access, "r").grantees
        numbers = (*grantees.named, *(group for group, _ in grantees.groups))
        return frozenset(self._reference(number) for number in numbers)

    def wide(self, rid: int, patient: str, now: int) -> list[InForce]:
        """Who can see the version ``rid``: the permits that open it to their own grantee, for any of their purposes."""
        found: list[InForce] = []
        everything = RecordClass(sum(RecordClass))
        for rule in self.in_force(patient, now):
            if not rule.grant.permit:
                continue
            for purpose in Purpose:
                if purpose & rule.grant.purposes:
                    access = Access(
                        "who can see this",
                        grantees=(rule.grant.grantee,),
                        through=everything,
                        through_sensitivity=EVERY_SENSITIVITY,
                        purpose=int(purpose),
                        now=now,
                    )
                    opening, _ = self._rules(rid, patient, self._gate(access, "r"))
                    if rule in opening:
                        found.append(rule)
                        break
        return found

    # -- rows ------------------------------------------------------------------------------------

    def _select(self, rules: Sql, rid: int, access: Access) -> list[tuple[int, ...]]:
        # A rule's text names ``r`` and so must stand where ``res r`` is in scope: as a join.
        text = rules.text.replace("FROM grants g", "FROM res r CROSS JOIN grants g", 1) + " AND r.rid=?"
        sql = at(Sql(text, (*rules.args, rid)), access.now)
        return self._connection.execute(sql.text, sql.args).fetchall()

    def _holds(self, rid: int, condition: Sql, access: Access) -> bool:
        if condition == FALSE:
            return False
        sql = at(condition, access.now)
        found = self._connection.execute(f"SELECT 1 FROM res r WHERE r.rid=? AND {sql.text}", (rid, *sql.args))
        return found.fetchone() is not None

    def _rule(self, patient: str, row: tuple[int, ...]) -> InForce:
        grantee, src, permit, kind, purposes, classes, sensitivity, low, high, data_low, data_high, org, doc = row[:13]
        given, spec, depth, overriding = row[13:]
        grant = Grant(
            patient,
            (self._reference(grantee) or UNKNOWN) if grantee else EVERYONE,
            str(kind),
            permit=bool(permit),
            classes=RecordClass(classes),
            sensitivity=Sensitivity(sensitivity),
            purposes=Purpose(purposes),
            low=low,
            high=high,
            data_low=data_low,
            data_high=data_high,
        )
        grant = replace(
            grant,
            custodian=(self._reference(org) or UNKNOWN) if org else "",
            document=(self._reference(doc) or UNKNOWN) if doc else "",
            given=given,
            specificity=spec,
            depth=depth,
            overriding=bool(overriding),
        )
        return InForce(grant, self._reference(src))
