"""Pace: how often one requester may ask the person index, so that nobody tries numbers and names by the thousand."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from fhir_server.errors import TooManyRequests

if TYPE_CHECKING:
    from fhir_server.context import Context

_MOST_KEYS = 10_000


class Pace:
    """Calls of the last ``seconds``, by who makes them; kept in each server process. Usable from any thread."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._calls: dict[str, deque[float]] = {}

    def take(self, key: str, most: int, now: float) -> float:
        """Count a call at ``now`` (seconds); 0, or for how long to wait where ``most`` were made (then uncounted)."""
        with self._lock:
            if len(self._calls) >= _MOST_KEYS and key not in self._calls:
                self._forget(now)
            calls = self._calls.setdefault(key, deque())
            while calls and calls[0] <= now - self._seconds:
                calls.popleft()
            if len(calls) >= most:
                return calls[0] + self._seconds - now
            calls.append(now)
            return 0.0

    def _forget(self, now: float) -> None:
        """Drop who has been quiet; should all be busy, the one who began first."""
        quiet = [key for key, calls in self._calls.items() if not calls or calls[-1] <= now - self._seconds]
        for key in quiet or [next(iter(self._calls))]:
            del self._calls[key]


_MINUTES: dict[str, Pace] = {}


def check_pace(what: str, most: int, context: Context) -> None:
    """Count one ``what`` of the requester. Raises TooManyRequests beyond ``most`` a minute.

    Stewards, and who loads without restriction, go at any pace.
    """
    access = context.access
    if access.unrestricted or access.identities:
        return
    wait = _MINUTES.setdefault(what, Pace(60.0)).take(access.binding, most, context.clock() / 1_000_000)
    if wait > 0:
        raise TooManyRequests(f"{what}: {most} times a minute at most; try again in {int(wait) + 1} s")
