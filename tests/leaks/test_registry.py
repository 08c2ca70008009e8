"""No way into the records without an attack on it: a new route or operation fails here until a leak test covers it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from fhir_server.http.table import ROUTES
from fhir_server.operations import OPERATIONS
from tests.leaks.coverage import COVERED

# What gives nothing out about anybody: the statement and the description of the server itself.
HARMLESS = {"GET metadata", "GET openapi.json"}
LEVELS = ("system", "type", "instance", "version")


def ways() -> list[str]:
    found = [f"{route.method} {route.shape}" for route in ROUTES]
    for operation in OPERATIONS:
        found += [f"${operation.code} {level}" for level in LEVELS if getattr(operation, level)]
    return sorted(set(found) - HARMLESS)


def load_attacks() -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.leaks.{path.stem}")


@pytest.mark.parametrize("way", ways())
def test_every_route_and_operation_is_attacked(way: str) -> None:
    load_attacks()
    assert COVERED.get(way), (
        f"nothing in tests/leaks attacks '{way}': write a test that tries to see hidden records by it, and mark it "
        f"with @covers({way!r}) (docs/leak-suite.md)"
    )


def test_no_attack_is_on_something_that_is_gone() -> None:
    load_attacks()
    of_fhir = {way for way in COVERED if "/" not in way.partition(" ")[2][:1]}
    assert of_fhir <= {*ways(), *HARMLESS}
