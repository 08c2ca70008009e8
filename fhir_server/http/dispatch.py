"""From a Request to its interaction: used by the HTTP shell, and by a batch for each of its entries.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from consent import Access
from fhir_server.audit.exchange import entry_asked
from fhir_server.context import Context
from fhir_server.errors import BadRequest, Forbidden
from fhir_server.http.exchange import Pairs, Request, Response
from fhir_server.http.routes import Operation


def query_pairs(text: str) -> Pairs:
    """The decoded name-value pairs of a query string or form, in their order.

    Raises BadRequest where the percent-encoding is no UTF-8.
    """
    if not text:
        return []
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=10_000)
    except (UnicodeDecodeError, ValueError) as error:
        raise BadRequest(f"The query string cannot be decoded: {error}", "http.url") from None


def path_segments(path: str) -> tuple[str, ...]:
    """The decoded segments of a path below the base; one slash at the end is forgiven."""
    path = path.removeprefix("/").removesuffix("/")
    if not path:
        return ()
    if "%" not in path:
        return tuple(path.split("/"))
    try:
        return tuple(unquote(segment, errors="strict") for segment in path.split("/"))
    except UnicodeDecodeError:
        raise BadRequest("The path is not UTF-8", "http.url") from None


def entry_request(
    outer: Request,
    method: str,
    url: str,
    resource: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Request:
    """The Request of a Bundle entry: ``url`` relative to the base of ``outer`` (or absolute below it).

    ``headers`` are those of the entry (if-match, if-none-exist, …, lower case); Prefer is inherited.
    """
    url = url.removeprefix(outer.base_url)
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        raise BadRequest(f"'{url}' is not a URL of this server ({outer.base_url})", "Bundle.entry.request.url")
    inherited = {name: outer.headers[name] for name in ("prefer",) if name in outer.headers}
    return Request(
        method=method,
        segments=path_segments(parts.path),
        query=query_pairs(parts.query),
        headers={**inherited, **(headers or {})},
        body=b"",
        base_url=outer.base_url,
        correlation=outer.correlation,
        resource=resource,
    )


async def dispatch(request: Request, context: Context) -> Response:
    """Run the interaction of ``request``, if a scope of the requester gives it. Refusals are raised as FhirError."""
    found = context.routes.find(request)
    entry_asked(request)
    access = context.access
    if not access.unrestricted:
        check_scopes(found.letters, request, access)
        if isinstance(found, Operation) and found.administers and not access.administers:
            raise Forbidden(f"${found.code} is for the administrators of the alliance")
    return await found.handler(request, context)


def check_scopes(letters: str, request: Request, access: Access) -> None:
    """Raise Forbidden where no scope gives ``letters`` on the type that ``request`` is about.

    https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
    """
    wanted = request.operation if request.operation[:1].isupper() else request.type
    for letter in letters:
        given = access.allows(letter, wanted) if wanted and wanted != "*" else access.anywhere(letter)
        if not given:
            raise Forbidden(
                f"No scope of this token gives '{letter}' on {wanted or 'anything'}",
                "http.Authorization",
                code="forbidden",
            )
