"""From the record file's outbox to the chain: entries that were committed with their writes, each exactly once.

The store commits an entry in the same transaction as the write that it tells of. One process (the one that holds
the lock; when it dies, another) moves them on. Every entry has an ident, so that one which was appended but not
yet forgotten when a process was killed is known again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fhir_server.audit.event import decode
from fhir_server.audit.index import Index
from fhir_server.audit.trail import Trail

_SOME = 500


class Outbox(Protocol):
    """The part of the store that this needs."""

    def take_outbox(self, limit: int) -> Sequence[tuple[int, bytes]]:
        """The oldest entries with their numbers, at most ``limit``; they stay until they are forgotten."""
        ...

    def forget_outbox(self, upto: int) -> None:
        """Remove the entries with numbers up to ``upto``."""
        ...

    def keep_audit_head(self, line: str) -> None:
        """Keep this line (JSON with ``seq``) unless one with a higher number is kept."""
        ...


class Drain:
    """Moves entries on, where this process may."""

    def __init__(self, trail: Trail, index: Index, outbox: Outbox, folder: Path) -> None:
        self._trail = trail
        self._index = index
        self._outbox = outbox
        self._lock = os.open(folder / "outbox.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._mutex = threading.Lock()
        self._mine = False
        self._appended: set[bytes] = set()  # in the chain and perhaps still in the outbox

    def step(self) -> int:
        """Move on all that is there; how many entries. 0 also where another process does it."""
        with self._mutex:
            return self._step()

    def _step(self) -> int:
        if not self._mine and not self._begin():
            return 0
        moved = 0
        while rows := self._outbox.take_outbox(_SOME):
            entries = [(decode(body).ident, body) for _, body in rows]
            fresh = [(ident, body) for ident, body in entries if ident not in self._appended]
            if fresh:
                self._trail.append_now([body for _, body in fresh])
                self._appended.update(ident for ident, _ in fresh)
            self._outbox.forget_outbox(rows[-1][0])
            self._appended.clear()
            moved += len(fresh)
            if len(rows) < _SOME:
                break
        return moved

    def _begin(self) -> bool:
        """Take the lock; find out what the one before had appended already."""
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._mine = True
        if self._mine:
            idents = [decode(body).ident for _, body in self._outbox.take_outbox(1 << 31)]
            if idents:
                self._index.catch_up()
                self._appended = set(self._index.taken(idents))
        return self._mine

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._lock)
