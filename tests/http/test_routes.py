"""Every path goes to its interaction, or is refused as unknown or as without that method."""

from __future__ import annotations

import pytest

from fhir_server.context import Context
from fhir_server.errors import MethodNotAllowed, NotFound
from fhir_server.http.exchange import Request, Response
from fhir_server.http.routes import Operation, Route, Routes, unique
from fhir_server.http.table import ROUTES


async def answer(request: Request, context: Context) -> Response:
    return Response()


EVERYTHING = Operation("everything", answer, "u", instance=True, types=frozenset({"Patient"}))
VALIDATE = Operation("validate", answer, "u", type=True, instance=True, get=False)
TABLE = Routes(frozenset({"Patient", "Observation"}), unique(ROUTES), (EVERYTHING, VALIDATE))


def request(method: str, path: str) -> Request:
    return Request(method, tuple(part for part in path.split("/") if part), [], {}, b"", "http://h/fhir", "c")


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "Patient/1", "read"),
        ("HEAD", "Patient/1", "read"),
        ("GET", "Patient/1/_history/2", "vread"),
        ("GET", "Patient/1/_history", "history-instance"),
        ("GET", "Patient/_history", "history-type"),
        ("GET", "_history", "history-system"),
        ("POST", "Patient", "create"),
        ("PUT", "Patient/1", "update"),
        ("PUT", "Patient", "conditional-update"),
        ("PATCH", "Patient/1", "patch"),
        ("PATCH", "Patient", "conditional-patch"),
        ("DELETE", "Patient/1", "delete"),
        ("DELETE", "Patient", "conditional-delete"),
        ("GET", "Patient", "search-type"),
        ("POST", "Patient/_search", "search-type"),
        ("GET", "", "search-system"),
        ("POST", "_search", "search-system"),
        ("GET", "Patient/1/Observation", "search-compartment"),
        ("GET", "Patient/1/*", "search-compartment"),
        ("POST", "Patient/1/Observation/_search", "search-compartment"),
        ("POST", "", "transaction"),
    ],
)
def test_paths_reach_their_interactions(method: str, path: str, name: str) -> None:
    handlers = {route.handler for route in ROUTES if route.name == name}
    assert TABLE.find(request(method, path)).handler in handlers


def test_the_path_is_read_into_the_request() -> None:
    asked = request("GET", "Patient/1/_history/2")
    TABLE.find(asked)
    assert (asked.type, asked.id, asked.version) == ("Patient", "1", "2")


def test_an_id_may_look_like_anything() -> None:
    asked = request("GET", "Patient/Patient")
    TABLE.find(asked)
    assert asked.id == "Patient"


def test_operations_are_found_at_their_levels() -> None:
    asked = request("GET", "Patient/1/$everything")
    assert TABLE.find(asked).handler is answer
    assert asked.operation == "everything"
    assert TABLE.find(request("POST", "Observation/$validate")).handler is answer


@pytest.mark.parametrize("path", ["Patient/$everything", "Observation/1/$everything", "$validate", "Patient/$nothing"])
def test_operations_elsewhere_are_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        TABLE.find(request("POST", path))


@pytest.mark.parametrize("path", ["Foo", "Foo/1", "patient/1", "Patient/1/2", "Patient/1/_history/2/3", "_foo", "a/b"])
def test_unknown_paths_are_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        TABLE.find(request("GET", path))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "Patient/1/_history", ["GET", "HEAD"]),
        ("POST", "Patient/1", ["GET", "HEAD", "PUT", "PATCH", "DELETE"]),
        ("PUT", "", ["GET", "HEAD", "POST"]),
        ("BREW", "Patient", ["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD"]),
        ("GET", "Observation/$validate", ["POST"]),
        ("PUT", "Patient/1/$everything", ["GET", "HEAD", "POST"]),
    ],
)
def test_other_methods_are_refused_and_the_possible_ones_told(method: str, path: str, allowed: list[str]) -> None:
    asked = request(method, path)
    with pytest.raises(MethodNotAllowed):
        TABLE.find(asked)
    assert TABLE.allowed(asked) == allowed


def test_logs_describe_paths_without_ids() -> None:
    assert TABLE.described(request("GET", "Patient/secret")) == "/{type}/{id}"
    assert TABLE.described(request("GET", "Patient/secret/$everything")) == "/{type}/{id}/$everything"
    assert TABLE.described(request("GET", "secret/secret")) == "(unknown path)"


def test_two_routes_cannot_claim_one_place() -> None:
    with pytest.raises(ValueError, match="registered twice"):
        unique((Route("GET", "{type}", "a", answer), Route("GET", "{type}", "b", answer)))
