"""What the guide's pages show, as plain rows: elements of a profile, codes of a value set, national names.

The pages of the server (``fhir_server/guide``) and the Markdown in ``docs/guide`` are made from these, so that
neither says what the other does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from profiles.alliance.build import PROFILE, Resource, Section, guide, short
from profiles.conformance import ProfileSet

_BASE = "http://hl7.org/fhir/StructureDefinition/"
_FIXED = ("fixed", "pattern")
_OWN = re.compile(r"yd-")


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding: the value set's URL and strength; ``name`` is its short name where it is the guide's, else ''."""

    url: str
    strength: str
    name: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of an element in words; ``extension`` is the short name of the guide's extension that it is, else ''."""

    text: str
    extension: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One element: ``element`` without the type, how deep it stands, and what is said of it."""

    element: str
    depth: int
    zh: str
    en: str
    card: str
    types: tuple[Kind, ...]
    bound: Bound | None
    fixed: str
    rules: tuple[str, ...]
    data_element: str
    document: str


@dataclass(frozen=True, slots=True)
class Rule:
    """An invariant of the guide in words and FHIRPath, and the element it stands at."""

    key: str
    element: str
    severity: str
    human: str
    expression: str


@dataclass(frozen=True, slots=True)
class Code:
    """A code with its names."""

    system: str
    code: str
    zh: str
    en: str


@cache
def profile_set() -> ProfileSet:
    """The guide's profiles with R4's, for snapshots."""
    return ProfileSet.load(guide().resources)


def name_of(resource: Resource) -> str:
    """The short name by which pages call a resource of the guide: patient, ethnic-group, 2.16.156.10011.2.3.3.3."""
    return short(str(resource["url"])).removeprefix("urn:oid:").removeprefix("concept-map:").removeprefix("search:")


def titles(resource: Resource) -> tuple[str, str]:
    """The Chinese and the English title."""
    zh, _, en = str(resource.get("title", resource["name"])).partition(" ")
    return zh, en


def parents(definition: Resource) -> list[Resource]:
    """The guide's profiles that a definition is based on, the nearest first."""
    found = []
    base = guide().profile(short(str(definition["baseDefinition"]))) if _is_ours(definition) else None
    while base is not None:
        found.append(base)
        base = guide().profile(short(str(base["baseDefinition"]))) if _is_ours(base) else None
    return found


def _is_ours(definition: Resource) -> bool:
    return str(definition["baseDefinition"]).startswith(PROFILE)


def lines(definition: Resource, inherited: bool = True) -> list[Line]:
    """The elements that the profile says something of, in the order of the snapshot.

    ``inherited``: also those that one of the guide's profiles that it is based on says something of.
    """
    told: dict[str, dict[str, Any]] = {}
    type = str(definition["type"])
    for one in [*(reversed(parents(definition)) if inherited else ()), definition]:
        for row in guide().rows[one["url"]]:
            id = f"{type}.{row['id']}" if row["id"] else type
            before = told.get(id, {})
            told[id] = before | row | {"rules": [*before.get("rules", ()), *row.get("rules", ())]}
    snapshot = profile_set().snapshot(str(definition["url"]))["snapshot"]["element"]
    return _folded([_line(element, told[element["id"]], type) for element in snapshot if element["id"] in told])


def _folded(found: list[Line]) -> list[Line]:
    """The lines without those that have no name; what such a line fixes is told at the element it stands in."""
    fixed = {one.element.rpartition(".")[0]: one for one in found if one.fixed and not one.zh}
    shown = [one for one in found if one.zh or one.card.endswith("..0")]
    return [_with_fixed(one, fixed.get(one.element)) for one in shown]


def _with_fixed(line: Line, inner: Line | None) -> Line:
    if inner is None:
        return line
    return replace(line, fixed=f"{inner.element.rpartition('.')[2]} = {inner.fixed}")


def _line(element: dict[str, Any], row: dict[str, Any], type: str) -> Line:
    name = row["id"]
    bound = element.get("binding") if "bind" in row else None
    return Line(
        element=name or type,
        depth=name.count(".") + name.count(":") if name else 0,
        zh=row.get("zh", ""),
        en=row.get("en", ""),
        card=f"{element.get('min', 0)}..{element.get('max', '*')}",
        types=tuple(_type(kind) for kind in element.get("type", ())) if name else (),
        bound=None if bound is None else _bound(bound),
        fixed=_fixed(row),
        rules=tuple(row.get("rules", ())),
        data_element=row.get("ws", ""),
        document=row.get("doc", ""),
    )


def _bound(binding: dict[str, Any]) -> Bound:
    url = str(binding["valueSet"])
    known = {one["url"] for one in guide().value_sets}
    return Bound(url, str(binding["strength"]), short(url) if url in known else "")


def _type(kind: dict[str, Any]) -> Kind:
    code = str(kind.get("code", ""))
    code = "string" if code.startswith("http://hl7.org/fhirpath/") else code
    named = [short(str(url)).removeprefix(_BASE) for url in (*kind.get("targetProfile", ()), *kind.get("profile", ()))]
    text = f"{code}({', '.join(named)})" if named else code
    return Kind(text, named[0] if code == "Extension" and named else "")


def _fixed(row: dict[str, Any]) -> str:
    """A fixed value or pattern in short: the text, or system#code."""
    value = next((value for key, value in row.items() if key.startswith(_FIXED)), None)
    if isinstance(value, dict):
        coding = value.get("coding", [value])[0]
        return f"{coding['system']}#{coding['code']}"
    return "" if value is None else str(value)


def rules(definition: Resource, inherited: bool = True) -> list[Rule]:
    """The guide's own invariants that the definition has, ``inherited``: also those of what it is based on."""
    found: dict[str, Rule] = {}
    for one in [*(reversed(parents(definition)) if inherited else ()), definition]:
        for element in one["differential"]["element"]:
            for constraint in element.get("constraint", ()):
                if _OWN.match(constraint["key"]):
                    words = (constraint["severity"], constraint["human"], constraint["expression"])
                    found[constraint["key"]] = Rule(constraint["key"], element["id"], *words)
    return list(found.values())


def codes(resource: Resource) -> list[Code]:
    """The codes of a CodeSystem or ValueSet of the guide."""
    if resource["resourceType"] == "CodeSystem":
        return list(_codes(str(resource["url"]), resource["concept"]))
    found: list[Code] = []
    systems = {one["url"]: one for one in guide().code_systems}
    for include in resource["compose"]["include"]:
        concepts = include.get("concept") or systems[include["system"]]["concept"]
        found += _codes(str(include["system"]), concepts)
    return found


def _codes(system: str, concepts: list[dict[str, Any]]) -> Iterator[Code]:
    for concept in concepts:
        english = next((one["value"] for one in concept.get("designation", ()) if one["language"] == "en"), "")
        yield Code(system, concept["code"], concept.get("display", ""), english)


@dataclass(frozen=True, slots=True)
class National:
    """A national name and where it is in FHIR."""

    profile: Resource
    element: str
    zh: str
    en: str
    data_element: str
    document: str


def national(section: Section) -> list[National]:
    """The elements of a section's profiles that have a national name; what a base says is not repeated."""
    found = []
    for name in section.names:
        definition = guide().profile(name)
        for row in guide().rows[PROFILE + name]:
            if definition is not None and ("ws" in row or "doc" in row):
                at = f"{definition['type']}.{row['id']}" if row["id"] else str(definition["type"])
                words = (row.get("zh", ""), row.get("en", ""), row.get("ws", ""), row.get("doc", ""))
                found.append(National(definition, at, *words))
    return found


def documents(definition: Resource) -> list[str]:
    """The shared documents (WS/T 483, WS/T 500) that the profile's data go into."""
    return [str(one["display"]) for one in definition.get("keyword", ())]


def used_by(value_set: str) -> list[Resource]:
    """The profiles and extensions with a binding to the value set of this URL."""
    found = []
    for one in (*guide().profiles, *guide().extensions):
        elements = one["differential"]["element"]
        if any(element.get("binding", {}).get("valueSet") == value_set for element in elements):
            found.append(one)
    return found


def pretty(value: Any, width: int = 100, indent: int = 0) -> str:
    """JSON for readers: what fits on a line stands on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= width or not isinstance(value, dict | list) or not value:
        return line
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{pad}{json.dumps(key)}: {pretty(one, width, indent + 2)}" for key, one in value.items()]
        return "{\n" + ",\n".join(parts) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + pretty(one, width, indent + 2) for one in value) + "\n" + " " * indent + "]"


def changed_to(value: Any) -> str:
    """What an element is changed to in a failing example; '—' where it is taken away."""
    return "—" if value is None else json.dumps(value, ensure_ascii=False)
