"""Regular expressions of value set filters, matched in a time that no expression can blow up.

https://hl7.org/fhir/R4/codesystem.html#filters (``regex``; the whole value has to match). Plain expressions go to
``re``; those that repeat a repetition, where ``re`` may take forever, are run here as an automaton, all states at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from terminology.errors import BadDefinition

_MOST_STATES = 5_000
_LONGEST = 1_000
_QUANTIFIED_GROUP = re.compile(r"\)(?:[*+]|\{\d*,?\d*\})")
_BACKTRACKS = re.compile(r"\\[1-9]|\(\?(?!:)")
_CLASSES = {"d": r"\d", "D": r"\D", "w": r"\w", "W": r"\W", "s": r"\s", "S": r"\S"}
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "f": "\f", "v": "\v"}

Test = Callable[[str], bool]


@lru_cache(maxsize=512)
def matcher(pattern: str) -> Test:
    """A test whether the whole of a text matches. Raises BadDefinition where ``pattern`` is no expression."""
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise BadDefinition(f"The regular expression '{pattern}' cannot be read: {error}") from None
    if len(pattern) > _LONGEST or _BACKTRACKS.search(pattern):
        raise BadDefinition(f"The regular expression '{pattern}' is too long, or looks ahead or back")
    if not _QUANTIFIED_GROUP.search(pattern) and len(re.findall(r"[*+]|,\}", pattern)) <= 2:
        return lambda text: len(text) <= _LONGEST * 10 and compiled.fullmatch(text) is not None
    automaton = _Reader(pattern).automaton()
    return lambda text: len(text) <= _LONGEST and automaton.matches(text)


class _Automaton:
    """States with steps: each state has free moves, and at most one move on a character."""

    def __init__(self) -> None:
        self.free: list[list[int]] = []
        self.step: list[tuple[Test, int] | None] = []

    def state(self) -> int:
        if len(self.free) >= _MOST_STATES:
            raise BadDefinition("A regular expression of a value set repeats too much")
        self.free.append([])
        self.step.append(None)
        return len(self.free) - 1

    def matches(self, text: str) -> bool:
        states = self._closed({0})
        for character in text:
            states = self._closed({s[1] for n in states if (s := self.step[n]) is not None and s[0](character)})
            if not states:
                return False
        return 1 in states

    def _closed(self, states: set[int]) -> set[int]:
        waiting = list(states)
        while waiting:
            for following in self.free[waiting.pop()]:
                if following not in states:
                    states.add(following)
                    waiting.append(following)
        return states


class _Reader:
    """Reads an expression (that ``re`` has accepted) into an automaton; state 0 is the start, 1 the end."""

    def __init__(self, pattern: str) -> None:
        self._text, self._place = pattern, 0
        self._made = _Automaton()

    def automaton(self) -> _Automaton:
        start, end = self._made.state(), self._made.state()
        first, last = self._alternatives()
        self._join(start, first)
        self._join(last, end)
        return self._made

    def _join(self, one: int, other: int) -> None:
        self._made.free[one].append(other)

    def _next(self) -> str:
        return self._text[self._place : self._place + 1]

    def _alternatives(self) -> tuple[int, int]:
        start, end = self._made.state(), self._made.state()
        while True:
            first, last = self._sequence()
            self._join(start, first)
            self._join(last, end)
            if self._next() != "|":
                return start, end
            self._place += 1

    def _sequence(self) -> tuple[int, int]:
        start = last = self._made.state()
        while (c := self._next()) and c not in "|)":
            begin = self._place
            first, end = self._atom()
            low, high = self._repetition()
            if (low, high) != (1, 1):
                first, end = self._repeated(begin, self._place, low, high)
            self._join(last, first)
            last = end
        return start, last

    def _atom(self) -> tuple[int, int]:
        c = self._next()
        self._place += 1
        if c == "(":
            if self._text.startswith("?:", self._place):
                self._place += 2
            inner = self._alternatives()
            self._place += 1
            return inner
        if c in "^$":  # at the ends; the whole text is matched anyway
            if self._place != (1 if c == "^" else len(self._text)):
                raise BadDefinition(f"'{c}' in the midst of the regular expression '{self._text}' is not supported")
            only = self._made.state()
            return only, only
        return self._one(self._test(c))

    def _one(self, test: Test) -> tuple[int, int]:
        start, end = self._made.state(), self._made.state()
        self._made.step[start] = (test, end)
        return start, end

    def _test(self, c: str) -> Test:
        if c == ".":
            return lambda x: x != "\n"
        if c == "[":
            begin = self._place - 1
            if self._text.startswith("^", self._place):
                self._place += 1
            self._place += 1  # a bracket that comes first is a plain one
            while self._next() != "]":
                self._place += 2 if self._next() == "\\" else 1
            self._place += 1
            return self._of_class(self._text[begin : self._place])
        if c == "\\":
            letter = self._next()
            self._place += 1
            if letter in _CLASSES:
                return self._of_class(_CLASSES[letter])
            if letter.isalnum() and letter not in _ESCAPES:
                raise BadDefinition(f"'\\{letter}' in the regular expression '{self._text}' is not supported")
            plain = _ESCAPES.get(letter, letter)
            return lambda x: x == plain
        return lambda x: x == c

    def _of_class(self, text: str) -> Test:
        compiled = re.compile(text)
        return lambda x: compiled.match(x) is not None

    def _repetition(self) -> tuple[int, int | None]:
        found = re.compile(r"([*+?]|\{(\d*)(,?)(\d*)\})[?+]?").match(self._text, self._place)
        if found is None:
            return 1, 1
        self._place = found.end()
        if found[1] in ("*", "+", "?"):
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[found[1]]
        low = int(found[2] or 0)
        return low, (int(found[4]) if found[4] else None) if found[3] else low

    def _repeated(self, begin: int, after: int, low: int, high: int | None) -> tuple[int, int]:
        """The atom that starts at ``begin``, read again for each of its times."""
        start = last = self._made.state()
        end = self._made.state()
        for n in range(high if high is not None else low + 1):
            if n >= low:
                self._join(last, end)
            self._place = begin
            first, inner = self._atom()
            self._join(last, first)
            if high is None and n == low:
                loop = self._made.state()
                self._join(inner, loop)
                self._join(loop, first)
                inner = loop
            last = inner
        self._place = after
        self._join(last, end)
        return start, end
