"""Fixtures that many tests share: a running server on a fresh data folder, and a client for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

STARTUP_SECONDS = 30
FHIR_JSON = "application/fhir+json"


class Running:
    """A server process; ``url`` is its FHIR base."""

    def __init__(self, data: Path, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.data = data
        self.log = data.with_suffix(".log")
        command = [sys.executable, "-m", "fhir_server.cli", "serve", "--port", "0", "--data", str(data), *flags]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **(environment or {})}
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("serving "):
            self.process.kill()
            raise AssertionError(f"the server did not start: {line}{self.log.read_text()}")
        self.url = line.split()[1]

    @property
    def root(self) -> str:
        """Where the server is, without the FHIR path."""
        return self.url.removesuffix("/fhir")

    def client(self, **options: Any) -> httpx.Client:
        """A client whose relative URLs start at the FHIR base."""
        headers = {"Content-Type": FHIR_JSON, **options.pop("headers", {})}
        return httpx.Client(base_url=f"{self.url}/", headers=headers, timeout=60, **options)

    def stop(self) -> int:
        """Stop gracefully; returns the exit status."""
        self.process.terminate()
        return self.process.wait(timeout=40)


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Start servers that are stopped at the end: ``start_server(*flags, data=…, environment=…)``."""
    running: list[Running] = []

    def start(*flags: str, data: Path | None = None, environment: dict[str, str] | None = None) -> Running:
        folder = data or tmp_path_factory.mktemp("server") / "data"
        running.append(Running(folder, *flags, environment=environment))
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.fixture(scope="session")
def server(start_server: Callable[..., Running]) -> Running:
    """The session's server in development mode; its records are shared by all tests, so use own ids and codes."""
    return start_server("--open")


@pytest.fixture(scope="session")
def client(server: Running) -> Iterator[httpx.Client]:
    """A client of the session's server."""
    with server.client() as found:
        yield found
