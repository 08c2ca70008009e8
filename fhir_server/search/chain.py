"""Chained parameters: conditions on what a reference points at.

https://hl7.org/fhir/R4/search.html#chaining. A chain is also evaluated inside contained resources
(search.html#contained).
"""

from __future__ import annotations

from collections.abc import Callable

from fhir_server.errors import BadRequest

from .context import Context, UnknownParameter, any_of
from .plan import Indexed
from .tree import Chain, Node, Or, Param

Criterion = Callable[[Context, str, str, str], Node]


def node(context: Context, type: str, code: str, modifier: str, rest: str, value: str, criterion: Criterion) -> Node:
    """The condition of ``code[:Type].rest=value``; without a type on every target that has ``rest``."""
    return targeted(context, type, code, modifier, rest, lambda target: criterion(context, target, rest, value))


def targeted(context: Context, type: str, code: str, modifier: str, rest: str, inner: Callable[[str], Node]) -> Node:
    """The chain to each possible target type whose condition ``inner`` can be made."""
    indexed = reference_param(context, type, code)
    targets = targets_of(context, indexed, modifier)
    if len(targets) == 1:
        return _to(context, indexed, targets[0], inner(targets[0]))
    nodes: list[Node] = []
    for target in targets:
        try:
            nodes.append(_to(context, indexed, target, inner(target)))
        except UnknownParameter:
            continue
    if not nodes:
        raise UnknownParameter(
            f"none of the types that '{code}' of {type} may point at ({', '.join(targets)}) has '{rest}'",
            f"http.{code}",
        )
    return any_of(nodes)


def reference_param(context: Context, type: str, code: str) -> Indexed:
    """The reference parameter ``code`` of ``type``. Raises UnknownParameter."""
    indexed = context.param(type, code)
    if indexed.kind != "reference":
        raise UnknownParameter(
            f"search parameter '{code}' of {type} is no reference ({indexed.kind}), so it leads to nothing",
            f"http.{code}",
        )
    return indexed


def targets_of(context: Context, indexed: Indexed, modifier: str) -> tuple[str, ...]:
    """The target types that a reference parameter may have, narrowed to ``modifier``."""
    if not modifier:
        return indexed.targets
    context.resource_type(modifier, f"{indexed.code}:{modifier}")
    if modifier not in indexed.targets:
        raise BadRequest(
            f"'{indexed.code}' of {indexed.type} does not point at {modifier}, but at {', '.join(indexed.targets)}",
            f"http.{indexed.code}",
        )
    return (modifier,)


def canonical(context: Context, indexed: Indexed, target: str) -> bool:
    """Whether the parameter may name a resource of type ``target`` by its canonical URL."""
    if not indexed.types & {"canonical", "uri"}:
        return False
    url = context.params(target).get("url")
    return url is not None and url.kind == "uri"


def _to(context: Context, indexed: Indexed, target: str, inner: Node) -> Node:
    named = canonical(context, indexed, target)

    sources = [s for s in indexed.sources if s.target in (None, target)]
    return any_of(Chain(Param(indexed.type, s.key), target, inner, named) for s in sources) if sources else Or(())
