"""FHIRPath tokens to a syntax tree, by operator precedence.

https://hl7.org/fhirpath/N1/#operator-precedence
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.lexer import Token, tokens
from profiles.fhirpath.quantity import CALENDAR_UNITS, Quantity
from profiles.fhirpath.syntax import (
    Binary,
    Call,
    Chain,
    Expr,
    Index,
    Literal,
    Member,
    Path,
    Polarity,
    Special,
    Step,
    TypeName,
    TypeTest,
    Variable,
)
from profiles.fhirpath.temporal import Kind, Temporal, parse_temporal

MAX_DEPTH = 100
"""Deepest nesting of parentheses, arguments and operators that is read."""
MAX_DIGITS = 60
"""Longest number that is read."""

_BINDING = {
    operator: power
    for power, row in enumerate(
        (
            ("implies",),
            ("or", "xor"),
            ("and",),
            ("in", "contains"),
            ("=", "~", "!=", "!~"),
            ("<", ">", "<=", ">="),
            ("|",),
            ("is", "as"),
            ("+", "-", "&"),
            ("*", "/", "div", "mod"),
        ),
        start=1,
    )
    for operator in row
}
_SIGN_BINDING = 11
_ASSOCIATIVE = frozenset({"|", "and", "or"})
# Names that may stand where an operand is expected, although they are operators elsewhere.
_NOT_A_NAME = frozenset({"and", "or", "xor", "implies", "div", "mod"})


def parse(text: str) -> Expr:
    """The tree of one expression; raises FhirPathError naming the place where reading failed."""
    reader = _Reader(tokens(text))
    tree = reader.expression(0)
    reader.expect("end", None)
    return tree


class _Reader:
    """The tokens and how far they have been read."""

    def __init__(self, found: list[Token]) -> None:
        self.tokens = found
        self.at = 0
        self.depth = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def accept(self, operator: str) -> bool:
        token = self.tokens[self.at]
        if token.kind == "operator" and token.text == operator:
            self.at += 1
            return True
        return False

    def expect(self, kind: str, text: str | None) -> Token:
        token = self.tokens[self.at]
        if token.kind != kind or (text is not None and token.text != text):
            wanted = text or ("the end" if kind == "end" else f"a {kind}")
            raise FhirPathError(f"{wanted!r} expected, not {token.text!r},", token.position)
        return self.take()

    def expression(self, least: int) -> Expr:
        """An expression whose operators all bind more tightly than ``least``."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FhirPathError(f"the expression is nested more than {MAX_DEPTH} deep", self.next.position)
        left = self.operand()
        rounds = 0
        while True:
            token = self.next
            power = _BINDING.get(token.text, 0) if token.kind in ("operator", "name") else 0
            if power <= least:
                break
            left = self.joined(self.take(), left, power)
            rounds += not isinstance(left, Chain)
            if rounds > MAX_DEPTH:
                raise FhirPathError(f"more than {MAX_DEPTH} operators in a row", token.position)
        self.depth -= 1
        return left

    def joined(self, operator: Token, left: Expr, power: int) -> Expr:
        if operator.text in ("is", "as"):
            return TypeTest(operator.text, left, self.type_name())
        right = self.expression(power)
        if operator.text in _ASSOCIATIVE:
            operands = left.operands if isinstance(left, Chain) and left.operator == operator.text else (left,)
            return Chain(operator.text, (*operands, right))
        return Binary(operator.text, left, right, operator.position)

    def operand(self) -> Expr:
        if self.next.kind == "operator" and self.next.text in ("+", "-"):
            sign = self.take().text
            return Polarity(sign, self.expression(_SIGN_BINDING - 1))
        head = self.term()
        steps: list[Step] = []
        while self.next.kind == "operator" and self.next.text in (".", "["):
            if self.take().text == ".":
                steps.append(self.invocation())
            else:
                steps.append(Index(self.expression(0)))
                self.expect("operator", "]")
        return Path(head, tuple(steps)) if steps else head

    def term(self) -> Expr:
        token = self.take()
        match token.kind:
            case "string":
                return Literal((token.text,))
            case "number":
                return Literal((self.number(token.text),))
            case "temporal":
                return Literal((_temporal(token),))
            case "variable":
                return Variable(token.text)
            case "special":
                return Special(token.text[1:])
            case "name" | "delimited" if token.kind == "delimited" or token.text not in _NOT_A_NAME:
                if token.kind == "name" and token.text in ("true", "false"):
                    return Literal((token.text == "true",))
                self.at -= 1
                return self.invocation()
            case "operator" if token.text == "(":
                # Parentheses shield a chain from growing: (a | b) | c means the same, (a and b).x does not.
                inner = self.expression(0)
                self.expect("operator", ")")
                return Path(inner, ()) if isinstance(inner, Chain) else inner
            case "operator" if token.text == "{":
                self.expect("operator", "}")
                return Literal(())
        raise FhirPathError(f"an operand expected, not {token.text!r},", token.position)

    def number(self, text: str) -> Any:
        """A number, or the quantity which it makes with the unit after it."""
        if len(text) > MAX_DIGITS:
            raise FhirPathError(f"a number may have at most {MAX_DIGITS} digits", self.next.position)
        unit = self.next
        if unit.kind == "string":
            self.take()
            return Quantity(Decimal(text), CALENDAR_UNITS.get(unit.text, unit.text))
        if unit.kind == "name" and unit.text in CALENDAR_UNITS:
            self.take()
            return Quantity(Decimal(text), CALENDAR_UNITS[unit.text])
        return Decimal(text) if "." in text else int(text)

    def invocation(self) -> Member | Call:
        token = self.take()
        if token.kind not in ("name", "delimited"):
            raise FhirPathError(f"an element or function name expected, not {token.text!r},", token.position)
        if not self.accept("("):
            return Member(token.text)
        args: list[Expr] = []
        while not self.accept(")"):
            if args:
                self.expect("operator", ",")
            args.append(self.expression(0))
        return Call(token.text, tuple(args), token.position)

    def type_name(self) -> TypeName:
        parts = [self.name_part()]
        while self.accept("."):
            parts.append(self.name_part())
        return TypeName(".".join(parts[:-1]) or None, parts[-1])

    def name_part(self) -> str:
        token = self.take()
        if token.kind not in ("name", "delimited"):
            raise FhirPathError(f"a type name expected, not {token.text!r},", token.position)
        return token.text


def _temporal(token: Token) -> Temporal:
    text = token.text[1:]
    kind: Kind = "Time" if text[0] == "T" else "DateTime" if "T" in text else "Date"
    value = parse_temporal(kind, text.removeprefix("T") if kind == "Time" else text)
    if value is None:
        raise FhirPathError(f"{token.text} is no {kind}", token.position)
    return value
