"""The interactions and operations that this server registers: what routing, CapabilityStatement and OpenAPI read."""

from __future__ import annotations

from fhir_server.http.routes import Operation, Route, Routes, unique
from fhir_server.operations import OPERATIONS

ROUTES: tuple[Route, ...] = ()


def routes(resource_types: frozenset[str], operations: tuple[Operation, ...] = OPERATIONS) -> Routes:
    """The table of this server for the ``resource_types`` of the definitions."""
    return Routes(resource_types, unique(ROUTES), operations)
