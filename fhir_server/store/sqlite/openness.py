"""Openness: for a requester, which residents' ordinary rows are open, closed, or need a closer look; for counts.

To count a population, a hundred thousand rows are judged; asking the rules for each costs ten times the count.
Most residents have rules that are the same for every row of a record class. They are worked out once for a
requester, one byte a resident, and kept up with what is written. A row with a sensitivity, and a resident whose
rules look at dates, documents or custodians, are always asked for in full (``Gate.condition``).
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import groupby

from consent.grant import ALWAYS, BY_SENSITIVITY
from consent.vocabulary import RecordClass
from fhir_server.store.sqlite.schema import NO_PERIOD

CLOSED, OPEN, MIXED = 0, 1, 2
LARGEST = 32 * 1024 * 1024  # lasting numbers beyond which a byte for each is too much
_BITS = tuple(int(bit) for bit in RecordClass)
_RULES = (
    "SELECT pat, permit, classes, sensitivity, low, high, data_low, data_high, org, doc, spec, depth, overriding, src,"
    " grantee, given, kind='registration' FROM grants"
    " WHERE {where} AND purposes&{purpose} AND grantee IN ({grantees}) ORDER BY pat"
)
Rule = tuple[int, ...]


class Openness:
    """One requester's view of all residents, on one connection.

    ``named`` and ``groups`` (lasting number, since) are the grantees, ``purpose`` and ``through`` bits.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        named: Sequence[int],
        groups: Sequence[tuple[int, int]],
        purpose: int,
        through: int,
    ) -> None:
        self._connection = connection
        self._since = dict(groups)
        grantees = ",".join(map(str, (0, *named, *self._since)))
        self._rules = _RULES.replace("{purpose}", str(purpose)).replace("{grantees}", grantees)
        self._through = through
        self._seen = self._now = 0
        self._masks: dict[int, tuple[int, int]] = {}  # by resident: classes that are open, that need a closer look
        self._due: list[tuple[int, int]] = []  # when (µs) a resident's rules change by themselves
        self._blobs: dict[int, bytes] = {}
        self._size = -1

    def blob(self, record_class: int, now: int) -> bytes:
        """One byte (CLOSED, OPEN, MIXED) for each lasting number from 1, for rows of a class without sensitivity."""
        self._follow(now)
        found = self._blobs.get(record_class)
        if found is None:
            bytes_ = bytearray(self._size)
            for pat, (open_, mixed) in self._masks.items():
                if pat <= self._size:
                    bytes_[pat - 1] = OPEN if open_ & record_class else MIXED if mixed & record_class else CLOSED
            found = self._blobs[record_class] = bytes(bytes_)
        return found

    def _follow(self, now: int) -> None:
        """Take up what was written since the last time, and what time has changed."""
        run = self._connection.execute
        newest = run("SELECT coalesce(max(n), 0) FROM ruled").fetchone()[0]
        size = run("SELECT value FROM state WHERE name='lid'").fetchone()[0]
        stale: set[int] = set()
        if now < self._now:  # the clock was set back: what time has changed is no longer so
            self._size = -1
            self._masks.clear()
            self._due.clear()
            self._blobs.clear()
        self._now = now
        if self._size < 0:
            self._judge(run(self._rules.replace("{where}", "1")), now)
        elif newest > self._seen:
            stale = {pat for (pat,) in run("SELECT pat FROM ruled WHERE n>?", (self._seen,))}
        while self._due and self._due[0][0] <= now:
            stale.add(heapq.heappop(self._due)[1])
        for pat in stale:
            self._masks.pop(pat, None)
            self._judge(run(self._rules.replace("{where}", "pat=?"), (pat,)), now)
        if stale or size != self._size:
            self._blobs.clear()
        self._seen, self._size = newest, size

    def _judge(self, rows: Iterable[Rule], now: int) -> None:
        for pat, rules in groupby(rows, key=lambda row: row[0]):
            valid: list[Rule] = []
            for rule in rules:
                low, high = rule[4], rule[5]
                if low > now:
                    heapq.heappush(self._due, (low, pat))
                elif high > now:
                    valid.append(rule)
                    if high < ALWAYS:
                        heapq.heappush(self._due, (high, pat))
            self._masks[pat] = self._masks_of(valid)

    def _masks_of(self, rules: Sequence[Rule]) -> tuple[int, int]:
        permits = [rule for rule in rules if rule[1] and rule[15] >= self._since.get(rule[14], 0)]
        # A refusal of sensitive things says nothing of ordinary rows.
        refusals = [rule for rule in rules if not rule[1] and rule[3] == 0]
        opened = touched = 0
        for bit in _BITS:
            if not bit & self._through:
                continue
            mine = [rule for rule in permits if rule[2] & bit]
            if mine:
                touched |= bit
                against = [rule for rule in refusals if rule[2] & bit]
                if any(_whole(rule) and all(_prevails(rule, other) for other in against) for rule in mine):
                    opened |= bit
        return opened, touched & ~opened


def _whole(rule: Rule) -> bool:
    """Whether the rule is about every row of its classes: no period, custodian or document.

    Registration does not open the files of minors to those who do not treat.
    """
    return (rule[6], rule[7]) == NO_PERIOD and rule[8] == 0 and rule[9] == 0 and not rule[16]


def _prevails(permit: Rule, refusal: Rule) -> bool:
    """``consent.grant.prevails`` for rows without sensitivity."""
    if permit[12] or (permit[13] == refusal[13] and permit[11] > refusal[11]):
        return True
    spec = permit[10] & ~BY_SENSITIVITY
    return refusal[10] & ~spec == 0 and refusal[10] != spec
