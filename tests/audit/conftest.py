"""Chains to test with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fhir_server.audit.trail import Trail


@pytest.fixture
def open_trail(tmp_path: Path) -> Iterator[Callable[..., Trail]]:
    """Open trails on one folder; they are closed at the end."""
    opened: list[Trail] = []

    def make(**settings: object) -> Trail:
        opened.append(Trail(tmp_path / "audit", **settings))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for trail in opened:
        trail.close()
