"""Request and Response: one exchange as plain data, free of ASGI, so that Bundle entries run the same functions.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.store.protocol import Stored
from profiles.issues import Issue

Pairs = list[tuple[str, str]]


@dataclass(slots=True)
class Request:
    """One request on the FHIR base, as it reaches an interaction.

    ``segments`` is the path below the base, percent-decoded. ``query`` holds the decoded
    pairs of the URL in their order (and of the form of a POST ``_search``). Header names are in lower
    case. ``body`` is decompressed. ``base_url`` has no slash at its end.
    ``resource`` is the body where it is parsed already (entries of a Bundle).
    ``type``, ``id``, ``version``, ``operation`` are what the route read from the path ('' where absent);
    for a compartment search ``operation`` is the sought type or ``*``.
    ``findings``: what validation has to say of the resource that it writes, short of refusing it.
    """

    method: str
    segments: tuple[str, ...]
    query: Pairs
    headers: dict[str, str]
    body: bytes
    base_url: str
    correlation: str
    resource: dict[str, Any] | None = None
    type: str = ""
    id: str = ""
    version: str = ""
    operation: str = ""
    findings: Sequence[Issue] = ()

    def param(self, name: str) -> str | None:
        """The first value of a query parameter, or None."""
        for key, value in self.query:
            if key == name:
                return value
        return None


@dataclass(slots=True)
class Response:
    """What an interaction answers; rendered (format, pretty, compression) at one place afterwards.

    A FHIR answer has either ``resource`` (a dict) or ``body`` (its JSON text).
    With ``content_type`` set, ``body`` is sent as it is, in that type.
    ``stored`` is the version that the answer is about (for Bundle entries: etag, lastModified).
    """

    status: int = 200
    body: bytes = b""
    resource: dict[str, Any] | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    content_type: str | None = None
    stored: Stored | None = None

    def header(self, name: str) -> str | None:
        """The first value of a header (exact case as written by the interactions), or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


# Its second argument is the Context: that holds the routing table of handlers and so cannot be named here.
Handler = Callable[[Request, Any], Awaitable[Response]]
