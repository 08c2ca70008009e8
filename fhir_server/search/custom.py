"""Custom search parameters: which SearchParameter definitions can be put to work.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import re

from profiles.definitions import Definitions, SearchParameterDef
from profiles.fhirpath import FhirPathError
from profiles.fhirpath import compile as compile_path

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-]{0,63}")
_KINDS = frozenset({"string", "token", "date", "number", "quantity", "reference", "uri"})
_ANY = frozenset({"Resource", "DomainResource"})


def base_types(definition: SearchParameterDef, definitions: Definitions) -> list[str]:
    """The resource types that the parameter is for."""
    if _ANY & set(definition.base):
        return sorted(definitions.resource_types)
    return [base for base in definition.base if base in definitions.resource_types]


def objection(definition: SearchParameterDef, definitions: Definitions) -> str:
    """Why this definition cannot be searched by; '' when it can."""
    if not _CODE.fullmatch(definition.code):
        return f"its code '{definition.code}' is not made of letters, digits and hyphens"
    if definition.type not in _KINDS:
        return f"parameters of type '{definition.type}' cannot be added (only {', '.join(sorted(_KINDS))})"
    unknown = [base for base in definition.base if base not in definitions.resource_types | _ANY]
    if unknown or not definition.base:
        return f"its base {unknown or 'is empty'} names no resource type"
    try:
        compile_path(definition.expression)
    except FhirPathError as error:
        return f"its expression cannot be understood: {error}"
    return ""
