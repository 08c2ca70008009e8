"""Trail: appends to the chain. What is appended is on the disk before anybody is told so.

Entries that wait at the same moment share one write and one fdatasync (group commit). On a disk that syncs
quickly this happens in the event loop itself, as the hand-over to a thread and back costs more than the sync
(docs/decisions/0011-audit-trail.md); on a slow one in a thread. Several processes append to one chain: a lock
on a file beside it is held while an entry is hashed and written, not while it is synced.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from fhir_server.audit.chain import (
    CONTINUED,
    DIGESTS,
    GENESIS,
    HEAD,
    Broken,
    Head,
    Walk,
    arriving_path,
    sealed,
    segment_path,
    segments,
)
from fhir_server.audit.event import LOCAL, MAJOR, Event, encode
from fhir_server.errors import TooCostly

Done = Callable[[BaseException | None], None]
SEGMENT = 16 * 1024 * 1024  # bytes after which a new segment is begun
_AHEAD = bytes(256 * 1024)  # a segment grows by this much
# Seconds of a sync from which it is done in a thread: sooner where many wait, as others can be served meanwhile.
_SLOW, _SLOW_FOR_MANY, _MANY = 0.002, 0.0004, 4
_ENOUGH, _LONGEST = 64, 0.001  # entries, and seconds that the first of them waits, for others to join
_MARK = 4


def wall_clock() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Trail:
    """The end of the chain in ``folder``, made if it is not there. ``algorithm``: sha256 or sm3.

    An existing chain keeps its algorithm to the end of the segment. What a crash left behind the last whole
    entry (or what somebody altered) is set aside in a file, and an entry tells so.
    """

    def __init__(
        self,
        folder: Path,
        algorithm: str = "sha256",
        clock: Callable[[], int] = wall_clock,
        segment_bytes: int = SEGMENT,
    ) -> None:
        if algorithm not in DIGESTS:
            raise ValueError(f"the audit chain has no hash '{algorithm}'; there are {', '.join(DIGESTS)}")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._algorithm = algorithm
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._mutex = threading.Lock()
        self._lock = os.open(folder / "chain.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._broken: BaseException | None = None
        self._previous = -1  # the descriptor of the segment before, which another thread may still be syncing
        self._descriptor = -1
        self._head = Head(algorithm, 1, GENESIS, 0)
        self._digest = DIGESTS[algorithm]
        self._offset, self._allocated = HEAD, 0
        self._seq, self._hash = 0, GENESIS
        self._pending: list[tuple[bytes, Done]] = []
        self._scheduled = False
        self._since = 0.0
        self._cost = 0.0
        self._thread: ThreadPoolExecutor | None = None
        self._closed = False
        aside = self._open()
        if aside:
            self.append_now([_told(aside, clock())])

    @classmethod
    def open(cls, folder: Path, algorithm: str = "sha256", clock: Callable[[], int] = wall_clock) -> Trail:
        """The trail in ``folder``. Raises Broken when its last segment cannot be read, ValueError, OSError."""
        return cls(folder, algorithm, clock)

    @property
    def tail(self) -> tuple[int, bytes]:
        """Number and hash of the last entry that this process knows of; (0, zeros) when there is none."""
        with self._mutex:
            return self._seq, self._hash

    # -- appending -----------------------------------------------------------------------------------

    def submit(self, body: bytes, done: Done) -> None:
        """Append from the event loop; ``done(error or None)`` is called there when the entry is on the disk."""
        self._pending.append((body, done))
        if not self._scheduled:
            self._scheduled = True
            self._since = time.perf_counter()
            asyncio.get_running_loop().call_soon(self._gather, 1)

    async def append(self, body: bytes) -> None:
        """Append; when this returns, the entry is on the disk. Raises TooCostly when it cannot be written."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: BaseException | None) -> None:
            if future.done():  # the asker was cancelled: the entry stands
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.submit(body, done)
        await future

    def append_now(self, bodies: Sequence[bytes]) -> int:
        """Append from any thread and wait for the disk; the number of the last. Raises TooCostly."""
        return self._keep(bodies)

    def close(self) -> None:
        """Write what waits, and close the files."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._thread.shutdown()
        waiting, self._pending = self._pending, []
        if waiting:
            self._settle(waiting, self._try([body for body, _ in waiting]))
        for descriptor in (self._lock, self._descriptor, self._previous):
            if descriptor >= 0:
                os.close(descriptor)

    # -- group commit --------------------------------------------------------------------------------

    def _gather(self, before: int) -> None:
        """Flush, unless several came in this turn of the loop: then the next turn may bring more to share the sync."""
        waiting = len(self._pending)
        if before < waiting < _ENOUGH and time.perf_counter() - self._since < _LONGEST:
            asyncio.get_running_loop().call_soon(self._gather, waiting)
        else:
            self._flush()

    def _flush(self) -> None:
        waiting, self._pending = self._pending, []
        if not waiting or self._closed:
            self._scheduled = False
            return
        bodies = [body for body, _ in waiting]
        if self._cost < (_SLOW if len(waiting) < _MANY else _SLOW_FOR_MANY):
            self._scheduled = False
            self._settle(waiting, self._try(bodies))
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "yidang-audit")
        loop = asyncio.get_running_loop()

        def work() -> None:
            error = self._try(bodies)
            loop.call_soon_threadsafe(self._finished, waiting, error)

        self._thread.submit(work)

    def _finished(self, waiting: Sequence[tuple[bytes, Done]], error: BaseException | None) -> None:
        self._settle(waiting, error)
        self._flush()  # what came meanwhile shares the next sync

    def _try(self, bodies: Sequence[bytes]) -> BaseException | None:
        try:
            self._keep(bodies)
        except Exception as error:
            return error
        return None

    @staticmethod
    def _settle(waiting: Sequence[tuple[bytes, Done]], error: BaseException | None) -> None:
        for _, done in waiting:
            # One asker that is gone must not keep the answer from the others.
            with suppress(Exception):
                done(error)

    def _keep(self, bodies: Sequence[bytes]) -> int:
        """Write and sync; the number of the last entry."""
        if self._broken is not None:
            raise TooCostly(f"the audit trail cannot be written ({self._broken})", code="no-store")
        try:
            with self._mutex:
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                try:
                    seq = self._write(bodies)
                finally:
                    fcntl.flock(self._lock, fcntl.LOCK_UN)
                descriptor = self._descriptor
            started = time.perf_counter()
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                # What the kernel could not write it may have dropped: nothing after it can be vouched for.
                self._broken = error
                raise
            self._cost += (time.perf_counter() - started - self._cost) / 8
        except (OSError, Broken) as error:
            raise TooCostly(f"the audit trail cannot be written ({error})", code="no-store") from error
        return seq

    # -- the end of the chain (all of it under the lock) -----------------------------------------------

    def _write(self, bodies: Sequence[bytes]) -> int:
        aside = self._catch_up()
        if aside:
            bodies = [_told(aside, self._clock()), *bodies]
        if self._offset > self._segment_bytes:
            self._continue()
        pieces, hash, seq = [], self._hash, self._seq
        for body in bodies:
            seq += 1
            piece, hash = sealed(self._digest, hash, seq, body)
            pieces.append(piece)
        blob = b"".join(pieces)
        end = self._offset + len(blob)
        self._grow(end + _MARK)
        try:
            _write_at(self._descriptor, blob, self._offset)
        except OSError:
            with suppress(OSError):  # a half entry must not stand where the next one is looked for
                os.ftruncate(self._descriptor, self._offset)
            self._allocated = self._offset
            raise
        self._offset, self._hash, self._seq = end, hash, seq
        return seq

    def _grow(self, end: int) -> None:
        """Have zeros up to ``end`` and beyond, before anything is written there."""
        if end <= self._allocated:
            return
        self._allocated = os.fstat(self._descriptor).st_size
        while self._allocated < end:
            _write_at(self._descriptor, _AHEAD, self._allocated)
            self._allocated += len(_AHEAD)

    def _catch_up(self) -> str:
        """Go to the end that other processes have written; the name of a file where something was set aside."""
        while True:
            ahead = os.pread(self._descriptor, 12, self._offset)
            if ahead.count(0) == len(ahead):
                return ""
            walk = Walk(
                self._descriptor, self._head, self._offset, self._seq, self._hash, piece=64 * 1024, thorough=False
            )
            for _ in walk:
                pass
            self._offset, self._seq, self._hash = walk.offset, walk.seq, walk.hash
            if walk.ended == "damaged":
                return self._set_aside()
            if walk.ended == "open":
                return ""
            self._enter(self._seq + 1)

    def _open(self) -> str:
        """Find the end of the chain; see ``_catch_up``."""
        with self._mutex:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                found = segments(self.folder)
                self._enter(found[-1] if found else 1)
                while True:
                    walk = Walk(self._descriptor, self._head)
                    for _ in walk:
                        pass
                    self._offset, self._seq, self._hash = walk.offset, walk.seq, walk.hash
                    if walk.ended != "continued":
                        return self._set_aside() if walk.ended == "damaged" else ""
                    self._enter(self._seq + 1)
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _enter(self, first: int) -> None:
        """Go to the beginning of the segment ``first``, making it if it is not there."""
        path = segment_path(self.folder, first)
        if not path.exists():
            self._place(self._prepare(first), first)
        if self._previous >= 0:
            os.close(self._previous)
        self._previous, self._descriptor = self._descriptor, os.open(path, os.O_RDWR)
        self._head = Head.decode(os.pread(self._descriptor, HEAD, 0))
        self._digest = DIGESTS[self._head.algorithm]
        self._offset, self._allocated = HEAD, 0
        self._seq, self._hash = first - 1, self._head.before

    def _prepare(self, first: int) -> Path:
        """The segment ``first``, not yet in its place."""
        head = Head(self._algorithm, first, self._hash, self._clock())
        arriving = arriving_path(self.folder, first)
        arriving.unlink(missing_ok=True)
        descriptor = os.open(arriving, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, head.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return arriving

    def _place(self, arriving: Path, first: int) -> None:
        """Have a prepared segment in its place."""
        arriving.rename(segment_path(self.folder, first))
        _sync_folder(self.folder)

    def _continue(self) -> None:
        """End this segment and begin the next.

        The next one is there, under another name, before the mark that leads to it: killed in between, the chain is
        not one whose end was taken away.
        """
        arriving = self._prepare(self._seq + 1)
        _sync_folder(self.folder)
        _write_at(self._descriptor, CONTINUED.to_bytes(_MARK, "big"), self._offset)
        os.ftruncate(self._descriptor, self._offset + _MARK)
        os.fsync(self._descriptor)
        self._place(arriving, self._seq + 1)
        self._enter(self._seq + 1)

    def _set_aside(self) -> str:
        """Move what follows the last whole entry to a file of its own; its name."""
        name = f"aside-{self._seq + 1:016d}-{self._clock()}.bin"
        size = os.fstat(self._descriptor).st_size
        target = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _write_at(target, os.pread(self._descriptor, size - self._offset, self._offset).rstrip(b"\0"), 0)
            os.fsync(target)
        finally:
            os.close(target)
        _sync_folder(self.folder)
        os.ftruncate(self._descriptor, self._offset)
        self._allocated = self._offset
        return name


def _told(aside: str, now: int) -> bytes:
    return encode(Event(now, "set-aside", "E", MAJOR, who=LOCAL, detail=aside))


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
