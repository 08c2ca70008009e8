"""Which routes and operations the suite attacks: tests register themselves, and what nobody attacks fails."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T", bound=Callable[..., object])
COVERED: dict[str, set[str]] = defaultdict(set)


def covers(*ways: str) -> Callable[[T], T]:
    """Mark a test as an attack on these: ``GET {type}/{id}`` for a route, ``$everything instance`` for an operation."""

    def mark(test: T) -> T:
        for way in ways:
            COVERED[way].add(test.__name__)
        return test

    return mark
