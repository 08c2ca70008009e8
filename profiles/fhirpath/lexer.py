"""FHIRPath text to tokens.

https://hl7.org/fhirpath/N1/#lexical-elements
"""

from __future__ import annotations

import re
from typing import NamedTuple

from profiles.fhirpath.errors import FhirPathError

MAX_LENGTH = 32_768
"""Longest expression that is read, in characters (the longest of R4 itself has 3,360)."""


class Token(NamedTuple):
    """``kind`` is a group name of the pattern below, or "end"; ``text`` is unescaped for strings and names."""

    kind: str
    text: str
    position: int


_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\n]+|//[^\r\n]*|/\*(?:[^*]|\*(?!/))*\*/)
    | (?P<temporal>@T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?
                  |@\d{4}(?:-\d\d(?:-\d\d)?)?
                   (?:T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?)?)?)
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<delimited>`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*")
    | (?P<variable>%(?:[A-Za-z_][A-Za-z0-9_-]*|`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))
    | (?P<special>\$(?:this|index|total)\b)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<operator><=|>=|!=|!~|[-+*/&|<>=~.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PLAIN_ESCAPES = frozenset("'\"`\\/")


def _unescape_one(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "u" and len(code) == 5:
        return chr(int(code[1:], 16))
    if code in _PLAIN_ESCAPES:
        return code
    # An unknown escape keeps its backslash: expressions in the wild write '\d' for the regex \d.
    return _ESCAPED.get(code, match[0])


def _unquote(text: str) -> str:
    inner = text[1:-1]
    return _ESCAPE.sub(_unescape_one, inner) if "\\" in inner else inner


def _cleaned(kind: str, text: str, position: int) -> Token:
    if kind in ("string", "delimited"):
        return Token("name" if kind == "delimited" else kind, _unquote(text), position)
    if kind == "variable":
        name = text[1:]
        return Token(kind, _unquote(name) if name[0] in "`'\"" else name, position)
    return Token(kind, text, position)


def tokens(text: str) -> list[Token]:
    """The tokens of an expression, closed by one of kind "end"; raises FhirPathError."""
    if len(text) > MAX_LENGTH:
        raise FhirPathError(f"the expression is longer than {MAX_LENGTH} characters")
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise FhirPathError(f"cannot read {text[position : position + 12]!r}", position)
        if match.lastgroup != "space":
            token = _cleaned(match.lastgroup, match[0], position)
            # A delimited name is never a keyword: mark it so that `is` and is differ.
            found.append(token if match.lastgroup != "delimited" else token._replace(kind="delimited"))
        position = match.end()
    found.append(Token("end", "the end", len(text)))
    return found
