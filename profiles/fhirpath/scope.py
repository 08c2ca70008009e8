"""What an evaluation knows: the environment given by the caller, the run's limits, and ``$this`` at each point.

https://hl7.org/fhir/R4/fhirpath.html#variables
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeAlias

from profiles.fhirpath.errors import FhirPathError, TooCostlyError
from profiles.fhirpath.model import Items, Node

Resolve: TypeAlias = Callable[[str], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Environment:
    """What an expression may ask of its surroundings, and how much it may cost.

    ``variables``: values of ``%name``. ``resolve``: reference text to resource or None. ``member_of``: (JSON value,
    value set URL) to bool, None for unknown. ``conforms_to``: (JSON value, profile URL) likewise. ``trace``: told
    (name, values). ``now``: the moment of now() and today(). ``max_steps``: items visited; ``max_seconds``: time.
    """

    variables: Mapping[str, Any] = field(default_factory=dict)
    resolve: Resolve | None = None
    member_of: Callable[[Any, str], bool | None] | None = None
    conforms_to: Callable[[Any, str], bool | None] | None = None
    trace: Callable[[str, list[Any]], None] | None = None
    now: datetime | None = None
    max_steps: int = 2_000_000
    max_seconds: float = 2.0


DEFAULT = Environment()
MAX_TEXT = 1_000_000
"""Longest text that an expression may make, in characters."""
_CLOCK_EVERY = 2_048


class Budget:
    """Steps that evaluations share. ``more``: asked once, when they are spent, for how many there are besides."""

    __slots__ = ("_more", "left")

    def __init__(self, steps: int, more: Callable[[], int] | None = None) -> None:
        self.left = steps
        self._more = more

    def covers(self, steps: int) -> bool:
        """Whether so many steps are left."""
        if steps > self.left and self._more is not None:
            self.left += self._more()
            self._more = None
        return steps <= self.left


class Run:
    """One evaluation: its environment, the node it started on, and what it has spent.

    ``entries`` holds the resources of the Bundle around, by full URL, once a reference was looked for among them.
    """

    __slots__ = ("_budget", "_deadline", "_next_look", "context", "entries", "environment", "now", "resolve", "spent")

    def __init__(
        self, environment: Environment, context: Node, resolve: Resolve | None, budget: Budget | None = None
    ) -> None:
        self.environment = environment
        self.context = context
        self.resolve = resolve or environment.resolve
        self.now: datetime | None = environment.now
        self.entries: dict[str, Node] | None = None
        self._budget = budget
        self.spent = 0
        self._next_look = _CLOCK_EVERY
        self._deadline = 0.0

    def spend(self, steps: int) -> None:
        """Count steps; raises TooCostlyError when the limit of steps or of time is passed."""
        self.spent += steps
        if self.spent >= self._next_look:
            self._look()

    def _look(self) -> None:
        limits = self.environment
        now = monotonic()
        if not self._deadline:
            self._deadline = now + limits.max_seconds
        self._next_look = self.spent + _CLOCK_EVERY
        if self._budget is not None and not self._budget.covers(self.spent):
            raise TooCostlyError("the expressions of profiles take too long on this resource")
        if self.spent > limits.max_steps or now > self._deadline:
            raise TooCostlyError("the expression takes too long on this resource")

    def made_text(self, text: str) -> str:
        """The text, counted; raises TooCostlyError if it is too long."""
        self.check_length(len(text))
        return text

    def check_length(self, length: int) -> None:
        """Count a text that is about to be made; raises TooCostlyError if it is too long."""
        if length > MAX_TEXT:
            raise TooCostlyError(f"the expression makes a text of more than {MAX_TEXT} characters")
        self.spend(length >> 6)

    def moment(self) -> datetime:
        """Now, the same throughout one evaluation."""
        if self.now is None:
            self.now = datetime.now(UTC)
        return self.now


class Scope:
    """``$this`` (a collection), ``$index`` and ``$total`` at one point of a run."""

    __slots__ = ("index", "run", "this", "total")

    def __init__(self, this: Items, run: Run, index: int | None = None, total: Items | None = None) -> None:
        self.this = this
        self.run = run
        self.index = index
        self.total = total


Ev: TypeAlias = Callable[[Scope], Items]
"""A compiled expression."""
Step: TypeAlias = Callable[[Items, Scope], Items]
"""A compiled step: from the collection before it to the one after it."""


def single(items: Items, what: str) -> Any:
    """The only item, None if there is none; raises FhirPathError if there are several."""
    if len(items) > 1:
        raise FhirPathError(f"{what} takes one item, not {len(items)}")
    return items[0] if items else None
