"""Exchange: what is noted of one HTTP exchange until its entry is made; the current one is a context variable.

Tasks that a handler starts inherit it (batch entries run side by side), so all they see comes to the same notes.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar

from consent.access import Access
from consent.requester import Requester
from fhir_server.audit.event import Event, Who, who
from fhir_server.http.exchange import Request
from fhir_server.store.protocol import Stored


class Exchange:
    """One exchange. ``request`` is read when it is over, as routing fills it in."""

    __slots__ = (
        "access",
        "address",
        "asked",
        "bases",
        "code",
        "events",
        "handed",
        "patients",
        "request",
        "seen",
        "time",
        "told",
        "who",
        "written",
    )

    def __init__(
        self, request: Request, requester: Requester | None, access: Access | None, address: str, time: int
    ) -> None:
        self.time = time
        self.request = request
        self.access = access
        self.address = address
        self.who: Who = who(requester)
        self.seen: list[Stored] = []
        self.handed: list[Stored] = []  # what writes were answered with, written by this exchange or before it
        self.written: list[Stored] = []  # told by the witness, before the commit
        self.asked: list[Request] = []  # entries of a Bundle
        self.events: list[Event] = []
        self.bases: tuple[str, ...] = ()
        self.patients: list[str] = []  # whom it concerns besides those whose things were seen
        self.told = False  # another entry says all there is to say
        self.code = ""  # instead of the one that the request's method and path give

    def saw(self, stored: Stored) -> None:
        """A version was handed out."""
        self.seen.append(stored)

    def saw_all(self, stored: Iterable[Stored]) -> None:
        """These versions were handed out."""
        self.seen.extend(stored)


CURRENT: ContextVar[Exchange | None] = ContextVar("yidang_exchange", default=None)


def entry_asked(request: Request) -> None:
    """Note what an entry of a Bundle asks; for ``dispatch``."""
    exchange = CURRENT.get()
    if exchange is not None and exchange.request is not request:
        exchange.asked.append(request)


def handed_out(stored: Stored) -> None:
    """Note the version that a write is answered with: by a condition that finds it, it may be one that was there."""
    exchange = CURRENT.get()
    if exchange is not None:
        exchange.handed.append(stored)


def note(event: Event) -> None:
    """Have this event written with the current exchange's own entry, before its answer leaves.

    For what is more than a request: break-glass, a scanned code, a merge. Without an exchange nothing is noted:
    commands use ``Auditor.record_now``.
    """
    exchange = CURRENT.get()
    if exchange is not None:
        exchange.events.append(event)


def call_it(code: str, *bases: str) -> None:
    """Give the current exchange another kind than its method and path say (``export``), and legal bases."""
    exchange = CURRENT.get()
    if exchange is not None:
        exchange.code = code
        exchange.bases += bases


def concerns(*patients: str) -> None:
    """Say that the current exchange is about these people (ids of Patients)."""
    exchange = CURRENT.get()
    if exchange is not None:
        exchange.patients += patients
