"""Servers that start in a moment: a process that has everything loaded forks itself into ``yidang serve``.

Run as ``python -m tests.robustness.nursery``; orders come as JSON lines, one answer line each.
Each server is a process of its own, as if the command had been typed; only its start is quicker, which
lets a test kill and start one fifty times.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.robustness.api import Api, Broken


class Nursery:
    """The warm process, seen from a test; ``close`` ends it and its servers."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.robustness.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self._answer() == "warm"
        self._alive: list[Fork] = []

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def order(self, **what: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def serve(self, data: Path, port: int, *flags: str, environment: dict[str, str] | None = None) -> Fork:
        """A server on ``data``; it may not answer yet."""
        arguments = ["serve", "--port", str(port), "--data", str(data), "--open", *flags]
        pid = self.order(serve=arguments, log=str(data) + ".log", environment=environment or {})
        fork = Fork(self, pid, f"http://127.0.0.1:{port}/fhir")
        self._alive.append(fork)
        return fork

    def run(self, *arguments: object) -> Done:
        """``yidang`` with these arguments, until its end."""
        with tempfile.TemporaryDirectory() as folder:
            said, told = Path(folder) / "stdout", Path(folder) / "stderr"
            pid = self.order(serve=[str(argument) for argument in arguments], out=str(said), log=str(told))
            return Done(self.order(wait=pid), said.read_text(), told.read_text())

    def close(self) -> None:
        for fork in self._alive:
            fork.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)


@dataclass(frozen=True)
class Done:
    """What a command left: its exit status and what it said."""

    returncode: int
    stdout: str
    stderr: str


class Fork:
    """One server process."""

    def __init__(self, nursery: Nursery, pid: int, url: str) -> None:
        self._nursery, self.pid, self.url = nursery, pid, url
        self._status: int | None = None

    def ready(self, seconds: float = 30) -> Api:
        """A client, once the server answers."""
        end = time.monotonic() + seconds
        while True:
            api = Api(self.url)
            try:
                assert api.get("/Patient/none").status == 404
                return api
            except Broken:
                assert time.monotonic() < end, "the server does not answer"
                time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        self.stop(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; the exit status."""
        if self._status is None:
            os.kill(self.pid, number)
            self._status = self._nursery.order(wait=self.pid)
        return self._status


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _child(order: dict[str, Any]) -> None:
    from fhir_server.cli import main

    status = 1
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        out = os.open(order["out"], os.O_WRONLY | os.O_CREAT, 0o600) if "out" in order else log
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, null), (1, out), (2, log)):
            os.dup2(source, target)
        os.environ.update(order.get("environment", {}))
        status = main(order["serve"])
    finally:
        sys.stdout.flush()
        os._exit(status)


def _tend() -> None:
    from fhir_server.search.extract import Extractor
    from profiles.definitions import load
    from profiles.structure import Validator

    definitions = load()
    Extractor(definitions)
    Validator(definitions).check({"resourceType": "Patient"})
    for module in ("fhir_server.app", "fhir_server.cli", "httptools", "uvloop", "uvicorn"):
        import_module(module)
    print(json.dumps("warm"), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                _child(order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _tend()
