"""``_filter``: boolean expressions over search parameters.

https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fhir_server.errors import BadRequest

from . import chain, common
from .context import Context, all_of, any_of, negated, per_source
from .normalise import normalise
from .plan import Indexed
from .tree import And, Date, Node, Or, Prefix, String, StringMode, Uri, UriMode

_DEEPEST = 40
_TOKEN = re.compile(r"""\s*(?:("(?:[^"\\]|\\.)*")|([()\[\]])|(\.(?=[A-Za-z_]))|([^\s()\[\]"]+))""")
_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9_-]*(:[A-Za-z]+)?")
_PREFIXES = {name: Prefix(name) for name in ("eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb")}
_STRINGS = {"eq": StringMode.EQUAL, "co": StringMode.CONTAINS, "sw": StringMode.PREFIX, "ew": StringMode.SUFFIX}
_TERMINOLOGY = {"ss": "above", "sb": "below", "in": "in"}  # to the modifier that asks the same
_OPERATORS = frozenset({*_PREFIXES, *_STRINGS, *_TERMINOLOGY, "pr", "po", "re"})


class Presence(Protocol):
    """Makes the condition that a parameter has a value, or has none."""

    def __call__(self, indexed: Indexed, *, missing: bool) -> Node:
        """The condition."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The functions of the query language that a filter is made of (see ``criteria``)."""

    criterion: Callable[[Context, str, str, str], Node]
    simple: Callable[[Context, Indexed, str, str], Node]
    presence: Presence


def node(context: Context, type: str, text: str, parts: Parts) -> Node:
    """The condition of a filter expression on ``type``. Raises BadRequest that says where it cannot be read."""
    parser = _Parser(context, text, parts)
    found = parser.logical(type, 0)
    if parser.peek() is not None:
        raise parser.refusal(f"'{parser.peek()}' is not expected")
    return found


class _Parser:
    """Reads the expression from left to right."""

    def __init__(self, context: Context, text: str, parts: Parts) -> None:
        self.context, self.text, self.parts = context, text, parts
        self.at = 0
        self.tokens: list[str] = []
        at, end = 0, len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise self.refusal(f"cannot read from '{text[at : at + 20]}'")
            self.tokens.append(match.group(match.lastindex or 0))
            at = match.end()

    def refusal(self, why: str) -> BadRequest:
        return BadRequest(f"_filter: {why} (in '{self.text}')", "http._filter")

    def peek(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if token is None or (wanted is not None and token != wanted):
            raise self.refusal(f"{'a word' if wanted is None else repr(wanted)} is missing")
        self.at += 1
        return token

    def logical(self, type: str, depth: int) -> Node:
        """``and`` and ``or`` have the same precedence, from left to right."""
        if depth > _DEEPEST:
            raise self.refusal("too many brackets")
        found = self.term(type, depth)
        while self.peek() in ("and", "or"):
            operator = self.take()
            right = self.term(type, depth)
            found = And((found, right)) if operator == "and" else Or((found, right))
        return found

    def term(self, type: str, depth: int) -> Node:
        self.context.spend()
        if self.peek() == "not" and self.tokens[self.at + 1 : self.at + 2] == ["("]:
            self.take()
            return negated(self.bracketed(type, depth, "(", ")"))
        if self.peek() == "(":
            return self.bracketed(type, depth, "(", ")")
        return self.comparison(type, self.path(), depth)

    def bracketed(self, type: str, depth: int, opening: str, closing: str) -> Node:
        self.take(opening)
        found = self.logical(type, depth + 1)
        self.take(closing)
        return found

    def path(self) -> list[str]:
        """The dotted names up to a bracket or the operator."""
        names = self.take().split(".")
        if not all(_NAME.fullmatch(name) for name in names):
            raise self.refusal(f"'{'.'.join(names)}' is no search parameter or chain of them")
        return names

    def comparison(self, type: str, names: list[str], depth: int) -> Node:
        """``a.b[filter].c operator value``: all names but the last are followed as references."""
        code, _, modifier = names[0].partition(":")
        if len(names) > 1:
            return self.follow(type, code, modifier, lambda target: self.comparison(target, names[1:], depth))
        if self.peek() == "[":
            return self.follow(type, code, modifier, lambda target: self.filtered(target, depth))
        if modifier:
            raise self.refusal(f"'{names[0]}' names a type but nothing of it")
        operator, value = self.take(), self.take()
        if operator not in _OPERATORS:
            raise self.refusal(f"'{operator}' is no operator")
        if value[0] == '"':
            try:
                value = str(json.loads(value, strict=False))
            except ValueError:
                raise self.refusal(f"{value} is no string") from None
        return self.compare(type, code, operator, value)

    def filtered(self, type: str, depth: int) -> Node:
        """``[filter].rest``: both hold for the same target."""
        condition = self.bracketed(type, depth, "[", "]")
        self.take(".")
        return And((condition, self.comparison(type, self.path(), depth)))

    def follow(self, type: str, code: str, modifier: str, inner: Callable[[str], Node]) -> Node:
        """A chain to each possible type; the rest is read once for each from the same place."""
        start = self.at
        ends: list[int] = []

        def read(target: str) -> Node:
            self.at = start
            found = inner(target)
            ends.append(self.at)
            return found

        made = chain.targeted(self.context, type, code, modifier, "the rest of the filter", read)
        self.at = ends[0]
        return made

    def compare(self, type: str, code: str, operator: str, value: str) -> Node:
        if operator == "pr" and value not in ("true", "false"):
            raise self.refusal(f"'pr' is followed by true or false, not '{value}'")
        if code in common.NODES:
            return self.compare_common(type, code, operator, value)
        indexed = self.context.param(type, code)
        if operator in _TERMINOLOGY:
            if indexed.kind != "token":
                raise self.refusal(f"'{operator}' cannot compare '{code}' ({indexed.kind})")
            return self.parts.simple(self.context, indexed, _TERMINOLOGY[operator], _escaped(value))
        if operator == "pr":
            return self.parts.presence(indexed, missing=value == "false")
        made = self.of_kind(indexed, operator, value)
        if made is None:
            raise self.refusal(f"'{operator}' cannot compare '{code}' ({indexed.kind})")
        return made

    def of_kind(self, indexed: Indexed, operator: str, value: str) -> Node | None:
        """The comparison of an ordinary parameter, None where its type has no such operator."""
        kind = indexed.kind
        if kind == "string":
            return self.of_string(indexed, operator, value)
        if kind == "date" and operator == "po":
            span = self.context.interval(value)
            if span is None:
                raise self.refusal(f"'{value}' is no date")
            return per_source(indexed, lambda p, _: Date(p, Prefix.AP, *span))
        if kind in ("date", "number", "quantity"):
            return self.parts.simple(self.context, indexed, "", operator + value) if operator in _PREFIXES else None
        if kind == "uri" and operator == "sw":
            return per_source(indexed, lambda p, _: Uri(p, UriMode.BELOW, value))
        if operator == "eq" or (operator == "re" and kind == "reference"):
            return self.parts.simple(self.context, indexed, "", _escaped(value))
        if operator == "ne":
            equal = self.parts.simple(self.context, indexed, "", _escaped(value))
            return all_of((self.parts.presence(indexed, missing=False), negated(equal)))
        return None

    def of_string(self, indexed: Indexed, operator: str, value: str) -> Node | None:
        mode = _STRINGS.get("eq" if operator == "ne" else operator)
        if mode is None:
            return None
        found = per_source(indexed, lambda p, _: String(p, mode, normalise(value)))
        return all_of((self.parts.presence(indexed, missing=False), negated(found))) if operator == "ne" else found

    def compare_common(self, type: str, code: str, operator: str, value: str) -> Node:
        """``_id`` and ``_lastUpdated``, which every resource has; ``_list``, ``_text``, ``_content`` by eq."""
        make = common.NODES[code]
        if operator == "pr":
            return any_of(()) if value == "false" else all_of(())
        if code == "_lastUpdated" and operator in _PREFIXES:
            return make(self.context, type, "", operator + value)
        if operator in ("eq", "ne"):
            found = make(self.context, type, "", _escaped(value))
            return found if operator == "eq" else negated(found)
        raise self.refusal(f"'{operator}' cannot compare '{code}'")


def _escaped(value: str) -> str:
    """A value of a filter, where ``|`` and ``$`` keep their meaning, as the value of a parameter."""
    return value.replace("\\", "\\\\").replace(",", "\\,")
