"""CodeSystem, ValueSet and ConceptMap resources of a FHIR JSON file (or a Bundle of them), ready to be kept.

https://hl7.org/fhir/R4/terminology-module.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec

from loaders.terminology.content import BadFile, Content, MapContent, Mapped, Raw, ResourceContent, SystemContent
from profiles.definitions import load
from profiles.structure import Validator


def contents_of(text: bytes) -> Iterator[Content]:
    """What the file holds. Raises BadFile where it holds nothing of terminology."""
    try:
        resource = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise BadFile(f"the file is no JSON: {error}") from None
    found = [content for one in _resources(resource) if (content := _content(_checked(one))) is not None]
    if not found:
        raise BadFile("there is no CodeSystem, ValueSet or ConceptMap with a url in the file")
    yield from found


def _resources(resource: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(resource, dict):
        return
    if resource.get("resourceType") == "Bundle":
        entries = resource.get("entry", ())
        for entry in entries if isinstance(entries, list) else ():
            yield from _resources(entry.get("resource") if isinstance(entry, dict) else None)
    else:
        yield resource


def _checked(resource: dict[str, Any]) -> dict[str, Any]:
    """``resource``, which is a right one. Raises BadFile that says what is wrong, and where."""
    if resource.get("resourceType") in ("CodeSystem", "ValueSet", "ConceptMap"):
        wrong = next((issue for issue in _validator().check(resource) if issue.severity == "error"), None)
        if wrong is not None:
            where = f" ({wrong.expression[0]})" if wrong.expression else ""
            raise BadFile(f"{resource['resourceType']} {resource.get('url', '')}: {wrong.diagnostics}{where}")
    return resource


@cache
def _validator() -> Validator:
    return Validator(load())


def _content(resource: dict[str, Any]) -> Content | None:
    if not isinstance(resource.get("url"), str):
        return None
    match resource.get("resourceType"):
        case "CodeSystem":
            head = {key: value for key, value in resource.items() if key not in ("concept", "text")}
            return SystemContent(head, _flat(resource.get("concept", ()), ()), int(resource.get("count", 0)))
        case "ValueSet":
            return ResourceContent({key: value for key, value in resource.items() if key != "text"})
        case "ConceptMap":
            head = {key: value for key, value in resource.items() if key not in ("group", "text")}
            return MapContent(head, [_group(group) for group in resource.get("group", ())])
    return None


def _flat(concepts: Iterable[Raw], parents: tuple[str, ...]) -> Iterator[Raw]:
    for concept in concepts:
        own = {key: value for key, value in concept.items() if key != "concept"}
        yield {**own, "parents": list(parents)} if parents else own
        yield from _flat(concept.get("concept", ()), (concept["code"],))


def _group(group: Raw) -> tuple[Raw, Iterable[Mapped]]:
    head = {key: value for key, value in group.items() if key != "element"}
    return head, [
        (element["code"], element.get("display"), target)
        for element in group.get("element", ())
        for target in element.get("target", ())
        if "code" in element
    ]
