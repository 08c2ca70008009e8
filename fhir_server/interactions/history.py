"""FHIR history interaction: of an instance, a type, or the whole system.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from fhir_server.context import Context
from fhir_server.errors import BadRequest, NotFound
from fhir_server.http.exchange import Request, Response
from fhir_server.http.summary import SUMMARIES, wanted_part
from fhir_server.interactions.listing import bundle, history_entry, link_url, now, without
from fhir_server.search.times import interval_reader
from fhir_server.store.protocol import HistoryScope

_KNOWN = frozenset(
    {"_since", "_at", "_count", "_page", "_format", "_pretty", "_summary", "_elements", "_sort", "_total"}
)


async def history(request: Request, context: Context) -> Response:
    """``GET [base]/[type]/[id]/_history``, ``[base]/[type]/_history``, ``[base]/_history``: a page of versions.

    Newest first; deletions have no resource. Raises NotFound for an instance that never was.
    """
    scope = _scope(request, context)
    page = await context.store.history(scope, context.access)
    if request.id and not page.total and context.store.read(request.type, request.id, context.access) is None:
        raise NotFound(f"There is no {request.type}/{request.id}")
    path = "/".join(part for part in (request.type, request.id, "_history") if part)
    links = [("self", link_url(request.base_url, path, request.query))]
    if page.next is not None and not _only_count(request):
        pairs = without(request.query, "_page")
        links.append(("first", link_url(request.base_url, path, pairs)))
        token = f"{page.next.before or 0}.{page.next.snapshot or 0}"
        links.append(("next", link_url(request.base_url, path, [*pairs, ("_page", token)])))
    part = wanted_part(request.query, context.definitions)
    shown = () if _only_count(request) else page.entries
    entries = [history_entry(one, request.base_url, context.settings.zone, part) for one in shown]
    return Response(body=bundle("history", links, entries, page.total, now(context)))


def _only_count(request: Request) -> bool:
    return request.param("_summary") == "count" or request.param("_count") == "0"


def _scope(request: Request, context: Context) -> HistoryScope:
    for name, _ in request.query:
        if name not in _KNOWN:
            raise BadRequest(f"History has no parameter '{name}'; it has _since, _at, _count", f"http.{name}")
    since, at = request.param("_since"), request.param("_at")
    if since is not None and at is not None:
        raise BadRequest("_since and _at exclude each other", "http._at")
    summary = request.param("_summary")
    if summary is not None and summary not in SUMMARIES:
        raise BadRequest(f"_summary must be one of {', '.join(SUMMARIES)}, not '{summary}'", "http._summary")
    before, snapshot = _page(request.param("_page"))
    return HistoryScope(
        type=request.type or None,
        id=request.id or None,
        since=_moment("_since", since, context)[0] if since is not None else None,
        at=_moment("_at", at, context) if at is not None else None,
        count=_count(request.param("_count"), context),
        before=before,
        snapshot=snapshot,
    )


def _moment(name: str, text: str, context: Context) -> tuple[int, int]:
    found = interval_reader(context.settings.zone)(text)
    if found is None:
        raise BadRequest(f"{name} must be a date or an instant, not '{text}'", f"http.{name}")
    return found


def _count(text: str | None, context: Context) -> int:
    if text is None:
        return min(50, context.settings.page_max)
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadRequest(f"_count must be a whole number, not '{text}'", "http._count")
    return min(max(int(text), 1), context.settings.page_max)


def _page(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    before, _, snapshot = text.partition(".")
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in (before, snapshot)):
        raise BadRequest("_page is not a page of ours; follow the next link", "http._page")
    return int(before) or None, int(snapshot) or None
