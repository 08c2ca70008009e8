"""Resources to check: the official examples where they are at hand, small ones of our own everywhere."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from profiles.definitions import load
from profiles.lossless import parse
from profiles.structure import Validator

SHARED = Path(__file__).parents[3] / ".." / "shared" / "fhir"


@pytest.fixture(scope="session")
def validator() -> Validator:
    return Validator(load())


@pytest.fixture(scope="session")
def official_examples() -> list[dict[str, Any]]:
    path = SHARED / "r4" / "examples.ndjson.gz"
    if not path.exists():
        pytest.skip("the official examples are not beside this checkout")
    return [parse(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
