"""``_contained``: searches that look into the contained resources of all types.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.errors import BadRequest

from . import tree
from .tree import Contains, Node, Or

Where = tuple[tuple[str, Node], ...]
# A contained resource has no identity, version or narrative index of its own.
_WHOLE = (tree.Id, tree.LastUpdated, tree.InList, tree.InCompartment, tree.Has, tree.Text, tree.Missing)


def containers(where: Where, both: bool, types: Iterable[str]) -> tuple[Where, tuple[Contains, ...]]:
    """The conditions on resources that contain a match, or with ``both`` match themselves; and what they contain.

    Raises BadRequest for conditions that only whole resources can satisfy.
    """
    for _, node in where:
        _refuse_whole(node)
    inside = tuple(Contains(type, node) for type, node in where)
    own = dict(where) if both else {}
    found: list[tuple[str, Node]] = []
    for type in sorted(types):
        alternatives: list[Node] = [*inside]
        if type in own:
            alternatives.append(own[type])
        found.append((type, alternatives[0] if len(alternatives) == 1 else Or(tuple(alternatives))))
    return tuple(found), inside


def _refuse_whole(node: Node) -> None:
    match node:
        case tree.And(nodes) | tree.Or(nodes):
            for one in nodes:
                _refuse_whole(one)
        case tree.Not(inner):
            _refuse_whole(inner)
    if isinstance(node, _WHOLE):
        what = type(node).__name__
        raise BadRequest(f"a condition of the kind {what} cannot be asked of contained resources", "http._contained")
