"""One criterion of a search: a parameter with its modifier or chain, and its values, as a condition.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType

from fhir_server.errors import BadRequest

from . import chain, common, filter, has
from .context import Context, UnknownParameter, all_of, any_of, bad_value, no_modifier, split
from .plan import Indexed
from .tree import Missing, Node, Not, Param
from .types import composite, date, number, quantity, reference, special, string, token, uri

_TYPES: Mapping[str, ModuleType] = {
    "composite": composite,
    "date": date,
    "number": number,
    "quantity": quantity,
    "reference": reference,
    "special": special,
    "string": string,
    "token": token,
    "uri": uri,
}
# What one value costs of ``MAX_NODES``: stores gather typed references, and tokens of one system; others stand alone.
_COSTS = {"token": 8, "string": 8, "special": 8, "date": 4, "number": 4, "quantity": 4, "composite": 8}
_UNTYPED = 4  # a bare id of a reference that may have several types
_NODES: Mapping[str, Callable[[Context, Indexed, str, str], Node]] = {
    kind: module.node for kind, module in _TYPES.items() if kind != "composite"
}


def modifiers(kind: str) -> tuple[str, ...]:
    """The modifiers of parameters of this type (``[type]`` stands for any resource type)."""
    found: tuple[str, ...] = _TYPES[kind].MODIFIERS
    return found


def criterion(context: Context, type: str, name: str, value: str) -> Node:
    """The condition that ``name=value`` asks of resources of ``type``.

    Raises UnknownParameter for an unknown parameter or modifier, BadRequest for a bad value,
    NotSupported for what this server does not offer.
    """
    context.spend()
    if name.startswith("_has:"):
        return has.node(context, type, name, value, criterion)
    head, dot, rest = name.partition(".")
    code, _, modifier = head.partition(":")
    if dot:
        return chain.node(context, type, code, modifier, rest, value, criterion)
    if not value:
        raise BadRequest(f"search parameter '{name}' has no value", f"http.{name}")
    if (own := common.NODES.get(code)) is not None:
        return own(context, type, modifier, value)
    if name == "_filter":
        return filter.node(context, type, value, filter.Parts(criterion, simple, presence))
    indexed = context.param(type, code)
    if modifier == "missing":
        return _missing(indexed, value)
    values = list(dict.fromkeys(split(value, ",")))
    if not all(values):
        raise bad_value(indexed, value, "one of the values between the commas is empty")
    if modifier == "not":
        if indexed.kind != "token":
            raise no_modifier(indexed, modifier, modifiers(indexed.kind))
        return Not(any_of(simple(context, indexed, "", one) for one in values))
    return any_of(simple(context, indexed, modifier, one) for one in values)


def simple(context: Context, indexed: Indexed, modifier: str, value: str) -> Node:
    """The condition that one value of a parameter asks."""
    context.spend(max(1, len(indexed.sources)) * _cost(context, indexed, modifier, value))
    if indexed.kind == "composite":
        return composite.node(context, indexed, modifier, value, simple)
    made = _NODES.get(indexed.kind)
    if made is None:
        raise UnknownParameter(f"search parameter '{indexed.code}' cannot be searched", f"http.{indexed.code}")
    return made(context, indexed, modifier, value)


def _cost(context: Context, indexed: Indexed, modifier: str, value: str) -> int:
    """How many of ``MAX_NODES`` one value takes."""
    if modifier == "text":
        return _COSTS["string"]
    if indexed.kind == "reference":
        return 1 if "/" in value or len(indexed.targets) == 1 else _UNTYPED
    if indexed.kind == "token":
        system = value.partition("|")[0] if "|" in value else ""
        if system in context.systems:
            return 1
        context.systems.add(system)
        return _COSTS["token"]
    return _COSTS.get(indexed.kind, 1)


def _missing(indexed: Indexed, value: str) -> Node:
    if value not in ("true", "false"):
        raise bad_value(indexed, value, "with :missing it is 'true' or 'false'")
    return presence(indexed, missing=value == "true")


def presence(indexed: Indexed, *, missing: bool) -> Node:
    """The condition that the parameter has a value, or (``missing``) has none."""
    some, every = (all_of, any_of) if missing else (any_of, all_of)
    if indexed.kind != "composite":
        return some(Missing(Param(indexed.type, code), missing) for code in indexed.present)
    return some(
        every(presence(component, missing=missing) for component in part.components)
        if part.root
        else Missing(Param(indexed.type, part.code), missing)
        for part in indexed.parts
    )
