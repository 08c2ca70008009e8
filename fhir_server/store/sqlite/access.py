"""Access as a condition on rows of ``res``: inside every query, never after it.

``Gate`` turns an Access into SQL over a row with the alias ``r``. The same text decides searches, reads, writes
and explanations. What it means is stated in ``consent.access`` and ``consent.grant``.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from consent import Access, Scope
from consent.grant import ALWAYS, BY_SENSITIVITY
from consent.vocabulary import RecordClass, Sensitivity
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.openness import Open, Openness
from fhir_server.store.sqlite.rows import find_lid
from fhir_server.store.sqlite.schema import CLASSES, NO_PERIOD, UNDATED
from fhir_server.store.sqlite.sql import FALSE, TRUE, Sql, conjunction, disjunction

_MOST_KEPT = 2000
_FEW = 6  # grantees that are compared one by one
STANDING = "SELECT value FROM state WHERE name='standing'"
NOBODY = -2  # the number of what was never stored
BRANCHES = ("shared", "own", "self", "identity")  # what needs no grant
Constraint = Callable[[str, object], Sql]


@dataclass(frozen=True, slots=True)
class Grantees:
    """The lasting numbers as which a requester is addressed; in groups (alliances, teams) since when."""

    named: tuple[int, ...]
    groups: tuple[tuple[int, int], ...]

    def of(self, alias: str, everyone: bool) -> Sql:
        """The rules ``alias`` of ``grants`` that address the requester; those that address everyone too, if asked."""
        numbers = (*((0,) if everyone else ()), *self.named, *(group for group, _ in self.groups))
        if not numbers:
            return FALSE
        if len(numbers) <= _FEW:
            # The rules about one person are few: walking them is quicker than SQLite's set of the grantees.
            either = " OR ".join(f"+{alias}.grantee={number}" for number in numbers)
            condition = f"({either})" if len(numbers) > 1 else either
        else:
            condition = f"{alias}.grantee IN ({','.join(map(str, numbers))})"
        for group, since in self.groups:
            # A permit to a group is for those who belonged to it when it was given (PIPL art. 23).
            if since and not everyone:
                condition += f" AND ({alias}.grantee<>{group} OR {alias}.given>={since})"
        return Sql(condition)


class _Now:
    """Stands for the time of the request among the arguments of a condition that is kept."""


NOW = _Now()


@dataclass(frozen=True, slots=True)
class _Blob:
    """Stands for what these grantees may see of all residents' rows of a class (``Openness``)."""

    record_class: int
    grantees: Grantees


def at(sql: Sql, now: int) -> Sql:
    """The condition at the time ``now`` (µs)."""
    return Sql(sql.text, tuple([now if arg is NOW else arg for arg in sql.args]))


class Kept:
    """Conditions of requesters seen before on one connection: making one costs more than running it.

    They hold while nobody joins or leaves a group and no Patients are merged (``state.standing`` counts that), and
    until the next membership begins or ends. ``opened`` knows whole populations, for all connections.
    """

    def __init__(self, connection: sqlite3.Connection, opened: Open) -> None:
        self._connection = connection
        self._opened = opened
        self._standing = -1
        self._known: dict[tuple[object, ...], tuple[Sql, int, int]] = {}

    def find(self, access: Access, letter: str, *more: object) -> Sql | None:
        """The condition for ``access``, its time left open; ``more`` tells apart what it is about."""
        standing: int = self._connection.execute(STANDING).fetchone()[0]
        if standing != self._standing:
            self._known.clear()
            self._standing = standing
        found = self._known.get((access.fingerprint, letter, *more))
        if found is None:
            return None
        condition, since, until = found
        return condition if since <= access.now < until else None

    @property
    def standing(self) -> int:
        """What ``STANDING`` gave when ``find`` was last asked."""
        return self._standing

    def openness(self, grantees: Grantees, purpose: int, through: int) -> Openness:
        """What is open to these grantees, kept up from count to count."""
        return self._opened.of(grantees.named, grantees.groups, purpose, through)

    def keep(self, access: Access, letter: str, condition: Sql, until: int, *more: object) -> None:
        """Remember it up to the time ``until`` (µs)."""
        if access.fingerprint:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[(access.fingerprint, letter, *more)] = (condition, access.now, until)


def check_access(access: Access) -> None:
    """Raise TypeError for anything that is no Access."""
    if not isinstance(access, Access):
        raise TypeError("every store call needs an Access")


class Gate:
    """What one requester may see, for one letter of the scopes (r: read, s: search …).

    ``constraint(type, condition)`` compiles the search constraint of a scope to a condition on ``r``.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        names: Names,
        access: Access,
        letter: str,
        constraint: Constraint,
        kept: Kept,
    ) -> None:
        check_access(access)
        self.access = access
        self._connection = connection
        self._names = names
        self._letter = letter
        self._constraint = constraint
        self._kept = kept
        self._until = ALWAYS
        self._unknown = False  # something it names was never stored, and may be at any time
        self._grantees: Grantees | None = None
        self._condition: Sql | None = None
        self._template: Sql | None = None

    @property
    def condition(self) -> Sql:
        """The rows ``r`` of ``res`` that may be seen; TRUE without restriction."""
        if self._condition is None:
            self._condition = at(self.template, self.access.now)
        return self._condition

    @property
    def template(self) -> Sql:
        """``condition`` with its time left open (``at``)."""
        if self._template is None:
            if self.access.unrestricted:
                self._template = TRUE
            else:
                self._template = self._remembered(self._opened)
        return self._template

    def _opened(self) -> Sql:
        return conjunction([self.scope(), disjunction([*(self.branch(name) for name in BRANCHES), self.granted()])])

    def _remembered(self, make: Callable[[], Sql], *about: object) -> Sql:
        """What ``make`` gives, or what it gave for this requester before."""
        found = self._kept.find(self.access, self._letter, *about)
        if found is None:
            found = make()
            if not self._unknown:
                self._kept.keep(self.access, self._letter, found, self.until, *about)
        return found

    @property
    def until(self) -> int:
        """When (µs) the next membership of the requester begins or ends, so that its conditions change."""
        _ = self.grantees  # looking them up tells it
        return self._until

    @property
    def lasting(self) -> bool:
        """Whether the template holds for the next request too, up to ``until``."""
        return not self._unknown and bool(self.access.fingerprint)

    def row(self, rid: str) -> Sql:
        """Whether the version with this ``rid`` (an SQL expression) may be seen."""
        if self.condition in (TRUE, FALSE):
            return self.condition
        return Sql(f"EXISTS(SELECT 1 FROM res r WHERE r.rid={rid} AND ") + self.condition + ")"

    def posting(self, alias: str, t: int, record_classes: Sequence[RecordClass]) -> Sql:
        """Whether the version of the row ``alias`` of ``tok`` or ``ref`` may be seen; of type number ``t``.

        The access columns of postings say it; what the rules say of whole records of ``record_classes`` is known
        beforehand (``Openness``).
        """
        if self.template in (TRUE, FALSE):
            return self.template
        if self.access.conditions:
            return self.row(f"{alias}.rid")
        about = (alias, t, record_classes)
        found = self._remembered(lambda: self._posting(alias, t, record_classes), *about)
        return self._filled(found) or at(_of_posting(self.template, alias, t), self.access.now)

    def _posting(self, alias: str, t: int, record_classes: Sequence[RecordClass]) -> Sql:
        """``posting`` with time and openness left open."""
        access = self.access
        full = _of_posting(self.template, alias, t)
        known = [int(one) for one in record_classes if one & access.through]
        if not known or self.granted() == FALSE:
            return full
        # An ordinary row has no sensitivity, so its label is its class: any other label has no WHEN.
        whens = " ".join(f"WHEN {record_class} THEN substr(?,{alias}.pat,1)" for record_class in known)
        scope = _of_posting(self.scope(), alias, t)
        closed = conjunction([scope, _of_posting(disjunction(self._beside(sum(known))), alias, t)])
        head = Sql(
            f"CASE CASE {alias}.label {whens} END WHEN x'01' THEN ", tuple([_Blob(x, self.grantees) for x in known])
        )
        return head + scope + " WHEN x'00' THEN " + closed + " ELSE " + full + " END"

    def _beside(self, classes: int) -> Iterator[Sql]:
        """What opens ordinary rows of these classes without any rule, as short as can be: it is asked of every row."""
        access = self.access
        if access.party and access.own & classes == classes and access.minors:
            yield Sql("r.org=?", (self.lid(access.party),))
        else:
            yield self.branch("own")
        yield self.branch("self")
        if access.shared and classes & RecordClass.SHARED:
            yield self.branch("shared")
        if access.identities and classes & RecordClass.IDENTITY:
            yield self.branch("identity")

    def _filled(self, template: Sql) -> Sql | None:
        """The template at the present time with what is open; None where that cannot be told now."""
        access = self.access
        blobs = [arg for arg in template.args if isinstance(arg, _Blob)]
        if not blobs:
            return at(template, access.now)
        openness = self._kept.openness(blobs[0].grantees, int(access.purpose), int(access.through))
        known = openness.blobs(self._connection, [blob.record_class for blob in blobs], access.now)
        if known is None:
            return None
        found = iter(known)
        return Sql(
            template.text,
            tuple(
                [next(found) if isinstance(arg, _Blob) else access.now if arg is NOW else arg for arg in template.args]
            ),
        )

    def lid(self, reference: str) -> int:
        """The lasting number of ``Type/id``, of a merged Patient that of the one kept; NOBODY when unknown."""
        type_, _, id_ = reference.partition("/")
        if not id_:
            return NOBODY
        found = find_lid(self._connection, self._names, type_, id_)
        if found is None:
            self._unknown = True
            return NOBODY
        return found

    # -- scopes --------------------------------------------------------------------------------

    def scope(self) -> Sql:
        """The rows that a scope with the letter reaches."""
        access = self.access
        return disjunction(self._scope(scope) for scope in access.scopes if self._letter in scope.letters)

    def _scope(self, scope: Scope) -> Sql:
        parts: list[Sql] = []
        if scope.context == "patient":
            patient = self.lid(f"Patient/{self.access.patient}") if self.access.patient else NOBODY
            parts.append(Sql("(r.pat=? OR (r.pat=0 AND r.class=1))", (patient,)))
        elif scope.context not in ("user", "system"):
            return FALSE
        if scope.query:
            conditions = self.access.conditions.get(scope)
            if not conditions:
                return FALSE
            narrowed = [
                Sql("(r.t=? AND ", (self._type(type_),)) + self._constraint(type_, condition) + ")"
                for type_, condition in conditions.items()
            ]
            parts.append(disjunction(narrowed))
        elif scope.type != "*":
            parts.append(Sql("r.t=?", (self._type(scope.type),)))
        return conjunction(parts)

    def _type(self, name: str) -> int:
        number = self._names.type(name)
        self._unknown |= number == 0
        return number

    # -- what opens a row ------------------------------------------------------------------------

    def branch(self, name: str) -> Sql:
        """The rows that this ground alone opens."""
        access = self.access
        match name:
            case "shared":
                return Sql(f"r.class={int(RecordClass.SHARED)}") if access.shared else FALSE
            case "own":
                return self.own()
            case "self":
                if not access.person:
                    return FALSE
                person = self.lid(f"Patient/{access.person}")
                return Sql(f"(r.pat=? AND r.sensitivity&{int(Sensitivity.NOPAT)}=0)", (person,))
            case "identity":
                return Sql(f"r.class={int(RecordClass.IDENTITY)}") if access.identities else FALSE
        return FALSE

    def own(self) -> Sql:
        """The requester's institution's own items, as far as its role goes."""
        access = self.access
        if not access.party or not access.own:
            return FALSE
        parts = [Sql("r.org=?", (self.lid(access.party),)), _within("r", int(access.own), int(access.own_sensitivity))]
        if not access.minors:
            parts.append(_GROWN)
        return conjunction(parts)

    @property
    def grantees(self) -> Grantees:
        """As whom the requester is addressed by rules."""
        if self._grantees is None:
            named = tuple(lid for lid in map(self.lid, self.access.grantees) if lid > 0)
            now = self.access.now
            since: dict[int, int] = {}
            parties = ",".join(map(str, named)) or "NULL"
            for group, low, high in self._connection.execute(
                f"SELECT grantee, low, high FROM member WHERE party IN ({parties})"
            ):
                self._until = min([self._until, *(moment for moment in (low, high) if moment > now)])
                if low <= now < high:
                    since[group] = min(low, since.get(group, low))
            self._grantees = Grantees(named, tuple(since.items()))
        return self._grantees

    def granted(self, select: str = "1") -> Sql:
        """The rows that a permit opens and no refusal withholds: ``EXISTS(SELECT …)``."""
        access = self.access
        if not self.grantees.named or not access.purpose or not access.through:
            return FALSE
        return conjunction([self.within(), Sql("EXISTS(") + self.permits(select) + ")"])

    def within(self) -> Sql:
        """The rows that the requester's role reaches, whatever opens them."""
        return _within("r", int(self.access.through), int(self.access.through_sensitivity))

    def permits(self, select: str) -> Sql:
        """``SELECT … FROM grants g``: the permits that open ``r`` and that no refusal withholds."""
        return self.permit(select) + " AND (g.overriding OR NOT EXISTS(" + self.refusal("1") + "))"

    def permit(self, select: str) -> Sql:
        """``SELECT … FROM grants g``: the permits that are about ``r``."""
        low, high = NO_PERIOD
        dated = f"(r.sk<>{UNDATED} OR (g.data_low={low} AND g.data_high={high}))"
        permit = (
            Sql(f"SELECT {select} FROM grants g WHERE g.pat=r.pat AND ")
            + self.grantees.of("g", everyone=False)
            + " AND g.permit=1 AND "
            + self._applies("g")
            + f" AND r.sensitivity&~g.sensitivity=0 AND -r.sk>=g.data_low AND -r.sk<g.data_high AND {dated}"
        )
        if not self.access.minors:  # that a minor is registered somewhere is no approval
            permit = permit + " AND (g.kind<>'registration' OR " + _GROWN + ")"
        return permit

    def refusal(self, select: str) -> Sql:
        """``SELECT … FROM grants f``: the refusals that are about ``r`` and prevail over the permit ``g``.

        Their alias must not be that of the postings (``d``) which the condition may be about.
        """
        undated = f"(r.sk={UNDATED} OR (-r.sk>=f.data_low AND -r.sk<f.data_high))"
        # A permit that names sensitivities is wider by them, not narrower, where ordinary rows are concerned.
        spec = f"(g.spec&CASE WHEN r.sensitivity THEN -1 ELSE {~BY_SENSITIVITY} END)"
        prevails = f"((f.spec&~{spec})=0 AND f.spec<>{spec}) OR (f.src=g.src AND g.depth>f.depth)"
        return (
            Sql(f"SELECT {select} FROM grants f WHERE f.pat=r.pat AND ")
            + self.grantees.of("f", everyone=True)
            + " AND f.permit=0 AND "
            + self._applies("f")
            + f" AND (f.sensitivity=0 OR f.sensitivity&r.sensitivity) AND {undated} AND NOT ({prevails})"
        )

    def _applies(self, rule: str) -> Sql:
        """What permits and refusals have in common: validity, purpose, class, custodian, document."""
        purpose = int(self.access.purpose)
        return Sql(
            f"{rule}.low<=? AND {rule}.high>? AND {rule}.purposes&{purpose} AND {rule}.classes&r.class"
            f" AND ({rule}.org=0 OR {rule}.org=r.org) AND ({rule}.doc=0 OR {rule}.doc=r.lid)",
            (NOW, NOW),
        )

    # -- explanation -----------------------------------------------------------------------------

    def grounds(self, rid: int) -> list[str]:
        """Why the version ``rid`` may be seen: grounds of BRANCHES and kinds of grants; none when it may not."""
        if self.access.unrestricted:
            return ["unrestricted"]
        if self._one(rid, self.scope()) is None:
            return []
        found = [name for name in BRANCHES if self._one(rid, self.branch(name)) is not None]
        return found + [kind for kind, _ in self.rules(rid)]

    def rules(self, rid: int) -> list[tuple[str, int]]:
        """Kind and source (lid) of each permit that opens the version ``rid``."""
        if self.granted() == FALSE:
            return []
        within = self.within()
        rules = self.permits("r.rid AS rid, g.kind AS kind, g.src AS src")
        # The rule's text names ``r`` and so must stand where ``res r`` is in scope: as a join.
        text = rules.text.replace("FROM grants g", "FROM res r CROSS JOIN grants g", 1)
        sql = at(Sql(text, rules.args), self.access.now) + " AND r.rid=? AND " + within.text
        args = (*sql.args, rid, *within.args)
        return [(kind, src) for _, kind, src in self._connection.execute(sql.text, args)]

    def kinds(self, patients: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """For each of these Patients (ids) the kinds of permits now in force for the requester."""
        if self.access.unrestricted:
            return {}
        rules = self._remembered(self._kinds, "kinds")
        if rules == FALSE:
            return {}
        which = "=?" if len(patients) == 1 else " IN (SELECT value FROM json_each(?))"
        asked = patients[0] if len(patients) == 1 else json.dumps(patients)
        sql = at(Sql(rules.text.replace("=:id", which), rules.args), self.access.now)
        found: dict[str, tuple[str, ...]] = {}
        for id_, kind in self._connection.execute(sql.text, (asked, *sql.args)):
            found[id_] = (*found.get(id_, ()), kind)
        return found

    def _kinds(self) -> Sql:
        if not self.grantees.named:
            return FALSE
        head = "SELECT DISTINCT e.id, g.kind FROM ent e CROSS JOIN grants g WHERE e.id=:id AND "
        about = (
            f"e.t={self._type('Patient')} AND g.pat=e.lid AND g.permit=1 AND g.purposes&{int(self.access.purpose)} AND "
        )
        return (
            Sql(head + about)
            + self.grantees.of("g", everyone=False)
            + Sql(" AND g.low<=? AND g.high>? ORDER BY 1, 2", (NOW, NOW))
        )

    def _one(self, rid: int, condition: Sql) -> object:
        if condition == FALSE:
            return None
        condition = at(condition, self.access.now)
        return self._connection.execute(
            f"SELECT 1 FROM res r WHERE r.rid=? AND {condition.text}", (rid, *condition.args)
        ).fetchone()


_GROWN = Sql("(r.pat=0 OR EXISTS(SELECT 1 FROM person m WHERE m.pat=r.pat AND m.adult<=?))", (NOW,))


def _within(row: str, classes: int, sensitivity: int) -> Sql:
    """The row is of one of these classes and has no other sensitivities than these."""
    return Sql(f"({row}.class&{classes} AND {row}.sensitivity&~{sensitivity}=0)")


_COLUMN = re.compile(r"\br\.(pat|org|class|sensitivity|sk|lid|t)\b")


def _of_posting(condition: Sql, alias: str, t: int) -> Sql:
    """The condition on a version (alias ``r``) as one on a posting of it, which carries the same columns."""
    columns = {
        "pat": f"{alias}.pat",
        "org": f"{alias}.org",
        "sk": f"{alias}.sk",
        "class": f"({alias}.label&{(1 << CLASSES) - 1})",
        "sensitivity": f"({alias}.label>>{CLASSES})",
        "lid": f"(SELECT y.lid FROM res y WHERE y.rid={alias}.rid)",
        "t": str(t),
    }
    return Sql(_COLUMN.sub(lambda found: columns[found[1]], condition.text), condition.args)
