"""Lossless FHIR JSON: every number's digits and the order of keys survive parse and encode.

https://hl7.org/fhir/R4/json.html#primitive ("the precision of the decimal value … SHALL be preserved")
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import msgspec


class Literal(Decimal):
    """A decimal whose literal form Python would write otherwise (``1e2``, ``0.00000001``)."""

    text: str


class ParseError(ValueError):
    """The bytes are no acceptable JSON object; the text says why and where."""


def _number(text: str) -> Decimal:
    value = Decimal(text)
    if str(value) == text:
        return value
    literal = Literal(text)
    literal.text = text
    return literal


def _integer(text: str) -> int | Decimal:
    return Decimal(text) if text == "-0" else int(text)


def _encode_literal(value: object) -> msgspec.Raw:
    if isinstance(value, Literal):
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"{type(value).__name__} has no JSON form")


_decoder = msgspec.json.Decoder(float_hook=_number)
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_encode_literal)
_WHITE = b" \t\r\n"
_MINUS_ZERO = re.compile(rb"[\[:,\s]-0\s*[,\]}]")  # the one number that an int cannot hold


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ParseError(f"JSON object has the key '{twice}' twice")
    return found


def parse(body: bytes) -> Any:
    """The JSON value of ``body``: objects as dicts in their order, decimals as Decimal, integers as int.

    Raises ParseError for anything that is not strict JSON in UTF-8, for duplicate keys
    and for nesting too deep to handle.
    """
    try:
        value = _decoder.decode(body)
        # Re-encoding shows cheaply whether anything was dropped (a duplicate key, "-0"):
        # only where the lengths differ is the slow, exact check needed.
        if len(_encoder.encode(value)) != len(body.strip(_WHITE)):
            if _MINUS_ZERO.search(body):
                return json.loads(body, object_pairs_hook=_refuse_duplicates, parse_float=_number, parse_int=_integer)
            json.loads(body, object_pairs_hook=_refuse_duplicates, parse_float=str, parse_int=str)
        return value
    except RecursionError:
        raise ParseError("JSON is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ParseError(f"body is not UTF-8: {error.reason} at byte {error.start}") from None
    except (msgspec.DecodeError, ValueError) as error:
        if isinstance(error, ParseError):
            raise
        raise ParseError(str(error)) from None


def encode(value: Any) -> bytes:
    """Compact UTF-8 JSON of a parsed value, numbers as they were written."""
    return _encoder.encode(value)


def raw(text: bytes) -> msgspec.Raw:
    """A value that ``encode`` writes as these bytes, unexamined."""
    return msgspec.Raw(text)
