"""How often one address may ask: counted in this process, for what costs a write whoever asks."""

from __future__ import annotations

import threading

from fhir_server.auth.oauth import OAuthError

_MOST_ADDRESSES = 10_000


class Pace:
    """At most ``most`` requests of one address in each window of ``seconds``."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._lock = threading.Lock()
        self._window = -1
        self._counts: dict[str, int] = {}

    def check(self, address: str, now: float) -> None:
        """Count a request. Raises OAuthError (429) where there were too many."""
        window = int(now // self._seconds)
        with self._lock:
            if window != self._window or len(self._counts) > _MOST_ADDRESSES:
                self._window = window
                self._counts.clear()
            count = self._counts.get(address, 0) + 1
            self._counts[address] = count
        if count > self._most:
            raise OAuthError("temporarily_unavailable", "Too many requests from this address; try again soon", 429)
