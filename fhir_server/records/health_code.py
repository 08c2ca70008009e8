"""The health code of a person: a random number with a check character that says nothing about its bearer.

15 characters without I, L, O and U (75 random bits) and a check character by ISO 7064 MOD 37,36, which notices
every wrong character and nearly every pair changed round. It is given by the server when a Patient is made, stays
for life, and is never derived from the identity number (policy documents: 一人一码).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

from fhir_server.records.matching.person import HEALTH_CODE

_CHARACTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ALL = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LENGTH = 15
_FORM = re.compile(f"[{_CHARACTERS}]{{{_LENGTH}}}[0-9A-Z]")


def new_code(below: Callable[[int], int] = secrets.randbelow) -> str:
    """A fresh code; ``below(n)`` gives a random number from 0 to n - 1."""
    text = "".join(_CHARACTERS[below(len(_CHARACTERS))] for _ in range(_LENGTH))
    return text + check_character(text)


def check_character(text: str) -> str:
    """The check character after ``text`` (ISO 7064 MOD 37,36). Raises ValueError for other characters."""
    product = 36
    for character in text:
        total = (product + _ALL.index(character)) % 36 or 36
        product = total * 2 % 37
    return _ALL[(37 - product) % 36]


def read_code(text: str) -> str | None:
    """The code in its one form (capitals, no blanks and hyphens), or None where it is none."""
    plain = re.sub(r"[\s-]", "", text).upper()
    return plain if _FORM.fullmatch(plain) and check_character(plain[:-1]) == plain[-1] else None


def code_of(patient: dict[str, Any]) -> str | None:
    """The health code of a Patient, if it has one."""
    for identifier in patient.get("identifier", ()):
        if identifier.get("system") == HEALTH_CODE and identifier.get("use") != "old":
            found: str | None = identifier.get("value")
            return found
    return None


def with_code(patient: dict[str, Any], below: Callable[[int], int] = secrets.randbelow) -> dict[str, Any]:
    """The Patient with a health code: the one it has, else a fresh one."""
    if code_of(patient):
        return patient
    identifier = {"use": "secondary", "system": HEALTH_CODE, "value": new_code(below)}
    return {**patient, "identifier": [*patient.get("identifier", ()), identifier]}


def without_code(patient: dict[str, Any]) -> dict[str, Any]:
    """The Patient without health code: no client gives one."""
    identifiers = [item for item in patient.get("identifier", ()) if item.get("system") != HEALTH_CODE]
    if len(identifiers) == len(patient.get("identifier", ())):
        return patient
    rest = {key: value for key, value in patient.items() if key != "identifier"}
    return {**rest, "identifier": identifiers} if identifiers else rest
