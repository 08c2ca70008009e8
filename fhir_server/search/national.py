"""Numbers that name a person to every authority: which systems they are kept under, and how they look.

Resident identity numbers: GB 11643-1999; kinds: WS 364.3 CV02.01.101; systems: the OIDs of WS health data.
"""

from __future__ import annotations

import re
from collections.abc import Callable

RESIDENT = "urn:oid:2.16.156.10011.1.3"
_OIDS = (
    RESIDENT,  # 居民身份证号
    "urn:oid:2.16.156.10011.1.2",  # 居民健康档案编号: tells the village and the house's place in it
    "urn:oid:2.16.156.10011.1.15",  # 医保卡号
    "urn:oid:2.16.156.10011.1.19",  # 居民健康卡号
)
_OWN = "urn:yidang:identity:"  # systems of this project for kinds that have none: household register, permits …
_PASSPORT = "http://hl7.org/fhir/sid/passport-"  # and the country in three letters
# Types of identifiers (v2-0203) that say the same where no system does.
TYPES = frozenset({"NI", "NNCHN", "PPN", "MI", "DL", "BCT", "BC", "HC", "JHN", "SS", "PRC", "CZ"})
_SYSTEMS = frozenset(_OIDS)
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_BLANKS = re.compile(r"[\s\-·.]")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
# Eighteen characters with a birth date in the right place, or the fifteen of the cards before 1999.
_RUN = re.compile(
    r"(?<![0-9])(?:[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]"
    r"|[1-9]\d{7}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3})(?![0-9])"
)
_may_hold = re.compile(r"[1-9]\d{14}").search  # fails at once on nearly every text
SHORTEST = 15  # characters of a resident identity number at least
_QUALIFIED = re.compile(
    rf"(?P<system>{'|'.join(map(re.escape, _OIDS))}|{re.escape(_OWN)}[a-z-]+|{re.escape(_PASSPORT)}[A-Za-z]+)"
    r"\|(?P<value>(?:\\.|[^\s,\"'()\[\]&])+)"
)


def is_national(system: str) -> bool:
    """Whether numbers of this system name a person to every authority."""
    return system in _SYSTEMS or system.startswith((_OWN, _PASSPORT))


def normal(value: str) -> str:
    """The one form of a number: capitals, no blanks; fifteen digits become eighteen characters."""
    text = _BLANKS.sub("", value.translate(_FULL_WIDTH).upper())
    if len(text) == 15 and _RUN.fullmatch(text):
        first17 = f"{text[:6]}19{text[6:]}"
        return first17 + _check(first17)
    return text


def _check(first17: str) -> str:
    return _CHECKS[sum(int(d) * w for d, w in zip(first17, _WEIGHTS, strict=True)) % 11]


def _is_number(run: str) -> bool:
    return len(run) == 15 or _check(run[:17]) == run[17].upper()


def holds_number(text: str) -> bool:
    """Whether what looks like a resident identity number stands in ``text``."""
    return _may_hold(text) is not None and any(_is_number(found[0]) for found in _RUN.finditer(text))


def replaced(text: str, by: Callable[[str], str]) -> str:
    """``text`` with every resident identity number in it replaced by what ``by`` makes of it."""
    if _may_hold(text) is None:
        return text
    return _RUN.sub(lambda found: by(found[0]) if _is_number(found[0]) else found[0], text)


def replaced_qualified(text: str, by: Callable[[str, str], str]) -> str:
    """``text`` with each ``system|value`` of a national system replaced by ``system|`` and ``by(system, value)``."""
    if "|" not in text:
        return text
    return _QUALIFIED.sub(lambda found: f"{found['system']}|{by(found['system'], found['value'])}", text)


def masked(text: str) -> str:
    """``text`` without such numbers, for messages and logs."""
    return replaced(replaced_qualified(text, lambda _system, _value: "***"), lambda _: "***")
