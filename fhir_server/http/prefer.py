"""The Prefer header: what a write returns, and how strictly a search is read.

https://hl7.org/fhir/R4/http.html#ops, https://hl7.org/fhir/R4/search.html#errors
"""

from __future__ import annotations

from functools import lru_cache

from fhir_server.errors import BadRequest
from fhir_server.http.exchange import Request

RETURNS = ("minimal", "representation", "OperationOutcome")
HANDLINGS = ("strict", "lenient")


@lru_cache(maxsize=256)
def preferences(header: str) -> dict[str, str]:
    """The preferences of a Prefer header, e.g. ``{"return": "minimal"}``; the first of each name counts."""
    found: dict[str, str] = {}
    for part in header.replace(";", ",").split(","):
        name, _, value = part.partition("=")
        if name.strip():
            found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def returns(request: Request) -> str:
    """``minimal``, ``representation`` or ``OperationOutcome``; '' when nothing (or nothing known) is preferred."""
    header = request.headers.get("prefer")
    value = preferences(header).get("return", "") if header else ""
    return value if value in RETURNS else ""


def lenient(request: Request, default: str) -> bool:
    """Whether unknown search parameters are ignored, and told, rather than refused.

    ``default`` is the server's handling without a preference. Raises BadRequest for an unknown handling.
    """
    header = request.headers.get("prefer")
    value = preferences(header).get("handling", default) if header else default
    if value not in HANDLINGS:
        raise BadRequest(f"Prefer: handling={value} is neither strict nor lenient", "http.Prefer")
    return value == "lenient"
