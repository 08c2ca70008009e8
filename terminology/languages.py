"""Display languages: ranges with weights as in Accept-Language, and which designation they choose.

https://hl7.org/fhir/R4/valueset-operation-expand.html (displayLanguage), RFC 4647, RFC 9110 section 12.5.4
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

_RANGE = re.compile(r"\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Languages:
    """What the user reads, best first. ``hard``: no other language will do (``*; q=0``). ``text``: as asked."""

    ranges: tuple[str, ...] = ()
    hard: bool = False
    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def rank(self, language: str | None) -> tuple[int, int] | None:
        """How well ``language`` fits (less is better), None not at all."""
        if not language:
            return None
        given = language.lower()
        for place, wanted in enumerate(self.ranges):
            if given == wanted:
                return place, 0
            if given.startswith(wanted + "-"):
                return place, 1
            if wanted.startswith(given + "-"):
                return place, 2
        return None

    def best(self, items: Iterable[tuple[str | None, T]]) -> T | None:
        """The item whose language fits best; the first of equals."""
        ranked = [(rank, n, item) for n, (language, item) in enumerate(items) if (rank := self.rank(language))]
        return min(ranked, key=lambda x: (x[0], x[1]))[2] if ranked else None

    def fitting(self, items: Sequence[tuple[str | None, T]]) -> list[T]:
        """The items whose language fits, in their order."""
        return [item for language, item in items if self.rank(language) is not None]


NO_LANGUAGE = Languages()


def languages(text: str | None) -> Languages:
    """``zh-CN, en;q=0.5`` read. Raises ValueError where it is no list of language ranges."""
    if not text or not text.strip():
        return NO_LANGUAGE
    found: list[tuple[float, int, str]] = []
    hard = False
    parts = [part.strip() for part in text.split(",")]
    for place, part in enumerate(parts):
        name, _, weight = (x.strip() for x in part.partition(";"))
        if not name:
            continue
        if not _RANGE.fullmatch(name):
            raise ValueError(f"'{name}' is no language range")
        q = _weight(weight)
        if name == "*":
            hard = q == 0
        elif q > 0:
            found.append((-q, place, name.lower()))
    return Languages(tuple(name for _, _, name in sorted(found)), hard, _spelled(parts))


def _spelled(parts: list[str]) -> str:
    """As asked, in one spelling: a blank after a comma where a weight follows somewhere."""
    return (", " if any(";" in part for part in parts) else ",").join(parts)


def _weight(text: str) -> float:
    if not text:
        return 1.0
    match = re.fullmatch(r"q\s*=\s*([01](?:\.\d{0,3})?)", text, re.IGNORECASE)
    if match is None:
        raise ValueError(f"'{text}' is no weight of a language range")
    return float(match[1])
