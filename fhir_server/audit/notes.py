"""From what was noted of an exchange to its Event (pure).

``whose`` of an item, its custodian and its class come from the store's row, so nothing is parsed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from consent.access import Access
from consent.vocabulary import RecordClass
from fhir_server.audit.event import MINOR, SERIOUS, SUCCESS, Event, Item, Who
from fhir_server.audit.exchange import Exchange
from fhir_server.audit.kinds import interaction, kind_of
from fhir_server.audit.mask import Mask, without_numbers
from fhir_server.http.exchange import Request
from fhir_server.store.protocol import Stored

_MOST_ASKED = 20  # people of one page whose grants are looked up
GRANT = "grant"  # a grant, where nobody says of which kind
Granted = Callable[[Access, Sequence[str]], tuple[str, ...]]
"""(access, Patient ids) → kinds of the grants (``consent.grant.KINDS``) by which this access sees these files."""

_SHARED, _IDENTITY = int(RecordClass.SHARED), int(RecordClass.IDENTITY)
_WRITES = frozenset({"create", "update", "patch", "delete"})
_ID = re.compile(r"(?:.*/)?(?:Patient/)?([A-Za-z0-9.-]{1,64})")
_METHODS = {"POST": "C", "PUT": "U", "PATCH": "U", "DELETE": "D"}


def outcome_of(status: int) -> int:
    """The AuditEvent outcome of an HTTP status. http://hl7.org/fhir/audit-event-outcome"""
    if status < 400:
        return SUCCESS
    return MINOR if status < 500 else SERIOUS


def action_of(stored: Stored) -> str:
    """C, U or D: what made this version."""
    return "C" if stored.version == 1 and stored.method != "DELETE" else _METHODS.get(stored.method, "U")


class Gathered:
    """Items with the patients and custodians they name."""

    __slots__ = ("custodians", "items", "patients")

    def __init__(self, patients: Iterable[str] = ()) -> None:
        self.patients: dict[str, int] = {id: place for place, id in enumerate(dict.fromkeys(patients))}
        self.custodians: dict[str, int] = {}
        self.items: list[Item] = []

    def add(self, stored: Stored, action: str) -> None:
        """Take in one version."""
        whose = custodian = -1
        if stored.patient:
            whose = self.patients.setdefault(stored.patient, len(self.patients))
        if stored.custodian:
            custodian = self.custodians.setdefault(stored.custodian, len(self.custodians))
        # A plain tuple is encoded like an Item, and made in a third of the time.
        self.items.append(
            cast(
                Item,
                (
                    stored.type,
                    stored.id,
                    stored.version,
                    whose,
                    custodian,
                    stored.record_class,
                    stored.sensitivity,
                    action,
                ),
            )
        )


def bases_of(access: Access | None, seen: Iterable[Stored], granted: Granted | None) -> tuple[str, ...]:
    """By what right these versions were seen: kinds of ``consent.grant.KINDS``, or ``grant``."""
    if access is None or access.unrestricted:
        return ()
    found: dict[str, None] = {}
    by_rules: dict[str, None] = {}
    # Rows of a page mostly have these three in common, and each need only be judged once.
    for patient, custodian, record_class in {(s.patient, s.custodian, s.record_class): None for s in seen}:
        kind = _plain_basis(access, patient, custodian, record_class)
        if kind:
            found[kind] = None
        else:
            by_rules[patient] = None
    if by_rules and granted is not None:
        found.update(dict.fromkeys(granted(access, list(by_rules)[:_MOST_ASKED])))
    if by_rules and (granted is None or len(by_rules) > _MOST_ASKED):
        found[GRANT] = None
    return tuple(found)


def _plain_basis(access: Access, patient: str, custodian: str, record_class: int) -> str:
    """The right that needs no grant, '' where there is none."""
    if patient and patient == access.person:
        return "self"
    if custodian and custodian == access.party and record_class & int(access.own):
        return "own"
    if record_class == _SHARED:
        return "shared"
    return "identity" if access.identities and record_class == _IDENTITY else ""


def read(
    time: int, who: Who, access: Access, stored: Stored, granted: Granted, correlation: str, address: str
) -> Event:
    """The Event of a plain successful read; ``shown`` makes the same of an exchange, slower."""
    patient, custodian = stored.patient, stored.custodian
    basis = _plain_basis(access, patient, custodian, stored.record_class)
    places = (0 if patient else -1, 0 if custodian else -1)
    item = (stored.type, stored.id, stored.version, *places, stored.record_class, stored.sensitivity, "")
    return Event(
        time,
        "read",
        "R",
        SUCCESS,
        200,
        who,
        (basis,) if basis else granted(access, (patient,)),
        (patient,) if patient else (),
        (custodian,) if custodian else (),
        (cast(Item, item),),
        "",
        address,
        correlation,
    )


def concerned(request: Request) -> list[str]:
    """The ids of the Patients that a request names: in its path, or as ``patient`` or ``subject``."""
    found: list[str] = []
    segments = request.segments
    if len(segments) > 1 and segments[0] == "Patient" and segments[1][:1] not in ("_", "$"):
        found.append(segments[1])
    for name, value in request.query:
        name, _, modifier = name.partition(":")
        named = name in ("patient", "subject") and modifier in ("", "Patient")
        if named or (name == "_id" and segments[:1] == ("Patient",)):
            for one in value.split(","):
                match = _ID.fullmatch(one)
                if match and ("/" not in one or "Patient/" in one):
                    found.append(match[1])
    return [id for id in found if len(id) <= 64 and without_numbers(id) == id]


def asked(request: Request, mask: Mask) -> str:
    """What a request asks: its path and query without what identifies anybody."""
    path = without_numbers("/".join(request.segments))
    query = mask(request.query) if request.query else ""
    return f"{path}?{query}" if query else path


def shown(exchange: Exchange, status: int, mask: Mask, granted: Granted | None, denied: str | None) -> Event:
    """The Event of an exchange that is over.

    ``denied``: the Patient id (or '') of the file that something refused is in, None when nothing was refused.
    """
    request = exchange.request
    code = exchange.code or interaction(request.method, request.segments)
    action = kind_of(code).action
    patients = exchange.patients + concerned(request)
    detail = request.segments[-1] if code == "operation" else ""
    if status in (403, 404):
        patients = [denied] if denied else []  # what the path names may not be there
    if denied is not None:
        code, action, detail = "denied", "E", code
    gathered = Gathered(patients)
    bases = exchange.bases
    query = asked(request, mask) if code != "read" else ""
    if status < 400:
        seen = _handed_out(exchange, code)
        item_action = "R" if code in ("batch", "transaction") else ""
        for stored in seen:
            gathered.add(stored, item_action)
        bases += bases_of(exchange.access, seen, granted)
        if exchange.asked:
            lines = [f"{entry.method} {asked(entry, mask)}" for entry in exchange.asked if entry.method == "GET"]
            query = "\n".join([query, *lines]).strip("\n")[:4000]
    elif not query:
        query = asked(request, mask)
    return Event(
        exchange.time,
        code,
        action,
        outcome_of(status),
        status,
        exchange.who,
        bases,
        tuple(gathered.patients),
        tuple(gathered.custodians),
        tuple(gathered.items),
        query,
        exchange.address,
        request.correlation,
        detail,
    )


def _handed_out(exchange: Exchange, code: str) -> Sequence[Stored]:
    if code in _WRITES:
        return ()  # what a write reads for itself is shown to nobody
    if not exchange.written:
        return exchange.seen
    own = {(stored.type, stored.id) for stored in exchange.written}
    return [stored for stored in exchange.seen if (stored.type, stored.id) not in own]


def written(exchange: Exchange, versions: Sequence[Stored], mask: Mask, ident: bytes) -> Event:
    """The Event of a commit that the exchange asked for."""
    request = exchange.request
    code = exchange.code or interaction(request.method, request.segments)
    gathered = Gathered()
    for stored in versions:
        gathered.add(stored, action_of(stored))
    own = any(stored.custodian and exchange.access and stored.custodian == exchange.access.party for stored in versions)
    return Event(
        exchange.time,
        code,
        kind_of(code).action,
        SUCCESS,
        0,
        exchange.who,
        exchange.bases or (("own",) if own else ()),
        tuple(gathered.patients),
        tuple(gathered.custodians),
        tuple(gathered.items),
        asked(request, mask) if request.query else "",
        exchange.address,
        request.correlation,
        ident=ident,
    )
