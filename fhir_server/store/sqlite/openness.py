"""Openness: for a requester, which residents' ordinary rows are open, closed, or need a closer look; for counts.

To count a population, a hundred thousand rows are judged; asking the rules for each costs ten times the count.
Most residents have rules that are the same for every row of a record class. They are worked out once for a
requester, one byte a resident, shared by all connections of the process and kept up with what is written. A row with
a sensitivity, and a resident whose rules look at dates, documents or custodians, are always asked for in full
(``Gate.condition``).
"""

from __future__ import annotations

import heapq
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import groupby

from consent.grant import ALWAYS, BY_SENSITIVITY
from fhir_server.store.sqlite.numbers import PATIENTS
from fhir_server.store.sqlite.schema import NO_PERIOD

CLOSED, OPEN, MIXED = 0, 1, 2
_MOST = 64  # requesters that are remembered
_STEP = 2000  # residents judged before what is known is noted: a search that is given up loses no more
_SEVERAL = bytes((MIXED,))
_BACK = 5_000_000  # µs that requests may overtake each other by; more is a clock that was set back
_ELSE = 255  # the last place of the palette: every class of the resident needs a closer look
_RULES = (
    "SELECT pat, permit, classes, sensitivity, low, high, data_low, data_high, org, doc, spec, depth, overriding, src,"
    " grantee, given, kind='registration' FROM grants"
    " WHERE {where} AND purposes&{purpose} AND grantee IN ({grantees}) ORDER BY pat"
)
_STANDS = "SELECT (SELECT coalesce(max(n), 0) FROM ruled), (SELECT value FROM state WHERE name='patients')"
Rule = tuple[int, ...]
Masks = tuple[int, int]  # of a resident: classes that are open, classes that need a closer look


class Open:
    """What is known for the requesters that counted last; one for all connections of a process."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, ...], Openness] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, named: tuple[int, ...], groups: tuple[tuple[int, int], ...], purpose: int, through: int) -> Openness:
        """The view of ``named`` and ``groups`` (lasting number, since) for bits of purposes and of classes."""
        key = (named, groups, purpose, through)
        with self._lock:
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = Openness(named, groups, purpose, through)
                if len(self._known) > _MOST:
                    self._known.popitem(last=False)
            else:
                self._known.move_to_end(key)
            return found


class Openness:
    """One requester's view of all residents.

    A byte for each Patient's lasting number is a place in a palette of masks; few different ones occur.
    """

    def __init__(self, named: Sequence[int], groups: Sequence[tuple[int, int]], purpose: int, through: int) -> None:
        self._since = dict(groups)
        grantees = ",".join(map(str, (0, *named, *self._since)))
        self._rules = _RULES.replace("{purpose}", str(purpose)).replace("{grantees}", grantees)
        self._through = through
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._places = bytearray()
        self._palette: list[Masks] = [(0, 0)]
        self._place_of: dict[Masks, int] = {(0, 0): 0}
        self._due: list[tuple[int, int]] = []  # when (µs) a resident's rules change by themselves
        self._blobs: dict[int, bytes] = {}
        self._built = 0  # the resident up to whom everybody was judged
        self._whole = False
        self._seen = -1  # the last entry of ``ruled`` that was taken up
        self._now = 0

    def blobs(self, connection: sqlite3.Connection, classes: Sequence[int], now: int) -> list[bytes] | None:
        """For each class one byte (CLOSED, OPEN, MIXED) a Patient's number from 1, for its rows without sensitivity.

        The last byte is for what is in several files (``pat`` -1): MIXED.

        ``connection``: the asker's, in its read transaction. A search that is given up in here goes on where it was the
        next time. None where another thread is at it, or the asker's snapshot is older than what is known: the rules
        must be asked row by row then.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if not self._follow(connection, now):
                return None
            return [self._blobs.get(one) or self._blob(one) for one in classes]
        finally:
            self._lock.release()

    def _blob(self, record_class: int) -> bytes:
        """What the palette says of one class, resident by resident."""
        table = bytes(
            OPEN if open_ & record_class else MIXED if mixed & record_class else CLOSED
            for open_, mixed in self._palette
        ).ljust(256, bytes((MIXED,)))
        found = self._blobs[record_class] = bytes(self._places.translate(table)) + _SEVERAL
        return found

    def _follow(self, connection: sqlite3.Connection, now: int) -> bool:
        """Take up what was written since the last time, and what time has changed; False: the snapshot is too old."""
        if now < self._now - _BACK:
            self._reset()
        now = self._now = max(now, self._now)
        run, one = connection.execute, self._rules.replace("{where}", "pat=?")
        newest, size = run(_STANDS).fetchone()
        if self._whole and newest < self._seen:
            return False
        if size > len(self._places):
            self._places += bytes(size - len(self._places))
            self._blobs.clear()
        if not self._whole:
            # What was judged as of an older snapshot is judged again below.
            self._seen = newest if self._seen < 0 else min(newest, self._seen)
            self._build(connection, now)
        # Nothing is noted as done before it is: a search may be given up within each statement.
        if newest > self._seen:
            for (pat,) in run("SELECT DISTINCT pat FROM ruled WHERE n>?", (self._seen,)).fetchall():
                self._judge(pat, run(one, (pat,)).fetchall(), now)
            self._seen = newest
        while self._due and self._due[0][0] <= now:
            pat = self._due[0][1]
            self._judge(pat, run(one, (pat,)).fetchall(), now)
            heapq.heappop(self._due)
        return True

    def _build(self, connection: sqlite3.Connection, now: int) -> None:
        """Judge everybody, some at a time."""
        some = self._rules.replace("{where}", "pat>? AND pat<=?")
        while self._built < len(self._places):
            until = self._built + _STEP
            rows = connection.execute(some, (self._built, until)).fetchall()
            for pat, rules in groupby(rows, key=lambda row: row[0]):
                self._judge(pat, rules, now)
            self._built = until
        self._whole = True

    def _judge(self, pat: int, rules: Iterable[Rule], now: int) -> None:
        """Note what all the rules about a resident come to."""
        valid: list[Rule] = []
        for rule in rules:
            low, high = rule[4], rule[5]
            if low > now:
                heapq.heappush(self._due, (low, pat))
            elif high > now:
                valid.append(rule)
                if high < ALWAYS:
                    heapq.heappush(self._due, (high, pat))
        self._put(pat, self._masks_of(valid))

    def _put(self, pat: int, masks: Masks) -> None:
        """Note what was found of a resident; a number beyond those of Patients is asked for in full anyway."""
        if not 0 < pat < PATIENTS:
            return
        place = self._place_of.get(masks)
        if place is None:
            place = min(len(self._palette), _ELSE)
            if place < _ELSE:
                self._palette.append(masks)
                self._place_of[masks] = place
        if pat > len(self._places):
            self._places += bytes(pat - len(self._places))
        if self._places[pat - 1] != place:
            self._places[pat - 1] = place
            self._blobs.clear()

    def _masks_of(self, rules: Sequence[Rule]) -> Masks:
        permits = [rule for rule in rules if rule[1] and rule[15] >= self._since.get(rule[14], 0)]
        # A refusal of sensitive things says nothing of ordinary rows.
        refusals = [rule for rule in rules if not rule[1] and rule[3] == 0]
        opened = touched = 0
        for permit in permits:
            touched |= permit[2]
            if _whole(permit):
                held = permit[2]
                for refusal in refusals:
                    if held & refusal[2] and not _prevails(permit, refusal):
                        held &= ~refusal[2]
                opened |= held
        opened &= self._through
        return opened, touched & self._through & ~opened


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
