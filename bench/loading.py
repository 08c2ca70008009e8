"""Loading the people through transaction Bundles over HTTP, over several connections."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.population import PER_PERSON, local_names
from bench.server import Server, cpu_seconds
from bench.truth import WrongAnswer
from bench.wire import Wire

_LOCATION = re.compile(rb'"location":"[^"]*/([A-Za-z0-9.-]+)/_history/1"')


@dataclass(slots=True)
class Loaded:
    """What a load did: ``people`` (the first so many), rates, and the server's ids by local name."""

    people: int
    seconds: float
    cpu: float
    latencies: list[float]
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def resources(self) -> int:
        return self.people * PER_PERSON


def load(server: Server, bundles: Sequence[bytes], connections: int, seconds: float) -> Loaded:
    """POST the Bundles in order; none is begun after ``seconds``. Raises WrongAnswer on any refusal."""
    answers: list[bytes | None] = [None] * len(bundles)
    latencies: list[float] = []
    following = iter(range(len(bundles)))
    lock = threading.Lock()
    failures: list[str] = []
    began, cpu = time.perf_counter(), cpu_seconds(server.pid)

    def work() -> None:
        wire = Wire(server.port)
        while time.perf_counter() - began < seconds and not failures:
            with lock:
                number = next(following, None)
            if number is None:
                return
            at = time.perf_counter()
            status, body = wire.ask("POST", "/fhir", bundles[number])
            latencies.append((time.perf_counter() - at) * 1000)
            if status != 200:
                failures.append(f"Bundle {number}: status {status}: {body[:800].decode(errors='replace')}")
                return
            answers[number] = body

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall, used = time.perf_counter() - began, cpu_seconds(server.pid) - cpu
    if failures:
        raise WrongAnswer(failures[0])
    loaded = Loaded(sum(answer is not None for answer in answers), wall, used, latencies)
    for number, answer in enumerate(answers[: loaded.people]):
        ids = [found.decode() for found in _LOCATION.findall(answer or b"")]
        if len(ids) != PER_PERSON:
            raise WrongAnswer(f"Bundle {number}: {len(ids)} of {PER_PERSON} resources have a location")
        loaded.ids.update(zip(local_names(number), ids, strict=True))
    return loaded
