"""FHIR search interaction: of a type, the system, or a compartment; by GET or POST ``_search``.

https://hl7.org/fhir/R4/http.html#search, https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from fhir_server.context import Context
from fhir_server.errors import NotFound
from fhir_server.http.exchange import Pairs, Request, Response
from fhir_server.http.prefer import lenient
from fhir_server.http.summary import subsetter
from fhir_server.interactions.change import check_id
from fhir_server.interactions.criteria import asks_terminology, read_search
from fhir_server.interactions.listing import (
    bundle,
    fragment_entries,
    link_url,
    now,
    outcome_entry,
    search_entries,
    without,
)
from fhir_server.search.compartment import compartment_node, compartment_types
from fhir_server.search.tree import And, Query, SearchRequest
from fhir_server.store.protocol import Page
from fhir_server.terminology import aside
from profiles.issues import Issue, operation_outcome

_SHAPE = ("_format", "_pretty")
_HINTS = ("_totalMethod",)  # fhirpy's word on how to count; the number is the same


async def search_type(request: Request, context: Context) -> Response:
    """``GET [base]/[type]?…`` and ``POST [base]/[type]/_search``."""
    return await _answer(request, (request.type,), request.type, context)


async def search_system(request: Request, context: Context) -> Response:
    """``GET [base]?…`` and ``POST [base]/_search``: all types, or those of ``_type``."""
    return await _answer(request, (), "", context)


async def search_compartment(request: Request, context: Context) -> Response:
    """``GET [base]/[compartment]/[id]/[type or *]?…`` and its POST ``_search``.

    https://hl7.org/fhir/R4/compartmentdefinition.html
    """
    check_id(request.id, "http.url")
    members = compartment_types(context.definitions, request.type)
    wanted = request.operation
    if wanted != "*" and wanted not in members:
        raise NotFound(f"{wanted} is never in the compartment of a {request.type}", "http.url", code="not-supported")
    types = members if wanted == "*" else (wanted,)
    return await _answer(request, types, f"{request.type}/{request.id}/{wanted}", context)


def in_compartment(query: Query, type: str, id: str, context: Context) -> Query:
    """``query`` narrowed to the compartment of ``type``/``id``."""
    where = tuple(
        (name, And((compartment_node(context.definitions, type, id, name), node))) for name, node in query.where
    )
    return replace(query, where=where)


async def _answer(request: Request, types: tuple[str, ...], path: str, context: Context) -> Response:
    pairs = without(request.query, *_SHAPE, *_HINTS)
    tolerant = lenient(request, context.settings.handling)
    asked = (types, pairs, context, request.base_url, tolerant)
    wanted = await aside(read_search, *asked) if asks_terminology(pairs) else read_search(*asked)
    query = wanted.query
    if request.id:
        query = in_compartment(query, request.type, request.id, context)
    # What the links repeat is what was applied, never what was ignored.
    applied = [(name, str(query.count) if name == "_count" else value) for name, value in wanted.applied]
    if wanted.summary == "count":
        total = await context.store.count(query, context.access)
        links = [("self", link_url(request.base_url, path, applied))]
        return Response(body=bundle("searchset", links, _outcome(wanted), total, now(context)))
    digest = hashlib.blake2b(repr((path, types, applied)).encode(), digest_size=16).hexdigest()
    page = await context.store.search(query, context.access, wanted.cursor, digest)
    return _searchset(request, path, applied, page, wanted, context)


def _searchset(
    request: Request, path: str, applied: Pairs, page: Page, wanted: SearchRequest, context: Context
) -> Response:
    base = request.base_url
    here = [*applied, ("_cursor", wanted.cursor)] if wanted.cursor else applied
    links = [("self", link_url(base, path, here))]
    # Where the cap cut the includes, the next page brings the rest of them before further matches.
    following = page.include_cursor or page.cursor
    shape = [pair for pair in request.query if pair[0] in _SHAPE]
    if following:
        links.append(("first", link_url(base, path, [*applied, *shape])))
        links.append(("next", link_url(base, path, [*applied, *shape, ("_cursor", following)])))
    part = subsetter(wanted.summary, wanted.elements, context.definitions)
    if page.fragments:
        entries = fragment_entries(page.matches, page.fragments, base, part)
    else:
        entries = search_entries(page.matches, "match", base, part)
    if page.includes:
        entries += search_entries(page.includes, "include", base, None)
    entries += _outcome(wanted, page.include_cursor is not None)
    return Response(body=bundle("searchset", links, entries, page.total, now(context)))


def _outcome(wanted: SearchRequest, cut: bool = False) -> list[bytes]:
    issues = [
        Issue("not-supported", f"The parameter '{text}' was ignored", (f"http.{text.partition('=')[0]}",), "warning")
        for text in wanted.ignored
    ]
    if cut:
        issues.append(
            Issue("incomplete", "More included resources come on the page of the next link", severity="information")
        )
    return [outcome_entry(operation_outcome(issues))] if issues else []
