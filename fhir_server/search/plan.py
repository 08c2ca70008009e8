"""Which index keys each search parameter of a type is answered from.

Many R4 parameters ask for what another parameter already holds (``patient`` is ``subject``
where it is a Patient, ``combo-code`` is ``code`` or ``component-code``, ``phonetic`` is
``name``). Those get no rows of their own: ``Indexed.sources`` names the keys to ask instead.
https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from profiles.definitions import Definitions, ElementDef, SearchParameterDef

from .paths import As, Branch, ExistsAndNotFalse, Field, Index, Resolves, Steps, WhereEquals, branches

# Answered by the store's own columns and text index, by no rows.
BUILT_IN = frozenset({"_id", "_lastUpdated", "_text", "_content", "_query"})
SPECIAL_VALUES = (
    "http://hl7.org/fhir/special-values",
    "http://terminology.hl7.org/CodeSystem/special-values",
)
_ROOTS = frozenset({"", "Resource", "DomainResource"})


@dataclass(frozen=True, slots=True)
class Source:
    """An index key, and for references the only type that counts (None: any)."""

    key: str
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One way to satisfy a composite: its components all at the root, or all in one element."""

    code: str
    root: bool
    components: tuple[Indexed, ...]


@dataclass(frozen=True, slots=True)
class Indexed:
    """A search parameter of one resource type as the index holds it.

    ``present`` are the codes in ``Rows.present`` that say it has a value; ``types`` the FHIR
    types of the elements that it reads; ``systems`` the code systems implied by its ``code``
    elements; ``rows`` whether it has rows of its own.
    """

    type: str
    code: str
    kind: str
    definition: SearchParameterDef
    sources: tuple[Source, ...]
    present: tuple[str, ...]
    targets: tuple[str, ...] = ()
    types: frozenset[str] = frozenset()
    systems: frozenset[str] = frozenset()
    rows: bool = True
    parts: tuple[Part, ...] = ()


@dataclass(slots=True)
class TypePlan:
    """All search parameters of a resource type, and what the extractor has to make rows of."""

    type: str
    params: dict[str, Indexed]
    branches: dict[str, tuple[Branch, ...] | None]
    elements: dict[Steps, dict[tuple[str, str], str]] = field(default_factory=dict)
    outside: frozenset[str] = frozenset()


def branches_of(definition: SearchParameterDef, type: str) -> tuple[Branch, ...] | None:
    """The branches of the parameter that apply to ``type``, without their root; None: not of a known shape."""
    found = branches(definition.expression) if definition.expression else ()
    if found is None:
        return None
    return tuple(b._replace(root="") for b in found if b.root in _ROOTS or b.root == type)


def child_elements(definitions: Definitions, type: str) -> Mapping[str, ElementDef]:
    """The elements of a type by JSON key; none for a type that is not known."""
    try:
        return definitions.type(type).elements
    except KeyError:
        return {}


def elements_at(definitions: Definitions, type: str, steps: Steps) -> list[ElementDef]:
    """The element definitions that ``steps`` from ``type`` end at, one per choice type."""
    level: list[ElementDef] = []
    owners = [type]
    for step in steps:
        match step:
            case Field(name) | ExistsAndNotFalse(name):
                found = [e for owner in owners for e in child_elements(definitions, owner).values()]
                level = [e for e in found if name in (e.name, e.key)]
            case As(wanted):
                level = [e for e in level if e.type.lower() == wanted.lower()]
            case WhereEquals() | Resolves() | Index():
                pass
        owners = [e.type for e in level]
    return level


def _filter(steps: Steps) -> tuple[Steps, str | None]:
    """The steps without a last ``where(resolve() is T)``, and that type."""
    if steps and isinstance(steps[-1], Resolves):
        return steps[:-1], steps[-1].type
    return steps, None


@dataclass(frozen=True, slots=True)
class _Paths:
    """What a parameter reads: plain paths, all with the same type filter."""

    kind: str
    paths: frozenset[Steps]
    target: str | None


def _paths(kind: str, found: Iterable[Branch] | None) -> _Paths | None:
    pairs = [_filter(b.steps) for b in found or ()]
    targets = {target for _, target in pairs}
    if len(targets) != 1:
        return None
    return _Paths(kind, frozenset(steps for steps, _ in pairs), targets.pop())


def _cover(code: str, mine: _Paths, others: Mapping[str, _Paths]) -> list[str]:
    """The codes of other parameters that together read exactly the paths of ``mine``; [] if there are none."""
    usable = [
        (other, theirs.paths)
        for other, theirs in others.items()
        if other != code
        and other not in BUILT_IN
        and theirs.kind == mine.kind
        and theirs.target is None
        and theirs.paths <= mine.paths
        and (theirs.paths < mine.paths or mine.target is not None or other < code)
    ]
    usable.sort(key=lambda pair: (-len(pair[1]), pair[0]))
    chosen: list[str] = []
    covered: set[Steps] = set()
    for other, paths in usable:
        if not paths <= covered:
            chosen.append(other)
            covered |= paths
    return chosen if covered == mine.paths else []


class _Builder:
    """Builds the plan of one type."""

    def __init__(self, definitions: Definitions, type: str, custom: Iterable[SearchParameterDef]) -> None:
        self.definitions, self.type = definitions, type
        official = definitions.search_params(type)
        added = {d.code: d for d in custom if {type, "Resource", "DomainResource"} & set(d.base)}
        self.all = {**official, **{code: d for code, d in added.items() if code not in official}}
        self.by_url = {d.url: d for d in self.definitions.search_parameters}
        self.branches = {code: branches_of(d, type) for code, d in self.all.items()}
        self.paths = {
            code: paths
            for code, found in self.branches.items()
            if code in official and (paths := _paths(self.all[code].type, found)) is not None
        }
        self.plan = TypePlan(type, {}, self.branches)

    def build(self) -> TypePlan:
        for code, definition in self.all.items():
            if definition.type != "composite":
                self.indexed(code)
        for code, definition in sorted(self.all.items()):
            if definition.type == "composite":
                self.plan.params[code] = self.composite(definition)
        return self.plan

    def indexed(self, code: str) -> Indexed:
        """The simple parameter ``code``, made once."""
        if (made := self.plan.params.get(code)) is not None:
            return made
        definition = self.all[code]
        mine = self.paths.get(code) or _paths(definition.type, self.branches[code])
        cover = _cover(code, mine, self.paths) if mine is not None and code not in BUILT_IN else []
        leaves = [e for b in self.branches[code] or () for e in elements_at(self.definitions, self.type, b.steps)]
        parts = [self.indexed(other) for other in cover]
        target = mine.target if mine is not None else None
        if parts and definition.type == "reference" and len(definition.target) == 1:
            target = definition.target[0]
        made = Indexed(
            self.type,
            code,
            definition.type,
            definition,
            sources=tuple(Source(s.key, target or s.target) for p in parts for s in p.sources) or (Source(code),),
            present=(code,)
            if mine is None or mine.target or not parts
            else tuple(dict.fromkeys(c for p in parts for c in p.present)),
            targets=(target,) if target else self._targets(definition, leaves),
            types=frozenset(e.type for e in leaves),
            systems=self._systems(leaves),
            rows=not parts and code not in BUILT_IN,
        )
        self.plan.params[code] = made
        return made

    def _targets(self, definition: SearchParameterDef, leaves: Iterable[ElementDef]) -> tuple[str, ...]:
        """The resource types that the references may have."""
        known = self.definitions.resource_types
        named = [t for t in definition.target or sorted(known) if t in known]
        kinds = ("Reference",) if definition.target else ("Reference", "canonical")
        allowed = {t for e in leaves if e.type in kinds for t in (e.targets or known)}
        return tuple(t for t in named if not allowed or t in allowed or "Resource" in allowed)

    def _systems(self, leaves: Iterable[ElementDef]) -> frozenset[str]:
        """The code systems that ``code`` and ``boolean`` elements imply."""
        found: set[str] = set()
        for element in leaves:
            if element.type == "boolean":
                found.update(SPECIAL_VALUES)
            elif element.type == "code" and element.binding is not None:
                found.update(self.definitions.codings(element.binding.valueset) or ())
        return frozenset(found)

    def composite(self, definition: SearchParameterDef) -> Indexed:
        parts = [self._part(definition, b.steps) for b in self.branches[definition.code] or ()]
        found = tuple(p for p in parts if p is not None)
        present = tuple(dict.fromkeys(p.code for p in found if not p.root))
        return Indexed(
            self.type, definition.code, "composite", definition, (), present, rows=bool(present), parts=found
        )

    def _part(self, definition: SearchParameterDef, base: Steps) -> Part | None:
        components = self._components(definition, base)
        made: list[Indexed] = []
        for place, (simple, expression) in enumerate(components):
            found = branches(expression)
            if simple is None or found is None:
                return None
            component = (
                self._at_root(simple, found)
                if not base
                else self._in_element(definition.code, place, simple, expression, base, found)
            )
            if component is None:
                return None
            made.append(component)
        same = (
            part.code
            for other in self.plan.params.values()
            for part in other.parts
            if base and [c.sources for c in part.components] == [c.sources for c in made]
        )
        return Part(next(same, definition.code), not base, tuple(made))

    def _components(self, definition: SearchParameterDef, base: Steps) -> list[tuple[SearchParameterDef | None, str]]:
        """The components' parameters and expressions.

        R4 gives those of ``DocumentReference.relationship`` the wrong way round: a reference parameter the
        expression of a code. Where two expressions suit only each other's parameters, they are exchanged.
        """
        found = [(self.by_url.get(url), expression) for url, expression in definition.components]
        if len(found) == 2 and base:
            (one, first), (two, second) = found
            kinds = (one.type if one else "", two.type if two else "")
            if sorted(kinds) == ["reference", "token"] and self._referring(base, first) != (kinds[0] == "reference"):
                return [(one, second), (two, first)]
        return found

    def _referring(self, base: Steps, expression: str) -> bool:
        """Whether the expression leads to references."""
        ends = [
            e for b in branches(expression) or () for e in elements_at(self.definitions, self.type, (*base, *b.steps))
        ]
        return any(e.type == "Reference" for e in ends)

    def _at_root(self, simple: SearchParameterDef, found: tuple[Branch, ...]) -> Indexed | None:
        """The smallest simple parameter of the same kind that reads the component's path."""
        wanted = {b.steps for b in found}
        holders = [(len(p.paths), code) for code, p in self.paths.items() if p.kind == simple.type and wanted & p.paths]
        return self.indexed(min(holders)[1]) if holders else None

    def _in_element(
        self, code: str, place: int, simple: SearchParameterDef, expression: str, base: Steps, found: tuple[Branch, ...]
    ) -> Indexed:
        """A component read from the elements at ``base``; equal ones of several composites share a key."""
        keys = self.plan.elements.setdefault(base, {})
        key = keys.setdefault((simple.type, expression), f"{code}${place}")
        if any(b.outside for b in found):
            self.plan.outside |= {key}
        leaves = [
            e
            for b in found
            for e in elements_at(self.definitions, self.type, b.steps if b.outside else (*base, *b.steps))
        ]
        return Indexed(
            self.type,
            simple.code,
            simple.type,
            simple,
            (Source(key),),
            (),
            targets=self._targets(simple, leaves),
            types=frozenset(e.type for e in leaves),
            systems=self._systems(leaves),
        )


@lru_cache(maxsize=1024)
def plan_of(definitions: Definitions, type: str, custom: tuple[SearchParameterDef, ...] = ()) -> TypePlan:
    """The plan of a concrete resource type. Official parameters do not depend on ``custom``."""
    return _Builder(definitions, type, custom).build()
