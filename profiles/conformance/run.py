"""One validation on its way: the issues found, the options, and where references lead.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from profiles.conformance.bindings import Bindings
from profiles.fhirpath import Budget, Environment
from profiles.fhirpath.model import Node, children, shape_of_resource
from profiles.issues import Issue

if TYPE_CHECKING:
    from profiles.conformance.rules import Rule

MAX_ISSUES = 200
STEPS = 50_000
"""What the expressions of profiles may cost on one resource, in steps of one to two microseconds."""
_STEPS_PER_VALUE = 10  # and besides for each of its values: a large Bundle is held to its profiles too
Resolver = Callable[[str], "dict[str, Any] | None"]
"""Reference text to the resource that it leads to, None where that cannot be known."""


class Enough(Exception):
    """So many issues are found that more would help nobody."""


@dataclass(frozen=True, slots=True)
class Options:
    """How strict a validation is.

    ``unknown_extensions``: the severity of an extension whose definition is not known ("error", "warning",
    "information"); one of HL7's own is at most a warning, one that modifies always an error.
    ``resolve``: finds resources outside of the one that is validated. ``must_resolve``: references that ``resolve``
    does not find are errors. ``displays``: the severity of a display that is not the code's own.
    ``claims``: the profiles in ``meta.profile`` are checked too. ``best_practice``: the severity of best-practice
    invariants. ``in_words``: the severity of rules that the specification says in words only, and that some of its own
    examples break (the form of full URLs, codes of quantities …). ``hints``: also what is only information (preferred
    bindings, best practice). ``security``: texts that look like HTML are errors. ``examples``: URLs under example.org
    and the like may stand in records.
    """

    unknown_extensions: str = "warning"
    resolve: Resolver | None = None
    must_resolve: bool = False
    displays: str = "warning"
    claims: bool = True
    best_practice: str = "warning"
    in_words: str = "warning"
    hints: bool = True
    security: bool = False
    examples: bool = True


DEFAULT = Options()


@dataclass(slots=True)
class Check:
    """The state of one validation: ``found`` collects the issues; ``root`` is the whole resource."""

    root: Node
    options: Options
    bindings: Bindings
    environment: Environment
    budget: Budget  # what the expressions of profiles may still cost, see ``allowance``
    found: list[Issue] = field(default_factory=list)
    # (identity of a value, profile URL) of what is being checked or was, against endless circles.
    verdicts: dict[tuple[int, str], bool] = field(default_factory=dict)
    # Ids and anchors within a resource, by the identity of its value.
    anchors: dict[int, set[str]] = field(default_factory=dict)
    # Whether references can only lead to contained resources: there is nothing around, and nobody to ask.
    alone: bool = field(init=False)
    _errors: int = 0
    _hints: int = 0
    _kept: list[Any] = field(default_factory=list)
    _entries: dict[int, dict[str, Node]] = field(default_factory=dict)
    _remote: dict[str, Node | None] = field(default_factory=dict)
    _size: int = 0

    def __post_init__(self) -> None:
        around = self.root.shape.name in ("Bundle", "Parameters")
        self.alone = not around and self.options.resolve is None and not self.options.must_resolve

    def size(self) -> int:
        """How many values the whole resource has."""
        if not self._size:
            self._size = _values_in(self.root.value)
        return self._size

    def add(self, code: str, text: str, node: Node | str, severity: str = "error") -> None:
        """Note an issue at a node (or at a path); of what is no error only the first MAX_ISSUES."""
        if severity != "error":
            if self._hints < MAX_ISSUES:
                self._hints += 1
                self.found.append(Issue(code, text, (node if isinstance(node, str) else node.path,), severity))
            return
        self._errors += 1
        self.found.append(Issue(code, text, (node if isinstance(node, str) else node.path,), severity))
        if self._errors >= MAX_ISSUES:
            raise Enough

    def conforms(self, node: Node, rule: Rule) -> bool:
        """Whether the node satisfies a rule, without noting why not."""
        mark = (id(node.value), rule.url + rule.path)
        verdict = self.verdicts.get(mark)
        if verdict is None:
            self._kept.append(node.value)  # so that nothing else gets its identity
            self.verdicts[mark] = True  # a circle holds as long as nothing else speaks against it
            verdict = not any(i.severity in ("error", "fatal") for i in self.issues_of(node, rule))
            self.verdicts[mark] = verdict
        return verdict

    def issues_of(self, node: Node, rule: Rule) -> list[Issue]:
        """What speaks against the node's satisfying a rule, kept apart from what was found."""
        kept, self.found = self.found, []
        counts, self._errors, self._hints = (self._errors, self._hints), 0, 0
        try:
            rule.check(node, self)
        except Enough:
            pass
        finally:
            mine, self.found = self.found, kept
            self._errors, self._hints = counts
        return mine

    def resolve(self, reference: str, node: Node) -> Node | None:
        """The resource that a reference at ``node`` leads to; None where it is not to be had."""
        if self.alone and not reference.startswith("#"):
            return None
        found = self.resolve_within(reference, node)
        if found is not None or reference.startswith("#") or self.options.resolve is None:
            return found
        if reference not in self._remote:
            value = self.options.resolve(reference)
            self._remote[reference] = None if value is None else Node(value, shape_of_resource(value))
        return self._remote[reference]

    def resolve_within(self, reference: str, node: Node) -> Node | None:
        """The same without looking outside of the whole resource."""
        if reference.startswith("#"):
            return self._contained(reference[1:], node)
        for holder in _holders(node):
            if holder.shape.name == "Bundle":
                found = self._in_bundle(holder, reference, node)
            else:
                found = self._parameters(holder).get(reference)
            if found is not None:
                return found
        return None

    def by_id(self, reference: str, node: Node) -> Node | None:
        """The entry whose full URL is ``urn:uuid:`` and the id of a relative reference, which does not lead to it."""
        id = reference.rpartition("/")[2]
        found = [self.entries(h).get(f"urn:uuid:{id}") for h in _holders(node) if h.shape.name == "Bundle"]
        return next((one for one in found if one is not None), None)

    def _parameters(self, holder: Node) -> dict[str, Node]:
        """The resources of a Parameters resource by Type/id."""
        found = self._entries.get(id(holder.value))
        if found is None:
            found = self._entries[id(holder.value)] = {}
            for resource in _in_parts(holder):
                found.setdefault(f"{resource.shape.name}/{resource.content.get('id')}", resource)
        return found

    def _contained(self, id: str, node: Node) -> Node | None:
        holder = node.resource()
        if holder.name == "contained" and holder.parent is not None:
            holder = holder.parent.resource()
        if not id:
            return holder
        inner = holder.content.get("contained")
        for place, value in enumerate(inner if isinstance(inner, list) else ()):
            if isinstance(value, dict) and value.get("id") == id:
                return Node(value, shape_of_resource(value), holder, "contained", place, None, "contained")
        return None

    def entries(self, bundle: Node) -> dict[str, Node]:
        """The resources of a Bundle by full URL."""
        found = self._entries.get(id(bundle.value))
        if found is None:
            found = self._entries[id(bundle.value)] = {}
            for entry, resource in bundle_entries(bundle):
                url = entry.content.get("fullUrl")
                if isinstance(url, str):
                    found.setdefault(url, resource)
                    version = _version(resource)
                    if version:
                        found[f"{url}/_history/{version}"] = resource
        return found

    def _in_bundle(self, bundle: Node, reference: str, node: Node) -> Node | None:
        """https://hl7.org/fhir/R4/bundle.html#references"""
        entries = self.entries(bundle)
        found = entries.get(reference)
        if found is not None:
            return found
        if ":" in reference.partition("/")[0]:
            return entries.get(reference.partition("/_history/")[0]) if "/_history/" not in reference else None
        base = _base_of(full_url_of(node))
        if base is None:
            return None
        return entries.get(base + reference)


def allowance(resource: dict[str, Any]) -> Budget:
    """What the expressions of profiles may cost on a resource."""
    return Budget(STEPS, lambda: _STEPS_PER_VALUE * _values_in(resource))


def _values_in(value: Any) -> int:
    count, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        count += 1
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return count


def _version(resource: Node) -> str:
    meta = resource.content.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return version if isinstance(version, str) else ""


def bundle_entries(bundle: Node) -> list[tuple[Node, Node]]:
    """The entries of a Bundle that have a resource, with it."""
    entries: list[Any] = []
    children(bundle, "entry", entries)
    out: list[tuple[Node, Node]] = []
    for entry in entries:
        inner: list[Any] = []
        children(entry, "resource", inner)
        out += [(entry, resource) for resource in inner]
    return out


def _in_parts(node: Node) -> list[Node]:
    """The resources in the parameters of a Parameters resource or of a parameter."""
    parts: list[Any] = []
    children(node, "parameter" if node.shape.name == "Parameters" else "part", parts)
    out: list[Any] = []
    for part in parts:
        children(part, "resource", out)
        out += _in_parts(part)
    return out


def _holders(node: Node) -> list[Node]:
    """The Bundles and Parameters that a node stands in, the nearest first."""
    out = []
    above: Node | None = node
    while above is not None:
        if above.shape.name in ("Bundle", "Parameters"):
            out.append(above)
        above = above.parent
    return out


def full_url_of(node: Node) -> str | None:
    """The fullUrl of the Bundle entry that a node stands in."""
    above: Node | None = node
    while above is not None:
        if above.shape.name == "Bundle.entry":
            url = above.content.get("fullUrl")
            return url if isinstance(url, str) else None
        above = above.parent
    return None


def _base_of(full_url: str | None) -> str | None:
    """The base of a RESTful URL (with its slash), None for other URLs."""
    if full_url is None or not full_url.startswith(("http://", "https://")):
        return None
    parts = full_url.partition("/_history/")[0].split("/")
    return "/".join(parts[:-2]) + "/" if len(parts) > 4 else None
