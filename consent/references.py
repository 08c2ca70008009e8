"""References in resources, as ``Type/id``: relative ones only, as what another server calls so is not ours.

https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_REFERENCE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?", re.ASCII)


def listed(value: Any) -> list[Any]:
    """``value`` as a list: nothing, one, or several."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def reference_of(value: Any) -> str:
    """``Type/id`` of a Reference, '' where it is none of ours (absolute, contained, urn:uuid, logical)."""
    text = value.get("reference") if isinstance(value, Mapping) else None
    found = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
    return f"{found[1]}/{found[2]}" if found else ""


def references_of(value: Any) -> Iterator[str]:
    """``Type/id`` of each Reference in ``value`` (one, a list, or nothing)."""
    for one in listed(value):
        reference = reference_of(one)
        if reference:
            yield reference


def relative(value: Any, bases: Sequence[str]) -> Any:
    """A copy of ``value`` (JSON) whose references below one of ``bases`` (ending in a slash) are relative."""
    if isinstance(value, Mapping):
        return {
            key: _shortened(inner, bases) if key == "reference" and isinstance(inner, str) else relative(inner, bases)
            for key, inner in value.items()
        }
    return [relative(inner, bases) for inner in value] if isinstance(value, list) else value


def _shortened(reference: str, bases: Sequence[str]) -> str:
    return next((reference[len(base) :] for base in bases if reference.startswith(base)), reference)
