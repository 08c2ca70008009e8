"""What is kept of a query: who was looked for stays recognisable to an investigator, not readable to anybody.

Values of parameters that can name a person (names, identifiers, phones, addresses, free text, and every parameter
that is not known to be harmless) are replaced by a keyed hash, as is anything that looks like a national
identity number (GB 11643) or a mobile phone number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiles.definitions import Definitions

Pairs = Iterable[tuple[str, str]]
# Tokens that tell who somebody is; strings do so anyway.
_TELLING = frozenset({"identifier", "phone", "email", "telecom", "birthdate", "death-date", "address-use"})
_HARMLESS_TYPES = frozenset({"token", "date", "number", "quantity", "reference", "uri"})
_CONTROL = frozenset(
    {
        "_id",
        "_lastUpdated",
        "_tag",
        "_profile",
        "_security",
        "_source",
        "_type",
        "_count",
        "_sort",
        "_include",
        "_revinclude",
        "_summary",
        "_elements",
        "_total",
        "_contained",
        "_containedType",
        "_since",
        "_at",
        "_format",
        "_pretty",
        "_list",
        "start",
        "end",
        "purpose",
    }
)
_OPAQUE = frozenset({"_cursor", "_format", "_pretty"})  # says nothing about what was asked
_LOOKS_PERSONAL = re.compile(r"(?<![0-9A-Za-z])(?:\d{17}[0-9Xx]|\d{15}|1[3-9]\d{9})(?![0-9A-Za-z])")
_LONG = 2000  # characters kept of one query

Mask = Callable[[Pairs], str]


def harmless(definitions: Definitions) -> frozenset[str]:
    """The search parameters that name nobody in any resource type."""
    types: dict[str, set[str]] = {}
    for parameter in definitions.search_parameters:
        types.setdefault(parameter.code, set()).add(parameter.type)
    return _CONTROL | {code for code, found in types.items() if found <= _HARMLESS_TYPES and code not in _TELLING}


def masker(known: frozenset[str], key: bytes) -> Mask:
    """The function from query pairs to the text that is kept. ``known`` are the harmless parameters."""

    def hashed(value: str) -> str:
        return "#" + hashlib.blake2b(value.encode(), digest_size=9, key=key).hexdigest()

    def mask(pairs: Pairs) -> str:
        kept = []
        for name, value in pairs:
            if name in _OPAQUE:
                continue
            if not _is_known(name, known):
                name, value = _LOOKS_PERSONAL.sub("#", name), hashed(value)
            elif len(value) > 10 and _LOOKS_PERSONAL.search(value):
                value = _LOOKS_PERSONAL.sub(lambda found: hashed(found[0]), value)
            kept.append(f"{name}={value}")
        return "&".join(kept)[:_LONG]

    return mask


def without_numbers(text: str) -> str:
    """``text`` (a path) with what looks like somebody's number taken out."""
    return _LOOKS_PERSONAL.sub("#", text)


def _is_known(name: str, known: frozenset[str]) -> bool:
    """Whether the parameter (with its chain and modifier) is harmless."""
    if name in known:
        return True
    if name.startswith("_has:"):
        name = name.rpartition(":")[2]
    last = name.rpartition(".")[2]
    code, _, modifier = last.partition(":")
    return code in known and modifier not in ("identifier", "text", "of-type", "contains")
