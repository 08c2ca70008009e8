"""Snapshots from differentials: a profile's changes put onto the tree of what it is based on.

https://hl7.org/fhir/R4/profiling.html#snapshot
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from profiles.conformance.tree import Element, Facts, add_slice, find_slice, grow

Lookup = Callable[[str], Element]
"""Canonical URL to the tree of that StructureDefinition; raises SnapshotError if there is none."""

STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_SYSTEM = "http://hl7.org/fhirpath/"
_APPENDED = ("constraint", "mapping", "condition", "alias", "example", "code", "extension")
_BY_URL = {"discriminator": [{"type": "value", "path": "url"}], "ordered": False, "rules": "open"}
_BY_TYPE = {"discriminator": [{"type": "type", "path": "$this"}], "ordered": False, "rules": "open"}


class SnapshotError(ValueError):
    """Why no snapshot can be made; ``path`` is the element of the differential concerned."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


def generate(definition: dict[str, Any], lookup: Lookup) -> Element:
    """The tree of a constraint: that of its base with its differential merged in. Raises SnapshotError."""
    base = definition.get("baseDefinition")
    if not isinstance(base, str):
        raise SnapshotError("the StructureDefinition has no baseDefinition")
    root = lookup(base).copy()
    differential = definition.get("differential")
    elements = differential.get("element", []) if isinstance(differential, dict) else []
    work = _Merge(root, lookup, str(definition.get("url", "")))
    for facts in elements:
        work.put(facts)
    return root


class _Merge:
    """One differential on its way into a tree."""

    def __init__(self, root: Element, lookup: Lookup, url: str) -> None:
        self._root = root
        self._lookup = lookup
        self._url = url
        self._recent: dict[str, Element] = {}
        # By choice element: its types before, and the types that shorthand paths (valueQuantity) named.
        self._short: dict[int, tuple[list[Facts], set[str]]] = {}

    def put(self, facts: Facts) -> None:
        """Merge one element of the differential."""
        path = facts.get("path")
        if not isinstance(path, str) or not path:
            raise SnapshotError("an element of the differential has no path")
        names = path.split(".")
        if names[0] != self._root.name:
            raise SnapshotError(f"the path {path} does not begin with {self._root.name}", path)
        node = self._locate(path, names, facts)
        self._merge(node, facts)
        for other in [p for p in self._recent if p.startswith(path + ".")]:
            del self._recent[other]
        self._recent[path] = node

    def _locate(self, path: str, names: list[str], facts: Facts) -> Element:
        parts = str(facts.get("id") or "").split(".")
        slices = [part.partition(":")[2] for part in parts] if len(parts) == len(names) else None
        node, here = self._root, names[0]
        for place, name in enumerate(names[1:], 1):
            here = f"{here}.{name}"
            last = place == len(names) - 1
            slice_name = slices[place] if slices else ""
            if last:
                slice_name = str(facts.get("sliceName") or "")
            elif not slices and here in self._recent:
                node = self._recent[here]
                continue
            node = self._step(node, name, slice_name, path)
        return node

    def _step(self, node: Element, name: str, slice_name: str, path: str) -> Element:
        """The child of this name, or its slice, which is made when it is new."""
        child = self._child(node, name)
        if child is None:
            choice = node.choice(name)
            if choice is None:
                raise SnapshotError(f"{path}: there is no element '{name}' in what the profile is based on", path)
            child, code = choice
            if [kind.get("code") for kind in child.types] == [code] and not child.slices and not slice_name:
                return child
            if slice_name:
                one = self._slice(child, slice_name)
                one.facts["type"] = [kind for kind in one.types if kind.get("code") == code]
                return one
            return self._shorthand(child, code, name)
        return self._slice(child, slice_name) if slice_name else child

    def _shorthand(self, child: Element, code: str, slice_name: str) -> Element:
        """``valueQuantity`` for ``value[x]``: only the types that the differential names so are left."""
        before, codes = self._short.setdefault(id(child), (child.types, set()))
        codes.add(code)
        one = find_slice(child, slice_name)
        if one is None:
            child.facts.setdefault("slicing", _BY_TYPE | {"rules": "closed"})
            child.facts["type"] = [kind for kind in before if kind.get("code") in codes]
            one = self._slice(child, slice_name)
        one.facts["type"] = [kind for kind in before if kind.get("code") == code]
        return one

    def _child(self, node: Element, name: str) -> Element | None:
        if name in node.children:
            return node.children[name]
        if not node.children or node.children.keys() <= {"id", "extension"}:
            self._unfold(node, name)
        return node.children.get(name)

    def _unfold(self, node: Element, name: str) -> None:
        """Give a node the children of its type, of its profile, or of the element it refers to."""
        reference = node.facts.get("contentReference")
        if isinstance(reference, str):
            node.children = {n: c.copy() for n, c in self._referred(reference).children.items()}
            return
        for kind in node.types:
            code = str(kind.get("code", ""))
            if code.startswith(_SYSTEM):
                continue
            profiles = kind.get("profile") or []
            source = self._lookup(profiles[0] if len(profiles) == 1 else STRUCTURE + code)
            if name in source.children or source.choice(name) or len(node.types) == 1:
                missing = {n: c.copy() for n, c in source.children.items() if n not in node.children}
                node.children = node.children | missing
                return

    def _referred(self, reference: str) -> Element:
        names = reference.rpartition("#")[2].split(".")
        # What the specification itself says there, not what this profile makes of it.
        root = self._lookup(STRUCTURE + names[0])
        for name in names[1:]:
            if name not in root.children:
                raise SnapshotError(f"the content reference {reference} leads to no element")
            root = root.children[name]
        return root

    def _slice(self, sliced: Element, slice_name: str) -> Element:
        found = find_slice(sliced, slice_name)
        if found is not None:
            return found
        above = find_slice(sliced, slice_name.rpartition("/")[0]) or sliced
        if sliced.name in ("extension", "modifierExtension"):
            sliced.facts.setdefault("slicing", _BY_URL)
        elif sliced.name.endswith("[x]"):
            sliced.facts.setdefault("slicing", _BY_TYPE)
        facts = {key: value for key, value in above.facts.items() if key != "slicing"} | {"min": 0}
        one = add_slice(sliced, slice_name, facts)
        one.children = {name: child.copy() for name, child in above.children.items()}
        if sliced.name.endswith("[x]"):
            stem = sliced.name.removesuffix("[x]")
            named = [k for k in one.types if stem + k.get("code", "")[:1].upper() + k.get("code", "")[1:] == slice_name]
            if named:
                one.facts["type"] = named
        return one

    def _merge(self, node: Element, facts: Facts) -> None:
        old = node.facts
        for key, value in facts.items():
            if key in ("id", "path", "sliceName"):
                continue
            if key in _APPENDED and key in old:
                known = [_same(one) for one in old[key]]
                old[key] = [*old[key], *(one for one in value if _same(one) not in known)]
            elif key == "type":
                self._narrow(node, value)
            elif (key == "slicing" and key in old) or (key == "binding" and key in old):
                old[key] = old[key] | value
            else:
                old[key] = value
        for constraint in old.get("constraint", ()):
            if constraint in facts.get("constraint", ()) and "source" not in constraint:
                old["constraint"] = [
                    c if c is not constraint else constraint | {"source": self._url} for c in old["constraint"]
                ]

    def _narrow(self, node: Element, types: list[Facts]) -> None:
        """Put the narrower types in, and forget children that were those of a type with other content."""
        before = node.types
        node.facts["type"] = types
        if node.children and before != types and all("profile" in kind for kind in types) and not _is_inline(node):
            node.children = {}


def _same(item: Any) -> Any:
    """What makes two entries of a list the same: of constraints, key and expression."""
    return (item["key"], item.get("expression")) if isinstance(item, dict) and "key" in item else item


def _is_inline(node: Element) -> bool:
    return any(kind.get("code") in ("BackboneElement", "Element") for kind in node.types)


def tree_of(definition: dict[str, Any], lookup: Lookup) -> Element:
    """The tree of a StructureDefinition: from its snapshot, or generated. Raises SnapshotError."""
    snapshot = definition.get("snapshot")
    elements = snapshot.get("element") if isinstance(snapshot, dict) else None
    try:
        if isinstance(elements, list) and elements:
            return grow(elements)
        return generate(definition, lookup)
    except (KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"the StructureDefinition is malformed: {type(error).__name__} {error}") from None
    except RecursionError:
        raise SnapshotError("the StructureDefinition is nested too deeply") from None
