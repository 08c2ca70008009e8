"""Extensions against their definitions: known, allowed here, and with the content that they define.

https://hl7.org/fhir/R4/extensibility.html, https://hl7.org/fhir/R4/defining-extensions.html#context
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from profiles.conformance.run import Check
from profiles.fhirpath import FhirPathError, Location, compile
from profiles.fhirpath.model import Node

if TYPE_CHECKING:
    from profiles.conformance.profile_set import ProfileSet

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
# HL7 defines extensions apart from R4 too, in a package of their own.
_LATER = ("http://hl7.org/fhir/StructureDefinition/", "http://hl7.org/fhir/tools/StructureDefinition/")
# R4 says one place and has the extension at another in its own definitions.
_MOVED = {"ElementDefinition.type.code": "ElementDefinition.type"}
_INDEX = re.compile(r"\[\d+\]")
_ANYWHERE = frozenset({"Element", "Base"})


def check_extension(node: Node, check: Check, profiles: ProfileSet) -> None:
    """Note what is wrong with an extension at its place."""
    url = node.content.get("url")
    if not isinstance(url, str):
        return
    parent = node.parent
    if parent is not None and parent.shape.name == "Extension" and not _ABSOLUTE.match(url):
        return  # part of a complex extension: whose definition says what it may be
    if not _ABSOLUTE.fullmatch(url):
        check.add("invalid", f"the url of an extension is absolute, not '{url}'", node)
        return
    if "|" in url:
        check.add("invalid", "the url of an extension has no version", node)
        url = url.partition("|")[0]
    definition = profiles.definition(url)
    is_modifier = node.name == "modifierExtension"
    if definition is None or definition.get("type") != "Extension":
        _unknown(url, is_modifier, node, check)
        return
    _check_context(definition, node, check)
    rule = profiles.usable(url, node, check)
    if rule is None:
        return
    if profiles.is_modifier(url) != is_modifier:
        said = "is one that modifies" if not is_modifier else "is none that modifies"
        check.add("structure", f"the extension {url} {said}, and stands under {node.name}", node)
    _check_parts(url, node, check, profiles)
    profiles.apply(rule, node, check)


def _unknown(url: str, is_modifier: bool, node: Node, check: Check) -> None:
    severity = check.options.unknown_extensions
    if is_modifier:
        severity = "error"  # who does not know it cannot know what the element means
    elif url.startswith(_LATER):
        severity = "warning"
    check.add("structure", f"the definition of the extension {url} is not known here", node, severity)


def _check_parts(url: str, node: Node, check: Check, profiles: ProfileSet) -> None:
    """The parts of a complex extension are those that it defines, or extensions that stand for themselves."""
    names = profiles.part_urls(url)
    inner = node.content.get("extension")
    for place, part in enumerate(inner if isinstance(inner, list) else ()):
        name = part.get("url") if isinstance(part, dict) else None
        if isinstance(name, str) and not _ABSOLUTE.match(name) and name not in names:
            check.add(
                "invalid",
                f"the extension {url} has no part '{name}'",
                f"{node.path}.extension[{place}]",
                check.options.in_words,
            )


def _check_context(definition: dict[str, Any], node: Node, check: Check) -> None:
    contexts = definition.get("context")
    parent = node.parent
    if parent is None or not isinstance(contexts, list):
        return
    if contexts and not any(_is_context(context, node, parent, check) for context in contexts):
        allowed = ", ".join(str(c.get("expression")) for c in contexts[:8])
        where = _INDEX.sub("", parent.path)
        check.add("structure", f"the extension {definition['url']} stands at {allowed}, not at {where}", node)
    for invariant in definition.get("contextInvariant", ()):
        try:
            items = compile(str(invariant)).items(Location(parent), environment=check.environment, budget=check.budget)
        except FhirPathError:
            continue
        if not items or items[0] is False:
            check.add("structure", f"the extension {definition['url']} stands only where {invariant}", node)


def _is_context(context: dict[str, Any], node: Node, parent: Node, check: Check) -> bool:
    kind, expression = context.get("type"), str(context.get("expression", ""))
    if kind == "element":
        return is_place(expression, parent)
    if kind == "extension":
        holders = (parent, parent.parent)  # an extension, or the value of one
        return any(
            h is not None and h.shape.name == "Extension" and h.content.get("url") == expression for h in holders
        )
    if kind == "fhirpath":
        try:
            place = Location(parent.resource())
            found = compile(expression).items(place, environment=check.environment, budget=check.budget)
        except FhirPathError:
            return True
        return any(isinstance(one, Node) and _same(one, parent) for one in found)
    return True


def _same(left: Node, right: Node) -> bool:
    return left.path == right.path


def is_place(expression: str, node: Node) -> bool:
    """Whether a node is an element of the path named: of a type, of a resource, or of a type within it."""
    expression = expression.partition("#")[2] or expression
    expression = _MOVED.get(expression, expression)
    if expression in _ANYWHERE or expression in node.shape.lineage:
        return True
    if expression in ("CanonicalResource", "MetadataResource"):
        return {"url", "version", "status"} <= node.shape.members.keys()
    wanted = expression.replace("[x]", "")
    names: list[str] = []
    at: Node | None = node
    while at is not None:
        tail = ".".join(reversed(names))
        for kind in at.shape.lineage:
            if wanted == (f"{kind}.{tail}" if tail else kind):
                return True
        if at.value.__class__ is dict and "resourceType" in at.value:
            return False
        names.append(at.name)
        at = at.parent
    return False
