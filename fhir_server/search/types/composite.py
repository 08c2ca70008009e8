"""Composite parameters: several values of one element at once, joined by ``$``.

https://hl7.org/fhir/R4/search.html#composite. Components that all stand at the root of the
resource are the same as the simple parameters together; others are compared element by element.
"""

from __future__ import annotations

from collections.abc import Callable

from fhir_server.search.context import Context, any_of, bad_value, no_modifier, split
from fhir_server.search.plan import Indexed, Part
from fhir_server.search.tree import And, Composite, Node, Param

MODIFIERS = ("missing",)

Simple = Callable[[Context, Indexed, str, str], Node]


def node(context: Context, indexed: Indexed, modifier: str, text: str, simple: Simple) -> Node:
    """The condition that one composite value asks; ``simple`` parses a component's value."""
    if modifier:
        raise no_modifier(indexed, modifier, MODIFIERS)
    values = split(text, "$")
    count = len(indexed.definition.components)
    if len(values) != count or not all(values):
        raise bad_value(indexed, text, f"it is {count} values joined by '$'")

    def part_node(part: Part) -> Node:
        nodes = tuple(simple(context, c, "", v) for c, v in zip(part.components, values, strict=True))
        return And(nodes) if part.root else Composite(Param(indexed.type, part.code), nodes)

    return any_of(part_node(part) for part in indexed.parts)
