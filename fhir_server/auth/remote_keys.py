"""Public keys that somebody else publishes at an address: fetched, remembered, fetched again when they rotate.

https://www.rfc-editor.org/rfc/rfc7517#section-5
"""

from __future__ import annotations

import json
import math
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import KeySet

from fhir_server.auth.clients import check_jwks_uri, public_keys

FRESH_SECONDS = 300.0  # so long keys are believed without asking again
AGAIN_SECONDS = 30.0  # an unknown key makes us ask again, but not more often than this
_TIMEOUT, _MOST_BYTES = 5.0, 256 * 1024


class Unavailable(Exception):
    """What is published could not be fetched or read."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Keys come from the address that was registered, and from nowhere else."""


def fetch_json(address: str) -> dict[str, Any]:
    """The JSON object at ``address``. Raises Unavailable."""
    try:
        check_jwks_uri(address)
        opener = urllib.request.build_opener(_NoRedirects)
        request = urllib.request.Request(address, headers={"Accept": "application/json"})
        with opener.open(request, timeout=_TIMEOUT) as answer:
            found = json.loads(answer.read(_MOST_BYTES))
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise Unavailable(f"{address}: {type(error).__name__}") from None
    if not isinstance(found, dict):
        raise Unavailable(f"{address} holds no JSON object")
    return found


class RemoteKeys:
    """The key sets of several addresses. ``clock`` gives seconds; it may be used from any thread."""

    def __init__(self, clock: Callable[[], float], fetch: Callable[[str], dict[str, Any]] = fetch_json) -> None:
        self._clock = clock
        self._fetch = fetch
        self._published: dict[str, _Published] = {}

    def of(self, address: str, kid: str) -> KeySet:
        """The key set at ``address``, fresh, or fetched again where it does not have ``kid``. Raises Unavailable."""
        published = self._published.setdefault(address, _Published())
        with published.lock:
            now = self._clock()
            lacks = published.keys is None or all(key.kid != kid for key in published.keys.keys)
            stale = now - published.fetched >= FRESH_SECONDS
            if (lacks or stale) and now - published.asked >= AGAIN_SECONDS:
                published.asked = now
                published.keys = self._read(address)
                published.fetched = now
            elif stale:  # what cannot be had again is believed no longer
                raise Unavailable(address)
            if published.keys is None:
                raise Unavailable(address)
            return published.keys

    def _read(self, address: str) -> KeySet:
        try:
            return public_keys(json.dumps(self._fetch(address)))
        except ValueError as error:
            raise Unavailable(f"{address}: {error}") from None


@dataclass(slots=True)
class _Published:
    """What one address gave, when, and when it was last asked."""

    keys: KeySet | None = None
    fetched: float = -math.inf
    asked: float = -math.inf
    lock: threading.Lock = field(default_factory=threading.Lock)
