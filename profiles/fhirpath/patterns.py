"""Regular expressions written by users: matched in linear time, replaced within bounds.

https://hl7.org/fhirpath/N1/#matchesregex-string-boolean
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from profiles.fhirpath.errors import FhirPathError, TooCostlyError
from terminology.patterns import MAX_WORK, anywhere, whole
from terminology.patterns import weight as weighed

MAX_PATTERN = 4_096
"""Longest pattern that is compiled, in characters."""
MAX_MADE = 1_000_000
"""Longest text that a replacement may make, in characters."""


def _automaton(pattern: str, of: Callable[[str, str], Any] = anywhere) -> Any:
    if len(pattern) > MAX_PATTERN:
        raise FhirPathError(f"a pattern may have at most {MAX_PATTERN} characters")
    try:
        return of(pattern, "(?s)")
    except ValueError as error:
        raise FhirPathError(f"'{pattern[:60]}' is {error}") from None


def work(pattern: str, text: str) -> int:
    """The cost of one match in steps; raises TooCostlyError if it is too much."""
    cost = max(1, len(text)) * weighed(pattern).size
    if cost > MAX_WORK:
        raise TooCostlyError(f"matching '{pattern[:60]}' could take too long on {len(text)} characters")
    return 16 + (cost >> 4)


def found(pattern: str, text: str) -> bool:
    """Whether the pattern occurs anywhere in the text; ``.`` takes line ends too."""
    return bool(_automaton(pattern).is_valid(text))


def matched(pattern: str, text: str) -> bool:
    """Whether the pattern is the whole of the text."""
    return bool(_automaton(pattern, whole).is_valid(text))


def replace(pattern: str, text: str, new: str) -> str:
    """The text with each occurrence replaced; ``$1`` or ``${name}`` in ``new`` stands for a group.

    Raises TooCostlyError for a pattern whose matching could take long on a text of this length.
    """
    _automaton(pattern)  # refuse what matches() refuses
    weight = weighed(pattern)
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
