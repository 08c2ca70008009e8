"""Texts: what looks like HTML in strings, and links of a narrative that lead nowhere.

https://hl7.org/fhir/R4/security.html#narrative, https://hl7.org/fhir/R4/narrative.html
"""

from __future__ import annotations

import re
from typing import Any

from profiles.conformance.run import Check
from profiles.fhirpath.model import Node

_TAG = re.compile(r"<[A-Za-z/!][^<]*")
_EXAMPLE = re.compile(r"^https?://(?:[\w.-]*\.)?example\.(?:org|com|net)(?:[/:]|$)")
_LINK = re.compile(r"""href\s*=\s*["']#([^"']+)["']""")
_ANCHOR = re.compile(r"""\s(?:id|name)\s*=\s*["']([^"']+)["']""")


def check_markup(node: Node, check: Check) -> None:
    """Note texts of a whole resource that look like HTML, where the caller wants that."""
    if node.parent is None:
        if check.options.security:
            _scan(node.value, node.path, _TAG, "the text looks like HTML", check)
        if not check.options.examples:
            _scan(node.value, node.path, _EXAMPLE, "URLs of examples are not allowed here", check)


def _scan(value: Any, path: str, form: re.Pattern[str], text: str, check: Check) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("div", "resourceType"):
                _scan(inner, f"{path}.{key}", form, text, check)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _scan(inner, f"{path}[{place}]", form, text, check)
    elif isinstance(value, str) and form.search(value):
        check.add("invalid", text, path)


def check_ids(node: Node, check: Check) -> None:
    """The ids of elements are unique within a resource: https://hl7.org/fhir/R4/element.html#id"""
    if not check.options.hints or node.shape.name == "StructureDefinition":
        return  # there snapshot and differential have the same ids
    seen: set[str] = set()
    waiting: list[tuple[Any, str]] = [(v, f"{node.path}.{k}") for k, v in node.content.items() if k != "contained"]
    while waiting:
        value, path = waiting.pop()
        if isinstance(value, list):
            waiting += [(one, f"{path}[{place}]") for place, one in enumerate(value)]
        elif isinstance(value, dict) and "resourceType" not in value:
            id = value.get("id")
            if isinstance(id, str) and id in seen:
                check.add("business-rule", f"there is another element with the id '{id}'", path, check.options.in_words)
            if isinstance(id, str):
                seen.add(id)
            waiting += [(inner, f"{path}.{key.removeprefix('_')}") for key, inner in value.items()]


def check_narrative_links(node: Node, check: Check) -> None:
    """A link within a narrative leads to a place in it, or to a contained resource."""
    div = node.content.get("div")
    if not isinstance(div, str) or ('href="#' not in div and "href='#" not in div):
        return
    known: set[str] = set(_ANCHOR.findall(div))
    holder: Node | None = node.parent
    while holder is not None:
        if "resourceType" in holder.content:
            found = check.anchors.get(id(holder.value))
            if found is None:
                found = check.anchors[id(holder.value)] = _ids(holder.value)
            known |= found
        holder = holder.parent
    for tag in div.split("<a ")[1:]:
        link = _LINK.search(tag.partition(">")[0])
        if link is not None and link[1] not in known:
            at = f"{node.path}.div"
            check.add("invalid", f"the link '#{link[1]}' of the narrative leads nowhere", at, check.options.in_words)


def check_empty_narrative(node: Node, check: Check) -> None:
    """txt-2: there is something to read or to see."""
    div = node.content.get("div")
    if not isinstance(div, str) or "<img" in div:
        return
    # Not by a regular expression: the text may be anything, and long.
    if not any(part.rpartition(">")[2].strip() for part in div.split("<")):
        text = "txt-2: The narrative SHALL have some non-whitespace content"
        check.add("invariant", text, f"{node.path}.div", check.options.in_words)


def _ids(value: Any) -> set[str]:
    """The ids of contained resources, and anchors of all narratives of a resource."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("id"), str):
                found.add(one["id"])
            if isinstance(one.get("div"), str):
                found.update(_ANCHOR.findall(one["div"]))
            waiting += list(one.values())
        elif isinstance(one, list):
            waiting += one
    return found
