"""The syntax tree of a FHIRPath expression: plain frozen data, made by the parser and read by the compiler.

https://hl7.org/fhirpath/N1/grammar.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant collection: of no item for ``{}``, else of one."""

    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Special:
    """``$this``, ``$index`` or ``$total`` (without the sign)."""

    name: str


@dataclass(frozen=True, slots=True)
class Variable:
    """``%name`` (without the sign)."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """An element name; at the head of a path also the name of the type it starts from."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function call on the collection before it."""

    name: str
    args: tuple[Expr, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Index:
    """``[n]`` on the collection before it."""

    index: Expr


@dataclass(frozen=True, slots=True)
class Path:
    """``head.step.step[…]``."""

    head: Expr
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class TypeName:
    """A type specifier; ``namespace`` is None where it is not qualified."""

    namespace: str | None
    name: str


@dataclass(frozen=True, slots=True)
class TypeTest:
    """``operand is T`` or ``operand as T``."""

    operator: str
    operand: Expr
    type: TypeName


@dataclass(frozen=True, slots=True)
class Polarity:
    """A sign before an operand."""

    sign: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary:
    """``left operator right``."""

    operator: str
    left: Expr
    right: Expr
    position: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands joined by one associative operator (``|``, ``and``, ``or``), however many."""

    operator: str
    operands: tuple[Expr, ...]


Step: TypeAlias = Member | Call | Index
Expr: TypeAlias = Literal | Special | Variable | Member | Call | Path | TypeTest | Polarity | Binary | Chain
