"""Paths of plain element names, walked over the JSON itself: no nodes, no scope.

https://hl7.org/fhir/R4/fhirpath.html#paths
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from profiles.fhirpath.model import is_type, shape
from profiles.fhirpath.syntax import Expr, Member, Path

Walk: TypeAlias = Callable[[dict[str, Any]], "list[Any] | None"]
_Plan: TypeAlias = tuple[tuple[str, ...], ...]
_MAX_KEYS = 12


def simple_path(tree: Expr) -> Walk | None:
    """A walker for ``Type.name.name…``; None for any other expression.

    The walker gives the JSON values, or None where the resource's type needs the full evaluation.
    """
    parts = (tree.head, *tree.steps) if isinstance(tree, Path) else (tree,)
    if not all(isinstance(part, Member) for part in parts):
        return None
    names = tuple(part.name for part in parts if isinstance(part, Member))
    plans: dict[str, _Plan | None] = {}

    def walk(resource: dict[str, Any]) -> list[Any] | None:
        name = resource.get("resourceType")
        if name.__class__ is not str:
            return None
        if name not in plans:
            if not is_type(name):
                return None
            plans[name] = _plan(name, names)
        plan = plans[name]
        return None if plan is None else _walk(resource, plan)

    return walk


def _walk(resource: dict[str, Any], plan: _Plan) -> list[Any]:
    items: list[Any] = [resource]
    for keys in plan:
        found: list[Any] = []
        for item in items:
            if item.__class__ is not dict:
                continue
            for key in keys:
                value = item.get(key)
                if value is None:
                    continue
                if value.__class__ is list:
                    found += value
                else:
                    found.append(value)
        items = found
    return [item for item in items if item is not None] if None in items else items


def _plan(type_name: str, names: tuple[str, ...]) -> _Plan | None:
    """The JSON keys to try at each step; None if a step leaves what the definitions fix."""
    current = shape(type_name)
    if names[0] in current.lineage:
        names = names[1:]
    steps: list[tuple[str, ...]] = []
    for place, name in enumerate(names):
        members = current.members.get(name)
        if members is None or len(members) > _MAX_KEYS:
            return None
        steps.append(tuple(members))
        if place == len(names) - 1:
            break
        kinds = {member.type for member in members.values()}
        one = next(iter(members.values()))
        if len(kinds) > 1 or one.primitive or one.type in ("Resource", "DomainResource"):
            return None
        current = shape(one.type)
    return tuple(steps)
