"""Copies of JSON values, so that a patch never changes the resource it was given nor shares its own values.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.errors import Unprocessable

MAX_DEPTH = 200
"""Deepest place that a value may stand at."""
_CONTAINERS = (dict, list)


def duplicate(value: Any, depth: int = 0) -> Any:
    """A copy that shares no list and no object with ``value``, which stands at ``depth``.

    Raises Unprocessable if it is nested too deeply.
    """
    if depth > MAX_DEPTH:
        raise Unprocessable(f"Values are nested more than {MAX_DEPTH} deep", code="too-long")
    if isinstance(value, dict):
        return {
            key: duplicate(inner, depth + 1) if inner.__class__ in _CONTAINERS else inner
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [duplicate(inner, depth + 1) if inner.__class__ in _CONTAINERS else inner for inner in value]
    return value
