"""The records of the demonstration alliance: each resource is filed with the institution or person that wrote it.

Residents' files are made and written by several processes, each a share of the numbers; a file is one commit,
noted in it, so that an interrupted build goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

from consent import Access
from fhir_server.context import Context
from fhir_server.loading import WorkerDied
from fhir_server.local import open_records
from fhir_server.records.acting import acting
from fhir_server.records.health_code import with_code
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Prepared, Transaction
from loaders.demo import File, county_resources, institutions, resident_file
from profiles.definitions import load as load_definitions
from profiles.lossless import encode, parse

Resource = dict[str, Any]
_FORKING = multiprocessing.get_context("fork")
_IN_FLIGHT = 6  # files being written at once: they share a commit
_CHUNK = 20
_WORTH = 200  # residents from which a second process pays


class OtherAlliance(ValueError):
    """The folder holds records that are not those of this seed."""


def name_of(seed: int) -> str:
    """How the notes of a build begin."""
    return f"demo:{seed}:"


def check_folder(context: Context, seed: int) -> frozenset[str]:
    """The notes of what is in already. Raises OtherAlliance for the records of another seed."""
    noted = context.store.noted("demo:", context.access)
    foreign = {name.split(":")[1] for name in noted} - {str(seed)}
    if foreign:
        raise OtherAlliance(f"the folder holds the alliance of seed {min(foreign)}; take another folder")
    return noted


def _prepared(resource: Resource, context: Context) -> Prepared:
    found = parse(encode(resource))  # as a client's text would be read
    issues = [issue for issue in context.validator.check(found) if issue.severity in ("error", "fatal")]
    if issues:
        raise ValueError(f"{resource['resourceType']}/{resource['id']}: {issues[0].diagnostics}")
    return prepare(found, str(resource["id"]), context.extractor)


async def _file(written: Iterable[tuple[str, Resource]], note: str, context: Context) -> int:
    """Write (custodian, resource) pairs in one commit, unless that was done before; how many were written."""
    everything = Access.everything("yidang demo")
    prepared = [(replace(everything, party=custodian), _prepared(resource, context)) for custodian, resource in written]

    def work(transaction: Transaction) -> int:
        if not transaction.once(note):
            return 0
        for access, one in prepared:
            with acting(transaction, access):
                transaction.put(one, "PUT")
        return len(prepared)

    return await context.store.write(work, context.access)


def _coded(file: File, seed: int) -> list[tuple[str, Resource]]:
    """What is written of a file: the Patient has a health code, the same for the same seed."""
    (custodian, patient), *rest = file.written
    below = Random(f"{seed}:{file.person.number}:health code").randrange
    return [(custodian, with_code(patient, below)), *rest]


async def _files(numbers: Iterator[int], seed: int, context: Context, tell: Callable[[int], None]) -> None:
    places = institutions()

    async def one() -> None:
        for number in numbers:
            file = resident_file(number, seed, places)
            tell(await _file(_coded(file, seed), f"{name_of(seed)}{number}", context))

    async with asyncio.TaskGroup() as group:
        for _ in range(_IN_FLIGHT):
            group.create_task(one())


def steps(count: int) -> int:
    """How many steps ``build`` takes, at most."""
    return 1 + -(-count // _CHUNK)


def build(data: Path, count: int, seed: int, processes: int | None = None) -> Iterator[int]:
    """Write the county and ``count`` residents; for each step the number of resources written.

    What is in already is left as it is. Raises OtherAlliance, WorkerDied, ValueError.
    """
    context = open_records(data, "demo")
    try:
        noted = check_folder(context, seed)
        county = [("", resource) for resource in county_resources(seed)]
        yield asyncio.run(_file(county, f"{name_of(seed)}county", context))
    finally:
        context.store.close()
    missing = [number for number in range(1, count + 1) if f"{name_of(seed)}{number}" not in noted]
    workers = processes or (1 if len(missing) < _WORTH else min(os.cpu_count() or 1, 4))
    chunks = [missing[at : at + _CHUNK] for at in range(0, len(missing), _CHUNK)]
    yield from _together(data, chunks, seed, workers) if workers > 1 else _alone(data, chunks, seed)


def _alone(data: Path, chunks: list[list[int]], seed: int) -> Iterator[int]:
    context = open_records(data, "demo")
    try:
        with asyncio.Runner() as runner:
            for chunk in chunks:
                told: list[int] = []
                runner.run(_files(iter(chunk), seed, context, told.append))
                yield sum(told)
    finally:
        context.store.close()


def _together(data: Path, chunks: list[list[int]], seed: int, workers: int) -> Iterator[int]:
    load_definitions()  # before the fork: read once, shared by all
    tasks: Any = _FORKING.SimpleQueue()
    told: Any = _FORKING.Queue()
    crew: list[BaseProcess] = [
        _FORKING.Process(target=_process, args=(data, seed, tasks, told), daemon=True) for _ in range(workers)
    ]
    for process in crew:
        process.start()
    feeder = threading.Thread(target=_feed, args=(tasks, chunks, workers), daemon=True)
    feeder.start()
    try:
        left = len(chunks)
        while left:
            if any(process.exitcode for process in crew):
                raise WorkerDied("a process ended before it had finished; the same command goes on from here")
            try:
                found: int | str = told.get(timeout=0.5)
            except queue.Empty:
                continue
            if isinstance(found, str):
                raise WorkerDied(found)
            left -= 1
            yield found
        for process in crew:
            process.join()
    finally:
        for process in crew:
            if process.is_alive():
                process.terminate()
                process.join()


def _feed(tasks: Any, chunks: list[list[int]], workers: int) -> None:
    for chunk in chunks:
        tasks.put(chunk)
    for _ in range(workers):
        tasks.put(None)


def _process(data: Path, seed: int, tasks: Any, told: Any) -> None:
    try:
        context = open_records(data, "demo")
        try:
            with asyncio.Runner() as runner:
                while (chunk := tasks.get()) is not None:
                    counts: list[int] = []
                    runner.run(_files(iter(chunk), seed, context, counts.append))
                    told.put(sum(counts))
        finally:
            context.store.close()
    except KeyboardInterrupt:
        pass
    except Exception as error:
        first = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        told.put(f"{type(first).__name__}: {first}")
