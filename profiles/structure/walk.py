"""The exact structural check: walk a resource along its element tables and name everything that is wrong.

https://hl7.org/fhir/R4/json.html, https://hl7.org/fhir/R4/element.html (ele-1),
https://hl7.org/fhir/R4/extensibility.html (ext-1), https://hl7.org/fhir/R4/references.html#contained
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from profiles.definitions import Definitions, ElementDef, TypeDef
from profiles.issues import Issue
from profiles.structure.elements import takes_extensions
from profiles.structure.narrative import check_narrative
from profiles.structure.primitives import CHECKS, json_kind
from profiles.structure.references import check_reference, is_fragment, with_published_targets

MAX_ISSUES = 100
MAX_DEPTH = 100
_SIMPLE_QUANTITY = "http://hl7.org/fhir/StructureDefinition/SimpleQuantity"


class _Enough(Exception):
    """So many issues are found that more would help nobody."""


class _Group:
    """An element with all of its JSON keys: one, or those of a choice."""

    __slots__ = ("keys", "min", "name", "types")

    def __init__(self, elements: list[ElementDef]) -> None:
        self.name = elements[0].name
        self.min = elements[0].min
        self.types = tuple(e.type for e in elements)
        # A primitive may have no value but extensions, under the key with an underscore.
        self.keys = [(e.key, "_" + e.key) if takes_extensions(e) else (e.key,) for e in elements]

    def count(self, value: dict[str, Any]) -> int:
        return sum(1 for keys in self.keys if any(key in value for key in keys))


class _Shape:
    """A type as the walk needs it: elements by key, and those that need counting."""

    __slots__ = ("counted", "elements", "kind", "name")

    def __init__(self, definition: TypeDef) -> None:
        self.name = definition.name
        self.kind = definition.kind
        self.elements = {k: with_published_targets(self.name, e) for k, e in definition.elements.items()}
        groups: dict[str, list[ElementDef]] = {}
        for element in definition.elements.values():
            groups.setdefault(element.name, []).append(element)
        counted = [_Group(elements) for elements in groups.values()]
        self.counted = [g for g in counted if g.min or len(g.keys) > 1]


class _Context:
    """What one resource that stands for itself has gathered: contained ids and the fragments that need them."""

    __slots__ = ("contained", "fragments")

    def __init__(self) -> None:
        self.contained: set[str] = set()
        self.fragments: list[tuple[str, str]] = []


class Walk:
    """The exact check of one definition set; ``issues(resource)`` lists what is wrong, in document order."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._shapes: dict[str, _Shape] = {}

    def issues(self, resource: object, path: str | None = None) -> list[Issue]:
        """Every finding in the resource (at most MAX_ISSUES); empty if its structure is right.

        ``path`` is where the resource stands, if it is not the whole: ``Bundle.entry[0].resource``.
        """
        walker = _Walker(self._definitions, self._shapes)
        with suppress(_Enough):
            walker.resource(resource, path, None, 0)
        return walker.found


class _Walker:
    """One walk: its methods take a value, its FHIRPath and the depth, and append to ``found``."""

    def __init__(self, definitions: Definitions, shapes: dict[str, _Shape]) -> None:
        self.found: list[Issue] = []
        self._definitions = definitions
        self._shapes = shapes
        self._rules: dict[str, Callable[[dict[str, Any], str, ElementDef, _Context], None]] = {
            "Extension": self._extension,
            "Reference": self._reference,
            "Narrative": self._narrative,
            "Quantity": self._quantity,
            "Coding": self._coding,
            "CodeableConcept": self._concept,
        }

    def _add(self, code: str, cause: str, path: str) -> None:
        self.found.append(Issue(code, cause, (path,)))
        if len(self.found) >= MAX_ISSUES:
            raise _Enough

    def _shape(self, name: str) -> _Shape:
        shape = self._shapes.get(name)
        if shape is None:
            shape = self._shapes[name] = _Shape(self._definitions.type(name))
        return shape

    # Resources

    def resource(self, value: object, path: str | None, container: _Context | None, depth: int) -> None:
        """A resource: the root (no path), an entry's, or a contained one (with its container's context)."""
        if not isinstance(value, dict):
            self._add("structure", f"a resource is a JSON object, not {json_kind(value)}", path or "Resource")
            return
        name = value.get("resourceType")
        if name is None:
            self._add("required", "the resource has no resourceType", path or "Resource")
            return
        if not isinstance(name, str) or name not in self._definitions.resource_types:
            shown = name[:80] if isinstance(name, str) else json_kind(name)
            self._add("structure", f"'{shown}' is no resource type of FHIR R4", path or "Resource")
            return
        here = path or name
        context = container
        if context is None:
            context = _Context()
            self._gather_contained(value, context)
        else:
            self._contained_rules(value, here)
        self._members(value, self._shape(name), here, context, depth)
        if container is None:
            for at, reference in context.fragments:
                if reference != "#" and reference[1:] not in context.contained:
                    self._add("value", f"the reference '{reference[:80]}' leads to no contained resource", at)

    def _gather_contained(self, value: dict[str, Any], context: _Context) -> None:
        inner = value.get("contained")
        if isinstance(inner, list):
            ids = (r.get("id") for r in inner if isinstance(r, dict))
            context.contained.update(i for i in ids if isinstance(i, str))

    def _contained_rules(self, value: dict[str, Any], path: str) -> None:
        if "contained" in value:
            self._add("invariant", "dom-2: a contained resource must not contain resources itself", path)
        if "id" not in value:
            self._add("required", "a contained resource needs an id, by which it is referred to", path)

    # Elements

    def _members(self, value: dict[str, Any], shape: _Shape, path: str, context: _Context, depth: int) -> None:
        """All members of an object against its type: unknown keys, each value, cardinality, choices."""
        if depth > MAX_DEPTH:
            self._add("structure", f"the elements are nested more than {MAX_DEPTH} levels deep", path)
            return
        elements = shape.elements
        for key, member in value.items():
            element = elements.get(key)
            if element is None:
                self._unknown(key, value, shape, path, context, depth)
            elif element.primitive:
                self._primitive(element, member, value.get("_" + key, _ABSENT), path, context, depth)
            else:
                self._complex(element, member, path, context, depth)
        for group in shape.counted:
            count = group.count(value)
            if count > 1:
                self._add(
                    "structure",
                    f"{group.name}[x] stands here with {count} types; one is allowed",
                    f"{path}.{group.name}",
                )
            elif count < group.min:
                self._add("required", f"the element '{group.name}' is required in {shape.name}", f"{path}.{group.name}")

    def _unknown(
        self, key: object, value: dict[str, Any], shape: _Shape, path: str, context: _Context, depth: int
    ) -> None:
        """A key without element: the extensions of a primitive, the resource's type, or nothing known."""
        if not isinstance(key, str):
            self._add("structure", f"the keys of an object are strings, not {json_kind(key)}", path)
            return
        if key == "resourceType" and shape.kind == "resource":
            return
        element = shape.elements.get(key[1:]) if key.startswith("_") else None
        if element is None or not takes_extensions(element):
            self._add("structure", f"{shape.name} has no element '{key[:80]}'", f"{path}.{key[:80]}")
        elif element.key not in value:
            self._primitive(element, _ABSENT, value[key], path, context, depth)

    def _complex(self, element: ElementDef, value: object, parent: str, context: _Context, depth: int) -> None:
        path = f"{parent}.{element.name}"
        if not element.is_list:
            self._one(element, value, path, context, depth)
            return
        if not self._is_filled_list(value, path):
            return
        assert isinstance(value, list)
        for index, item in enumerate(value):
            self._one(element, item, f"{path}[{index}]", context, depth)

    def _one(self, element: ElementDef, value: object, path: str, context: _Context, depth: int) -> None:
        """One value of a complex element."""
        if element.type == "Resource":
            self.resource(value, path, context if element.name == "contained" else None, depth + 1)
            return
        if not isinstance(value, dict):
            expected = "an object" if not isinstance(value, list) else "one object, as the element does not repeat,"
            self._add("structure", f"{element.type} is written as {expected} not as {json_kind(value)}", path)
            return
        if not value:
            self._add("structure", "an object must not be empty", path)
            return
        if len(value) == 1 and "id" in value:
            self._add("invariant", "ele-1: an element needs a value or children besides its id", path)
            return
        self._members(value, self._shape(element.type), path, context, depth + 1)
        rule = self._rules.get(element.type)
        if rule is not None:
            rule(value, path, element, context)

    def _is_filled_list(self, value: object, path: str) -> bool:
        if not isinstance(value, list):
            self._add("structure", f"the element repeats: it is written as an array, not as {json_kind(value)}", path)
        elif not value:
            self._add("structure", "an array must not be empty", path)
        else:
            return True
        return False

    # Primitives

    def _primitive(
        self, element: ElementDef, value: object, extra: object, parent: str, context: _Context, depth: int
    ) -> None:
        """A primitive element: its value and the object with its id and extensions (either may be absent)."""
        path = f"{parent}.{element.name}"
        if not element.is_list:
            self._value(element, value, extra, path, context, depth)
            return
        for side in (value, extra):
            if side is not _ABSENT and not self._is_filled_list(side, path):
                return
        values = value if isinstance(value, list) else []
        extras = extra if isinstance(extra, list) else []
        for index in range(max(len(values), len(extras))):
            one = values[index] if index < len(values) else None
            more = extras[index] if index < len(extras) else None
            at = f"{path}[{index}]"
            if one is None and more is None:
                self._add("structure", "null stands only where the other array has a value or extension", at)
            else:
                one = _ABSENT if one is None else one
                self._value(element, one, _ABSENT if more is None else more, at, context, depth)

    def _value(
        self, element: ElementDef, value: object, extra: object, path: str, context: _Context, depth: int
    ) -> None:
        if value is not _ABSENT:
            problem = CHECKS[element.type](value)
            if problem is not None:
                self._add(*problem, path)
            elif element.binding is not None and element.type == "code":
                self._code(value, element, path)
        if extra is not _ABSENT:
            self._extra(element, value, extra, path, context, depth)

    def _extra(
        self, element: ElementDef, value: object, extra: object, path: str, context: _Context, depth: int
    ) -> None:
        """The ``_key`` object of a primitive: id and extensions."""
        if not isinstance(extra, dict):
            self._add("structure", f"'_{element.key}' is written as an object, not as {json_kind(extra)}", path)
        elif not extra:
            self._add("structure", "an object must not be empty", path)
        elif value is _ABSENT and "extension" not in extra:
            self._add("invariant", "ele-1: an element needs a value or children besides its id", path)
        else:
            self._members(extra, self._shape("Element"), path, context, depth + 1)

    # Rules of single types

    def _code(self, value: object, element: ElementDef, path: str) -> None:
        codes = self._required(element)
        if codes is not None and value not in codes[0]:
            self._add("code-invalid", f"'{str(value)[:80]}' is not in the required value set {codes[1]}", path)

    def _required(self, element: ElementDef) -> tuple[frozenset[str], str] | None:
        """The codes of a required binding that can be enumerated, and its value set."""
        if element.binding is None or element.binding.strength != "required":
            return None
        codes = self._definitions.codes(element.binding.valueset)
        return None if codes is None else (codes, element.binding.valueset)

    def _coding(self, value: dict[str, Any], path: str, element: ElementDef, _: _Context) -> None:
        required = self._required(element)
        if required is not None and not self._is_bound(value, required[1]):
            self._add("code-invalid", f"the coding is not in the required value set {required[1]}", path)

    def _concept(self, value: dict[str, Any], path: str, element: ElementDef, _: _Context) -> None:
        required = self._required(element)
        if required is None:
            return
        codings = value.get("coding")
        found = codings if isinstance(codings, list) else []
        if not any(isinstance(c, dict) and self._is_bound(c, required[1]) for c in found):
            self._add("code-invalid", f"no coding is in the required value set {required[1]}", path)

    def _is_bound(self, coding: dict[str, Any], valueset: str) -> bool:
        by_system = self._definitions.codings(valueset) or {}
        system, code = coding.get("system"), coding.get("code")
        return isinstance(system, str) and isinstance(code, str) and code in by_system.get(system, ())

    def _extension(self, value: dict[str, Any], path: str, _element: ElementDef, _: _Context) -> None:
        has_value = any(key.startswith(("value", "_value")) for key in value)
        if has_value == ("extension" in value):
            self._add("invariant", "ext-1: an extension has either a value or extensions, not both or none", path)

    def _quantity(self, value: dict[str, Any], path: str, element: ElementDef, _: _Context) -> None:
        if _SIMPLE_QUANTITY in element.profiles and ("comparator" in value or "_comparator" in value):
            self._add("invariant", "sqt-1: a comparator is not used on a SimpleQuantity", f"{path}.comparator")

    def _narrative(self, value: dict[str, Any], path: str, _element: ElementDef, _: _Context) -> None:
        div = value.get("div")
        cause = check_narrative(div) if isinstance(div, str) else None
        if cause is not None:
            self._add("invariant", f"txt-1: {cause}", f"{path}.div")

    def _reference(self, value: dict[str, Any], path: str, element: ElementDef, context: _Context) -> None:
        reference, named = value.get("reference"), value.get("type")
        if isinstance(reference, str):
            problem = check_reference(reference, element.targets, self._definitions.resource_types)
            if problem is not None:
                self._add(*problem, f"{path}.reference")
            elif is_fragment(reference):
                context.fragments.append((f"{path}.reference", reference))
        is_type = isinstance(named, str) and named in self._definitions.resource_types
        if is_type and element.targets and named not in element.targets:
            allowed = ", ".join(element.targets)
            self._add("structure", f"a reference to {named} is not allowed here, only to {allowed}", f"{path}.type")


_ABSENT: Any = type("_Absent", (), {"__repr__": lambda self: "absent"})()
