"""Lasting numbers (``lid``): Patients count from 1, everything else from PATIENTS on.

So the numbers of the residents lie close together, and what is known of each of them fits a byte string that is
indexed by them (``openness``).
"""

from __future__ import annotations

import sqlite3

PATIENTS = 1 << 24  # numbers below it are Patients'; should there ever be more, they get numbers like everything else
COUNTERS = (("lid", PATIENTS), ("patients", 0))  # in ``state``: the last number given
_READ = "SELECT (SELECT value FROM state WHERE name='lid'), (SELECT value FROM state WHERE name='patients')"


class Numbers:
    """The counters, in the writer's open transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._last = self._filed = (PATIENTS, 0)

    def begin(self) -> None:
        """A commit starts: go on where the file stands."""
        self._last = self._filed = self._connection.execute(_READ).fetchone()

    def next(self, type_: str) -> int:
        """The number that ``take`` would give."""
        other, patient = self._last
        return patient + 1 if type_ == "Patient" and patient + 1 < PATIENTS else other + 1

    def take(self, type_: str) -> int:
        """A number for something new of this type."""
        number = self.next(type_)
        other, patient = self._last
        self._last = (other, number) if number < PATIENTS else (number, patient)
        return number

    def mark(self) -> tuple[int, int]:
        """Where the counters stand, for ``undo``."""
        return self._last

    def undo(self, mark: tuple[int, int]) -> bool:
        """Go back to ``mark``; whether numbers were given since the commit began, so that what names them is void."""
        fresh = self._last != self._filed
        self._last = mark
        return fresh

    def end(self) -> None:
        """Write the counters, before COMMIT."""
        if self._last != self._filed:
            self._connection.executemany(
                "UPDATE state SET value=? WHERE name=?", zip(self._last, ("lid", "patients"), strict=True)
            )
