"""Existence, filtering, projection, subsetting and combining.

https://hl7.org/fhirpath/N1/#existence and the three sections after it
"""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any

from profiles.fhirpath import values
from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.functions.signature import Args, Function, Table, argument, integer_argument, on
from profiles.fhirpath.model import Items, Node, all_children
from profiles.fhirpath.operators import boolean
from profiles.fhirpath.scope import Ev, Scope, single


def _holds(criterion: Ev, item: Any, index: int, scope: Scope) -> bool:
    return boolean(criterion(on(item, index, scope)), "a criterion") is True


def _empty(items: Items, args: Args, scope: Scope) -> Items:
    return [not items]


def _exists(items: Items, args: Args, scope: Scope) -> Items:
    if not args:
        return [bool(items)]
    return [any(_holds(args[0], item, index, scope) for index, item in enumerate(items))]


def _all(items: Items, args: Args, scope: Scope) -> Items:
    return [all(_holds(args[0], item, index, scope) for index, item in enumerate(items))]


def _count(items: Items, args: Args, scope: Scope) -> Items:
    return [len(items)]


def _not(items: Items, args: Args, scope: Scope) -> Items:
    verdict = boolean(items, "not()")
    return [] if verdict is None else [not verdict]


def _verdicts(items: Items, what: str) -> list[bool]:
    found = [values.system(item) for item in items]
    if any(not isinstance(value, bool) for value in found):
        raise FhirPathError(f"{what} works on Booleans")
    return found


def _all_true(items: Items, args: Args, scope: Scope) -> Items:
    return [all(_verdicts(items, "allTrue()"))]


def _any_true(items: Items, args: Args, scope: Scope) -> Items:
    return [any(_verdicts(items, "anyTrue()"))]


def _all_false(items: Items, args: Args, scope: Scope) -> Items:
    return [not any(_verdicts(items, "allFalse()"))]


def _any_false(items: Items, args: Args, scope: Scope) -> Items:
    return [not all(_verdicts(items, "anyFalse()"))]


def _keys(items: Items, scope: Scope) -> set[Any]:
    spend = scope.run.spend
    spend(len(items))
    return {values.key(item, spend) for item in items}


def _subset_of(items: Items, args: Args, scope: Scope) -> Items:
    return [_keys(items, scope) <= _keys(args[0](scope), scope)]


def _superset_of(items: Items, args: Args, scope: Scope) -> Items:
    return [_keys(items, scope) >= _keys(args[0](scope), scope)]


def _distinct(items: Items, args: Args, scope: Scope) -> Items:
    return values.distinct(items, scope.run.spend)


def _is_distinct(items: Items, args: Args, scope: Scope) -> Items:
    return [len(_keys(items, scope)) == len(items)]


def _where(items: Items, args: Args, scope: Scope) -> Items:
    criterion = args[0]
    return [item for index, item in enumerate(items) if _holds(criterion, item, index, scope)]


def _select(items: Items, args: Args, scope: Scope) -> Items:
    out: Items = []
    for index, item in enumerate(items):
        out += args[0](on(item, index, scope))
    scope.run.spend(len(out))
    return out


def _repeat(items: Items, args: Args, scope: Scope) -> Items:
    """Project again and again what the projection gives, each value once."""
    seen: set[Any] = set()
    out: Items = []
    queue = list(items)
    for item in queue:  # grows while it is walked
        for found in args[0](on(item, len(out), scope)):
            mark = (
                id(found.value)
                if found.__class__ is Node and found.shape.system is None
                else values.key(found, scope.run.spend)
            )
            if mark not in seen:
                seen.add(mark)
                out.append(found)
                queue.append(found)
    return out


def _aggregate(items: Items, args: Args, scope: Scope) -> Items:
    total: Items = args[1](scope) if len(args) > 1 else []
    for index, item in enumerate(items):
        step = on(item, index, scope)
        step.total = total
        total = args[0](step)
    return total


def _children(items: Items, args: Args, scope: Scope) -> Items:
    out: Items = []
    for item in items:
        if item.__class__ is Node:
            all_children(item, out)
    scope.run.spend(len(out))
    return out


def _descendants(items: Items, args: Args, scope: Scope) -> Items:
    out: Items = []
    level = items
    while level:
        level = _children(level, args, scope)
        out += level
    return out


def _single(items: Items, args: Args, scope: Scope) -> Items:
    single(items, "single()")
    return items


def _first(items: Items, args: Args, scope: Scope) -> Items:
    return items[:1]


def _last(items: Items, args: Args, scope: Scope) -> Items:
    return items[-1:]


def _tail(items: Items, args: Args, scope: Scope) -> Items:
    return items[1:]


def _skip(items: Items, args: Args, scope: Scope) -> Items:
    number = integer_argument(args, 0, scope, "skip()")
    return [] if number is None else items[max(0, number) :]


def _take(items: Items, args: Args, scope: Scope) -> Items:
    number = integer_argument(args, 0, scope, "take()")
    return [] if number is None else items[: max(0, number)]


def _intersect(items: Items, args: Args, scope: Scope) -> Items:
    others = _keys(args[0](scope), scope)
    spend = scope.run.spend
    return [item for item in values.distinct(items, spend) if values.key(item, spend) in others]


def _exclude(items: Items, args: Args, scope: Scope) -> Items:
    others = _keys(args[0](scope), scope)
    spend = scope.run.spend
    spend(len(items))
    return [item for item in items if values.key(item, spend) not in others]


def _union(items: Items, args: Args, scope: Scope) -> Items:
    return _distinct([*items, *args[0](scope)], args, scope)


def _combine(items: Items, args: Args, scope: Scope) -> Items:
    joined = [*items, *args[0](scope)]
    scope.run.spend(len(joined))
    return joined


def _iif(items: Items, args: Args, scope: Scope) -> Items:
    item = single(items, "iif()")
    inner = scope if item is None else on(item, scope.index or 0, scope)
    verdict = argument(args, 0, inner, "iif()")
    if verdict is not None and not isinstance(verdict, bool):
        raise FhirPathError(f"the criterion of iif() must be a Boolean, not {values.describe(verdict)}")
    if verdict:
        return args[1](inner)
    return args[2](inner) if len(args) > 2 else []


def _coalesce(items: Items, args: Args, scope: Scope) -> Items:
    return next((found for arg in args if (found := arg(scope))), [])


def _sort(items: Items, keys: tuple[tuple[Ev, bool], ...], scope: Scope) -> Items:
    """Sorted by each (key, descending) in turn; items without a key come first."""
    marked = [
        ([single(key(on(item, index, scope)), "a sort key") for key, _ in keys], item)
        for index, item in enumerate(items)
    ]

    def order(one: tuple[Items, Any], other: tuple[Items, Any]) -> int:
        scope.run.spend(1)
        for (_, descending), mine, theirs in zip(keys, one[0], other[0], strict=True):
            if mine is None or theirs is None:
                if mine is not theirs:
                    return -1 if mine is None else 1
            elif verdict := values.compare(mine, theirs):
                return -verdict if descending else verdict
        return 0

    return [item for _, item in sorted(marked, key=cmp_to_key(order))]


TABLE: Table = {
    "empty": Function(_empty),
    "exists": Function(_exists, 0, 1),
    "all": Function(_all, 1, 1),
    "count": Function(_count),
    "not": Function(_not),
    "allTrue": Function(_all_true),
    "anyTrue": Function(_any_true),
    "allFalse": Function(_all_false),
    "anyFalse": Function(_any_false),
    "subsetOf": Function(_subset_of, 1, 1),
    "supersetOf": Function(_superset_of, 1, 1),
    "distinct": Function(_distinct),
    "isDistinct": Function(_is_distinct),
    "where": Function(_where, 1, 1),
    "select": Function(_select, 1, 1),
    "repeat": Function(_repeat, 1, 1),
    "aggregate": Function(_aggregate, 1, 2),
    "children": Function(_children),
    "descendants": Function(_descendants),
    "single": Function(_single),
    "first": Function(_first),
    "last": Function(_last),
    "tail": Function(_tail),
    "skip": Function(_skip, 1, 1),
    "take": Function(_take, 1, 1),
    "intersect": Function(_intersect, 1, 1),
    "exclude": Function(_exclude, 1, 1),
    "union": Function(_union, 1, 1),
    "combine": Function(_combine, 1, 1),
    "iif": Function(_iif, 2, 3),
    "coalesce": Function(_coalesce, 1, 16),
    "sort": Function(_sort, 0, 16),
}
