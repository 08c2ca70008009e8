"""A small world of patients and observations that clients change all the time, beside a model of it.

Every write is made in the server and noted in the model; while the gate is closed nobody writes, so that
the model says exactly what a search must find.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from tests.robustness.api import Answer, Api, Resource

SHANGHAI = timezone(timedelta(hours=8))
CODES = ("A", "B", "C")
FAMILIES = ("Adams", "Baker", "Chen")
TEXTS = ("王小明", "李雪", "王芳", "欧阳娜娜")
PATIENTS, OBSERVATIONS, NEW = 12, 111, 399


@dataclass(frozen=True)
class Person:
    """What the model knows of a Patient."""

    id: str
    version: int = 0
    family: str | None = None
    text: str = ""
    born: str | None = None
    type: str = "Patient"


@dataclass(frozen=True)
class Finding:
    """What the model knows of an Observation."""

    id: str
    version: int = 0
    code: str = ""
    subject: str = ""
    at: str | None = None
    value: int | None = None
    type: str = "Observation"

    @property
    def moment(self) -> datetime | None:
        """The beginning of its time."""
        if self.at is None:
            return None
        found = datetime.fromisoformat(self.at)
        return found if found.tzinfo else found.replace(tzinfo=SHANGHAI)


Record = Person | Finding


class Gate:
    """Many pass it together while it is open; closing it waits until they have come back."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._closed = False
        self.passed = 0

    @contextmanager
    def passing(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self.passed += 1
                self._condition.notify_all()

    @contextmanager
    def closed(self) -> Iterator[None]:
        with self._condition:
            self._closed = True
            self._condition.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._condition:
                self._closed = False
                self._condition.notify_all()

    def wait_for_more(self, writes: int) -> None:
        """Return when so many further writes have been made."""
        with self._condition:
            goal = self.passed + writes
            assert self._condition.wait_for(lambda: self.passed >= goal, timeout=30)


class World:
    """The records of the server at ``url``; ``live`` lets clients change them."""

    def __init__(self, url: str, seed: int, writers: int = 3) -> None:
        self.url = url
        self.gate = Gate()
        self.records: dict[str, Record] = {}
        self._seed, self._writers = seed, writers
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self.failures: list[str] = []
        chance, api = random.Random(seed), Api(url)
        for record in [_person(chance, n) for n in range(PATIENTS)] + [
            _finding(chance, n) for n in range(OBSERVATIONS)
        ]:
            self._put(api, record)
        api.close()

    def _put(self, api: Api, record: Record) -> None:
        path = f"{record.type}/{record.id}"
        answer = api.put(path, resource(record))
        if self._good(answer, path):
            self.records[path] = replace(record, version=answer.version)

    def _good(self, answer: Answer, path: str) -> bool:
        if not answer.good:
            self.failures.append(f"{path}: {answer.status} {answer.body[:300]!r}")
        return answer.good

    @contextmanager
    def live(self) -> Iterator[None]:
        """Clients write as long as this lasts."""
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(self._writers)]
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            for thread in self._threads:
                thread.join(timeout=30)

    def _write(self, number: int) -> None:
        """Change resources as client ``number``."""
        chance, api = random.Random(self._seed * 100 + number), Api(self.url)
        while not self._stopped.is_set():
            with self.gate.passing():
                if chance.random() < 0.15:
                    self._change(api, chance, _person(chance, self._own(chance, PATIENTS, number)), 0.1)
                else:
                    # Numbers from OBSERVATIONS on have never been used: those resources are new.
                    most = OBSERVATIONS if chance.random() < 0.7 else OBSERVATIONS + NEW
                    self._change(api, chance, _finding(chance, self._own(chance, most, number)), 0.35)
        api.close()

    def _own(self, chance: random.Random, below: int, writer: int) -> int:
        """A number that belongs to this writer alone, so that the model knows the order of its changes."""
        return chance.randrange(below // self._writers) * self._writers + writer

    def _change(self, api: Api, chance: random.Random, record: Record, deletes: float) -> None:
        path = f"{record.type}/{record.id}"
        if path in self.records and chance.random() < deletes:
            if self._good(api.delete(path), path):
                del self.records[path]
        else:
            self._put(api, record)


def _person(chance: random.Random, number: int) -> Person:
    return Person(
        f"p{number}",
        family=chance.choice([None, *FAMILIES]),
        text=chance.choice(TEXTS),
        born=chance.choice([None, "1950", "1980-05", f"{chance.randrange(1940, 2020)}-02-03"]),
    )


def _finding(chance: random.Random, number: int) -> Finding:
    day = f"2026-0{chance.randrange(1, 10)}-{chance.randrange(10, 29)}"
    return Finding(
        f"o{number}",
        code=chance.choice(CODES),
        subject=f"p{chance.randrange(PATIENTS)}",
        at=chance.choice([None, day, f"{day}T{chance.randrange(10, 20)}:00:00+08:00", f"{day}T12:00:00+00:00"]),
        value=chance.choice([None, chance.randrange(100)]),
    )


def resource(record: Record) -> Resource:
    """The record as FHIR."""
    found: Resource = {"resourceType": record.type, "id": record.id, "meta": {"tag": [{"code": "world"}]}}
    if isinstance(record, Person):
        name = {"text": record.text} | ({"family": record.family} if record.family else {})
        return found | {"name": [name]} | ({"birthDate": record.born} if record.born else {})
    found |= {"status": "final", "code": {"coding": [{"system": "urn:code", "code": record.code}]}}
    found |= {"subject": {"reference": f"Patient/{record.subject}"}}
    if record.at is not None:
        found["effectiveDateTime"] = record.at
    if record.value is not None:
        found["valueQuantity"] = {"value": record.value}
    return found
