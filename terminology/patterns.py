"""Regular expressions written by users, matched in a time that no expression can blow up.

https://hl7.org/fhir/R4/codesystem.html#filters (``regex``; the whole value has to match). The engine is that of the
JSON Schema validator, whose time grows with the pattern times the text: ``re`` may take forever, and stops all threads
meanwhile. https://docs.rs/regex/latest/regex/#untrusted-input
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jsonschema_rs

from terminology.errors import BadDefinition, TooCostly

MAX_WORK = 10_000_000
"""Most (size of the pattern) × (length of the text) of one match: under a second at the worst."""
_LONGEST = 1_000  # characters of a pattern of a filter
_MAX_CHOICES = 10

Test = Callable[[str], bool]


@lru_cache(maxsize=512)
def matcher(pattern: str) -> Test:
    """A test whether the whole of a text matches. Raises BadDefinition where ``pattern`` is no expression.

    The test raises TooCostly for a text that is too long for the pattern.
    """
    if len(pattern) > _LONGEST:
        raise BadDefinition(f"The regular expression '{pattern[:60]}…' is too long: over {_LONGEST} characters")
    try:
        automaton = whole(pattern)
    except ValueError:
        raise BadDefinition(
            f"The regular expression '{pattern}' cannot be read, repeats too much, or looks ahead or back"
        ) from None
    longest = MAX_WORK // weight(pattern).size

    def test(text: str) -> bool:
        if len(text) > longest:
            raise TooCostly(f"Matching '{pattern[:60]}' could take too long on {len(text)} characters")
        return bool(automaton.is_valid(text))

    return test


@lru_cache(maxsize=128)
def anywhere(pattern: str, flags: str = "") -> Any:
    """What tells (``is_valid``) whether the pattern occurs in a text; ``flags`` as in ``(?s)``. Raises ValueError."""
    options = jsonschema_rs.RegexOptions(size_limit=1_000_000, dfa_size_limit=1_000_000)
    try:
        return jsonschema_rs.validator_for({"pattern": flags + pattern}, pattern_options=options)
    except (jsonschema_rs.ValidationError, ValueError):
        raise ValueError("no regular expression that can be matched in linear time") from None


def whole(pattern: str, flags: str = "") -> Any:
    """The same for the whole of a text. Raises ValueError."""
    anywhere(pattern, flags)  # its brackets are in balance: none closes the group here
    return anywhere(f"\\A(?:{pattern})\\z", flags)


class Weight(NamedTuple):
    """``size``: atoms with counted repetitions written out; ``loops``: repetitions.

    ``backtracks``: a repetition stands inside another, or there are many choices: exponential for a backtracker.
    """

    size: int
    loops: int
    backtracks: bool


_ATOM = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?(?:P?<[A-Za-z_]\w*>|[:a-zA-Z-]+))?|[*+?|]|\{\d+(?:,\d*)?\}|.", re.DOTALL
)
_COUNTS = re.compile(r"\{(\d+)(?:,(\d*))?\}")


@lru_cache(maxsize=64)
def weight(pattern: str) -> Weight:
    """What matching the pattern costs, read off its text."""
    sizes, loops, choices = [0], [0], 0  # by open group
    last_size, last_loops, backtracks = 0, 0, False
    for match in _ATOM.finditer(pattern):
        atom = match[0]
        counts = _COUNTS.fullmatch(atom)
        if atom[0] == "(":
            sizes.append(0)
            loops.append(0)
            last_size = last_loops = 0
        elif atom == ")" and len(sizes) > 1:
            last_size, last_loops = sizes.pop(), loops.pop()
            sizes[-1] += last_size
            loops[-1] += last_loops
        elif atom in "*+" or counts:
            times = max(int(number) for number in counts.groups("1") if number) if counts else 2
            backtracks = backtracks or last_loops > 0
            sizes[-1] += last_size * (times - 1)
            last_size *= times
            loops[-1] += 1
            last_loops += 1
        elif atom in "?|":
            choices += 1
        else:
            sizes[-1] += 1
            last_size, last_loops = 1, 0
    return Weight(1 + sum(sizes), sum(loops), backtracks or choices > _MAX_CHOICES)
