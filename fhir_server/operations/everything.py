"""Operation $everything: the whole record of a patient or an encounter, complete and each resource once.

https://hl7.org/fhir/R4/patient-operation-everything.html,
https://hl7.org/fhir/R4/encounter-operation-everything.html
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fhir_server.errors import BadRequest, Gone, NotFound
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions.listing import bundle, link_url, now, search_entries
from fhir_server.operations.parameters import simple_pairs
from fhir_server.search.plan import Indexed
from fhir_server.search.times import interval_reader
from fhir_server.search.tree import (
    MAX_TIME,
    And,
    Date,
    InCompartment,
    LastUpdated,
    Missing,
    Node,
    Not,
    Or,
    Param,
    Prefix,
    Query,
)
from fhir_server.store.protocol import Stored

if TYPE_CHECKING:
    from fhir_server.context import Context

_KNOWN = frozenset({"_since", "_type", "_count", "start", "end", "_cursor"})
_WHOLE = 10_000  # resources given in one Bundle when the client asks for no pages
_STEP = 1000
_START = "0"  # the cursor of the members after a page that the instance itself fills
_BREATH = 250  # resources looked through at a time
_REFERENCE = re.compile(
    rb'"reference":"((?:https?://[^"]*/)?)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?"'
)
# The clinical date of a type, the first of these date parameters that it has.
_DATES = (
    "date", "clinical-date", "onset-date", "authoredon", "authored", "effective-time", "effective", "started",
    "period", "billable-period", "created", "recorded-date", "recorded", "occurrence", "issued", "sent",
    "whenhandedover",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the request narrows the record to; times in microseconds, None where open."""

    types: frozenset[str] | None
    since: int | None
    start: tuple[int, int] | None
    end: tuple[int, int] | None
    count: int | None
    cursor: str | None

    def wants(self, type_name: str) -> bool:
        """Whether resources of this type are to be given."""
        return self.types is None or type_name in self.types


async def patient_everything(request: Request, context: Context) -> Response:
    """``Patient/[id]/$everything`` and ``Patient/$everything``."""
    return await _everything(request, context, "Patient")


async def encounter_everything(request: Request, context: Context) -> Response:
    """``Encounter/[id]/$everything``."""
    return await _everything(request, context, "Encounter")


async def _everything(request: Request, context: Context, compartment: str) -> Response:
    """The members of the compartment and what they refer to; with ``_count`` in pages, else whole.

    Raises NotFound and Gone for the resource itself, BadRequest for parameters that cannot be read.
    """
    pairs = simple_pairs(request, _KNOWN, "everything")
    asked = _asked(pairs, context)
    focus = _focus(request, context, walking=asked.cursor not in (None, _START))
    digest = hashlib.sha256(repr((request.type, request.id, [p for p in pairs if p[0] != "_cursor"])).encode())
    most = asked.count or _WHOLE
    members: list[Stored] = []
    if focus and asked.cursor is None and asked.wants(compartment) and _recent(focus, asked):
        members.append(focus)
    found, cursor = await _found(request, compartment, asked, most - len(members), digest.hexdigest(), context)
    members += found
    sources = members
    if focus is not None and cursor is None and _follows_more(asked, compartment, context):
        # What the record refers to belongs to it, also where the members that refer to it were not asked for.
        whole = replace(asked, types=None, since=None, cursor=None)
        sources, _ = await _found(request, compartment, whole, _WHOLE, "", context)
    referenced = await _referenced(focus, sources, asked, compartment, request.base_url, context)
    path = "/".join(part for part in (request.type, request.id, "$everything") if part)
    rest = [pair for pair in pairs if pair[0] != "_cursor"]
    links = [("self", link_url(request.base_url, path, pairs))]
    if cursor is not None:
        links.append(("next", link_url(request.base_url, path, [*rest, ("_cursor", cursor)])))
    entries = search_entries(members, "match", request.base_url, None)
    entries += search_entries(referenced, "include", request.base_url, None)
    total = len(members) if cursor is None and asked.cursor is None else None
    return Response(200, bundle("searchset", links, entries, total, now(context)))


async def _found(
    request: Request, compartment: str, asked: _Asked, most: int, digest: str, context: Context
) -> tuple[list[Stored], str | None]:
    """Up to ``most`` members of the compartment beside the instance itself, and the cursor of those after them."""
    where = tuple(
        (type_name, node)
        for type_name in sorted(context.definitions.resource_types)
        if asked.wants(type_name) and (node := _members(compartment, request.id, type_name, asked, context)) is not None
    )
    if where and most <= 0:  # the instance itself fills the page
        return [], _START
    members: list[Stored] = []
    cursor = None if asked.cursor == _START else asked.cursor
    while where and len(members) < most:
        query = Query(where, count=min(_STEP, most - len(members)))
        page = await context.store.search(query, context.access, cursor, digest)
        members += page.matches
        cursor = page.cursor
        if cursor is None:
            break
    return members, cursor


def _shared(context: Context) -> frozenset[str]:
    """The types that are in nobody's compartment: practitioners, organizations, medications …"""
    personal = context.definitions.compartments["Patient"]
    return context.definitions.resource_types - {name for name, codes in personal.items() if codes} - {"Patient"}


def _follows_more(asked: _Asked, compartment: str, context: Context) -> bool:
    """Whether members that were narrowed away may refer to what is asked for."""
    if asked.types is None:
        return asked.since is not None
    return compartment == "Encounter" or bool(asked.types & _shared(context))


def _asked(pairs: Iterable[tuple[str, str]], context: Context) -> _Asked:
    values: dict[str, str] = {}
    for name, value in pairs:
        values[name] = f"{values[name]},{value}" if name == "_type" and name in values else value
    types = frozenset(part.strip() for part in values["_type"].split(",")) if values.get("_type") else None
    for name in types or ():
        if name not in context.definitions.resource_types:
            raise BadRequest(f"'{name}' in _type is not a resource type of FHIR R4", "http._type", code="value")
    count = values.get("_count")
    if count is not None and not (count.isascii() and count.isdigit() and int(count[:9]) > 0):
        raise BadRequest(f"_count must be a whole number from 1 on, not '{count}'", "http._count", code="value")
    since = _moment("_since", values, context)
    return _Asked(
        types,
        since[0] if since else None,
        _moment("start", values, context),
        _moment("end", values, context),
        min(int(count[:9]), context.settings.page_max) if count else None,
        values.get("_cursor"),
    )


def _moment(name: str, values: dict[str, str], context: Context) -> tuple[int, int] | None:
    text = values.get(name)
    if text is None:
        return None
    found = interval_reader(context.settings.zone)(text)
    if found is None:
        raise BadRequest(f"{name} must be a date or an instant, not '{text}'", f"http.{name}", code="value")
    return found


def _focus(request: Request, context: Context, walking: bool) -> Stored | None:
    """The patient or encounter itself; None at the type level.

    ``walking``: a later page; it tells of the first page's moment, so a deletion since then does not end the walk.
    """
    if not request.id:
        return None
    found = context.store.read(request.type, request.id, context.access)
    if found is None:
        raise NotFound(f"There is no {request.type}/{request.id}")
    last = found.version
    if found.deleted and walking:
        found = context.store.vread(request.type, request.id, last - 1, context.access)
    if found is None or found.body is None:
        raise Gone(f"{request.type}/{request.id} is deleted since version {last}")
    return found


def _members(compartment: str, id: str, type_name: str, asked: _Asked, context: Context) -> Node | None:
    """The condition on members of the compartment among ``type_name``; None where it can have none.

    The instance's own resource is left out: it comes first, by itself.
    """
    codes = context.definitions.compartments[compartment].get(type_name, ())
    params = context.extractor.indexed(type_name)
    about = params.get("patient")
    if not codes and compartment == "Patient" and about is not None and "Patient" in about.targets:
        # Not in the compartment of R4, and yet about the patient: Device, Task, GuidanceResponse.
        codes = ("patient",)
    sources = (source for code in codes if code in params for source in params[code].sources)
    keys = tuple(dict.fromkeys(source.key for source in sources if source.target in (None, compartment)))
    nodes: list[Node] = []
    if id:
        if not keys:
            return None
        nodes.append(InCompartment(compartment, id, keys))
    elif type_name != compartment:
        if not keys:
            return None
        nodes.append(Or(tuple(Missing(Param(type_name, code), False) for code in codes if code in params)))
    if asked.since is not None:
        nodes.append(LastUpdated(Prefix.GE, asked.since, asked.since + 1))
    nodes += _in_period(type_name, params, asked)
    return And(tuple(nodes))


def _in_period(type_name: str, params: Mapping[str, Indexed], asked: _Asked) -> list[Node]:
    """Conditions that leave out what lies wholly before ``start`` or after ``end``; what has no date stays."""
    code = next((code for code in _DATES if code in params and params[code].kind == "date"), None)
    if code is None or type_name == "Patient":
        return []
    nodes: list[Node] = []
    for source in params[code].sources:
        param = Param(type_name, source.key)
        if asked.start:
            nodes.append(Not(Date(param, Prefix.EB, *asked.start)))
        if asked.end:
            nodes.append(Not(Date(param, Prefix.SA, asked.end[0], min(asked.end[1], MAX_TIME))))
    return nodes


def _recent(stored: Stored, asked: _Asked) -> bool:
    return asked.since is None or stored.updated >= asked.since


async def _referenced(
    focus: Stored | None, members: list[Stored], asked: _Asked, compartment: str, base_url: str, context: Context
) -> list[Stored]:
    """What the members refer to, and what that refers to, outside of anybody's compartment.

    Resources that are members of patients' compartments are never followed to, so nobody else's record
    comes along; but what an encounter itself names (its patient, conditions, appointments) is part of it.
    """
    personal = context.definitions.compartments["Patient"]
    shared = _shared(context)
    seen = {(stored.type, stored.id) for stored in members}
    if focus is not None:
        seen.add((focus.type, focus.id))
    found: list[Stored] = []
    fresh = [*members] if focus is None or focus in members else [focus, *members]
    while fresh:
        step: list[Stored] = []
        for number, stored in enumerate(fresh):
            if number % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)  # others are answered between
            any_type = compartment == "Encounter" and stored is focus
            for base, type_name, id in _REFERENCE.findall(stored.body or b""):
                key = (type_name.decode(), id.decode())
                if key in seen or (base and base.decode()[:-1] != base_url):
                    continue
                if key[0] in shared or (any_type and key[0] in personal and key[0] != "Encounter"):
                    seen.add(key)
                    target = context.store.read(*key, context.access)
                    if target is not None and target.body is not None:
                        step.append(target)
        found += step
        fresh = step
    return [stored for stored in found if asked.wants(stored.type) and _recent(stored, asked)]
