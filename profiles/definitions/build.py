"""Compile the R4 definitions to the tables in ``data/``: ``python -m profiles.definitions.build``.

Source: package hl7.fhir.r4.core 4.0.1 (https://hl7.org/fhir/R4/downloads.html, CC0), as ``terminology.base.source``
reads it. Code systems and value sets are compiled by ``terminology.base.build``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from profiles.definitions.conformance import structures
from profiles.definitions.flags import CHOICE, MODIFIER, SUMMARY, XML_ATTRIBUTE
from profiles.definitions.valuesets import required_codes
from terminology.base.source import command

DATA = Path(__file__).parent / "data"

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_FHIR_TYPE = _STRUCTURE + "structuredefinition-fhir-type"
_PARAMETER = "http://hl7.org/fhir/SearchParameter/"
_COMPARTMENT = "http://hl7.org/fhir/CompartmentDefinition/"
_PARAMETER_GROUPS = {"clinical", "conformance", "individual", "medications"}
_KINDS = {"resource": "resource", "complex-type": "complex", "primitive-type": "primitive"}

Resource = dict[str, Any]


def compile_tables(resources: Iterable[Resource]) -> dict[str, Any]:
    """All tables by file name, as plain JSON values, independent of the order of ``resources``."""
    found: dict[str, dict[str, Resource]] = {}
    for resource in resources:
        if "url" in resource:
            found.setdefault(resource["resourceType"], {})[resource["url"]] = resource
    definitions = [s for s in _sorted(found["StructureDefinition"]) if _is_type(s)]
    valuesets, systems = found["ValueSet"], found["CodeSystem"]
    types = {name: row for s in definitions for name, row in _type_rows(s)}
    return {
        "types": types,
        "search-parameters": [row for p in _sorted(found["SearchParameter"]) if (row := _parameter_row(p, types))],
        "compartments": dict(_compartment(c) for c in _sorted(found["CompartmentDefinition"]) if _official(c)),
        "operations": [_operation_row(o) for o in _sorted(found["OperationDefinition"]) if not _is_example(o)],
        "codes": required_codes(_required_bindings(types), valuesets, systems),
        "structures": structures(found["StructureDefinition"]),
        "invariants": {s["name"]: rows for s in definitions if (rows := _invariant_rows(s))},
    }


def write(tables: dict[str, Any], folder: Path = DATA) -> None:
    """Write each table as zstd-compressed JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        (folder / f"{name}.json.zst").write_bytes(zstandard.compress(msgspec.json.encode(table), 19))


def _sorted(by_url: dict[str, Resource]) -> list[Resource]:
    return [by_url[url] for url in sorted(by_url)]


def _is_type(structure: Resource) -> bool:
    """Base types only: no profiles, extensions, logical models."""
    return structure["kind"] in _KINDS and structure.get("derivation") != "constraint" and _has_own_url(structure)


def _has_own_url(structure: Resource) -> bool:
    return bool(structure["url"] == _STRUCTURE + structure["name"])


def _type_rows(structure: Resource) -> Iterator[tuple[str, list[Any]]]:
    """The type itself and each of its backbones: [kind, base, abstract, element rows]."""
    name = structure["name"]
    base = structure.get("baseDefinition", "").removeprefix(_STRUCTURE) or None
    is_resource = structure["kind"] == "resource"
    rows: dict[str, list[Any]] = {name: [_KINDS[structure["kind"]], base, structure["abstract"], []]}
    elements = structure["snapshot"]["element"][1:]
    parents = {e["path"].rpartition(".")[0] for e in elements}
    for element in elements:
        path, parent = element["path"], element["path"].rpartition(".")[0]
        if path in parents:
            rows[path] = ["backbone", element["type"][0]["code"], False, []]
        if structure["kind"] != "primitive-type" or not path.endswith(".value"):
            rows[parent][3].append(_element_row(element, path in parents, is_resource and path == f"{name}.id"))
    yield from rows.items()


def _element_row(element: Resource, is_backbone: bool, resource_id: bool) -> list[Any]:
    """[name, min, max (-1 for *), flags, types as [code, targets, profiles], binding or None]."""
    path: str = element["path"]
    name = path.rpartition(".")[2]
    flags = (SUMMARY if element.get("isSummary") else 0) | (MODIFIER if element.get("isModifier") else 0)
    flags |= XML_ATTRIBUTE if "xmlAttr" in element.get("representation", ()) else 0
    flags |= CHOICE if name.endswith("[x]") else 0
    if is_backbone:
        types = [[path, [], []]]
    elif "contentReference" in element:
        types = [[element["contentReference"].removeprefix("#"), [], []]]
    else:
        types = [_type_row(t, resource_id) for t in element["type"]]
    binding = element.get("binding")
    bound = [binding["strength"], binding["valueSet"].partition("|")[0]] if binding and "valueSet" in binding else None
    maximum = -1 if element["max"] == "*" else int(element["max"])
    return [name.removesuffix("[x]"), element["min"], maximum, flags, types, bound]


def _type_row(declared: Resource, resource_id: bool) -> list[Any]:
    code: str = declared["code"]
    if code.startswith("http://hl7.org/fhirpath/"):
        told = (e["valueUrl"] for e in declared.get("extension", ()) if e["url"] == _FHIR_TYPE)
        code = next(told, "string")
    if resource_id:
        # The package says string; https://hl7.org/fhir/R4/resource.html#id and the JSON Schema say id.
        code = "id"
    targets = [u.removeprefix(_STRUCTURE) for u in declared.get("targetProfile", ())]
    return [code, [] if "Resource" in targets else targets, declared.get("profile", [])]


def _official(resource: Resource) -> bool:
    return bool(resource["url"].startswith(_COMPARTMENT)) and not resource["url"].endswith("/example")


def _is_example(resource: Resource) -> bool:
    return bool(resource["url"].endswith("/example"))


def _parameter_row(parameter: Resource, types: dict[str, Any]) -> list[Any] | None:
    """One search parameter, or None for those which the package adds to the official set."""
    local = parameter["url"].removeprefix(_PARAMETER)
    first = local.partition("-")[0]
    if first not in types and first not in _PARAMETER_GROUPS:
        return None
    return [
        parameter["url"],
        parameter["code"],
        parameter["name"],
        parameter["type"],
        parameter["base"],
        parameter.get("expression", ""),
        parameter.get("target", []),
        [[c["definition"], c["expression"]] for c in parameter.get("component", ())],
        parameter["description"],
    ]


def _compartment(definition: Resource) -> tuple[str, dict[str, list[str]]]:
    members = {r["code"]: r["param"] for r in definition["resource"] if r.get("param")}
    return definition["code"], members


def _operation_row(operation: Resource) -> list[Any]:
    return [
        operation["code"],
        operation["url"],
        operation["system"],
        operation["type"],
        operation["instance"],
        operation.get("resource", []),
        operation.get("affectsState", False),
        operation.get("description", ""),
    ]


def _required_bindings(types: dict[str, Any]) -> list[str]:
    rows = (row for kind in types.values() for row in kind[3])
    return sorted({row[5][1] for row in rows if row[5] and row[5][0] == "required"})


def _invariant_rows(structure: Resource) -> list[list[str]]:
    """The constraints which this type itself states (those of its base types stand there)."""
    own = {None, structure["url"]}
    return [
        [c["key"], c["severity"], c["human"], c["expression"], element["path"]]
        for element in structure["snapshot"]["element"]
        for c in element.get("constraint", ())
        if c.get("source") in own and "expression" in c
    ]


if __name__ == "__main__":
    command(__doc__, lambda resources: write(compile_tables(resources)))
