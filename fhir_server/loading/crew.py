"""Many files into one store by several processes, each of which parses, validates, indexes and commits.

What others refer to (``loaders.bundles.is_foundation``) is loaded first, by one process; what was
refused because something was missing is tried once more at the end.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import FhirError
from fhir_server.loading.file import Event, load_file
from loaders.bundles import Refusal, is_foundation
from profiles.definitions import load as load_definitions

Open = Callable[[], Context]

_FORKING = multiprocessing.get_context("fork")
_IN_FLIGHT = 2  # files a process works on at once: one is prepared while the other is committed
_WORTH = 4 * 1024 * 1024  # bytes of files a process should have to do, to be worth starting


@dataclass(slots=True)
class Total:
    """The sum of a load. ``files`` were finished, ``skipped`` of them because they were in before."""

    written: int = 0
    files: int = 0
    skipped: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Count one event."""
        self.written += event.written
        self.files += event.done
        self.skipped += event.skipped
        self.refusals += event.refusals


class WorkerDied(RuntimeError):
    """A loading process ended without finishing; what it had committed stands."""


async def _work(context: Context, take: Callable[[], Path | None], tell: Callable[[Event], None]) -> None:
    """Load the files that ``take`` gives until there are none."""

    async def one() -> None:
        while (path := await asyncio.to_thread(take)) is not None:
            async for event in load_file(path, context):
                tell(event)

    async with asyncio.TaskGroup() as group:
        for _ in range(_IN_FLIGHT):
            group.create_task(one())


def _end_with_parent() -> None:
    """End this process when the one that started it is gone; nobody would give it work or read what it says."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _process(open_context: Open, tasks: Any, events: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        context = open_context()
        try:
            asyncio.run(_work(context, tasks.get, events.put))
        finally:
            context.store.close()
    except KeyboardInterrupt:
        pass
    except Exception as error:
        first = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        # A text in place of an event: why this process cannot go on.
        events.put(str(first) if isinstance(first, FhirError) else f"{type(first).__name__}: {first}")


def _alone(paths: Sequence[Path], context: Context) -> Iterator[Event]:
    """Load the files one after the other in this process."""
    with asyncio.Runner() as runner:
        for path in paths:
            steps = load_file(path, context)
            while (event := runner.run(anext(steps, None))) is not None:
                yield event


def _together(paths: Sequence[Path], open_context: Open, processes: int) -> Iterator[Event]:
    """Load the files in several processes."""
    load_definitions()  # before the fork: read once, shared by all
    tasks: Any = _FORKING.SimpleQueue()
    events: Any = _FORKING.Queue()
    crew: list[BaseProcess] = [
        _FORKING.Process(target=_process, args=(open_context, tasks, events), daemon=True) for _ in range(processes)
    ]
    for process in crew:
        process.start()
    try:
        left, waiting = len(paths), iter([*paths, *[None] * (processes * _IN_FLIGHT)])
        for _ in range(2 * processes * _IN_FLIGHT):
            tasks.put(next(waiting, None))
        while left:
            if any(process.exitcode for process in crew):
                raise WorkerDied("a loading process ended before it had finished")
            try:
                event: Event | str = events.get(timeout=0.5)
            except queue.Empty:
                continue
            if isinstance(event, str):
                raise WorkerDied(event)
            yield event
            if event.done:
                left -= 1
                tasks.put(next(waiting, None))
        for process in crew:
            process.join()
    finally:
        for process in crew:
            if process.is_alive():
                process.terminate()
                process.join()


def processes_for(paths: Sequence[Path]) -> int:
    """How many processes these files are worth: one for a few, else one a core."""
    size = sum(path.stat().st_size for path in paths)
    return max(1, min(os.cpu_count() or 1, len(paths), size // _WORTH + 1))


def load(paths: Sequence[Path], open_context: Open, processes: int | None = None) -> Iterator[Event]:
    """Load files into the store of ``open_context()``; events as they happen (refusals only when final).

    ``processes``: how many (default: what the files are worth). The caller must not hold the store
    open with threads of its own when several processes are wanted. Raises WorkerDied, and TooCostly
    when the store cannot write.
    """
    first = [path for path in paths if is_foundation(path)]
    rest = [path for path in paths if not is_foundation(path)]
    count = processes or processes_for(rest or first)
    again: list[Path] = []

    def final(events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            if event.again:
                again.append(event.path)
                event.refusals = []
            yield event

    if count > 1:
        yield from final(_in_own(first, open_context))
        yield from final(_together(rest, open_context, min(count, max(len(rest), 1))))
    else:
        yield from final(_in_own([*first, *rest], open_context))
    for event in _in_own(list(dict.fromkeys(again)), open_context):
        event.done = event.skipped = False
        event.read = 0
        yield event


def _in_own(paths: Sequence[Path], open_context: Open) -> Iterator[Event]:
    if not paths:
        return
    context = open_context()
    try:
        yield from _alone(paths, context)
    finally:
        context.store.close()
