"""Read the compiled R4 definitions; every table is decoded when it is first asked for.

https://hl7.org/fhir/R4/downloads.html (hl7.fhir.r4.core 4.0.1); the tables are built by ``build``.
"""

from __future__ import annotations

from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import msgspec
import zstandard

from profiles.definitions.flags import CHOICE, MODIFIER, SUMMARY, XML_ATTRIBUTE
from profiles.definitions.model import (
    Binding,
    ElementDef,
    InvariantDef,
    Kind,
    OperationDef,
    SearchParameterDef,
    TypeDef,
)

_TypeRow = tuple[Kind, str | None, bool, msgspec.Raw]
_ElementRow = tuple[str, int, int, int, list[tuple[str, tuple[str, ...], tuple[str, ...]]], tuple[str, str] | None]
_element_rows = msgspec.json.Decoder(list[_ElementRow])
# A binding on a choice element speaks of its coded types only.
_CODED = frozenset({"code", "Coding", "CodeableConcept", "Quantity", "string", "uri"})


def _table(name: str, shape: Any) -> Any:
    content = files("profiles.definitions").joinpath("data", f"{name}.json.zst").read_bytes()
    return msgspec.json.decode(zstandard.decompress(content), type=shape)


class Definitions:
    """The R4 definitions: ask for a type, search parameters, compartments, operations, codes, invariants."""

    def __init__(self) -> None:
        self._rows: dict[str, _TypeRow] = _table("types", dict[str, _TypeRow])
        self._types: dict[str, TypeDef] = {}
        self._params: dict[str, dict[str, SearchParameterDef]] = {}
        self.primitives = frozenset(name for name, row in self._rows.items() if row[0] == "primitive")
        self.resource_types = frozenset(n for n, row in self._rows.items() if row[0] == "resource" and not row[2])

    @property
    def type_names(self) -> tuple[str, ...]:
        """The names of all types: resources, complex and primitive types, and backbones as paths."""
        return tuple(self._rows)

    def type(self, name: str) -> TypeDef:
        """The type of this name ("Patient", "HumanName", "Patient.contact", "string"); KeyError if there is none."""
        found = self._types.get(name)
        if found is None:
            kind, base, abstract, raw = self._rows[name]
            elements: dict[str, ElementDef] = {}
            for order, row in enumerate(_element_rows.decode(raw)):
                for element in self._expand(row, order):
                    elements[element.key] = element
            found = self._types[name] = TypeDef(name, kind, base, abstract, elements)
        return found

    def _expand(self, row: _ElementRow, order: int) -> list[ElementDef]:
        """The element itself, or one for each type of a choice."""
        name, least, most, flags, types, bound = row
        choice = bool(flags & CHOICE)
        binding = Binding(*bound) if bound else None
        return [
            ElementDef(
                key=name + code[0].upper() + code[1:] if choice else name,
                name=name,
                type=code,
                min=least,
                max=None if most < 0 else most,
                is_list=most < 0 or most > 1,
                summary=bool(flags & SUMMARY),
                modifier=bool(flags & MODIFIER),
                choice=choice,
                primitive=code in self.primitives,
                binding=binding if not choice or code in _CODED else None,
                targets=targets,
                order=order,
                xml_attr=bool(flags & XML_ATTRIBUTE),
                profiles=profiles,
            )
            for code, targets, profiles in types
        ]

    @cached_property
    def search_parameters(self) -> tuple[SearchParameterDef, ...]:
        """All official search parameters, sorted by URL."""
        found: tuple[SearchParameterDef, ...] = _table("search-parameters", tuple[SearchParameterDef, ...])
        return found

    def search_params(self, resource_type: str) -> dict[str, SearchParameterDef]:
        """The search parameters of a concrete resource type by code, those of its base types included."""
        if not self._params:
            self._params = self._by_type()
        return self._params[resource_type]

    def _by_type(self) -> dict[str, dict[str, SearchParameterDef]]:
        by_base: dict[str, list[SearchParameterDef]] = {}
        for parameter in self.search_parameters:
            for base in parameter.base:
                by_base.setdefault(base, []).append(parameter)
        return {
            name: {p.code: p for base in (*self._bases(name), name) for p in by_base.get(base, ())}
            for name in sorted(self.resource_types)
        }

    def _bases(self, name: str) -> tuple[str, ...]:
        """The base types of a type, the most general first."""
        base = self._rows[name][1]
        return (*self._bases(base), base) if base else ()

    @cached_property
    def compartments(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Per compartment (Patient, Encounter …): resource type to the codes of the linking search parameters."""
        found: dict[str, dict[str, tuple[str, ...]]] = _table("compartments", dict[str, dict[str, tuple[str, ...]]])
        return found

    @cached_property
    def operations(self) -> tuple[OperationDef, ...]:
        """The operations which R4 itself defines, sorted by URL."""
        found: tuple[OperationDef, ...] = _table("operations", tuple[OperationDef, ...])
        return found

    @cached_property
    def _codings(self) -> dict[str, dict[str, frozenset[str]]]:
        found: dict[str, dict[str, frozenset[str]]] = _table("codes", dict[str, dict[str, frozenset[str]]])
        return found

    @cached_property
    def _codes(self) -> dict[str, frozenset[str]]:
        return {url: frozenset().union(*by_system.values()) for url, by_system in self._codings.items()}

    def codes(self, valueset: str) -> frozenset[str] | None:
        """The codes of a value set with a required binding; None if it cannot be enumerated."""
        return self._codes.get(valueset.partition("|")[0])

    def codings(self, valueset: str) -> dict[str, frozenset[str]] | None:
        """The same by code system."""
        return self._codings.get(valueset.partition("|")[0])

    @cached_property
    def _invariants(self) -> dict[str, tuple[InvariantDef, ...]]:
        found: dict[str, tuple[InvariantDef, ...]] = _table("invariants", dict[str, tuple[InvariantDef, ...]])
        return found

    def invariants(self, type_name: str) -> tuple[InvariantDef, ...]:
        """The constraints stated by a type (not a backbone: its path stands in each) and by its base types."""
        names = (*self._bases(type_name), type_name)
        return tuple(i for name in names for i in self._invariants.get(name, ()))


@cache
def load() -> Definitions:
    """The definitions, read once per process."""
    return Definitions()
