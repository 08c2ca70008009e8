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
    Route("GET", "{type}/{id}", "read", read),
    Route("GET", "{type}/{id}/_history/{version}", "vread", vread),
    Route("POST", "{type}", "create", create),
    Route("PUT", "{type}/{id}", "update", update),
    Route("PUT", "{type}", "conditional-update", conditional_update),
    Route("PATCH", "{type}/{id}", "patch", patch),
    Route("PATCH", "{type}", "conditional-patch", conditional_patch),
    Route("DELETE", "{type}/{id}", "delete", delete),
    Route("DELETE", "{type}", "conditional-delete", conditional_delete),
    Route("GET", "{type}/{id}/_history", "history-instance", history),
    Route("GET", "{type}/_history", "history-type", history),
    Route("GET", "_history", "history-system", history),
    Route("GET", "{type}", "search-type", search_type),
    Route("POST", "{type}/_search", "search-type", search_type),
    Route("GET", "", "search-system", search_system),
    Route("POST", "_search", "search-system", search_system),
    Route("GET", "{type}/{id}/{compartment}", "search-compartment", search_compartment),
    Route("POST", "{type}/{id}/{compartment}/_search", "search-compartment", search_compartment),
    Route("POST", "", "transaction", submit),
    Route("GET", "metadata", "capabilities", capabilities),
    Route("GET", "openapi.json", "openapi", openapi),
)


def routes(resource_types: frozenset[str], operations: tuple[Operation, ...] = OPERATIONS) -> Routes:
    """The table of this server for the ``resource_types`` of the definitions."""
    return Routes(resource_types, unique(ROUTES), operations)
