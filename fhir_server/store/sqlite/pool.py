"""Reader threads: one connection each, results handed back to the event loop; time limits of searches."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fhir_server.errors import BadRequest

R = TypeVar("R")
T = TypeVar("T")
_TOO_DEEP = ("parser stack overflow", "Expression tree is too large", "too many SQL variables", "too many terms")
_STEPS = 20_000  # SQLite instructions between looks at the clock


@dataclass(slots=True)
class _Asked:
    work: Callable[[Any], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class OutOfTime(Exception):
    """The SQL of some work was given up after its time."""


def limited(
    connection: sqlite3.Connection,
    seconds: float,
    work: Callable[[], T],
    steps: int = _STEPS,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Run ``work``; its SQL is given up after ``seconds`` of ``clock``, looked at every ``steps`` instructions.

    Raises OutOfTime then, and BadRequest where SQLite cannot take so deep a search.
    """
    deadline = clock() + seconds
    connection.set_progress_handler(lambda: clock() > deadline, steps)
    try:
        return work()
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            raise OutOfTime from None
        if any(words in str(error) for words in _TOO_DEEP):
            raise BadRequest("the search has too many nested conditions", code="too-costly") from None
        raise
    finally:
        connection.set_progress_handler(None, 0)
        if connection.in_transaction:  # the COMMIT that ends a search can be interrupted too
            connection.execute("ROLLBACK")


class ReaderPool(Generic[R]):
    """``threads`` readers; ``open()`` makes each its own reader in its thread."""

    def __init__(self, open_: Callable[[], R], close: Callable[[R], None], threads: int) -> None:
        self._open = open_
        self._close = close
        self._queue: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name="yidang-reader", daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[R], T]) -> T:
        """Run ``work(reader)`` in one of the threads."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Asked(work, loop, future))
        return await future

    def close(self) -> None:
        """End the threads after what waits."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        reader = self._open()
        try:
            while (asked := self._queue.get()) is not None:
                result: Any = None
                error: BaseException | None = None
                try:
                    result = asked.work(reader)
                except BaseException as raised:
                    error = raised
                try:
                    asked.loop.call_soon_threadsafe(settle, asked.future, result, error)
                except RuntimeError:
                    continue  # the asker's event loop is closed
        finally:
            self._close(reader)


def settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """Give the waiting future its result or its error (in its event loop)."""
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
