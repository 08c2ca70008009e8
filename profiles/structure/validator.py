"""The structural validator: a resource in, findings out.

https://hl7.org/fhir/R4/validation.html (structure, cardinality, value domains, required bindings).
A compiled JSON Schema passes the ordinary right resource within microseconds; whatever it does not pass
gets the exact walk, which decides and explains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import get_ident
from typing import Any

import jsonschema_rs

from profiles.definitions import Definitions
from profiles.issues import Issue
from profiles.structure.narrative import check_narrative
from profiles.structure.references import is_fragment
from profiles.structure.schema import FRAGMENT_KEYWORD, NARRATIVE_KEYWORD, resource_schema
from profiles.structure.walk import MAX_DEPTH, MAX_ISSUES, Walk

_Embedded = Iterator[tuple[str, object]]


class Validator:
    """Checks resources against the R4 definitions; each resource type's schema is compiled at its first use."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._walk = Walk(definitions)
        self._schemas: dict[str, Callable[[object], bool]] = {}
        self._fragments = _Fragments()

    def check(self, resource: object) -> list[Issue]:
        """What is wrong with the structure of a parsed resource; empty if nothing is.

        ``resource`` is any value from ``profiles.lossless.parse``; each Issue names the element as a FHIRPath
        and carries ``structure``, ``required``, ``value``, ``invariant`` or ``code-invalid``. Never raises.
        """
        return self._check(resource, None, 0)

    def _check(self, resource: Any, path: str | None, depth: int) -> list[Issue]:
        name = resource.get("resourceType") if type(resource) is dict else None
        if type(name) is not str or name not in self._definitions.resource_types or depth >= MAX_DEPTH:
            return self._walk.issues(resource, path)
        if not self._is_right(resource, name):
            self._fragments.taken()
            return self._walk.issues(resource, path)
        embedded = _EMBEDDED.get(name)
        if embedded is None:
            return []
        found: list[Issue] = []
        for at, inner in embedded(resource, path or name):
            found += self._check(inner, at, depth + 1)
            if len(found) >= MAX_ISSUES:
                break
        return found

    def _is_right(self, resource: dict[str, Any], name: str) -> bool:
        """Whether the quick check passes; False says only that the exact one must decide."""
        if not self._passes(resource, name):
            return False
        contained = resource.get("contained")
        if contained is not None and not all(map(self._is_right_within, contained)):
            return False
        references = self._fragments.taken()
        if references is None:
            return True
        ids = {"#", *("#" + inner["id"] for inner in contained or ())}
        return ids.issuperset(references)

    def _is_right_within(self, resource: dict[str, Any]) -> bool:
        """The same for a contained resource."""
        name = resource.get("resourceType")
        if type(name) is not str or name not in self._definitions.resource_types or name in _EMBEDDED:
            return False
        return "contained" not in resource and "id" in resource and self._passes(resource, name)

    def _passes(self, resource: dict[str, Any], name: str) -> bool:
        is_valid = self._schemas.get(name) or self._compile(name)
        try:
            return is_valid(resource)
        except (ValueError, OverflowError, RecursionError):
            # jsonschema-rs takes no number that keeps its literal form (1e2), nor keys that are no strings.
            return False

    def _compile(self, name: str) -> Callable[[object], bool]:
        validator = jsonschema_rs.Draft4Validator(
            resource_schema(self._definitions, name),
            keywords={FRAGMENT_KEYWORD: self._fragments.keyword, NARRATIVE_KEYWORD: _NarrativeKeyword},
            pattern_options=jsonschema_rs.RegexOptions(),
        )
        is_valid = self._schemas[name] = validator.is_valid
        return is_valid


class _Fragments:
    """The ``#id`` references that the schema met during a check, kept apart by thread."""

    def __init__(self) -> None:
        seen: dict[int, list[str]] = {}

        class Keyword:
            """The schema's keyword for fragments: notes each one, refuses any other reference."""

            def __init__(self, _schema: object, _value: object, _path: object) -> None:
                pass

            def validate(self, value: object) -> None:
                if not isinstance(value, str) or not is_fragment(value):
                    raise ValueError
                seen.setdefault(get_ident(), []).append(value)

        self._seen = seen
        self.keyword = Keyword

    def taken(self) -> list[str] | None:
        """The references of this thread's check, which are forgotten with it."""
        return self._seen.pop(get_ident(), None) if self._seen else None


class _NarrativeKeyword:
    """The schema's keyword for XHTML: passes what may stand in a narrative."""

    def __init__(self, _schema: object, _value: object, _path: object) -> None:
        pass

    def validate(self, value: object) -> None:
        if not isinstance(value, str) or check_narrative(value) is not None:
            raise ValueError


def _in_bundle(bundle: dict[str, Any], path: str) -> _Embedded:
    for index, entry in enumerate(bundle.get("entry", ())):
        if "resource" in entry:
            yield f"{path}.entry[{index}].resource", entry["resource"]
        response = entry.get("response")
        if response and "outcome" in response:
            yield f"{path}.entry[{index}].response.outcome", response["outcome"]


def _in_parameters(parameters: dict[str, Any], path: str) -> _Embedded:
    yield from _in_parts(parameters.get("parameter", ()), f"{path}.parameter")


def _in_parts(parts: list[dict[str, Any]], path: str) -> _Embedded:
    for index, part in enumerate(parts):
        if "resource" in part:
            yield f"{path}[{index}].resource", part["resource"]
        yield from _in_parts(part.get("part", []), f"{path}[{index}].part")


# The resource types that hold whole resources besides contained ones, and where.
_EMBEDDED: dict[str, Callable[[dict[str, Any], str], _Embedded]] = {
    "Bundle": _in_bundle,
    "Parameters": _in_parameters,
}
