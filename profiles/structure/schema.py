"""A JSON Schema per resource type which only right resources pass: the quick half of the structural check.

https://hl7.org/fhir/R4/json.html. The schema is stricter than R4 where a rule is dear to state (extensions
of primitives, rarely used types of extensions): what it refuses gets the exact check of ``walk``.
Draft 4, because there 1.0 is no integer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from typing import Any

from profiles.definitions import Definitions, ElementDef
from profiles.structure.elements import takes_extensions
from profiles.structure.primitives import INTEGER_RANGES, MAX_DECIMAL, MAX_STRING, PATTERNS, PLAIN_URI
from profiles.structure.references import pattern, with_published_targets

DRAFT = "http://json-schema.org/draft-04/schema#"
# Keywords of our own, whose classes the caller gives: "#id" references and the XHTML of narratives.
FRAGMENT_KEYWORD = "containedReference"
NARRATIVE_KEYWORD = "narrative"
SIMPLE_QUANTITY = "http://hl7.org/fhir/StructureDefinition/SimpleQuantity"

# The types of extension values and other open choices that are worth their place in the schema.
_USUAL_VALUES = frozenset(
    """Address Age Attachment CodeableConcept Coding ContactPoint Duration HumanName Identifier Money Period Quantity
    Range Ratio Reference base64Binary boolean canonical code date dateTime decimal id instant integer markdown oid
    positiveInt string time unsignedInt uri url uuid""".split()  # noqa: SIM905
)
_OPEN_CHOICES = frozenset(("value", "defaultValue", "fixed", "pattern"))
_MAX_LEVEL = 4

Schema = dict[str, Any]


def resource_schema(definitions: Definitions, resource_type: str) -> Schema:
    """The schema of a concrete resource type with the definitions of all types that it needs."""
    builder = _Builder(definitions)
    root = builder.members(resource_type)
    root["properties"]["resourceType"] = {"enum": [resource_type]}
    root["required"] = [*root.get("required", ()), "resourceType"]
    return {"$schema": DRAFT, **root, "definitions": builder.built}


class _Builder:
    """Writes one schema. ``built`` holds its definitions, none of which leads back to itself.

    So the depth of what the schema passes is bounded: within extensions and identifiers of references stand
    ``plain`` types, which have no extensions; a backbone that holds itself is repeated ``_MAX_LEVEL`` times.
    """

    def __init__(self, definitions: Definitions) -> None:
        self.built: dict[str, Schema] = {}
        self._definitions = definitions
        self._level = 0
        self._within: list[str] = []

    def _define(self, name: str, build: Callable[[], Schema]) -> Schema:
        """A link to the definition of this name, which is built once."""
        if name not in self.built:
            self.built[name] = build()
        return {"$ref": f"#/definitions/{name}"}

    def members(self, type_name: str, plain: bool = False, without: str = "") -> Schema:
        """The object schema of a type: its properties (but the one named), required ones and choices."""
        definition = self._definitions.type(type_name)
        groups: dict[str, list[ElementDef]] = {}
        for element in definition.elements.values():
            worth_it = _is_worth_it(element, plain) or definition.kind == "resource"
            if worth_it and element.name != without:
                groups.setdefault(element.name, []).append(with_published_targets(type_name, element))
        properties: dict[str, Schema] = {}
        required: list[str] = []
        rules: list[Schema] = []
        for elements in groups.values():
            keys = []
            for element in elements:
                schema = self._element(element, plain)
                if schema is not None:
                    keys.append(element.key)
                    properties[element.key] = schema
                if takes_extensions(element) and not (element.choice or element.is_list or plain):
                    properties["_" + element.key] = self._define("_", self._beside_primitive)
            if len(keys) == 1 and elements[0].min:
                required += keys
            elif len(keys) > 1:
                rules += _choice(keys, bool(elements[0].min))
        return _object(properties, required, rules)

    def _beside_primitive(self) -> Schema:
        """The ``_key`` of a primitive; it may stand without a value only because it has extensions."""
        extensions = self._element(self._definitions.type("Element").elements["extension"], False)
        return _object({"extension": extensions}, ["extension"], [])

    def _extension(self, inner: bool) -> Schema:
        """ext-1 by counting: a url and one other key; an inner extension has a value."""
        properties: dict[str, Schema] = {}
        for element in self._definitions.type("Extension").elements.values():
            if element.name == "extension" and not inner:
                item = self._define("Extension.inner", lambda: self._extension(True))
                properties["extension"] = {"type": "array", "minItems": 1, "items": item}
            elif element.name == "url" or (element.choice and element.type in _USUAL_VALUES):
                properties[element.key] = self._value(element, True)
        return _object(properties, ["url"], []) | {"minProperties": 2, "maxProperties": 2}

    def _element(self, element: ElementDef, plain: bool) -> Schema | None:
        """The schema of an element, or None where it would lead too deep."""
        if self._definitions.type(element.type).kind == "backbone":
            item = self._backbone(element.type)
        else:
            item = self._value(element, plain)
        return {"type": "array", "minItems": 1, "items": item} if item and element.is_list else item

    def _backbone(self, name: str) -> Schema | None:
        level = self._level
        self._level += name in self._within
        self._within.append(name)
        try:
            if self._level > _MAX_LEVEL:
                return None
            return self._define(f"{name}.{self._level}" if self._level else name, lambda: self.members(name))
        finally:
            self._level = level
            self._within.pop()

    def _value(self, element: ElementDef, plain: bool) -> Schema:
        """The schema of one value of a data type, narrowed by binding and targets."""
        kind = element.type
        if kind == "Resource":
            return {"type": "object"}  # checked on its own
        if kind == "Extension":
            return self._define(kind, lambda: self._extension(False))
        if element.primitive:
            return self._primitive(element)
        suffix = ".plain" if plain else ""
        if kind == "Reference":
            name = "Reference." + ("-".join(element.targets) or "Any")
            return self._define(name + suffix, lambda: self._reference(element.targets, plain))
        if SIMPLE_QUANTITY in element.profiles:
            return self._define(
                "SimpleQuantity" + suffix, lambda: self.members("Quantity", plain, without="comparator")
            )
        systems = self._required_systems(element)
        if systems and element.binding and kind in ("Coding", "CodeableConcept"):
            name = f"{kind}.{element.binding.valueset.rpartition('/')[2]}"
            return self._define(name + suffix, lambda: self._coded(kind, systems, plain))
        return self._define(kind + suffix, lambda: self.members(kind, plain))

    def _primitive(self, element: ElementDef) -> Schema:
        systems = self._required_systems(element)
        if systems and element.type == "code":
            return {"enum": sorted(set().union(*systems.values()))}
        return self._define(element.type, lambda: _primitive(element.type))

    def _required_systems(self, element: ElementDef) -> dict[str, frozenset[str]] | None:
        binding = element.binding
        if binding is None or binding.strength != "required":
            return None
        return self._definitions.codings(binding.valueset)

    def _reference(self, targets: tuple[str, ...], plain: bool) -> Schema:
        schema = self.members("Reference", plain, without="identifier")
        types = targets or tuple(self._definitions.resource_types)
        literal = {"type": "string", "pattern": f"^(?:{pattern(types)})$"}
        properties = schema["properties"]
        properties["reference"] = {"anyOf": [literal, {FRAGMENT_KEYWORD: True}]}
        if not plain:
            properties["identifier"] = self._define("Identifier.plain", lambda: self.members("Identifier", True))
        if targets:
            properties["type"] = {"enum": list(targets)}
        return schema

    def _coded(self, kind: str, systems: dict[str, frozenset[str]], plain: bool) -> Schema:
        """A Coding or CodeableConcept each of whose codings is of the required value set."""
        coding = {"anyOf": [self._coding_of(system, codes, plain) for system, codes in systems.items()]}
        if kind == "Coding":
            return coding
        schema = self.members(kind, plain)
        schema["properties"]["coding"] = {"type": "array", "minItems": 1, "items": coding}
        schema["required"] = ["coding"]
        return schema

    def _coding_of(self, system: str, codes: Iterable[str], plain: bool) -> Schema:
        schema = self.members("Coding", plain)
        schema["properties"].update(system={"enum": [system]}, code={"enum": sorted(codes)})
        schema["required"] = ["system", "code"]
        return schema


def _is_worth_it(element: ElementDef, plain: bool) -> bool:
    """Ids of elements are rare; plain types have no extensions; open choices have the usual types only."""
    if element.name == "id" or (plain and element.type == "Extension"):
        return False
    return not element.choice or element.name not in _OPEN_CHOICES or element.type in _USUAL_VALUES


def _object(properties: Mapping[str, Schema | None], required: list[str], rules: list[Schema]) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = required
    else:
        schema["minProperties"] = 1
    if rules:
        schema["allOf"] = rules
    return schema


def _choice(keys: list[str], is_required: bool) -> list[Schema]:
    """At most one of the keys, or exactly one."""
    if is_required:
        return [{"oneOf": [{"required": [key]} for key in keys]}]
    if len(keys) <= 4:
        return [{"not": {"required": list(pair)}} for pair in combinations(keys, 2)]
    others = {key: [{"required": [other]} for other in keys if other != key] for key in keys}
    return [{"dependencies": {key: {"not": {"anyOf": alternatives}} for key, alternatives in others.items()}}]


def _primitive(kind: str) -> Schema:
    if kind == "boolean":
        return {"type": "boolean"}
    if kind == "decimal":
        return {"type": "number", "minimum": -MAX_DECIMAL, "maximum": MAX_DECIMAL}
    if kind in INTEGER_RANGES:
        least, most = INTEGER_RANGES[kind]
        return {"type": "integer", "minimum": least, "maximum": most}
    if kind == "xhtml":
        return {"type": "string", NARRATIVE_KEYWORD: True}
    form = PLAIN_URI if kind in ("uri", "url", "canonical") else PATTERNS[kind]
    schema: Schema = {"type": "string", "pattern": f"^(?:{form})$"}
    if kind in ("string", "markdown"):
        schema["maxLength"] = MAX_STRING
    return schema
