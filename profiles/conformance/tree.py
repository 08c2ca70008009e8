"""The elements of a StructureDefinition as a tree: children by name, and slices beside the element they slice.

https://hl7.org/fhir/R4/elementdefinition.html, https://hl7.org/fhir/R4/profiling.html#slicing
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Facts = dict[str, Any]
"""One ElementDefinition as JSON."""


class Element:
    """One element: its definition (``facts``), its children by name, its slices by slice name."""

    __slots__ = ("children", "facts", "name", "slice_name", "slices")

    def __init__(self, name: str, facts: Facts, slice_name: str = "") -> None:
        self.name = name
        self.facts = facts
        self.slice_name = slice_name
        self.children: dict[str, Element] = {}
        self.slices: dict[str, Element] = {}

    def copy(self) -> Element:
        """A copy that can be changed without changing this one."""
        other = Element(self.name, dict(self.facts), self.slice_name)
        other.children = {name: child.copy() for name, child in self.children.items()}
        other.slices = {name: one.copy() for name, one in self.slices.items()}
        return other

    @property
    def types(self) -> list[Facts]:
        """The types that the element may have."""
        found: list[Facts] = self.facts.get("type", [])
        return found

    def choice(self, name: str) -> tuple[Element, str] | None:
        """The choice child that ``name`` (valueQuantity) is one type of, and the code of that type."""
        for child in self.children.values():
            stem = child.name.removesuffix("[x]")
            if stem != child.name and name.startswith(stem):
                rest = name[len(stem) :]
                for kind in child.types:
                    code: str = kind.get("code", "")
                    if code[:1].upper() + code[1:] == rest:
                        return child, code
        return None


def grow(elements: Iterable[Facts]) -> Element:
    """The tree of a snapshot's elements. Raises ValueError where an element has no parent before it."""
    recent: dict[str, Element] = {}
    root: Element | None = None
    for facts in elements:
        path = facts.get("path")
        if not isinstance(path, str):
            raise ValueError("an element of the snapshot has no path")
        above, _, name = path.rpartition(".")
        if root is None:
            root = recent[path] = Element(name, facts)
            continue
        parent = recent.get(above)
        if parent is None:
            raise ValueError(f"the element {path} stands before its parent")
        recent[path] = _placed(parent, name, facts)
    if root is None:
        raise ValueError("the snapshot has no elements")
    return root


def _placed(parent: Element, name: str, facts: Facts) -> Element:
    slice_name = str(facts.get("sliceName") or "")
    sliced = parent.children.get(name)
    if sliced is None and not name.endswith("[x]"):
        choice = parent.choice(name)
        if choice is not None:
            sliced, slice_name = choice[0], slice_name or name
    if sliced is None or not slice_name:
        node = parent.children[name] = Element(name, facts)
        return node
    return add_slice(sliced, slice_name, facts)


def add_slice(sliced: Element, slice_name: str, facts: Facts) -> Element:
    """Put a slice in its place: ``a/b`` is a slice of the slice ``a``."""
    above = slice_name.rpartition("/")[0]
    holder = find_slice(sliced, above) if above else None
    node = Element(sliced.name, facts, slice_name)
    (holder or sliced).slices[slice_name] = node
    return node


def find_slice(sliced: Element, slice_name: str) -> Element | None:
    """The slice of this name, also among slices of slices."""
    found = sliced.slices.get(slice_name)
    if found is not None:
        return found
    for one in sliced.slices.values():
        found = find_slice(one, slice_name)
        if found is not None:
            return found
    return None


def flatten(root: Element) -> list[Facts]:
    """The elements of the tree as a snapshot has them, with paths and ids."""
    return list(_flat(root, root.name, root.name))


def _flat(node: Element, path: str, id: str) -> Iterator[Facts]:
    facts = {"id": id, "path": path}
    if node.slice_name:
        facts["sliceName"] = node.slice_name
    yield facts | {key: value for key, value in node.facts.items() if key not in ("id", "path", "sliceName")}
    for name, child in node.children.items():
        yield from _flat(child, f"{path}.{name}", f"{id}.{name}")
    for slice_name, one in node.slices.items():
        yield from _flat(one, path, f"{_unsliced(id)}:{slice_name}")


def _unsliced(id: str) -> str:
    """The id without the slice name of its last part."""
    head, dot, last = id.rpartition(".")
    return f"{head}{dot}{last.partition(':')[0]}"
