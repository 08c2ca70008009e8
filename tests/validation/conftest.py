"""Commands run in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fhir_server.cli import main


@pytest.fixture
def yidang() -> Callable[..., int]:
    """Run a command: ``yidang("load", "--data", folder, file)``; gives the exit status."""
    return lambda *words: main([str(word) for word in words])
