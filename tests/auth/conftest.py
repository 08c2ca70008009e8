"""A world of its own for every test: of the protocol, and of the pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.auth.people import World as Clinic
from tests.auth.people import make_world
from tests.auth.protocol import World, world_in


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = world_in(tmp_path)
    yield made
    made.authenticator.close()
    made.auth_file.close()


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    """People who sign in, and the pages."""
    made = make_world(tmp_path)
    yield made
    made.file.close()
