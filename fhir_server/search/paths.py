"""The few shapes of search parameter expressions, read to plain steps.

https://hl7.org/fhir/R4/searchparameter.html (``expression``). What does not fit is left to
the FHIRPath engine.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class Field(NamedTuple):
    """Go to the child elements of this name (choices: of any type)."""

    name: str


class As(NamedTuple):
    """Keep values of this type."""

    type: str


class WhereEquals(NamedTuple):
    """Keep elements whose child ``name`` is ``value``."""

    name: str
    value: str


class Resolves(NamedTuple):
    """Keep references to resources of this type."""

    type: str


class Index(NamedTuple):
    """Keep the element at this place of the list."""

    place: int


class ExistsAndNotFalse(NamedTuple):
    """The boolean ``x.exists() and x != false``."""

    name: str


Step = Field | As | WhereEquals | Resolves | Index | ExistsAndNotFalse
Steps = tuple[Step, ...]


class Branch(NamedTuple):
    """One operand of a union: the type it starts at ('' when none is named) and its steps.

    ``outside``: it starts at ``%resource`` rather than at the context.
    """

    root: str
    steps: Steps
    outside: bool = False


_TOKENS = re.compile(r"\s*(?:('(?:[^'\\]|\\.)*')|(%?[A-Za-z_]\w*)|(\d+)|([().,=|\[\]]))")
_EXISTS = re.compile(r"([A-Z]\w+)\.(\w+)\.exists\(\) and \1\.\2 != false")


class _Unknown(Exception):
    """The expression is not of a known shape."""


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKENS.match(text, at)
        if match is None:
            raise _Unknown
        found.append(match.group(match.lastindex or 0))
        at = match.end()
    return found


class _Reader:
    """Reads tokens from left to right."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at = tokens, 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if not token or (wanted is not None and token != wanted):
            raise _Unknown
        self.at += 1
        return token

    def name(self) -> str:
        token = self.take()
        if not (token[0].isalpha() or token[0] in "_%"):
            raise _Unknown
        return token

    def string(self) -> str:
        token = self.take()
        if token[0] != "'":
            raise _Unknown
        return token[1:-1]


def _branch(reader: _Reader) -> Branch:
    if reader.peek() == "(":
        reader.take()
        inner = _branch(reader)
        if reader.peek() == "as":
            reader.take()
            inner = inner._replace(steps=(*inner.steps, As(_type_name(reader))))
        reader.take(")")
        return inner._replace(steps=(*inner.steps, *_suffixes(reader)))
    first = reader.name()
    if first == "%resource":
        return Branch("", _suffixes(reader), outside=True)
    if first.startswith("%"):
        raise _Unknown
    if first[0].isupper():
        return Branch(first, _suffixes(reader))
    return Branch("", (Field(first), *_suffixes(reader)))


def _type_name(reader: _Reader) -> str:
    name = reader.name()
    if name in ("FHIR", "System") and reader.peek() == ".":
        reader.take()
        name = reader.name()
    return name


def _suffixes(reader: _Reader) -> Steps:
    steps: list[Step] = []
    while reader.peek() in (".", "["):
        if reader.take() == "[":
            steps.append(Index(int(reader.take())))
            reader.take("]")
            continue
        name = reader.name()
        if reader.peek() != "(":
            steps.append(Field(name))
            continue
        reader.take("(")
        steps += _call(name, reader)
        reader.take(")")
    return tuple(steps)


def _call(name: str, reader: _Reader) -> list[Step]:
    if name in ("as", "ofType"):
        return [As(_type_name(reader))]
    if name == "extension":
        return [Field("extension"), WhereEquals("url", reader.string())]
    if name != "where":
        raise _Unknown
    field = reader.name()
    if field == "resolve":
        for token in ("(", ")", "is"):
            reader.take(token)
        return [Resolves(_type_name(reader))]
    reader.take("=")
    return [WhereEquals(field, reader.string())]


@lru_cache(maxsize=4096)
def branches(expression: str) -> tuple[Branch, ...] | None:
    """The operands of the union that ``expression`` is; None when one has no known shape."""
    if (whole := _EXISTS.fullmatch(expression.strip())) is not None:
        return (Branch(whole[1], (ExistsAndNotFalse(whole[2]),)),)
    try:
        reader = _Reader(_tokens(expression))
        found = [_branch(reader)]
        while reader.peek() == "|":
            reader.take()
            found.append(_branch(reader))
    except (_Unknown, ValueError):
        return None
    return tuple(found) if reader.at == len(reader.tokens) else None
