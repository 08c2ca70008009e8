"""AuditEvent over FHIR: reading and searching the chain; nobody changes it, systems may add events of their own.

https://hl7.org/fhir/R4/auditevent.html. Residents read what concerns them and their wards, privacy officers what
concerns their institution, auditors everything. Reading the log is on record like everything else.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from consent.access import Access
from fhir_server.audit.balp import View, audit_event, part_id, person_view
from fhir_server.audit.chain import Broken
from fhir_server.audit.current import Auditor
from fhir_server.audit.event import NOBODY, Event, Part, encode, parts
from fhir_server.audit.exchange import CURRENT, call_it, concerns
from fhir_server.audit.search import PARAMETERS, Answer, Parameters, Reading, Wanted, place_of, reading, search
from fhir_server.context import Context
from fhir_server.errors import (
    Forbidden,
    NotFound,
    TooCostly,
    Unprocessable,
)
from fhir_server.http.body import parsed_body
from fhir_server.http.exchange import Handler, Request, Response
from fhir_server.http.prefer import lenient
from fhir_server.http.routes import Apart
from fhir_server.interactions.listing import bundle, link_url, now, outcome_entry
from fhir_server.search.times import interval_reader
from fhir_server.store.protocol import Store
from profiles.issues import Issue, operation_outcome
from profiles.lossless import encode as encode_json
from profiles.lossless import parse

TYPE = "AuditEvent"
_REFERENCE = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9.-]{1,64})(?:/_history/.+)?")
Wards = Callable[[str], Awaitable[Sequence[str]]]
"""From the id of a Patient to those of the Patients whose guardian this person is now."""


async def no_wards(person: str) -> Sequence[str]:
    """Where nothing is known of guardians."""
    return ()


class AuditLog:
    """The handlers. ``store`` is asked for names (not a watched one); ``takes``: systems may create AuditEvents."""

    def __init__(self, auditor: Auditor, store: Store, wards: Wards = no_wards, takes: bool = True) -> None:
        self._auditor = auditor
        self._store = store
        self._wards = wards
        self._takes = takes
        self._everything = Access.everything("names in the audit log")
        self._names: dict[str, str] = {}  # of one page

    def apart(self) -> Apart:
        """What serves AuditEvent instead of the record's own interactions; there is no way to change the log."""
        return Apart(self._handlers(), PARAMETERS)

    def _handlers(self) -> Mapping[tuple[str, str], Handler]:
        return {
            ("GET", "{type}/{id}"): self.read,
            ("GET", "{type}/{id}/_history/{version}"): self.read,
            ("GET", "{type}"): self.search,
            ("POST", "{type}/_search"): self.search,
            ("POST", "{type}"): self.create,
            ("GET", "{type}/{id}/{compartment}"): self.compartment,
            ("POST", "{type}/{id}/{compartment}/_search"): self.compartment,
        }

    async def read(self, request: Request, context: Context) -> Response:
        """``GET [base]/AuditEvent/[id]``: 200, or 404 when there is none that may be read."""
        call_it("audit-read")
        self._names.clear()
        place = place_of(request.id)
        missing = NotFound(f"There is no AuditEvent/{request.id}")
        if place is None or request.version not in ("", "1"):
            raise missing
        read = await self._reading(context.access, "r")
        wanted = Wanted(count=1, total=False)
        wanted.add("seq=? AND number=?", *place)
        answer = await self._ask(wanted, read)
        if not answer.found:
            raise missing
        found, event, part = answer.found[0]
        if part.patient:
            concerns(part.patient)
        resource = self._shown(found.seq, event, part, read, request.base_url, context)
        return Response(200, resource=resource, headers=[("ETag", 'W/"1"')])

    async def search(self, request: Request, context: Context) -> Response:
        """``GET [base]/AuditEvent?…`` and ``POST [base]/AuditEvent/_search``."""
        call_it("audit-read")
        settings = context.settings
        dates = interval_reader(settings.zone)
        self._names.clear()
        parameters = Parameters(dates, self._patient_of, settings.page_size, settings.page_max)
        wanted = parameters.read(request.query, lenient(request, settings.handling))
        read = await self._reading(context.access, "s")
        if context.access.person and not wanted.patients:
            concerns(context.access.person)
        answer = await self._ask(wanted, read)
        return self._bundle(request, wanted, answer, read, context)

    async def compartment(self, request: Request, context: Context) -> Response:
        """``GET [base]/Patient/[id]/AuditEvent?…``: the search of one person's entries."""
        if request.type != "Patient":
            raise NotFound(f"The audit log is not searched by {request.type}; use agent or entity", "http.url")
        request.query.append(("patient", request.id))
        return await self.search(request, context)

    async def _reading(self, access: Access, letter: str) -> Reading:
        wards = await self._wards(access.person) if access.person and not access.unrestricted else ()
        return reading(access, letter, wards)

    async def _ask(self, wanted: Wanted, read: Reading) -> Answer:
        """The page, with all that was answered before this question."""

        def work() -> Answer:
            try:
                self._auditor.catch_up()
            except Broken as broken:
                raise TooCostly(f"the audit trail is damaged ({broken}): see `yidang audit verify`") from broken
            return search(self._auditor.index, wanted, read)

        return await asyncio.to_thread(work)

    def _bundle(self, request: Request, wanted: Wanted, answer: Answer, read: Reading, context: Context) -> Response:
        base = request.base_url
        entries = []
        for found, event, part in answer.found:
            url = encode_json(f"{base}/{TYPE}/{part_id(found.seq, found.number)}")
            text = encode_json(self._shown(found.seq, event, part, read, base, context))
            entries.append(b'{"fullUrl":' + url + b',"resource":' + text + b',"search":{"mode":"match"}}')
        if wanted.ignored:
            issues = [
                Issue("not-supported", f"The parameter '{text}' was ignored", severity="warning")
                for text in wanted.ignored
            ]
            entries.append(outcome_entry(operation_outcome(issues)))
        here = [*wanted.applied, ("_cursor", wanted.cursor)] if wanted.cursor else wanted.applied
        links = [("self", link_url(base, TYPE, here))]
        if answer.cursor:
            links.append(("next", link_url(base, TYPE, [*wanted.applied, ("_cursor", answer.cursor)])))
        return Response(body=bundle("searchset", links, entries, answer.total, now(context)))

    def _shown(
        self, seq: int, event: Event, part: Part, read: Reading, base_url: str, context: Context
    ) -> dict[str, Any]:
        view = View(base_url, context.settings.zone, self._name)
        if read.patients is not None:
            view = person_view(view, guardian=read.guards(part.patient))
        return audit_event(seq, event, part, view)

    def _patient_of(self, type: str, id: str) -> str:
        stored = self._store.read(type, id, self._everything)
        return stored.patient if stored is not None else ""

    def _name(self, reference: str) -> str:
        """The name of an Organization, Practitioner or Device, as it is recorded now."""
        if reference not in self._names:
            self._names[reference] = self._find_name(reference)
        return self._names[reference]

    def _find_name(self, reference: str) -> str:
        type, _, id = reference.partition("/")
        if type not in ("Organization", "Practitioner", "Device"):
            return ""
        stored = self._store.read(type, id, self._everything)
        if stored is None or stored.body is None:
            return ""
        return _name_in(parse(stored.body))

    async def create(self, request: Request, context: Context) -> Response:
        """``POST [base]/AuditEvent`` by an institution's system: an event of its own software, kept in the chain."""
        access = context.access
        by_system = access.role == "system" and access.allows("c", TYPE)
        if not (self._takes and (access.unrestricted or by_system)):
            raise Forbidden("AuditEvents are written by the server; only systems may add those of their own software")
        resource = parsed_body(request)
        issues = context.validator.check(resource)
        if resource.get("resourceType") != TYPE:
            raise Unprocessable(f"This is no {TYPE}", "AuditEvent")
        errors = [issue for issue in issues if issue.severity in ("error", "fatal")]
        if errors:
            raise Unprocessable.of(errors)
        patients = _patients_in(resource)
        for id in patients:
            if context.store.read("Patient", id, access) is None:
                raise Unprocessable(f"There is no Patient/{id}", "AuditEvent.entity")
        exchange = CURRENT.get()
        event = Event(
            context.clock(),
            "reported",
            "C",
            who=exchange.who if exchange is not None else NOBODY,
            patients=tuple(patients),
            address=exchange.address if exchange is not None else "",
            correlation=request.correlation,
            document=encode_json(resource),
        )
        if exchange is not None:
            exchange.told = True
        seq = await asyncio.to_thread(self._auditor.trail.append_now, [encode(event)])
        id = part_id(seq, parts(event)[0].number)
        location = f"{request.base_url}/{TYPE}/{id}/_history/1"
        return Response(201, headers=[("Location", location), ("ETag", 'W/"1"')])


def _patients_in(resource: Mapping[str, Any]) -> list[str]:
    """The ids of the Patients that an AuditEvent of another system names."""
    found: dict[str, None] = {}
    for entity in resource.get("entity", ()):
        reference = entity.get("what", {}).get("reference", "")
        match = _REFERENCE.fullmatch(reference)
        if match:
            found[match[1]] = None
    return list(found)


def _name_in(resource: Mapping[str, Any]) -> str:
    name = resource.get("name")
    if isinstance(name, str):
        return name
    for one in name if isinstance(name, list) else resource.get("deviceName", ()):
        text = one.get("text") or (one.get("name") if isinstance(one.get("name"), str) else None)
        if text:
            return str(text)
        family, given = one.get("family", ""), "".join(one.get("given", ()))
        if family or given:
            # Chinese names are written family first and without a blank.
            return f"{family}{given}" if not (family + given).isascii() else f"{given} {family}".strip()
    return ""
