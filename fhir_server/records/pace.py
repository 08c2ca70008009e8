"""Pace: how often one requester may ask the person index, so that nobody tries numbers and names by the thousand."""

from __future__ import annotations

import threading
from collections import deque

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
