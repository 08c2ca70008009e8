"""The shapes of the compiled R4 definitions: types, elements, search parameters, operations, invariants.

https://hl7.org/fhir/R4/elementdefinition.html, https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

Kind = Literal["resource", "complex", "primitive", "backbone"]


class Binding(NamedTuple):
    """Which codes an element may hold: ``strength`` and the value set's canonical URL without version."""

    strength: str
    valueset: str


class ElementDef(msgspec.Struct, frozen=True, gc=False):
    """One JSON key of a type; each type of a choice element has its own (``valueQuantity`` …).

    ``type`` is a type code, or the path of a backbone (``Patient.contact``); ``max`` is None for ``*``;
    ``targets`` are the resource types that a Reference or canonical may point at (empty: any);
    ``order`` is the element's place within its type, as XML needs it.
    """

    key: str
    name: str
    type: str
    min: int
    max: int | None
    is_list: bool
    summary: bool
    modifier: bool
    choice: bool
    primitive: bool
    binding: Binding | None
    targets: tuple[str, ...]
    order: int
    xml_attr: bool
    profiles: tuple[str, ...] = ()


class TypeDef(msgspec.Struct, frozen=True):
    """One type with all of its elements (inherited ones too) by JSON key, in the order of the specification."""

    name: str
    kind: Kind
    base: str | None
    abstract: bool
    elements: dict[str, ElementDef]


class SearchParameterDef(msgspec.Struct, frozen=True, array_like=True):
    """One SearchParameter; ``components`` holds (definition URL, expression) of a composite's parts."""

    url: str
    code: str
    name: str
    type: str
    base: tuple[str, ...]
    expression: str
    target: tuple[str, ...]
    components: tuple[tuple[str, str], ...]
    description: str


class OperationDef(msgspec.Struct, frozen=True, array_like=True):
    """One OperationDefinition: where it may be called, and on which resource types."""

    code: str
    url: str
    system: bool
    type: bool
    instance: bool
    resource: tuple[str, ...]
    affects_state: bool
    description: str


class InvariantDef(msgspec.Struct, frozen=True, array_like=True):
    """One constraint: a FHIRPath ``expression`` which must be true on each element at ``path``."""

    key: str
    severity: str
    human: str
    expression: str
    path: str
