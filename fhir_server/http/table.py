"""The interactions and operations that this server registers: what routing, CapabilityStatement and OpenAPI read."""

from __future__ import annotations

from fhir_server.http.openapi import openapi
from fhir_server.http.routes import Operation, Route, Routes, unique
from fhir_server.interactions.bundle import submit
from fhir_server.interactions.capabilities import capabilities
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import conditional_delete, delete
from fhir_server.interactions.history import history
from fhir_server.interactions.patch_resource import conditional_patch, patch
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search_compartment, search_system, search_type
from fhir_server.interactions.update import conditional_update, update
from fhir_server.interactions.vread import vread
from fhir_server.operations import OPERATIONS

ROUTES: tuple[Route, ...] = (
    Route("GET", "{type}/{id}", "read", read, "r"),
    Route("GET", "{type}/{id}/_history/{version}", "vread", vread, "r"),
    Route("POST", "{type}", "create", create, "c"),
    Route("PUT", "{type}/{id}", "update", update, "u"),
    Route("PUT", "{type}", "conditional-update", conditional_update, "u"),
    Route("PATCH", "{type}/{id}", "patch", patch, "u"),
    Route("PATCH", "{type}", "conditional-patch", conditional_patch, "u"),
    Route("DELETE", "{type}/{id}", "delete", delete, "d"),
    Route("DELETE", "{type}", "conditional-delete", conditional_delete, "d"),
    Route("GET", "{type}/{id}/_history", "history-instance", history, "r"),
    Route("GET", "{type}/_history", "history-type", history, "r"),
    Route("GET", "_history", "history-system", history, "r"),
    Route("GET", "{type}", "search-type", search_type, "s"),
    Route("POST", "{type}/_search", "search-type", search_type, "s"),
    Route("GET", "", "search-system", search_system, "s"),
    Route("POST", "_search", "search-system", search_system, "s"),
    Route("GET", "{type}/{id}/{compartment}", "search-compartment", search_compartment, "s"),
    Route("POST", "{type}/{id}/{compartment}/_search", "search-compartment", search_compartment, "s"),
    Route("POST", "", "transaction", submit),
    Route("GET", "metadata", "capabilities", capabilities),
    Route("GET", "openapi.json", "openapi", openapi),
)


def routes(resource_types: frozenset[str], operations: tuple[Operation, ...] = OPERATIONS) -> Routes:
    """The table of this server for the ``resource_types`` of the definitions."""
    return Routes(resource_types, unique(ROUTES), operations)
