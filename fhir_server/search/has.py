"""Reverse chaining: ``_has:Type:reference:parameter=value``.

https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

from fhir_server.errors import BadRequest

from .chain import Criterion, canonical, reference_param
from .context import Context, any_of
from .tree import Has, Node, Or, Param


def node(context: Context, type: str, name: str, value: str, criterion: Criterion) -> Node:
    """The condition that another resource points here and satisfies the rest, which may chain or ``_has`` again.

    Raises BadRequest when the form is wrong or that reference cannot point at ``type``.
    """
    parts = name.split(":", 3)
    if len(parts) != 4 or not all(parts):
        raise BadRequest(f"'{name}' is not of the form _has:Type:reference:parameter", f"http.{name}")
    _, source, code, rest = parts
    context.resource_type(source, name)
    indexed = reference_param(context, source, code)
    if type not in indexed.targets:
        raise BadRequest(
            f"'{name}': '{code}' of {source} does not point at {type}, but at {', '.join(indexed.targets)}",
            f"http.{name}",
        )
    inner = criterion(context, source, rest, value)
    keys = [s.key for s in indexed.sources if s.target in (None, type)]
    named = canonical(context, indexed, type)
    return any_of(Has(Param(source, key), inner, named) for key in keys) if keys else Or(())
