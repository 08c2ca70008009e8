"""Fixtures of the attacks: servers that can be killed, and the data that is shared beside the project."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness.api import Api
from tests.robustness.hostile import LIMIT, Target
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


@pytest.fixture(scope="module")
def target(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server with a small body limit; at the end its log must not tell of a failure."""
    data = tmp_path_factory.mktemp("target") / "data"
    fork = nursery.serve(data, free_port(), environment={"YIDANG_BODY_LIMIT": str(LIMIT)})
    found = Target(fork, Path(f"{data}.log"))
    witness = {"resourceType": "Patient", "id": "witness", "name": [{"text": "证人"}], "birthDate": "1970-01-01"}
    assert found.api.put("Patient/witness", witness).status == 201
    yield found
    assert fork.stop() == 0
    assert not found.faults()
