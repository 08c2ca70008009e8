"""Regular expressions written by users: matched in linear time, replaced within bounds.

https://hl7.org/fhirpath/N1/#matchesregex-string-boolean
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import jsonschema_rs

from profiles.fhirpath.errors import FhirPathError, TooCostlyError

MAX_PATTERN = 4_096
"""Longest pattern that is compiled, in characters."""
MAX_MADE = 1_000_000
"""Longest text that a replacement may make, in characters."""
_MAX_WORK = 20_000_000


@lru_cache(maxsize=256)
def _automaton(pattern: str) -> Any:
    """A linear-time matcher: the regex engine of the JSON Schema validator, without back references and look-around."""
    if len(pattern) > MAX_PATTERN:
        raise FhirPathError(f"a pattern may have at most {MAX_PATTERN} characters")
    options = jsonschema_rs.RegexOptions(size_limit=4_000_000, dfa_size_limit=4_000_000)
    try:
        return jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=options)
    except (jsonschema_rs.ValidationError, ValueError):
        raise FhirPathError(f"'{pattern[:60]}' is no regular expression that can be matched in linear time") from None


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
    compiled = _compiled(pattern)
    loops = _loops(pattern)
    if loops is None or max(1, len(text)) ** (loops + 1) > _MAX_WORK * 10:
        raise TooCostlyError(f"replacing by '{pattern[:60]}' could take too long on {len(text)} characters")
    made, at = 0, 0
    parts: list[str] = []
    for match in compiled.finditer(text):
        piece = _GROUP.sub(lambda group, match=match: _group(match, group), new)  # type: ignore[misc]
        parts += (text[at : match.start()], piece)
        made += len(piece)
        if made > MAX_MADE:
            raise TooCostlyError(f"the replacement makes more than {MAX_MADE} characters")
        at = match.end()
    return "".join(parts) + text[at:]


_GROUP = re.compile(r"\\(.)|\$(\d|\{[A-Za-z_]\w*\})")


def _group(match: re.Match[str], group: re.Match[str]) -> str:
    if group[1]:
        return group[1]
    name = group[2].strip("{}")
    try:
        return match[int(name) if name.isdigit() else name] or ""
    except IndexError:
        raise FhirPathError(f"the pattern has no group {group[0]}") from None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise FhirPathError(f"'{pattern[:60]}' is no regular expression: {error}") from None


_ATOM = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?(?:P?<[A-Za-z_]\w*>|[:a-zA-Z-]+))?|[*+?]|\{\d+(?:,\d*)?\}|.", re.DOTALL
)
_REPEATS = re.compile(r"[*+]|\{\d+(?:,\d*)?\}")


@lru_cache(maxsize=256)
def _loops(pattern: str) -> int | None:
    """How many repetitions stand in the pattern; None where one stands inside another (exponential backtracking)."""
    loops, open_groups, closed = 0, [0], 0
    for match in _ATOM.finditer(pattern):
        atom = match[0]
        if atom.startswith("("):
            open_groups.append(0)
        elif atom == ")" and len(open_groups) > 1:
            closed = open_groups.pop()
            open_groups[-1] += closed
            continue
        elif _REPEATS.fullmatch(atom):
            if closed:
                return None
            loops += 1
            open_groups[-1] += 1
        elif atom == "?":
            continue
        closed = 0
    return loops
