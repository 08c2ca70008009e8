"""The query tree: what a search asks, free of syntax and of any engine.

https://hl7.org/fhir/R4/search.html. The URL is parsed to these frozen nodes; each store
compiles them. Times are microseconds since 1970 UTC as half-open intervals [low, high).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MIN_TIME = -(2**62)  # an interval open to the past
MAX_TIME = 2**62  # an interval open to the future


@dataclass(frozen=True, slots=True)
class Param:
    """An indexed search parameter of one resource type.

    ``key`` is the parameter's code, or a derived index key: ``code:text``,
    ``identifier:of-type``, ``subject:identifier``, ``component-code-value-quantity$0``.
    """

    type: str
    key: str


INSIDE = "true"


def inside_key(type: str, key: str) -> str:
    """The key of the ``tok`` rows of contained resources to which the container's reference ``key`` points."""
    return f"in:{type}.{key}"


class Prefix(StrEnum):
    """Comparison of an ordered value. https://hl7.org/fhir/R4/search.html#prefix"""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    SA = "sa"
    EB = "eb"
    AP = "ap"


class Node:
    """A condition on resources of one type."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class And(Node):
    """All hold; no nodes means every resource of the type."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or(Node):
    """At least one holds; no nodes means none."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    """The resource does not satisfy ``node`` (resources without the value satisfy this)."""

    node: Node


@dataclass(frozen=True, slots=True)
class Token(Node):
    """Index rows ``tok``. ``system`` None: any; '': none. ``code`` None: any code of the system."""

    param: Param
    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Tokens(Node):
    """``Token`` with any of many codes in one system (None: any system)."""

    param: Param
    system: str | None
    codes: tuple[str, ...]


class StringMode(StrEnum):
    """How a string parameter compares; EQUAL and SUFFIX (both folded) are asked by ``_filter`` only."""

    PREFIX = "prefix"
    EXACT = "exact"
    CONTAINS = "contains"
    EQUAL = "equal"
    SUFFIX = "suffix"


@dataclass(frozen=True, slots=True)
class String(Node):
    """Index rows ``str``. ``value`` is normalised, but as given for EXACT."""

    param: Param
    mode: StringMode
    value: str


class UriMode(StrEnum):
    """How a uri parameter compares: equal; ``:below`` (a prefix of the stored); ``:above``."""

    EXACT = "exact"
    BELOW = "below"
    ABOVE = "above"


@dataclass(frozen=True, slots=True)
class Uri(Node):
    """Index rows ``tok`` with system ''."""

    param: Param
    mode: UriMode
    value: str


@dataclass(frozen=True, slots=True)
class Date(Node):
    """Index rows ``dat``: the stored interval compared with [low, high)."""

    param: Param
    prefix: Prefix
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Quantity(Node):
    """Index rows ``qty``: the stored [low, high] compared with the range the search value implies.

    ``value`` is the search value itself, ``low``/``high`` its implied precision (eq, ne)
    or its approximation (ap): low <= value < high. Numbers have ``system`` and ``code`` ''.
    ``system``/``code`` None: any.
    """

    param: Param
    prefix: Prefix
    value: float
    low: float
    high: float
    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Reference(Node):
    """Index rows ``ref``: a reference to a resource of this server. ``type`` None: any type."""

    param: Param
    type: str | None
    id: str


@dataclass(frozen=True, slots=True)
class Near(Node):
    """Index rows ``geo``: within ``km`` kilometres of the point (degrees)."""

    param: Param
    latitude: float
    longitude: float
    km: float


@dataclass(frozen=True, slots=True)
class Text(Node):
    """``_text`` (narrative) or ``_content`` (all strings): every word or CJK run occurs."""

    scope: str
    query: str


@dataclass(frozen=True, slots=True)
class Missing(Node):
    """``:missing``: the resource has no value (True), or has one (False)."""

    param: Param
    missing: bool


@dataclass(frozen=True, slots=True)
class Composite(Node):
    """One element satisfies all component conditions (each on a component index key)."""

    param: Param
    components: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """The reference ``param`` points to a ``type`` resource that satisfies ``node``.

    ``canonical``: it may also name the resource by its canonical URL (rows ``tok`` as of uris).
    ``contained`` is the condition on a contained resource that it may point to instead.
    """

    param: Param
    type: str
    node: Node
    canonical: bool = False

    @property
    def contained(self) -> Contains:
        """The chain inside the resource: its rows are rows of the chain, too.

        https://hl7.org/fhir/R4/search.html#contained
        """
        pointed_at = Param(self.type, inside_key(self.param.type, self.param.key))
        return Contains(self.type, And((Token(pointed_at, "", INSIDE), self.node)))


@dataclass(frozen=True, slots=True)
class Has(Node):
    """Some resource of ``param.type`` that satisfies ``node`` points here with ``param``.

    ``canonical``: perhaps by the canonical URL (see ``Chain``).
    """

    param: Param
    node: Node
    canonical: bool = False


@dataclass(frozen=True, slots=True)
class Contains(Node):
    """Some contained resource of ``type`` satisfies ``node`` (``_contained``)."""

    type: str
    node: Node


@dataclass(frozen=True, slots=True)
class Id(Node):
    """The logical id is one of these."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LastUpdated(Node):
    """``meta.lastUpdated`` compared with [low, high)."""

    prefix: Prefix
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class InList(Node):
    """``_list``: the resource is an entry of the List with this id."""

    id: str


@dataclass(frozen=True, slots=True)
class InCompartment(Node):
    """The resource is in the compartment of ``type``/``id`` by one of these reference parameters.

    ``keys`` empty: never, but for the compartment's own resource when ``itself``.
    """

    type: str
    id: str
    keys: tuple[str, ...]
    itself: bool = False


class Order(StrEnum):
    """What a sort key reads: an index table, or a column that every resource has."""

    ID = "id"
    LAST_UPDATED = "last_updated"
    TOKEN = "token"  # also uri
    STRING = "string"
    DATE = "date"
    NUMBER = "number"  # also quantity
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Sort:
    """One ``_sort`` key. Resources without the value come last in both directions.

    ``also``: further index keys that hold values of the parameter; ``target``: only references to
    this type are values (None: any).
    """

    key: str
    order: Order
    descending: bool = False
    also: tuple[str, ...] = ()
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Include:
    """``_include`` (``reverse`` False) or ``_revinclude``.

    ``source`` is the type that holds the reference, ``key`` its parameter (None: ``*``),
    ``target`` the wanted target type (None: any). ``canonical``: the reference may be a
    canonical URL (see ``Chain``).
    """

    source: str
    key: str | None
    target: str | None
    reverse: bool = False
    iterate: bool = False
    canonical: bool = False


class Total(StrEnum):
    """``_total``."""

    NONE = "none"
    ESTIMATE = "estimate"
    ACCURATE = "accurate"


@dataclass(frozen=True, slots=True)
class Query:
    """One search. ``where`` has one node per type, so that system searches are lists of these."""

    where: tuple[tuple[str, Node], ...]
    sort: tuple[Sort, ...] = ()
    includes: tuple[Include, ...] = ()
    count: int = 20
    total: Total = Total.NONE
    fragments: tuple[Contains, ...] = ()  # which contained resources of a match to name in Page.fragments


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A parsed search URL: the query, the presentation, and what was ignored leniently."""

    query: Query
    summary: str | None = None
    elements: tuple[str, ...] = ()
    contained: str = "false"
    contained_type: str = "container"
    cursor: str | None = None
    applied: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = field(default=())
