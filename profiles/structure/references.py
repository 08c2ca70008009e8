"""The forms of Reference.reference and the resource types that each may name.

https://hl7.org/fhir/R4/references.html#literal, and conditional references of transactions:
https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from profiles.definitions import ElementDef
from profiles.structure.primitives import ID, URN

# Targets which the official examples of R4 use though its definitions do not list them.
_PUBLISHED_TARGETS = {
    ("DeviceMetric", "parent"): "DeviceDefinition",
    ("DeviceUseStatement", "reasonReference"): "Procedure",
    ("Observation", "performer"): "Encounter",
}

_TAIL = rf"(?:/{ID}(?:/_history/{ID})?|\?[^\s#]+)"
_TYPED = re.compile(rf"(?P<base>[a-zA-Z][a-zA-Z0-9+.\-]*://[^\s?#]+/)?(?P<type>[A-Za-z]+){_TAIL}")
_FRAGMENT = re.compile(rf"#(?:{ID})?")
_URN = re.compile(URN)
_ABSOLUTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*:\S+")


def pattern(types: Iterable[str]) -> str:
    """A regular expression of the ordinary references to these types; other right forms exist (fragments …)."""
    names = "|".join(sorted(types))
    return rf"(?:https?://[^\s?#]+/)?(?:{names}){_TAIL}|{URN}"


def with_published_targets(type_name: str, element: ElementDef) -> ElementDef:
    """The element of this type with the targets that the specification's own examples add."""
    added = _PUBLISHED_TARGETS.get((type_name, element.name))
    return msgspec.structs.replace(element, targets=(*element.targets, added)) if added else element


def is_fragment(reference: str) -> bool:
    """Whether it is ``#id`` (a contained resource) or ``#`` (the resource that contains)."""
    return _FRAGMENT.fullmatch(reference) is not None


def check_reference(reference: str, targets: tuple[str, ...], resource_types: frozenset[str]) -> tuple[str, str] | None:
    """None if the form is right and the type allowed, else (issue code, cause); no targets mean any type.

    Whether a fragment leads to a contained resource is for the caller to see.
    """
    if reference.startswith("#"):
        return (
            None if is_fragment(reference) else ("value", f"'{reference[:80]}' is no reference to a contained resource")
        )
    typed = _TYPED.fullmatch(reference)
    if typed and (typed["type"] in resource_types or not typed["base"]):
        name = typed["type"]
        if name not in resource_types:
            return "value", f"the reference '{reference[:80]}' names '{name}', which is no resource type"
        if targets and name not in targets:
            return "structure", f"a reference to {name} is not allowed here, only to {', '.join(targets)}"
        return None
    if reference.startswith(("urn:uuid:", "urn:oid:")):
        form = None if _URN.fullmatch(reference) else f"'{reference[:80]}' is not a well-formed UUID or OID"
        return None if form is None else ("value", form)
    if _ABSOLUTE.fullmatch(reference):
        return None
    return "value", f"'{reference[:80]}' is no reference: expected Type/id, a URL, urn:uuid:…, urn:oid:… or #id"
