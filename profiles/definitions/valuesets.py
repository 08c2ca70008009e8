"""Enumerate the value sets of required bindings, as far as their codes belong to HL7's own systems.

https://hl7.org/fhir/R4/valueset.html#expansion; codes of SNOMED CT, LOINC, UCUM, ISO or the IETF stay
with their owners and are not compiled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from terminology.base.source import OWN_SYSTEMS

Resource = dict[str, Any]
Codes = dict[str, list[str]]


def required_codes(
    urls: Iterable[str], valuesets: dict[str, Resource], systems: dict[str, Resource]
) -> dict[str, Codes]:
    """Per value set URL its codes by code system, sorted; value sets that cannot be enumerated are left out."""
    found = {url: _enumerate(valuesets[url], systems) for url in urls if url in valuesets}
    return {url: codes for url, codes in found.items() if codes}


def _enumerate(valueset: Resource, systems: dict[str, Resource]) -> Codes | None:
    compose = valueset.get("compose", {})
    if "exclude" in compose:
        return None
    codes: dict[str, set[str]] = {}
    for include in compose.get("include", ()):
        system: str = include.get("system", "")
        listed = _included(include, systems) if system.startswith(OWN_SYSTEMS) else None
        if listed is None:
            return None
        codes.setdefault(system, set()).update(listed)
    return {system: sorted(codes[system]) for system in sorted(codes)}


def _included(include: Resource, systems: dict[str, Resource]) -> list[str] | None:
    if "filter" in include or "valueSet" in include:
        return None
    if "concept" in include:
        return [concept["code"] for concept in include["concept"]]
    system = systems.get(include["system"])
    if system is None or system.get("content") != "complete":
        return None
    return list(_concept_codes(system.get("concept", ())))


def _concept_codes(concepts: Iterable[Resource]) -> Iterator[str]:
    for concept in concepts:
        yield concept["code"]
        yield from _concept_codes(concept.get("concept", ()))
