"""FHIR resources from the guide's tables: StructureDefinitions, ValueSets, CodeSystems, ConceptMaps, SearchParameters.

https://hl7.org/fhir/R4/structuredefinition.html, https://hl7.org/fhir/R4/implementationguide.html. How a table is
written is in ``data/README.md``; the tables are read at the first use only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from profiles.alliance.checksums import FORMULAS

Resource = dict[str, Any]
Row = dict[str, Any]

VERSION = "0.1.0"
DATE = "2026-12-01"
PROFILE = "urn:yidang:profile:"
VALUE_SET = "urn:yidang:value-set:"
EXTENSION = "urn:yidang:"
_BASE = "http://hl7.org/fhir/StructureDefinition/"
_TABLES = ("people", "institutions", "visits", "results", "orders", "prevention", "consents", "tasks", "documents")
_OURS = frozenset({"id", "card", "zh", "en", "type", "bind", "rules", "ws", "doc", "slice"})
_TYPE = re.compile(r"\s*([A-Za-z]+)(?:\(([^)]*)\))?\s*")
_MAPPINGS = (
    {"identity": "ws-data-element", "uri": "urn:oid:2.16.156.10011.2.2.1", "name": "WS 363/365/445 data elements"},
    {"identity": "ws-document", "uri": "urn:oid:2.16.156.10011.2.4", "name": "WS/T 483, WS/T 500 documents"},
)
_COMMENT = "取自公开使用的实例，落地前请与标准核对 / collected from public use: check against the standard"


@dataclass(frozen=True, slots=True)
class Section:
    """A table of profiles: the name of its file, its title, and the short names of its profiles."""

    key: str
    title: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Guide:
    """Everything in the guide, in the order in which it is shown; resources are plain JSON objects.

    ``rows``: the table rows of each StructureDefinition by its url.
    """

    profiles: tuple[Resource, ...]
    extensions: tuple[Resource, ...]
    value_sets: tuple[Resource, ...]
    code_systems: tuple[Resource, ...]
    concept_maps: tuple[Resource, ...]
    search_parameters: tuple[Resource, ...]
    implementation_guide: Resource
    sections: tuple[Section, ...]
    rows: dict[str, list[Row]]

    @property
    def resources(self) -> list[Resource]:
        """All of them, what others are built on first."""
        return [
            *self.code_systems,
            *self.value_sets,
            *self.concept_maps,
            *self.extensions,
            *self.profiles,
            *self.search_parameters,
            self.implementation_guide,
        ]

    def profile(self, name: str) -> Resource | None:
        """The profile or extension of a short name, None if there is none."""
        urls = (PROFILE + name, EXTENSION + name)
        return next((one for one in (*self.profiles, *self.extensions) if one["url"] in urls), None)


def short(url: str) -> str:
    """The short name of one of the guide's canonical URLs: patient, legal-basis …"""
    return url.removeprefix(PROFILE).removeprefix(VALUE_SET).removeprefix(EXTENSION)


def resources() -> list[Resource]:
    """The guide's conformance resources, each with an id of its own. Not to be changed."""
    return guide().resources


@cache
def table(name: str) -> Any:
    """A table of the guide: the JSON of ``data/<name>.json``."""
    return msgspec.json.decode(files("profiles.alliance").joinpath("data", f"{name}.json").read_bytes())


@cache
def guide() -> Guide:
    """The whole guide, made from the tables at the first call."""
    rows: dict[str, list[Row]] = {}
    profiles, sections = [], []
    for name in _TABLES:
        part = table(name)
        made = [_profile(one, part["title"], rows) for one in part["profiles"]]
        profiles += made
        sections.append(Section(name, part["title"], tuple(short(one["url"]) for one in made)))
    extensions = [_extension(one, rows) for one in table("extensions")]
    code_systems = [_code_system(one) for one in table("code-systems")]
    value_sets = [_value_set(one) for one in table("value-sets")]
    value_sets += [_whole(one) for one in table("code-systems")]
    maps = [_concept_map(one) for one in table("concept-maps")]
    parameters = [_search_parameter(one) for one in table("search-parameters")]
    everything = [*profiles, *extensions, *value_sets, *code_systems, *maps, *parameters]
    return Guide(
        tuple(profiles),
        tuple(extensions),
        tuple(value_sets),
        tuple(code_systems),
        tuple(maps),
        tuple(parameters),
        _implementation_guide(everything),
        tuple(sections),
        rows,
    )


def _id(url: str) -> str:
    return url.removeprefix("urn:").replace(":", "-")


def _name(url: str, kind: str = "") -> str:
    return "Yidang" + "".join(w[:1].upper() + w[1:] for w in re.split(r"[^A-Za-z0-9]+", short(url))) + kind


def _head(type: str, url: str, one: Row, kind: str = "") -> Resource:
    """What all conformance resources begin with."""
    return {
        "resourceType": type,
        "id": _id(url),
        "url": url,
        "version": VERSION,
        "name": one.get("name") or _name(url, kind),
        "title": f"{one['zh']} {one['en']}",
        "status": "active",
        "date": DATE,
        "publisher": "Yidang 一档",
        "description": one.get("about") or f"{one['zh']}。{one['en']}",
    }


# -- StructureDefinitions ---------------------------------------------------------------------------


def _profile(one: Row, section: str, rows: dict[str, list[Row]]) -> Resource:
    url, type = PROFILE + one["profile"], str(one["type"])
    base = str(one.get("base", type))
    rows[url] = one["elements"]
    return {
        **_head("StructureDefinition", url, one),
        "purpose": section,
        **({"keyword": [{"display": document} for document in one["documents"]]} if "documents" in one else {}),
        "fhirVersion": "4.0.1",
        "mapping": list(_MAPPINGS),
        "kind": "resource",
        "abstract": one.get("abstract", False),
        "type": type,
        "baseDefinition": base if ":" in base else PROFILE + base if base[0].islower() else _BASE + base,
        "derivation": "constraint",
        "differential": {"element": [_element(row, type, True) for row in one["elements"]]},
    }


def _element(row: Row, type: str, supported: bool) -> Row:
    """An ElementDefinition of a row."""
    id = f"{type}.{row['id']}" if row["id"] else type
    parts = str(id).split(".")
    found: Row = {"id": id, "path": ".".join(part.partition(":")[0] for part in parts)}
    name = parts[-1].partition(":")[2]
    if name:
        found["sliceName"] = name
    if "slice" in row:
        kind, path = row["slice"].split(" ")
        found["slicing"] = {"discriminator": [{"type": kind, "path": path}], "ordered": False, "rules": "open"}
    if "zh" in row:
        found["short"] = f"{row['zh']} {row.get('en', '')}".strip()
    if "card" in row:
        least, _, most = row["card"].partition("..")
        found |= {"min": int(least), "max": most}
    if "type" in row:
        found["type"] = _types(row["type"])
    found |= {key: value for key, value in row.items() if key not in _OURS}
    if row.get("rules"):
        found["constraint"] = [_constraint(key) for key in row["rules"]]
    if supported and row["id"] and found.get("max") != "0":
        found["mustSupport"] = True
    if "bind" in row:
        name, strength = row["bind"].split(" ")
        found["binding"] = {"strength": strength, "valueSet": name if ":" in name else VALUE_SET + name}
    maps = [("ws-data-element", row.get("ws")), ("ws-document", row.get("doc"))]
    mapping = [{"identity": identity, "map": text, "comment": _COMMENT} for identity, text in maps if text]
    if mapping:
        found["mapping"] = mapping
    return found


def _types(text: str) -> list[Row]:
    """``Quantity | Reference(Patient, Organization) | Extension(ethnic-group)`` as ElementDefinition.type."""
    found: list[Row] = []
    for part in text.split("|"):
        match = _TYPE.fullmatch(part)
        if match is None:
            raise ValueError(f"'{text}' names no types")
        code, names = match[1], [name.strip() for name in (match[2] or "").split(",") if name.strip()]
        kind: Row = {"code": code}
        if code == "Reference" and names:
            kind["targetProfile"] = [_BASE + name if name[0].isupper() else PROFILE + name for name in names]
        elif names:
            kind["profile"] = [EXTENSION + name if code == "Extension" else _BASE + name for name in names]
        found.append(kind)
    return found


def _constraint(key: str) -> Row:
    one = table("invariants")[key]
    formula = FORMULAS.get(one["expression"])
    return {
        "key": key,
        "severity": one.get("severity", "error"),
        "human": f"{one['zh']} / {one['en']}",
        "expression": formula() if formula is not None else one["expression"],
    }


def _extension(one: Row, rows: dict[str, list[Row]]) -> Resource:
    url = EXTENSION + one["extension"]
    elements: list[Row] = [{"id": "", "card": one.get("card", "0..1"), "zh": one["zh"], "en": one["en"]}]
    if "rules" in one:
        elements[0]["rules"] = one["rules"]
    if "parts" in one:
        for part in one["parts"]:
            at = f"extension:{part['url']}"
            elements += [
                {"id": at, "card": part["card"], "zh": part["zh"], "en": part["en"]},
                {"id": f"{at}.extension", "card": "0..0"},
                {"id": f"{at}.url", "fixedUri": part["url"]},
                {"id": f"{at}.value[x]", "card": "1..1", **{k: part[k] for k in ("type", "bind") if k in part}},
            ]
        elements += [{"id": "url", "fixedUri": url}, {"id": "value[x]", "card": "0..0"}]
    else:
        value: Row = {"id": "value[x]", "card": "1..1", **{k: one[k] for k in ("type", "bind") if k in one}}
        elements += [{"id": "extension", "card": "0..0"}, {"id": "url", "fixedUri": url}, value]
    rows[url] = [row for row in elements if row["id"].count(".") == 0 or row["id"].endswith("value[x]")]
    return {
        **_head("StructureDefinition", url, one),
        "fhirVersion": "4.0.1",
        "kind": "complex-type",
        "abstract": False,
        "context": [{"type": "element", "expression": name} for name in one["context"]],
        "type": "Extension",
        "baseDefinition": _BASE + "Extension",
        "derivation": "constraint",
        "differential": {"element": [_element(row, "Extension", False) for row in elements]},
    }


# -- terminology and search ---------------------------------------------------------------------------


def _concept(row: list[str]) -> Row:
    """[code, Chinese, English] as a concept; the English name is a designation."""
    found: Row = {"code": row[0], "display": row[1]}
    if len(row) > 2 and row[2]:
        found["designation"] = [{"language": "en", "value": row[2]}]
    return found


def _code_system(one: Row) -> Resource:
    concepts = [_concept(row) for row in one["codes"]]
    return {
        **_head("CodeSystem", one["system"], one, "Codes"),
        "language": "zh-CN",
        "caseSensitive": True,
        "valueSet": VALUE_SET + one["set"],
        "content": one.get("content", "complete"),
        **({} if one.get("content") else {"count": len(concepts)}),
        "concept": concepts,
    }


def _whole(one: Row) -> Resource:
    """The ValueSet of all codes of a code system."""
    about: Row = {key: one[key] for key in ("zh", "en", "about") if key in one}
    found = _head("ValueSet", VALUE_SET + one["set"], about, "ValueSet")
    return {**found, "compose": {"include": [{"system": one["system"]}]}}


def _value_set(one: Row) -> Resource:
    include = [
        {"system": part["system"], **({"concept": [_concept(row) for row in part["codes"]]} if "codes" in part else {})}
        for part in one["include"]
    ]
    return {**_head("ValueSet", VALUE_SET + one["set"], one, "ValueSet"), "compose": {"include": include}}


def _concept_map(one: Row) -> Resource:
    return {
        **_head("ConceptMap", f"urn:yidang:concept-map:{one['map']}", one),
        "sourceCanonical": one["from"]["set"],
        "targetCanonical": one["to"]["set"],
        "group": [
            {
                "source": one["from"]["system"],
                "target": one["to"]["system"],
                "element": [
                    {"code": source, "target": [{"code": target, "equivalence": how}]}
                    for source, target, how in one["pairs"]
                ],
            }
        ],
    }


def _search_parameter(one: Row) -> Resource:
    url = f"urn:yidang:search:{one['base'].lower()}-{one['code']}"
    found = _head("SearchParameter", url, one)
    del found["title"]
    return {
        **found,
        "code": one["code"],
        "base": [one["base"]],
        "type": one["type"],
        "expression": one["expression"],
        "xpathUsage": "normal",
        "multipleOr": True,
        "multipleAnd": True,
    }


def _implementation_guide(everything: list[Resource]) -> Resource:
    about: Row = {
        "zh": "县域医共体健康档案实施指南",
        "en": "County medical alliance guide",
        "name": "YidangAllianceGuide",
        "about": "紧密型县域医共体健康档案的 FHIR R4 实施指南。The alliance's profiles on FHIR R4 and national codes.",
    }
    return {
        **_head("ImplementationGuide", "urn:yidang:guide:alliance", about),
        "packageId": "yidang.alliance",
        "license": "Apache-2.0",
        "fhirVersion": ["4.0.1"],
        "definition": {
            "resource": [
                {
                    "reference": {"reference": f"{one['resourceType']}/{one['id']}"},
                    "name": one.get("title", one["name"]),
                }
                for one in everything
            ]
        },
    }
