"""Access: on whose behalf the store is asked; a mandatory argument of every store call."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from consent.requester import Scope
from consent.vocabulary import NO_CLASS, NO_SENSITIVITY, RecordClass, Sensitivity

_MOST_FINGERPRINTS = 20_000
_FINGERPRINTS: dict[tuple[object, ...], int] = {}
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Access:
    """What a requester may see and write. A fresh one lets nothing through.

    A row may be seen when a scope reaches it **and** one of these holds:
    it is nobody's and ``shared``; its custodian is ``party`` and it is within ``own``; it is in the file of
    ``person`` and not withheld from patients; it is an identity and ``identities``; a grant to one of
    ``grantees`` for ``purpose`` opens it (bounded by ``through``) and no refusal prevails.
    Files of minors need a grant where ``minors`` is False.

    ``party``: ``Organization/…`` or ``Patient/…``, the custodian of what it writes (also where unrestricted). Only
    its own items are changed, or those of the types ``amends`` in its own file and those of its wards.
    ``administers``: it may write what is nobody's. ``patient``: the file that scopes of the context patient reach.
    ``now``: microseconds.
    ``conditions``: by scope, its search constraint as the store understands it; a scope with a constraint that
    has none here reaches nothing.
    ``binding`` ties page links to their receiver; ``reason`` is for logs and must not hold identifying data.
    """

    reason: str
    unrestricted: bool = False
    binding: str = ""
    party: str = ""
    role: str = ""
    own: RecordClass = NO_CLASS
    own_sensitivity: Sensitivity = NO_SENSITIVITY
    person: str = ""
    identities: bool = False
    shared: bool = False
    grantees: tuple[str, ...] = ()
    through: RecordClass = NO_CLASS
    through_sensitivity: Sensitivity = NO_SENSITIVITY
    purpose: int = 0
    minors: bool = True
    patient: str = ""
    now: int = 0
    administers: bool = False
    amends: frozenset[str] = frozenset()
    scopes: tuple[Scope, ...] = ()
    conditions: Mapping[Scope, Mapping[str, object]] = field(default_factory=dict)

    @staticmethod
    def everything(reason: str) -> Access:
        """Access without restriction, for the development mode and local maintenance commands.

        Raises ValueError when no reason is given.
        """
        if not reason.strip():
            raise ValueError("Access.everything needs a reason")
        return Access(reason=reason, unrestricted=True)

    def at(self, now: int) -> Access:
        """The same at the time ``now`` (µs). Made for every request, so without the detour of ``replace``."""
        made = object.__new__(Access)
        made.__dict__.update(self.__dict__)
        made.__dict__["now"] = now
        return made

    @cached_property
    def fingerprint(self) -> int:
        """A number for everything that decides what it lets through, but for the time and constraints of scopes.

        Equal numbers mean equal facts, in this process; 0 where there are constraints. ``at`` hands it on.
        """
        if self.conditions:
            return 0
        limits = (self.own, self.own_sensitivity, self.through, self.through_sensitivity, self.purpose)
        whom = (self.party, self.person, self.patient, self.grantees, self.scopes)
        facts = (*whom, *map(int, limits), self.minors, self.shared, self.identities, self.unrestricted)
        if len(_FINGERPRINTS) >= _MOST_FINGERPRINTS:
            _FINGERPRINTS.clear()  # numbers are not given twice: what stood for one of them is asked for anew
        return _FINGERPRINTS.setdefault(facts, next(_NUMBERS))

    def allows(self, letter: str, type: str) -> bool:
        """Whether a scope gives the interaction ``letter`` (c r u d s) on resources of ``type`` at all."""
        return self.unrestricted or any(letter in scope.letters and scope.type in ("*", type) for scope in self.scopes)

    def anywhere(self, letter: str) -> bool:
        """Whether a scope gives the interaction ``letter`` on any type."""
        return self.unrestricted or any(letter in scope.letters for scope in self.scopes)

    def plainly(self, letter: str, type: str) -> bool:
        """Whether a scope gives the interaction on every resource of ``type``: without patient and constraint."""
        return any(
            letter in scope.letters and scope.type in ("*", type) and scope.context != "patient" and not scope.query
            for scope in self.scopes
        )
