"""The form of codes of systems whose lists are not at hand: what has the wrong form is certainly no code.

SNOMED CT: https://confluence.ihtsdotools.org/display/DOCRELFMT/6+SNOMED+CT+Identifiers (check digit by Verhoeff);
LOINC: https://loinc.org/kb/faq/structure/ (check digit modulo 10)
"""

from __future__ import annotations

import re

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
_IDENTIFIER = re.compile(r"[1-9][0-9]{5,17}")
_PLAIN = re.compile(r"[A-Za-z0-9]+")
_LOINC = re.compile(r"([0-9]{1,8})-([0-9])")
_LOINC_PART = re.compile(r"(?:LP|LA|LL|LG|MTHU)[0-9]+(?:-[0-9])?", re.IGNORECASE)

# Verhoeff's tables: multiplication in the dihedral group D5, and the permutation of places.
_TIMES = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def has_form(system: str, code: str) -> bool | None:
    """Whether a code has the form that its system prescribes; None where nothing is known of the system."""
    if system == SNOMED:
        # Anything but one plain word may be a post-coordinated expression.
        return _is_snomed(code) if _PLAIN.fullmatch(code) else None
    if system == LOINC:
        return _is_loinc(code)
    return None


def _is_snomed(code: str) -> bool:
    if not _IDENTIFIER.fullmatch(code):
        return False
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = int(_TIMES[check][int(_PERMUTED[place % 8][int(digit)])])
    return check == 0


def _is_loinc(code: str) -> bool:
    match = _LOINC.fullmatch(code)
    if match is None:
        return _LOINC_PART.fullmatch(code) is not None
    total = 0
    for place, digit in enumerate(reversed(match[1])):
        number = int(digit) * (2 if place % 2 == 0 else 1)
        total += number // 10 + number % 10
    return (10 - total % 10) % 10 == int(match[2])


_TOKEN = re.compile(
    r"\s*(?:(?P<word>AND|OR|MINUS)\b|(?P<op><<!|>>!|<<|>>|<!|>!|<|>|\^)|(?P<id>[0-9]+(?:\s*\|[^|]*\|)?|\*)|(?P<b>[()]))",
    re.IGNORECASE,
)


def is_expression_constraint(text: str) -> bool | None:
    """Whether a text is a SNOMED CT expression constraint; None where it has refinements, which are not read here.

    https://confluence.ihtsdotools.org/display/DOCECL
    """
    if any(sign in text for sign in ":,{}.=[/"):
        return None
    at, open_, wants_operand = 0, 0, True
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return None if "|" in text else False
        at = match.end()
        if match["word"]:
            if wants_operand:
                return False
            wants_operand = True
        elif match["id"]:
            if not wants_operand:
                return False
            wants_operand = False
        elif match["op"]:
            if not wants_operand:
                return False
        elif match["b"] == "(":
            if not wants_operand:
                return False
            open_ += 1
        else:
            open_ -= 1
            if wants_operand or open_ < 0:
                return False
    return not wants_operand and open_ == 0
