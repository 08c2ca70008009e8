"""The access log: one JSON line per request (https://jsonlines.org), off unless the setting ``access_log`` asks for it.

It holds the shape of a path instead of its ids, and neither query, address nor user: nothing that identifies a person.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from time import monotonic

from fhir_server.http.exchange import Request

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Writer = Callable[[Request, str, int, float], None]
"""(request, shape of its path, status, ``monotonic`` seconds at its start)."""


def access_log() -> Writer:
    """The writer of lines, at INFO of the logger ``yidang.access``, which goes to standard error."""
    log = logging.getLogger("yidang.access")
    if not log.handlers:
        log.addHandler(logging.StreamHandler(sys.stderr))
    log.setLevel(logging.INFO)
    log.propagate = False

    def write(request: Request, shape: str, status: int, started: float) -> None:
        line = {
            "method": request.method if request.method in _METHODS else "(other)",
            "route": shape,
            "status": status,
            "ms": round((monotonic() - started) * 1000, 1),
            "correlation": request.correlation,
        }
        log.info(json.dumps(line))

    return write
