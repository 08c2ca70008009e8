"""Birth date, sex, telephone and address compared, each to a level with a weight of its own in ``score``.

A phone is the family's (never a key alone), an address the household's; both are weak.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Any

from rapidfuzz.distance import DamerauLevenshtein

from fhir_server.search.normalise import normalise


class Born(StrEnum):
    """How two birth dates are alike."""

    EXACT = "exact"
    SLIP = "slip"  # a digit wrong, two digits or month and day changed round
    LUNAR = "lunar"  # one may be the date of the traditional calendar
    MONTH = "month"  # only year and month are known, and agree
    YEAR = "year"  # only the year is known, and agrees
    NEAR_YEAR = "near-year"  # years counted in the traditional way differ by one
    DIFFERENT = "different"
    MISSING = "missing"


# The traditional calendar's new year is 17 to 53 days behind; a date read in the wrong calendar is early by that.
_LUNAR_DAYS = range(17, 54)
_LUNAR_MONTH = 30


def born(a: str, b: str) -> Born:
    """How alike two FHIR dates are (``YYYY``, ``YYYY-MM``, ``YYYY-MM-DD``, or '')."""
    if not a or not b:
        return Born.MISSING
    if len(a) < 10 or len(b) < 10:
        return _partial(a, b)
    if a == b:
        return Born.EXACT
    one, other = a.replace("-", ""), b.replace("-", "")
    if a[:4] == b[:4] and a[5:7] == b[8:10] and a[8:10] == b[5:7]:
        return Born.SLIP
    if DamerauLevenshtein.distance(one, other, score_cutoff=1) == 1 and sum(map(str.__ne__, one, other)) <= 2:
        return Born.SLIP
    return Born.LUNAR if _lunar(a, b) else Born.DIFFERENT


def _partial(a: str, b: str) -> Born:
    length = min(len(a), len(b))
    if a[:length] == b[:length]:
        return Born.MONTH if length >= 7 else Born.YEAR
    return Born.NEAR_YEAR if length == 4 and abs(int(a[:4]) - int(b[:4])) == 1 else Born.DIFFERENT


def _lunar(a: str, b: str) -> bool:
    early, late = sorted((a, b))
    try:
        days = (date.fromisoformat(late) - date.fromisoformat(early)).days
    except ValueError:
        return False
    return days in _LUNAR_DAYS and int(early[8:10]) <= _LUNAR_MONTH


# -- telephone ---------------------------------------------------------------------------------

_NO_NUMBER = re.compile(r"(\d)\1+|1(\d)\2{9}|13800138000|12345678\d*|0+1?")


def phones_of(patient: dict[str, Any]) -> frozenset[str]:
    """The telephone numbers of a Patient as digits; placeholders left out."""
    found = set()
    telecom = patient.get("telecom")
    for item in telecom if isinstance(telecom, list) else ():
        if isinstance(item, dict) and item.get("system") in ("phone", "sms") and isinstance(item.get("value"), str):
            digits = re.sub(r"\D", "", item["value"])
            if len(digits) == 13 and digits.startswith("86"):
                digits = digits[2:]
            if len(digits) >= 7 and not _NO_NUMBER.fullmatch(digits):
                found.add(digits)
    return frozenset(found)


class Agreement(StrEnum):
    """How two sets of values, or two places, agree."""

    SAME = "same"
    SLIP = "slip"
    VILLAGE = "village"
    TOWNSHIP = "township"
    DIFFERENT = "different"
    MISSING = "missing"


def phone(a: frozenset[str], b: frozenset[str]) -> Agreement:
    """Whether they share a number, or have two that differ by one digit."""
    if not a or not b:
        return Agreement.MISSING
    if a & b:
        return Agreement.SAME
    if any(DamerauLevenshtein.distance(x, y, score_cutoff=1) == 1 for x in a for y in b):
        return Agreement.SLIP
    return Agreement.DIFFERENT


# -- address -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """An address by its parts, as far as its text tells them: township, village or street, and the rest."""

    township: str
    village: str
    rest: str


_TOWNSHIP = re.compile(r"([^省市县区州旗镇乡]{1,12}(?:街道办事处|街道|镇|乡|苏木))")
_VILLAGE = re.compile(
    r"([^省市县区州旗镇乡道]{1,14}?(?:村民委员会|居民委员会|村委会|居委会|社区|村|屯|嘎查|大道|路|街|巷))"
)
_STREET_TAIL = re.compile(r"(?:村民委员会|居民委员会|村委会|居委会)$")
_NUMERALS = str.maketrans("一二三四五六七八九〇零", "12345678900")
_TENS = re.compile(r"([1-9])?十([1-9])?")


def places_of(patient: dict[str, Any]) -> tuple[Place, ...]:
    """The addresses of a Patient by their parts; old ones count, since a move is not told everywhere."""
    found = []
    addresses = patient.get("address")
    for item in addresses if isinstance(addresses, list) else ():
        if isinstance(item, dict) and (text := _text(item)):
            found.append(place(text))
    return tuple(dict.fromkeys(found))


def _text(item: dict[str, Any]) -> str:
    text = item.get("text")
    if isinstance(text, str) and text.strip():
        return text
    line = item.get("line")
    lines = [part for part in line if isinstance(part, str)] if isinstance(line, list) else []
    above = [item.get(part) for part in ("state", "city", "district")]
    return "".join([*(part for part in above if isinstance(part, str)), *lines])


@lru_cache(maxsize=65_536)
def place(text: str) -> Place:
    """The parts of an address text."""
    plain = "".join(normalise(text).split())
    township = village = ""
    if found := _TOWNSHIP.search(plain):
        township, plain = found.group(1), plain[found.end() :]
    else:
        plain = re.sub(r"^.*?[省市县区州旗](?=.)", "", plain)
    if found := _VILLAGE.search(plain):
        village, plain = _STREET_TAIL.sub("村", found.group(1)), plain[found.end() :]
    digits = _TENS.sub(lambda m: f"{m[1] or 1}{m[2] or 0}", plain.translate(_NUMERALS))
    rest = "-".join(re.findall(r"\d+|[a-z]+", digits))
    return Place(township, village, rest or plain)


def address(a: tuple[Place, ...], b: tuple[Place, ...]) -> Agreement:
    """The best agreement of any two of the addresses."""
    if not a or not b:
        return Agreement.MISSING
    return min((_place(x, y) for x in a for y in b), key=_ORDER.index)


_ORDER = [
    Agreement.SAME,
    Agreement.SLIP,
    Agreement.VILLAGE,
    Agreement.TOWNSHIP,
    Agreement.DIFFERENT,
    Agreement.MISSING,
]


def _place(a: Place, b: Place) -> Agreement:
    if a.village and a.village == b.village and (not a.township or not b.township or a.township == b.township):
        if a.rest and a.rest == b.rest:
            return Agreement.SAME
        return Agreement.VILLAGE
    if a == b:
        return Agreement.SAME
    if not (a.township and b.township):
        return Agreement.MISSING
    return Agreement.TOWNSHIP if a.township == b.township else Agreement.DIFFERENT
