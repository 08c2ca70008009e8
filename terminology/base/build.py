"""Compile the terminology of R4 to the data in ``data/``: ``python -m terminology.base.build``.

Source: package hl7.fhir.r4.core 4.0.1 (https://hl7.org/fhir/R4/downloads.html, CC0), as ``terminology.base.source``
reads it. Codes of others (SNOMED CT, LOINC, UCUM, DICOM, ISO, IETF …) that value sets of HL7 list are left out: the
include says ``withheld`` in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from terminology.base.source import OWN_SYSTEMS, command

DATA = Path(__file__).parent / "data"
_BLOCK = 400_000  # bytes of JSON in one compressed block
_STATUS = "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status"
_CONCEPT_STATUS = frozenset({_STATUS})
_HEAD = ("resourceType", "url", "version", "name", "title", "status", "experimental", "date")
_KEPT = {
    "CodeSystem": (*_HEAD, "caseSensitive", "valueSet", "hierarchyMeaning", "content", "supplements", "property"),
    "ValueSet": _HEAD,
    "ConceptMap": (*_HEAD, "sourceUri", "sourceCanonical", "targetUri", "targetCanonical"),
}
_OTHERS = ("http://hl7.org/fhir/sid/",)  # identifiers that HL7 gives to code systems of others
Resource = dict[str, Any]


def compile_data(resources: Iterable[Resource]) -> dict[str, bytes]:
    """The files by name: ``index`` (where each resource is) and ``blocks``, independent of the order of resources."""
    found: dict[tuple[str, str], Resource] = {}
    for resource in resources:
        kind = resource.get("resourceType")
        if kind in _KEPT and "url" in resource:
            compact = _MADE[kind](resource)
            if compact is not None:
                found.setdefault((kind, resource["url"]), compact)
    index: dict[str, dict[str, list[int]]] = {kind: {} for kind in sorted(_KEPT)}
    blocks: list[bytes] = []
    waiting: list[bytes] = []
    for kind, url in sorted(found):
        text = msgspec.json.encode(found[kind, url])
        if waiting and sum(map(len, waiting)) + len(text) > _BLOCK:
            blocks.append(_packed(waiting))
            waiting = []
        index[kind][url] = [len(blocks), len(waiting)]
        waiting.append(text)
    blocks.append(_packed(waiting))
    places = [sum(map(len, blocks[:n])) for n in range(len(blocks) + 1)]
    head = msgspec.json.encode({"blocks": places, "resources": index})
    return {"index.json.zst": zstandard.compress(head, 19), "blocks.bin": b"".join(blocks)}


def write(files: dict[str, bytes], folder: Path = DATA) -> None:
    """Write the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _packed(texts: list[bytes]) -> bytes:
    return zstandard.compress(b"[" + b",".join(texts) + b"]", 19)


def _head(resource: Resource) -> Resource:
    kept = {key: resource[key] for key in _KEPT[resource["resourceType"]] if key in resource}
    status = _extensions(resource, _CONCEPT_STATUS)
    return {**kept, **({"extension": status} if status else {})}


def _extensions(element: Resource, wanted: frozenset[str]) -> list[Resource]:
    return [e for e in element.get("extension", ()) if e.get("url") in wanted]


def _is_own(url: str) -> bool:
    return url.startswith(OWN_SYSTEMS) and not url.startswith(_OTHERS)


def _code_system(resource: Resource) -> Resource | None:
    if not _is_own(resource["url"]):
        return None
    properties = [{k: p[k] for k in ("code", "uri", "type") if k in p} for p in resource.get("property", ())]
    out = {**_head(resource), "concept": _concepts(resource.get("concept", ()))}
    return {**out, "property": properties} if properties else out


def _concepts(concepts: Iterable[Resource]) -> list[Resource]:
    made: list[Resource] = []
    for concept in concepts:
        out: Resource = {
            k: concept[k] for k in ("code", "display", "definition", "designation", "property") if k in concept
        }
        if out.get("definition") == out.get("display"):
            out.pop("definition", None)
        status = _extensions(concept, _CONCEPT_STATUS)
        if status:
            out["extension"] = status
        if concept.get("concept"):
            out["concept"] = _concepts(concept["concept"])
        made.append(out)
    return made


def _value_set(resource: Resource) -> Resource:
    compose = resource.get("compose", {})
    out = _head(resource)
    kept: Resource = {k: compose[k] for k in ("lockedDate", "inactive") if k in compose}
    for key in ("include", "exclude"):
        if key in compose:
            kept[key] = [_include(one) for one in compose[key]]
    return {**out, "compose": kept} if kept else out


def _include(include: Resource) -> Resource:
    out: Resource = {k: include[k] for k in ("system", "version", "filter", "valueSet") if k in include}
    if "concept" in include:
        if not _is_own(include.get("system", "")):
            return {**out, "withheld": True}
        kept = ("code", "display", "designation")
        out["concept"] = [{k: c[k] for k in kept if k in c} for c in include["concept"]]
    return out


def _concept_map(resource: Resource) -> Resource | None:
    groups = resource.get("group", ())
    named = [group.get(key, "") for group in groups for key in ("source", "target")]
    if not groups or not all(map(_is_own, named)):
        return None
    return {**_head(resource), "group": groups}


_MADE: dict[str, Callable[[Resource], Resource | None]] = {
    "CodeSystem": _code_system,
    "ValueSet": _value_set,
    "ConceptMap": _concept_map,
}


if __name__ == "__main__":
    command(__doc__, lambda resources: write(compile_data(resources)))
