"""Items as plain FHIRPath system values, and what of them is equal, equivalent, before or after.

https://hl7.org/fhirpath/N1/#equality, #equivalence, #comparison
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, TypeAlias

from profiles.fhirpath import numbers, quantity, temporal
from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.model import Items, Node, TypeInfo
from profiles.fhirpath.quantity import Quantity
from profiles.fhirpath.temporal import Temporal

Spend: TypeAlias = Callable[[int], None]
"""Told the cost of what is done, in steps; may raise TooCostlyError."""
Same: TypeAlias = Callable[[Any, Any, Spend], bool]

_UCUM = "http://unitsofmeasure.org"
_TEMPORAL: dict[str, temporal.Kind] = {"Date": "Date", "DateTime": "DateTime", "Time": "Time"}
_SYSTEM_NAMES = {bool: "Boolean", int: "Integer", Decimal: "Decimal", str: "String", Quantity: "Quantity"}


def system(item: Any) -> Any:
    """The system value of an item: a primitive's value, a FHIR Quantity as Quantity, else the item itself.

    None for a primitive without a value.
    """
    if item.__class__ is not Node:
        return item
    kind = item.shape.system
    value = item.value
    if kind is None:
        return _as_quantity(item) if item.shape.quantity else item
    if value.__class__ is str:
        temporal_kind = _TEMPORAL.get(kind)
        if temporal_kind is not None:
            return temporal.parse_temporal(temporal_kind, value) or value
    elif value.__class__ is int and kind == "Decimal":
        return Decimal(value)
    return value


def _as_quantity(node: Node) -> Any:
    content = node.value
    value = content.get("value") if isinstance(content, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or "comparator" in content:
        return node
    coded = content.get("code") if content.get("system") == _UCUM else None
    unit = coded or content.get("code") or content.get("unit") or "1"
    return Quantity(Decimal(value), unit) if isinstance(unit, str) else node


def type_info(item: Any) -> TypeInfo:
    """The type of an item, as ``type()`` gives it."""
    if isinstance(item, Node):
        return TypeInfo("FHIR", "BackboneElement" if "." in item.shape.name else item.shape.name)
    return TypeInfo("System", system_name(item))


def system_name(item: Any) -> str:
    """The name of a system value's type."""
    if isinstance(item, Temporal):
        return item.kind
    return _SYSTEM_NAMES.get(item.__class__, "SimpleTypeInfo")


def describe(item: Any) -> str:
    """The type of an item in a sentence: ``Integer``, ``HumanName``."""
    return type_info(item).name


def text_of(value: Any) -> str | None:
    """A system value as toString() writes it; None if it has no such form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return numbers.text(value)
    return str(value) if isinstance(value, str | int | Temporal | Quantity) else None


def equal(left: Any, right: Any) -> bool | None:
    """Whether two items are equal; None where that cannot be known."""
    if left.__class__ is Node:
        left = system(left)
    if right.__class__ is Node:
        right = system(right)
    if left is None or right is None:
        return None
    kind = left.__class__
    if kind is str and right.__class__ is str:
        return bool(left == right)
    if kind is Temporal and right.__class__ is Temporal:
        if not temporal.shares_scale(left, right):
            return False
        order = temporal.compare(left, right)
        return None if order is None else order == 0
    if kind is Quantity or right.__class__ is Quantity:
        return _equal_quantities(left, right)
    if kind is Node and right.__class__ is Node:
        return bool(left.value == right.value)
    if (kind is bool) != (right.__class__ is bool):
        return False
    return bool(left == right)


def _equal_quantities(left: Any, right: Any) -> bool | None:
    ours, theirs = _to_quantity(left), _to_quantity(right)
    if ours is None or theirs is None:
        return False
    order = quantity.compare(ours, theirs)
    return None if order is None else order == 0


def _to_quantity(value: Any) -> Quantity | None:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Quantity(Decimal(value))
    return value if isinstance(value, Quantity) else None


def all_equal(left: Items, right: Items) -> bool | None:
    """Collections are equal when their items are, in order; None if either is empty or it cannot be known."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    verdicts = {equal(one, other) for one, other in zip(left, right, strict=True)}
    return False if False in verdicts else None if None in verdicts else True


def equivalent(left: Any, right: Any, spend: Spend) -> bool:
    """Whether two items mean the same: strings without case and spacing, numbers to the lesser precision."""
    spend(1)
    left, right = system(left), system(right)
    if left is None or right is None:
        return left is right
    kind, other = left.__class__, right.__class__
    if kind is str and other is str:
        spend(len(left) + len(right) >> 6)
        return " ".join(left.casefold().split()) == " ".join(right.casefold().split())
    if kind is bool or other is bool:
        return kind is other and bool(left == right)
    if isinstance(left, int | Decimal) and isinstance(right, int | Decimal):
        return _near(Decimal(left), Decimal(right))
    if kind is Quantity and other is Quantity:
        return _near_quantities(left, right)
    if kind is Temporal and other is Temporal:
        return temporal.shares_scale(left, right) and temporal.compare(left, right) == 0
    if kind is Node and other is Node:
        return _equivalent_json(left.value, right.value, spend)
    return bool(left == right)


def _near(left: Decimal, right: Decimal) -> bool:
    if not (numbers.is_sane(left) and numbers.is_sane(right)):
        return left == right
    digits = min(_fraction_digits(left), _fraction_digits(right))
    step = Decimal(1).scaleb(-digits)
    try:
        return left.quantize(step, ROUND_HALF_UP) == right.quantize(step, ROUND_HALF_UP)
    except ArithmeticError:
        return left == right


def _fraction_digits(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _near_quantities(left: Quantity, right: Quantity) -> bool:
    if quantity.compare(left, right, loose=True) == 0:
        return True
    # Compare in the unit of the side that states fewer digits of the same measure.
    converted = quantity.convert(right, left.unit)
    return converted is not None and _near(left.value, converted)


def _equivalent_json(left: Any, right: Any, spend: Spend) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        keys = (left.keys() | right.keys()) - {"id"}
        return all(key in left and key in right and _equivalent_json(left[key], right[key], spend) for key in keys)
    if isinstance(left, list) and isinstance(right, list):
        return all_equivalent(left, right, spend, _equivalent_json)
    if isinstance(left, dict | list) or isinstance(right, dict | list):
        return False
    return equivalent(left, right, spend)


def all_equivalent(left: Items, right: Items, spend: Spend, same: Same = equivalent) -> bool:
    """Whether collections hold equivalent items, in any order; ``spend`` is told each comparison."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for one in left:
        place = next((at for at, other in enumerate(rest) if same(one, other, spend)), None)
        if place is None:
            return False
        del rest[place]
    return True


def compare(left: Any, right: Any) -> int | None:
    """-1, 0 or 1; None where it cannot be known; raises FhirPathError for types without a common order."""
    left, right = system(left), system(right)
    if left is None or right is None:
        return None
    if isinstance(left, Temporal) and isinstance(right, Temporal) and temporal.shares_scale(left, right):
        return temporal.compare(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        raise _no_order(left, right)
    if isinstance(left, int | Decimal) and isinstance(right, int | Decimal):
        return (left > right) - (left < right)
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    if isinstance(left, Quantity) or isinstance(right, Quantity):
        ours, theirs = _to_quantity(left), _to_quantity(right)
        if ours is not None and theirs is not None:
            return quantity.compare(ours, theirs)
    raise _no_order(left, right)


def _no_order(left: Any, right: Any) -> FhirPathError:
    return FhirPathError(f"{describe(left)} and {describe(right)} cannot be compared")


def key(item: Any, spend: Spend) -> Hashable:
    """A key that equal items share, for telling apart many items at once; ``spend`` is told what it costs."""
    value = system(item)
    if value.__class__ is bool:
        return ("bool", value)
    if value.__class__ is Temporal:
        utc = temporal.in_utc(value)
        return ("Time" if value.kind == "Time" else "Date", utc.parts, utc.offset)
    if value.__class__ is Node:
        return _frozen(value.value if value.value is not None else value.companion, spend)
    if value.__class__ is TypeInfo:
        return (value.namespace, value.name)
    if value is None:
        return _frozen(item.companion, spend)
    hashable: Hashable = value
    return hashable


def _frozen(value: Any, spend: Spend) -> Hashable:
    if isinstance(value, dict):
        spend(len(value))
        return frozenset((name, _frozen(inner, spend)) for name, inner in value.items())
    if isinstance(value, list):
        spend(len(value))
        return tuple(_frozen(inner, spend) for inner in value)
    return ("bool", value) if isinstance(value, bool) else value


def distinct(items: Items, spend: Spend) -> Items:
    """The items, each once, in the order of their first occurrence."""
    spend(len(items))
    seen: set[Hashable] = set()
    out: Items = []
    for item in items:
        mark = key(item, spend)
        if mark not in seen:
            seen.add(mark)
            out.append(item)
    return out
