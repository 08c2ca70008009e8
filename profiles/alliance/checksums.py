"""Check characters of Chinese numbers as FHIRPath: identity numbers, credit codes, organisation codes.

GB 11643-1999, GB 32100-2015, GB 11714-1997. The rules are arithmetic, so FHIRPath can say them and every validator
can check them; here they are written out from their weights.
"""

from __future__ import annotations

IDENTITY_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
CREDIT_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _sum(alphabet: str, weights: tuple[int, ...], start: int = 0) -> str:
    """The weighted sum of the places of the characters of ``value`` in the alphabet."""
    places = (f"'{alphabet}'.indexOf(value.substring({start + n}, 1)) * {w}" for n, w in enumerate(weights))
    return "(" + " + ".join(places) + ")"


def identity_number() -> str:
    """FHIRPath on an Identifier: its value is an 18-character identity number with a right check character."""
    total = _sum("0123456789", IDENTITY_WEIGHTS)
    checked = f"'10X98765432'.substring({total} mod 11, 1) = value.substring(17, 1)"
    return f"value.exists() implies (value.matches('^[0-9]{{17}}[0-9X]$') and {checked})"


def credit_code() -> str:
    """FHIRPath on an Identifier: a value of 18 characters is a unified social credit code that checks out."""
    total = _sum(CREDIT_ALPHABET, CREDIT_WEIGHTS)
    checked = f"'{CREDIT_ALPHABET}'.substring((31 - {total} mod 31) mod 31, 1) = value.substring(17, 1)"
    return f"value.length() = 18 implies (value.matches('^[{CREDIT_ALPHABET}]{{18}}$') and {checked})"


def organisation_code() -> str:
    """FHIRPath on an Identifier: a value of 9 characters is an organisation code that checks out."""
    total = _sum(_LETTERS, ORGANISATION_WEIGHTS)
    checked = f"'0123456789X0'.substring(11 - {total} mod 11, 1) = value.substring(8, 1)"
    return f"value.length() = 9 implies (value.matches('^[0-9A-Z]{{8}}[0-9X]$') and {checked})"


FORMULAS = {"identity-number": identity_number, "credit-code": credit_code, "organisation-code": organisation_code}
"""By the names under which ``data/invariants.json`` calls them."""
