"""References in resources, as ``Type/id``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]+)?$")


def listed(value: Any) -> list[Any]:
    """``value`` as a list: nothing, one, or several."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def reference_of(value: Any) -> str:
    """``Type/id`` of a Reference, '' where it is none (contained, urn:uuid, logical)."""
    text = value.get("reference") if isinstance(value, Mapping) else None
    found = _REFERENCE.search(text) if isinstance(text, str) else None
    return f"{found[1]}/{found[2]}" if found else ""


def references_of(value: Any) -> Iterator[str]:
    """``Type/id`` of each Reference in ``value`` (one, a list, or nothing)."""
    for one in listed(value):
        reference = reference_of(one)
        if reference:
            yield reference
