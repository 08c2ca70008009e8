"""What a code means, and how two codes relate.

https://hl7.org/fhir/R4/codesystem-operation-lookup.html, https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

from __future__ import annotations

from typing import Any

from terminology.compose import Composer
from terminology.concepts import CodeSystem, Concept, Designation
from terminology.displays import Names, displayed
from terminology.errors import NotKnown, Unsupported
from terminology.expand import PREFERRED
from terminology.languages import NO_LANGUAGE, Languages
from terminology.unknown import unknown_issue


def known_system(composer: Composer, url: str, version: str | None) -> CodeSystem:
    """The version of the code system. Raises NotKnown."""
    found = composer.system(url, composer.pins.of_system(url, version))
    if found is None:
        issue = unknown_issue(composer.terminology, url, version)
        raise NotKnown(issue.text, key=issue.key)
    return found


def known_code(system: CodeSystem, code: str) -> Concept:
    """The concept of the code. Raises NotKnown."""
    found = system.find(code)
    if found is None:
        version = f" version '{system.info.version}'" if system.info.version else ""
        raise NotKnown(f"Unknown code '{code}' in the CodeSystem '{system.info.url}'{version}", tx="invalid-code")
    return found


def lookup(
    composer: Composer,
    url: str,
    code: str,
    version: str | None = None,
    languages: Languages = NO_LANGUAGE,
    properties: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The Parameters that tell of the concept; all its properties unless ``properties`` names some.

    Raises NotKnown for an unknown system, version or code.
    """
    system = known_system(composer, url, version)
    concept = known_code(system, code)
    names = Names(system, concept)
    asked = set(properties)
    everything = not asked or "*" in asked
    parts: list[dict[str, Any]] = [{"name": "name", "valueString": system.info.name or system.info.title or url}]
    if system.info.version:
        parts.append({"name": "version", "valueString": system.info.version})
    parts.append({"name": "display", "valueString": displayed(names, languages) or concept.display or concept.code})
    parts.append({"name": "code", "valueCode": concept.code})
    parts.append({"name": "system", "valueUri": url})
    if concept.definition:
        parts.append({"name": "definition", "valueString": concept.definition})
    parts.append({"name": "abstract", "valueBoolean": concept.abstract})
    if everything or "designation" in asked:
        if concept.display:
            parts.append(_designation(Designation(concept.display, system.info.language, PREFERRED)))
        parts += [_designation(one) for one in concept.designations]
    for name, value, description in _properties(system, concept):
        if everything or name in asked:
            part: list[dict[str, Any]] = [{"name": "code", "valueCode": name}, {"name": "value", **value}]
            if description:
                part.append({"name": "description", "valueString": description})
            parts.append({"name": "property", "part": part})
    parts += [{"name": "used-supplement", "valueCanonical": one} for one in system.supplements()]
    return {"resourceType": "Parameters", "parameter": parts}


def _designation(one: Designation) -> dict[str, Any]:
    part: list[dict[str, Any]] = []
    if one.language:
        part.append({"name": "language", "valueCode": one.language})
    if one.use is not None:
        part.append({"name": "use", "valueCoding": dict(one.use)})
    part.append({"name": "value", "valueString": one.value})
    if one.source:
        part.append({"name": "source", "valueCanonical": one.source})
    return {"name": "designation", "part": part}


def _properties(system: CodeSystem, concept: Concept) -> list[tuple[str, dict[str, Any], str]]:
    """Code, value element and description of each property, told or known from the hierarchy."""
    special = system.info.special()
    found: list[tuple[str, dict[str, Any], str]] = [("inactive", {"valueBoolean": concept.inactive}, "")]
    if concept.ordinal >= 0:
        for name, places in (
            ("parent", system.parents(concept.ordinal)),
            ("child", system.children(concept.ordinal)),
        ):
            found += [(name, {"valueCode": other.code}, other.display or "") for other in system.at(places)]
    for one in concept.properties:
        if special.get(one.code) in ("inactive", "parent", "child"):
            continue
        description = ""
        if one.key == "valueCode" and (other := system.find(one.text)) is not None:
            description = other.display or ""
        found.append((one.code, {one.key: one.value}, description))
    return found


def subsumes(composer: Composer, url: str, code_a: str, code_b: str, version: str | None = None) -> str:
    """``equivalent``, ``subsumes`` (A is above B), ``subsumed-by`` or ``not-subsumed``.

    Raises NotKnown, Unsupported.
    """
    system = known_system(composer, url, version)
    a, b = known_code(system, code_a), known_code(system, code_b)
    if a.code == b.code:
        return "equivalent"
    if not system.listed:
        raise Unsupported(f"{url} has no hierarchy")
    if a.ordinal in system.ancestors(b.ordinal):
        return "subsumes"
    return "subsumed-by" if b.ordinal in system.ancestors(a.ordinal) else "not-subsumed"
