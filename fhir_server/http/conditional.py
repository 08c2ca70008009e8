"""Versions and times in headers: ETag, Last-Modified and the conditions on them.

https://hl7.org/fhir/R4/http.html#versioning, https://www.rfc-editor.org/rfc/rfc9110#name-conditional-requests
"""

from __future__ import annotations

from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from fhir_server.errors import BadRequest, PreconditionFailed
from fhir_server.http.exchange import Request
from fhir_server.store.protocol import Stored

SECOND = 1_000_000


def etag(version: int) -> str:
    """The weak entity tag of a version."""
    return f'W/"{version}"'


@lru_cache(maxsize=4096)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


def http_date(microseconds: int) -> str:
    """A time as headers hold it, to the second below."""
    return _http_date(microseconds // SECOND)


@lru_cache(maxsize=1024)
def tags(header: str) -> frozenset[str]:
    """The versions named by an If-Match or If-None-Match header: ``W/"1"``, ``"1"`` and plain ``1``; or ``*``."""
    found = set()
    for part in header.split(","):
        tag = part.strip()
        found.add(tag.removeprefix("W/").strip('"'))
    return frozenset(found)


def check_if_match(request: Request, current: Stored | None) -> None:
    """Raise PreconditionFailed unless the current version is one that If-Match names (no header: no condition)."""
    header = request.headers.get("if-match")
    if header is None:
        return
    wanted = tags(header)
    if current is not None and not current.deleted and ("*" in wanted or str(current.version) in wanted):
        return
    id = request.id or (current.id if current is not None else "")
    where = f"{request.type}/{id}" if id else request.type
    state = f"has version {current.version}" if current and not current.deleted else "does not exist"
    raise PreconditionFailed(f"If-Match names {header}, but {where} {state}", "http.If-Match")


def check_if_none_match(request: Request, current: Stored | None) -> None:
    """Raise PreconditionFailed for a write when a version that If-None-Match names (or ``*``) exists."""
    header = request.headers.get("if-none-match")
    if header is None or current is None or current.deleted:
        return
    if tags(header) & {"*", str(current.version)}:
        raise PreconditionFailed(
            f"If-None-Match is {header}, but {current.type}/{current.id} has version {current.version}",
            "http.If-None-Match",
        )


def not_modified(request: Request, stored: Stored) -> bool:
    """Whether a read may be answered 304: If-None-Match first, else If-Modified-Since.

    Raises BadRequest for a time that cannot be read.
    """
    headers = request.headers
    named = headers.get("if-none-match")
    if named is not None:
        return bool(tags(named) & {"*", str(stored.version)})
    since = headers.get("if-modified-since")
    if since is None:
        return False
    try:
        moment = parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        raise BadRequest(f"'{since}' is not an HTTP date", "http.If-Modified-Since") from None
    return stored.updated // SECOND <= int(moment)
