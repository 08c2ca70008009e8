"""Regular expressions written by users: matched in linear time, replaced within bounds.

https://hl7.org/fhirpath/N1/#matchesregex-string-boolean
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

import jsonschema_rs

from profiles.fhirpath.errors import FhirPathError, TooCostlyError

MAX_PATTERN = 4_096
"""Longest pattern that is compiled, in characters."""
MAX_MADE = 1_000_000
"""Longest text that a replacement may make, in characters."""
MAX_WORK = 10_000_000
"""Most (size of the pattern) × (length of the text) of one match: under a second at the worst."""
_MAX_CHOICES = 10


@lru_cache(maxsize=64)
def _automaton(pattern: str) -> Any:
    """A linear-time matcher: the regex engine of the JSON Schema validator, without back references and look-around."""
    if len(pattern) > MAX_PATTERN:
        raise FhirPathError(f"a pattern may have at most {MAX_PATTERN} characters")
    options = jsonschema_rs.RegexOptions(size_limit=1_000_000, dfa_size_limit=1_000_000)
    try:
        return jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=options)
    except (jsonschema_rs.ValidationError, ValueError):
        raise FhirPathError(f"'{pattern[:60]}' is no regular expression that can be matched in linear time") from None


def work(pattern: str, text: str) -> int:
    """The cost of one match in steps; raises TooCostlyError if it is too much."""
    cost = max(1, len(text)) * _weight(pattern).size
    if cost > MAX_WORK:
        raise TooCostlyError(f"matching '{pattern[:60]}' could take too long on {len(text)} characters")
    return 16 + (cost >> 4)


def found(pattern: str, text: str) -> bool:
    """Whether the pattern occurs anywhere in the text; ``.`` takes line ends too."""
    return bool(_automaton(f"(?s){pattern}").is_valid(text))


def matched(pattern: str, text: str) -> bool:
    """Whether the pattern is the whole of the text."""
    return bool(_automaton(f"(?s)\\A(?:{pattern})\\z").is_valid(text))


def replace(pattern: str, text: str, new: str) -> str:
    """The text with each occurrence replaced; ``$1`` or ``${name}`` in ``new`` stands for a group.

    Raises TooCostlyError for a pattern whose matching could take long on a text of this length.
    """
    _automaton(f"(?s){pattern}")  # refuse what matches() refuses
    weight = _weight(pattern)
    steps = max(2, len(text)) ** (weight.loops + 1) if weight.loops < 8 else MAX_WORK + 1
    if weight.backtracks or steps > MAX_WORK:
        raise TooCostlyError(f"replacing by '{pattern[:60]}' could take too long on {len(text)} characters")
    made, at = 0, 0
    parts: list[str] = []
    for match in _compiled(pattern).finditer(text):
        parts += (text[at : match.start()], _filled(new, match))
        made += len(parts[-1])
        if made > MAX_MADE:
            raise TooCostlyError(f"the replacement makes more than {MAX_MADE} characters")
        at = match.end()
    return "".join(parts) + text[at:]


_GROUP = re.compile(r"\\(.)|\$(\d|\{[A-Za-z_]\w*\})")


def _filled(new: str, match: re.Match[str]) -> str:
    """The replacement with the groups of one match put in."""

    def group(reference: re.Match[str]) -> str:
        if reference[1]:
            return reference[1]
        name = reference[2].strip("{}")
        try:
            return match[int(name) if name.isdigit() else name] or ""
        except IndexError:
            raise FhirPathError(f"the pattern has no group {reference[0]}") from None

    return _GROUP.sub(group, new) if "$" in new or "\\" in new else new


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise FhirPathError(f"'{pattern[:60]}' is no regular expression: {error}") from None


class _Weight(NamedTuple):
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
def _weight(pattern: str) -> _Weight:
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
    return _Weight(1 + sum(sizes), sum(loops), backtracks or choices > _MAX_CHOICES)
