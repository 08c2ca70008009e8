"""JSON Merge Patch on a resource: the given members replace, null removes; some clients (fhirpy) send it.

https://datatracker.ietf.org/doc/html/rfc7396; beyond FHIR R4, which leaves further formats to the server.
"""

from __future__ import annotations

from typing import Any

from fhir_server.errors import BadRequest


def apply(resource: dict[str, Any], patch: Any) -> dict[str, Any]:
    """The resource with ``patch`` (a parsed JSON object) merged in; ``resource`` is not changed.

    Raises BadRequest where the patch is no object.
    """
    if not isinstance(patch, dict):
        raise BadRequest("A JSON Merge Patch is an object", "patch", code="structure")
    return _merged(resource, patch)


def _merged(value: Any, patch: dict[str, Any]) -> dict[str, Any]:
    result = dict(value) if isinstance(value, dict) else {}
    for key, item in patch.items():
        if item is None:
            result.pop(key, None)
        elif isinstance(item, dict):
            result[key] = _merged(result.get(key), item)
        else:
            result[key] = item
    return result
