"""Search parameters whose expression has no simple shape: evaluated by the FHIRPath engine.

https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

from typing import Any

from .closures import SINKS
from .plan import Indexed
from .rows import Rows
from .sinks import Setting, Sink

_SYSTEM_TYPES = {
    "Boolean": "boolean",
    "String": "string",
    "Integer": "integer",
    "Decimal": "decimal",
    "Date": "date",
    "DateTime": "dateTime",
    "Time": "string",
}


def computed_sink(indexed: Indexed, setting: Setting) -> Sink | None:
    """The function from a whole resource to the rows of a parameter; None when its expression is not understood."""
    from profiles.fhirpath import FhirPathError
    from profiles.fhirpath import compile as compile_path
    from profiles.fhirpath.results import plain

    try:
        expression = compile_path(indexed.definition.expression)
    except FhirPathError:
        return None
    factories = SINKS.get(indexed.kind, {})
    made: dict[str, Sink] = {}

    def sink(resource: Any, out: Rows) -> None:
        for name, item in expression.typed(resource):
            type_ = _SYSTEM_TYPES.get(name, name)
            value = plain(item)
            factory = factories.get(type_)
            if value is None or factory is None:
                continue
            if type_ not in made:
                made[type_] = factory(indexed.code, setting)
            out.present.add(indexed.code)
            made[type_](value, out)

    return sink
