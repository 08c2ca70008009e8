"""Parameters of operations: from the query of a GET, or the Parameters resource of a POST.

https://hl7.org/fhir/R4/operations.html#executing
"""

from __future__ import annotations

from typing import Any

from fhir_server.errors import BadRequest
from fhir_server.http.body import parsed_body
from fhir_server.http.exchange import Pairs, Request

_GENERAL = frozenset({"_format", "_pretty"})


def input_of(request: Request) -> dict[str, Any] | None:
    """The resource in the body of a POST, None where there is no body."""
    if request.method != "POST" or (request.resource is None and not request.body.strip()):
        return None
    return parsed_body(request)


def simple_pairs(request: Request, known: frozenset[str], operation: str) -> Pairs:
    """The simple parameters as texts, from the query and from a Parameters body.

    Raises BadRequest for parameters that are not ``known`` and for values that are no texts.
    """
    pairs = [(name, value) for name, value in request.query if name not in _GENERAL]
    body = input_of(request)
    if body is not None:
        for part in parts_of(body, operation):
            name = part["name"]
            values = [value for key, value in part.items() if key.startswith("value")]
            if len(values) != 1 or isinstance(values[0], dict | list):
                raise BadRequest(
                    f"Parameter '{name}' of ${operation} needs a simple value",
                    f"Parameters.parameter.where(name='{name}')",
                    code="structure",
                )
            value = values[0]
            pairs.append((name, str(value).lower() if isinstance(value, bool) else str(value)))
    for name, _ in pairs:
        if name not in known:
            raise BadRequest(
                f"${operation} has no parameter '{name}'; it has {', '.join(sorted(known))}",
                f"http.{name}",
                code="not-supported",
            )
    return pairs


def parts_of(body: dict[str, Any], operation: str) -> list[dict[str, Any]]:
    """The parameters of a Parameters resource, each with a name. Raises BadRequest for another body."""
    if body.get("resourceType") != "Parameters":
        raise BadRequest(
            f"The body of ${operation} is a Parameters resource, not a {body.get('resourceType')}", code="structure"
        )
    parts = body.get("parameter", [])
    if not isinstance(parts, list) or not all(isinstance(p, dict) and isinstance(p.get("name"), str) for p in parts):
        raise BadRequest("Every parameter needs a name", "Parameters.parameter", code="structure")
    return parts
