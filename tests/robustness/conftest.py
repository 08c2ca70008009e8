"""Fixtures of the attacks: servers that can be killed, and the data that is shared beside the project."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness.api import Api
from tests.robustness.nursery import Fork, Nursery, free_port

SHARED = Path(__file__).parents[3] / "shared" / "fhir"


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="module")
def fork(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fork]:
    """A server of this module alone."""
    started = nursery.serve(tmp_path_factory.mktemp("server") / "data", free_port())
    started.ready().close()
    yield started
    started.kill()


@pytest.fixture
def api(fork: Fork) -> Iterator[Api]:
    found = fork.ready()
    yield found
    found.close()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of official examples and synthetic patients."""
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared/fhir is not there")
    return SHARED


@pytest.fixture(scope="session")
def examples(shared: Path) -> list[bytes]:
    """The official R4 examples, as written."""
    return gzip.decompress((shared / "r4" / "examples.ndjson.gz").read_bytes()).splitlines()
