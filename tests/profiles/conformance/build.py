"""StructureDefinitions in few words, for tests."""

from __future__ import annotations

from typing import Any

BASE = "http://hl7.org/fhir/StructureDefinition/"
URL = "http://test.example/StructureDefinition/profile"


def element(path: str, slice_name: str = "", **facts: Any) -> dict[str, Any]:
    """One element of a differential; ``slice_name`` makes it a slice."""
    return {"path": path, **({"sliceName": slice_name} if slice_name else {}), **facts}


def profile(kind: str, *elements: dict[str, Any], url: str = URL, base: str = "", **facts: Any) -> dict[str, Any]:
    """A constraint on ``kind`` (or on the profile ``base``) with this differential."""
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "name": "Test",
        "status": "active",
        "kind": "complex-type" if kind in ("Extension", "Coding", "HumanName", "Address", "Quantity") else "resource",
        "abstract": False,
        "type": kind,
        "baseDefinition": base or BASE + kind,
        "derivation": "constraint",
        "differential": {"element": list(elements)},
        **facts,
    }


def extension(url: str, contexts: tuple[str, ...] = ("Patient",), *elements: dict[str, Any]) -> dict[str, Any]:
    """A simple extension of type string unless ``elements`` say otherwise."""
    inner = elements or (element("Extension.value[x]", min=1, type=[{"code": "string"}]),)
    context = [{"type": "element", "expression": one} for one in contexts]
    return profile("Extension", element("Extension.url", fixedUri=url), *inner, url=url, context=context)
