"""The single writer: waiting writes share one commit, each in a savepoint of its own.

https://www.sqlite.org/atomiccommit.html. Several server processes take turns by a lock on a file
beside the records: the kernel wakes the next at once, where SQLite would poll.
"""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consent import Access
from fhir_server.errors import TooCostly
from fhir_server.store.protocol import Stored, Transaction
from fhir_server.store.sqlite.transaction import SqliteTransaction

log = logging.getLogger("yidang")
GROUP = 256  # at most so many writes share a commit
_QUIET, _RESTLESS, _BETWEEN = 0.5, 0.005, 0.1  # seconds between housekeeping steps: no work, work, writes waiting
Done = Callable[[Any, BaseException | None], None]
Witness = Callable[[Sequence[Stored]], bytes | None]


@dataclass(slots=True)
class _Waiting:
    work: Callable[[Transaction], Any]
    access: Access
    witness: Witness | None
    done: Done
    result: Any = None
    error: BaseException | None = None


class Writer:
    """A thread that owns the writing connection.

    ``background(quiet)`` does one short step of the housekeeping: when nothing waits (``quiet``), and
    now and then between commits; it returns whether there is more to do.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        transaction: SqliteTransaction,
        lock_file: Path,
        clock: Callable[[], int],
        background: Callable[[bool], bool],
    ) -> None:
        self._connection = connection
        self._transaction = transaction
        self._lock = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        self._clock = clock
        self._background = background
        self._more = False
        self._tidied: list[threading.Event] = []
        self._last_step = 0.0
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="yidang-writer", daemon=True)
        self._closed = False
        self._thread.start()

    def submit(
        self, work: Callable[[Transaction], Any], access: Access, done: Done, witness: Witness | None = None
    ) -> None:
        """Queue a write function; ``done(result, error)`` is called from the writer's thread after the commit.

        ``witness`` makes, of the versions written, the audit entry that is committed with them (None: no entry).
        """
        if self._closed:
            raise TooCostly("the server is stopping")
        self._queue.put(_Waiting(work, access, witness, done))

    def tidy(self) -> None:
        """Have all housekeeping done that is due, and wait for it."""
        ready = threading.Event()
        self._tidied.append(ready)
        self.submit(lambda _: None, Access.everything("housekeeping"), lambda _result, _error: None)
        ready.wait()

    def close(self) -> None:
        """Finish what waits and end the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()
            os.close(self._lock)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            try:
                first = self._queue.get(timeout=_RESTLESS if self._more else _QUIET)
            except queue.Empty:
                self._step(quiet=True)
                continue
            batch: list[_Waiting] = []
            while True:
                if first is None:
                    stopping = True
                else:
                    batch.append(first)
                if stopping or len(batch) >= GROUP:
                    break
                try:
                    first = self._queue.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._commit(batch)
                if time.monotonic() - self._last_step > _BETWEEN:
                    self._step(quiet=False)
            while self._tidied:
                self._step(quiet=True)
                if not self._more:
                    self._tidied.pop().set()

    def _step(self, quiet: bool) -> None:
        try:
            self._more = self._background(quiet)
        except sqlite3.Error:
            self._more = False  # another process holds the file, or the disk is full: this can wait
        except Exception as error:  # a damaged text, or its key is not here: writing goes on without housekeeping
            self._more = False
            log.error("housekeeping failed: %s", type(error).__name__)
        self._last_step = time.monotonic()

    def _commit(self, batch: list[_Waiting]) -> None:
        error: BaseException | None = None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._transaction.begin(self._clock())
                for waiting in batch:
                    self._attempt(waiting, alone=len(batch) == 1)
                if self._connection.in_transaction:
                    self._transaction.end()
                    self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                fcntl.flock(self._lock, fcntl.LOCK_UN)
        except sqlite3.Error as failure:
            error = _unwritable(failure)
        except BaseException as failure:
            error = failure
        self._transaction.settle(committed=error is None)
        for waiting in batch:
            if error is not None and waiting.error is None:
                waiting.error, waiting.result = error, None
            try:
                waiting.done(waiting.result, waiting.error)
            except Exception:  # the asker is gone (its event loop is closed): the commit stands
                continue

    def _attempt(self, waiting: _Waiting, alone: bool) -> None:
        """Run one write; undo it whole if it raises."""
        run, transaction = self._connection.execute, self._transaction
        mark = transaction.mark()
        if not alone:
            run("SAVEPOINT write")
        try:
            transaction.access = waiting.access
            waiting.result = waiting.work(transaction)
            transaction.flush()
            if waiting.witness is not None:
                entry = waiting.witness(transaction.written[mark[3] :])
                if entry is not None:
                    run("INSERT INTO outbox(entry) VALUES(?)", (entry,))
        except BaseException as error:
            waiting.error = error
            if isinstance(error, sqlite3.Error):
                waiting.error = _unwritable(error)
                if not self._connection.in_transaction:
                    raise  # SQLite undid the whole transaction by itself (disk full, I/O error)
            run("ROLLBACK" if alone else "ROLLBACK TO write")
            transaction.undo(mark)
        if not alone:
            run("RELEASE write")

    def housekeeping(self, work: Callable[[sqlite3.Connection, SqliteTransaction], object]) -> None:
        """Run a maintenance step in a commit of its own (only from the writer's thread)."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._transaction.begin(self._clock())
            work(self._connection, self._transaction)
            self._connection.execute("COMMIT")
            self._transaction.settle(committed=True)
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
                self._transaction.undo(self._transaction.mark())
                self._transaction.settle(committed=False)
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def _unwritable(failure: sqlite3.Error) -> TooCostly:
    """The refusal of a write that the disk or the file did not take."""
    return TooCostly(f"the record file cannot be written now ({failure})", code="no-store")
