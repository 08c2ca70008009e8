"""Auditor: what the server calls so that every exchange is on record. Opened once a process, at the root.

Around an exchange: ``begin``, run it, ``await finish`` — and only then send the answer. Writes are told by
``witness`` in the commit itself. What happens outside FHIR (sign-in, tokens, keys) comes by ``record``.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from consent.access import Access
from consent.requester import Requester
from fhir_server.audit import anchors
from fhir_server.audit.event import LOCAL, MINOR, Event, encode, who
from fhir_server.audit.exchange import CURRENT, Exchange
from fhir_server.audit.index import Index
from fhir_server.audit.mask import Mask
from fhir_server.audit.notes import GRANT, Gathered, action_of, read, shown, written
from fhir_server.audit.outbox import Drain, Outbox
from fhir_server.audit.trail import Done, Trail, wall_clock
from fhir_server.http.exchange import Request
from fhir_server.store.protocol import Store, Stored

FOLDER = "audit"  # in the data folder
_TICK = 0.1  # seconds between looks at the outbox
_ANCHOR_EVERY = 60_000_000  # µs
_INDEX_STEP, _BACKLOG = 300, 20_000  # entries indexed in a quiet moment; from so many on also in a busy one
_ANONYMOUS = 20  # refusals of unknown callers written a second; more are counted
_UNTOLD = frozenset({("metadata",), ("openapi.json",)})  # what anybody may read and tells of nobody

_log = logging.getLogger("yidang.audit")
Witness = Callable[[Sequence[Stored]], bytes | None]


Hidden = Callable[[str, str, Access | None], str | None]
Rules = Callable[[Access, Sequence[str]], Mapping[str, tuple[str, ...]]]


def hidden_in(store: Store) -> Hidden:
    """The ``hidden`` of an Auditor that asks this store (not a watched one)."""
    everything = Access.everything("whose file a refusal was about")

    def hidden(type: str, id: str, access: Access | None) -> str | None:
        stored = store.read(type, id, everything)
        if stored is None or (access is not None and store.read(type, id, access) is not None):
            return None
        return stored.patient

    return hidden


class Recorder(Protocol):
    """What sign-in and token endpoints are given: ``await record(Event(...))`` before they answer."""

    async def __call__(self, event: Event) -> None:
        """Have the event on record; raises TooCostly when it cannot be written (then refuse)."""
        ...


class Auditor:
    """The audit of one server process on ``folder`` (the data folder's ``audit``).

    ``mask`` makes of a query what is kept of it (``mask.masker``). ``granted`` tells kinds of grants, by Patient id
    (none where there are none). ``hidden(type, id, access)`` tells in whose file a resource is that this access may
    not see: a Patient id, '' for nobody's; None when it may, or when there is no such resource (``hidden_in``).
    ``anchor_key`` signs anchors.
    """

    def __init__(
        self,
        folder: Path,
        mask: Mask,
        *,
        clock: Callable[[], int] = wall_clock,
        algorithm: str = "sha256",
        granted: Rules | None = None,
        hidden: Hidden | None = None,
        anchor_key: bytes = b"",
        anchor_file: Path | None = None,
    ) -> None:
        self.trail = Trail(folder, algorithm, clock)
        self.index = Index(folder)
        self.folder = folder
        self._mask = mask
        self._clock = clock
        self.granted = granted
        self._kinds: dict[tuple[str, str], tuple[str, ...]] = {}
        self._kinds_at = 0
        self.hidden = hidden
        self._anchor_key = anchor_key
        self._anchor_file = anchor_file or folder / anchors.FILE
        self._anchored = 0
        self._anchored_at = clock()
        self._ident = os.urandom(8)
        self._numbers = itertools.count(1)
        self._refusals: deque[tuple[Exchange, int]] = deque()
        self._judging = threading.Lock()
        self._refused = (0, 0, 0)  # second, written in it, counted only
        self._drain: Drain | None = None
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None

    def attach(self, outbox: Outbox) -> None:
        """Move what the store commits with its writes to the chain, from now to ``close``."""
        self._drain = Drain(self.trail, self.index, outbox, self.folder)
        self._drain.step()
        self.record_now(Event(self._clock(), "start", "E", who=LOCAL))
        self._keeper = threading.Thread(target=self._keep, name="yidang-audit-keeper", daemon=True)
        self._keeper.start()

    # -- an exchange -----------------------------------------------------------------------------------

    def begin(
        self, request: Request, requester: Requester | None, address: str = "", access: Access | None = None
    ) -> Exchange:
        """Begin the notes of an exchange and make them the current ones (of this task)."""
        exchange = Exchange(request, requester, access, address, self._clock())
        CURRENT.set(exchange)
        return exchange

    async def finish(self, exchange: Exchange, status: int, stored: Stored | None = None) -> None:
        """Have the exchange on record. Send its answer only after this; where this raises, refuse.

        ``stored`` is the version that the answer shows, where the interaction says so (``Response.stored``).
        Raises TooCostly.
        """
        CURRENT.set(None)
        event = self._event_of(exchange, status, stored)
        for more in exchange.events:
            self.trail.submit(encode(more), _ignore)  # in the same group commit, before the entry that is awaited
        if event is not None:
            await self.trail.append(encode(event))
        elif exchange.events:
            await self.trail.append(encode(exchange.events.pop()))

    def _event_of(self, exchange: Exchange, status: int, stored: Stored | None) -> Event | None:
        request = exchange.request
        if exchange.told and status < 400:
            return None
        if request.method == "OPTIONS" or request.segments in _UNTOLD:
            return None
        if exchange.written and status < 400 and len(exchange.written) >= len(exchange.seen):
            own = {(version.type, version.id) for version in exchange.written}
            if all((version.type, version.id) in own for version in exchange.seen):
                return None  # told in full by the entry of the commit
        if status == 401:
            return self._unauthorized(exchange)
        denied = "" if status == 403 else None
        if status in (403, 404) and self.hidden is not None and len(request.segments) > 1:
            self._refusals.append((exchange, status))
        if stored is not None and not exchange.written and stored not in exchange.seen:
            exchange.seen.append(stored)
        return shown(exchange, status, self._mask, self._kinds_of, denied)

    def _judge_refusals(self) -> None:
        """Add for each refusal of something that is there an entry that concerns the person whose file it is in.

        Looked up after the answer, as the time that this takes would tell what is there and what is not.
        """
        with self._judging:
            while True:
                try:
                    exchange, status = self._refusals.popleft()
                except IndexError:
                    return
                type, id = exchange.request.segments[:2]
                patient = None
                if self.hidden is not None and type[:1].isupper():
                    patient = self.hidden(type, id, exchange.access if status == 404 else None)
                if patient or (patient == "" and status == 404):
                    self.record_now(shown(exchange, status, self._mask, None, patient))

    def _kinds_of(self, access: Access, patients: Sequence[str]) -> tuple[str, ...]:
        """``granted``, remembered for a second: the same people ask for the same file again and again."""
        if self.granted is None:
            return (GRANT,)
        now = access.now // 1_000_000
        if now != self._kinds_at:
            self._kinds.clear()
            self._kinds_at = now
        binding, known = access.binding, self._kinds
        unknown = [patient for patient in patients if (binding, patient) not in known]
        if unknown:
            asked = self.granted(access, unknown)
            for patient in unknown:
                known[binding, patient] = asked.get(patient) or (GRANT,)
        if len(patients) == 1:
            return known[binding, patients[0]]
        return tuple(dict.fromkeys(kind for patient in patients for kind in known[binding, patient]))

    def _unauthorized(self, exchange: Exchange) -> Event | None:
        """The entry of a refusal for want of a token; a flood of them is counted, not written one by one."""
        now, (second, told, untold) = exchange.time // 1_000_000, self._refused
        if second != now:
            told = 0
        if told >= _ANONYMOUS:
            self._refused = (now, told, untold + 1)
            return None
        self._refused = (now, told + 1, 0)
        detail = f"and {untold} more before it" if untold else ""
        request = exchange.request
        return Event(
            exchange.time,
            "unauthorized",
            "E",
            MINOR,
            401,
            exchange.who,
            address=exchange.address,
            correlation=request.correlation,
            detail=detail,
        )

    def plain(
        self, requester: Requester, access: Access, stored: Stored, correlation: str, address: str, done: Done
    ) -> None:
        """``begin`` to ``finish`` of a plain successful read in one step: ``done(error)`` when it is on record."""
        event = read(self._clock(), who(requester), access, stored, self._kinds_of, correlation, address)
        self.trail.submit(encode(event), done)

    # -- writes ------------------------------------------------------------------------------------------

    def witness(self) -> Witness:
        """What tells of a write, for the store: called where the write is asked for, its result in the writer.

        The result gives the entry for the versions written, None where there are none.
        """
        exchange = CURRENT.get()

        def tell(versions: Sequence[Stored]) -> bytes | None:
            if not versions:
                return None
            if exchange is None:
                return encode(self._local(versions))
            exchange.written += versions
            return encode(written(exchange, versions, self._mask, self._new_ident()))

        return tell

    def _new_ident(self) -> bytes:
        return self._ident + next(self._numbers).to_bytes(5, "big")

    def _local(self, versions: Sequence[Stored]) -> Event:
        """A write that no exchange asked for: a command, or the server's own housekeeping."""
        gathered = Gathered()
        for version in versions:
            gathered.add(version, action_of(version))
        return Event(
            self._clock(),
            "local",
            "E",
            who=LOCAL,
            patients=tuple(gathered.patients),
            custodians=tuple(gathered.custodians),
            items=tuple(gathered.items),
            ident=self._new_ident(),
        )

    # -- everything else ---------------------------------------------------------------------------------

    async def record(self, event: Event) -> None:
        """Have an event on record (sign-in, token …); a ``Recorder``. Raises TooCostly."""
        await self.trail.append(encode(event))

    def record_now(self, *events: Event) -> None:
        """``record`` for commands and threads. Raises TooCostly."""
        self.trail.append_now([encode(event) for event in events])

    def catch_up(self) -> None:
        """Bring outbox and index up, so that what was answered can be found. Raises Broken."""
        if self._drain is not None:
            self._drain.step()
        self._judge_refusals()
        self.index.catch_up()

    def close(self) -> None:
        """Move on what waits, write an anchor, close the files."""
        self._stopping.set()
        if self._keeper is not None:
            self._keeper.join()
        with suppress(Exception):
            self._judge_refusals()
            if self._drain is not None:
                self._drain.step()
                self._drain.close()
                self.record_now(Event(self._clock(), "stop", "E", who=LOCAL))
            self._anchor(self._clock(), self.trail.tail)
        self.trail.close()
        self.index.close()

    def _keep(self) -> None:
        """The keeper's thread: outbox, index, anchors. Nothing that it does may be lost if it fails."""
        seen = -1
        while not self._stopping.wait(_TICK):
            try:
                if self._drain is not None:
                    self._drain.step()
                self._judge_refusals()
                tail = self.trail.tail
                if tail[0] == seen or tail[0] - self.index.last() > _BACKLOG:
                    self.index.catch_up(_INDEX_STEP)
                seen = tail[0]
                if self._clock() - self._anchored_at > _ANCHOR_EVERY:
                    self._anchor(self._clock(), tail)
            except Exception as error:
                _log.error("audit: %s", error)
                self._stopping.wait(5)

    def _anchor(self, now: int, tail: tuple[int, bytes]) -> None:
        self._anchored_at = now
        seq, hash = tail
        if seq > self._anchored:
            anchors.write(self._anchor_file, anchors.Anchor(seq, hash.hex(), now).signed(self._anchor_key))
            self._anchored = seq


def _ignore(error: BaseException | None) -> None:
    """For entries whose fate the next one in the same commit shares."""
