"""Event: one thing that happened, as plain data with a compact encoding; what the chain holds.

One event may concern several people. In FHIR each of them gets an AuditEvent of their own (IHE BALP), so an
event has parts: one per person and action. https://profiles.ihe.net/ITI/BALP/
Persons are named by the ids of their Patients only, staff and systems by reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from consent.requester import Requester

SUCCESS, MINOR, SERIOUS, MAJOR = 0, 4, 8, 12  # http://hl7.org/fhir/audit-event-outcome


class Who(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who asked, as the token said it. ``kind``: staff, resident, system, local (a command), '' (not known)."""

    kind: str = ""
    subject: str = ""
    client: str = ""
    institution: str = ""
    department: str = ""
    role: str = ""
    role_id: str = ""
    purpose: str = ""
    person: str = ""
    patient: str = ""
    encounter: str = ""
    token: str = ""
    name: str = ""  # of staff and systems; never a resident's

    @property
    def is_a(self) -> str:
        """The kind, of somebody who only signs in told by the subject."""
        return self.kind or _SUBJECTS.get(self.subject.partition("/")[0], "")


_SUBJECTS = {"Practitioner": "staff", "Patient": "resident", "Device": "system"}


NOBODY = Who()
LOCAL = Who(kind="local", name="yidang")


def who(requester: Requester | None) -> Who:
    """The facts about a requester that are kept."""
    if requester is None:
        return NOBODY
    return Who(
        requester.kind,
        requester.subject,
        requester.client,
        requester.institution,
        requester.department,
        requester.role,
        requester.role_id,
        requester.purpose,
        requester.person,
        requester.patient,
        requester.encounter,
        requester.token,
        "" if requester.kind == "resident" else requester.name,
    )


class Item(NamedTuple):
    """One resource that was seen or changed.

    ``action``: C R U D E, or '' for the event's. ``whose`` and ``custodian`` are places in the event's
    ``patients`` and ``custodians`` (-1: nobody's, unknown). ``record_class`` and ``sensitivity`` are bits of
    ``consent.vocabulary``.
    """

    type: str
    id: str
    version: int
    whose: int = -1
    custodian: int = -1
    record_class: int = 0
    sensitivity: int = 0
    action: str = ""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that happened.

    ``time``: microseconds since 1970 UTC. ``code``: a key of ``kinds.KINDS``. ``action``: C R U D E.
    ``status``: the HTTP status, 0 where there was none. ``bases``: keys of ``consent.grant.KINDS``.
    ``patients``: ids of the people concerned. ``query``: what was asked, masked. ``detail``: free words or a
    code (the name of an operation, a reason that was stated). ``ident``: tells entries that came by way
    of the record file apart. ``document``: an AuditEvent that a system sent us, as JSON.
    New fields go to the end; the order is the encoding.
    """

    time: int
    code: str
    action: str
    outcome: int = SUCCESS
    status: int = 0
    who: Who = NOBODY
    bases: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    custodians: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    query: str = ""
    address: str = ""
    correlation: str = ""
    detail: str = ""
    ident: bytes = b""
    document: bytes = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Event)


def encode(event: Event) -> bytes:
    """The bytes that are chained."""
    return _encoder.encode(event)


def decode(body: bytes) -> Event:
    """The event of ``encode``. Raises ValueError for anything else."""
    return _decoder.decode(body)  # msgspec.DecodeError is a ValueError


@dataclass(frozen=True, slots=True)
class Part:
    """What an event is for one person ('' for nobody's things): one AuditEvent."""

    number: int
    patient: str
    action: str
    items: Sequence[Item]


def parts(event: Event) -> list[Part]:
    """The parts of an event, in an order that depends on nothing but the event; at least one."""
    grouped: dict[tuple[int, str], list[Item]] = {}
    for item in event.items:
        grouped.setdefault((item.whose, item.action or event.action), []).append(item)
    shown = {whose for whose, _ in grouped}
    for place in range(len(event.patients)):
        if place not in shown:
            grouped[(place, event.action)] = []
    if not grouped:
        grouped[(-1, event.action)] = []
    return [
        Part(number, event.patients[whose] if whose >= 0 else "", action, items)
        for number, ((whose, action), items) in enumerate(grouped.items())
    ]


def institutions(event: Event, part: Part) -> tuple[str, ...]:
    """The ids of the institutions that a part is about: the one that acted and those whose items were seen."""
    found = [event.who.institution] if event.who.institution else []
    for item in part.items:
        if item.custodian >= 0:
            type, _, id = event.custodians[item.custodian].partition("/")
            if type == "Organization":
                found.append(id)
    return tuple(dict.fromkeys(found))
