"""Items as the plain JSON values that callers get.

https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

from typing import Any

from profiles.fhirpath.model import Node, TypeInfo
from profiles.fhirpath.quantity import Quantity
from profiles.fhirpath.temporal import Temporal

_UCUM = "http://unitsofmeasure.org"


def plain(item: Any) -> Any:
    """The JSON value of an item; None for a primitive without a value.

    Dates and times become their text, a Quantity a FHIR Quantity, type information its qualified name.
    """
    if item.__class__ is Node:
        return item.value
    if isinstance(item, Temporal):
        return str(item).removesuffix("T")
    if isinstance(item, Quantity):
        return {"value": item.value, "unit": item.unit, "system": _UCUM, "code": item.unit}
    if isinstance(item, TypeInfo):
        return f"{item.namespace}.{item.name}"
    return item
