"""Identity numbers: which kinds there are, whether one is well formed, and what can be read off it.

Resident identity numbers: GB 11643-1999. Kinds: WS 364.3 CV02.01.101 and the local additions that are in use.
A right checksum says that a number was copied without a slip, not that it is a person's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from loaders.demo.identity import HEALTH_FILE_NUMBER, IDENTITY_NUMBER, identity_check

PASSPORT = "http://hl7.org/fhir/sid/passport-"  # and the country in three letters
HEALTH_CARD = "urn:oid:2.16.156.10011.1.19"
INSURANCE_CARD = "urn:oid:2.16.156.10011.1.15"
_PATTERN_18 = re.compile(r"\d{17}[\dX]")
_PATTERN_15 = re.compile(r"\d{15}")
_BIRTHS_FROM = 1850
_PERMIT_REGIONS = ("810000", "820000", "830000")  # residence permits of Hong Kong, Macao and Taiwan residents


@dataclass(frozen=True, slots=True)
class Reading:
    """What a number says.

    ``value`` is its one form (18 characters, X in capitals). ``problem`` is empty for a well-formed one, else
    says what is wrong, without the number. ``checked``: a checksum was there and is right, so that a slip of
    the pen is excluded. ``born`` and ``sex`` (FHIR code) are None and '' where it does not tell them.
    """

    system: str
    value: str
    problem: str = ""
    checked: bool = False
    born: date | None = None
    sex: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of identity number: its code in CV02.01.101 (or local), name, the system it is kept under, its reader.

    ``owned``: one person has one such number at a time, so two different ones are two persons.
    """

    code: str
    zh: str
    system: str
    read: Callable[[str, str], Reading]
    owned: bool = False


def _clean(value: str) -> str:
    folded = value.translate(_FULL_WIDTH).upper()
    return re.sub(r"[\s\-·.]", "", folded)


_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


def resident_number(system: str, value: str) -> Reading:
    """A resident identity number (also a residence permit, or the permanent residence card of 2023).

    The old form of 15 digits is brought into the present one: ``19`` after the region, and the check character.
    """
    text = _clean(value)
    if _PATTERN_15.fullmatch(text):
        first17 = f"{text[:6]}19{text[6:]}"
        born = _date(first17[6:14])
        problem = "" if born else "its birth date is no date"
        # Without check character a slip goes unseen, so it is taken as it is and trusted less.
        return Reading(system, first17 + identity_check(first17), problem, False, born, _sex(first17))
    if not _PATTERN_18.fullmatch(text):
        return Reading(system, text, "it has not 17 digits and a check character (0-9 or X)")
    born = _date(text[6:14])
    if identity_check(text[:17]) != text[17]:
        return Reading(system, text, "its check character is wrong, so at least one digit is")
    if born is None:
        return Reading(system, text, "its birth date is no date")
    return Reading(system, text, "", True, born, _sex(text))


def permanent_residence(system: str, value: str) -> Reading:
    """A foreigner's permanent residence number: the form of 2017 (3 letters, 12 digits) or that of 2023 (18 digits)."""
    text = _clean(value)
    if re.fullmatch(r"[A-Z]{3}\d{12}", text):
        # Region 4, birth date YYMMDD, sequence, check digit: the century is not said, so no birth date is read.
        month, day = int(text[9:11]), int(text[11:13])
        wrong = not (1 <= month <= 12 and 1 <= day <= 31)
        return Reading(system, text, "its birth date is no date" if wrong else "")
    if text.startswith("9"):
        return resident_number(system, text)
    return Reading(
        system, text, "it is neither of the form of 2017 (3 letters, 12 digits) nor of 2023 (18 digits from 9)"
    )


def _shaped(pattern: str, form: str) -> Callable[[str, str], Reading]:
    compiled = re.compile(pattern)

    def read(system: str, value: str) -> Reading:
        text = _clean(value)
        return Reading(system, text, "" if compiled.fullmatch(text) else f"it is not of the form {form}")

    return read


def _date(digits: str) -> date | None:
    try:
        found = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
    return found if found.year >= _BIRTHS_FROM else None


def _sex(digits: str) -> str:
    return "male" if int(digits[16]) % 2 else "female"


def _own(name: str) -> str:
    return f"urn:yidang:identity:{name}"


KINDS: tuple[Kind, ...] = (
    Kind("01", "居民身份证", IDENTITY_NUMBER, resident_number, owned=True),
    Kind("02", "居民户口簿", _own("household-register"), _shaped(r"\d{6,18}X?", "6 to 18 digits")),
    Kind("03", "护照", _own("passport"), _shaped(r"[A-Z0-9]{5,20}", "5 to 20 letters and digits")),
    Kind(
        "04", "军官证", _own("officer"), _shaped(r"[\u4e00-\u9fff]{0,3}第?[A-Z0-9]{4,12}号?", "字第 and 4 to 12 digits")
    ),
    Kind("05", "驾驶证", _own("driving-licence"), resident_number),
    Kind(
        "06", "港澳居民来往内地通行证", _own("hm-travel-permit"), _shaped(r"[HM]\d{8}(\d{2})?", "H or M and 8 digits")
    ),
    Kind("07", "台湾居民来往内地通行证", _own("tw-travel-permit"), _shaped(r"\d{8}|\d{10}[A-Z]?", "8 digits")),
    Kind("99", "其他法定有效证件", _own("other"), _shaped(r"\S{3,40}", "3 to 40 characters")),
    Kind("08", "港澳台居民居住证", _own("hmt-residence-permit"), resident_number, owned=True),
    Kind("09", "外国人永久居留身份证", _own("permanent-residence"), permanent_residence),
    Kind("111", "出生医学证明", _own("birth-certificate"), _shaped(r"[A-Z]\d{9}", "a letter and 9 digits"), owned=True),
)
BY_SYSTEM: dict[str, Kind] = {kind.system: kind for kind in KINDS}
BY_CODE: dict[str, Kind] = {kind.code: kind for kind in KINDS}
# Numbers of cards and files that one person has, and that no authority's checksum guards.
PERSONAL_SYSTEMS = frozenset({HEALTH_FILE_NUMBER, HEALTH_CARD, INSURANCE_CARD})


def read_number(system: str, value: str) -> Reading | None:
    """What the identity number says; None where ``system`` is no kind of identity number."""
    kind = BY_SYSTEM.get(system) or (BY_CODE["03"] if system.startswith(PASSPORT) else None)
    if kind is None:
        return None
    reading = kind.read(system, value)
    if system == IDENTITY_NUMBER and reading.value[:6] in _PERMIT_REGIONS:
        # A permit's number under the system of the identity card: the same number of the same person.
        return Reading(BY_CODE["08"].system, *_tail(reading))
    return reading


def _tail(reading: Reading) -> tuple[str, str, bool, date | None, str]:
    return reading.value, reading.problem, reading.checked, reading.born, reading.sex


def readings(patient: dict[str, Any]) -> list[tuple[int, Reading]]:
    """The identity numbers of a Patient with the place of each in ``identifier``; old ones (use old) left out."""
    found = []
    identifiers = patient.get("identifier")
    for place, identifier in enumerate(identifiers if isinstance(identifiers, list) else ()):
        if not isinstance(identifier, dict) or identifier.get("use") == "old":
            continue
        system, value = identifier.get("system"), identifier.get("value")
        if isinstance(system, str) and isinstance(value, str) and (reading := read_number(system, value)):
            found.append((place, reading))
    return found


def problems(patient: dict[str, Any]) -> list[tuple[str, str]]:
    """(FHIRPath of the element, what is wrong) for each identity number that is not well formed."""
    return [
        (f"Patient.identifier[{place}].value", f"{_zh(reading.system)}: {reading.problem}")
        for place, reading in readings(patient)
        if reading.problem
    ]


def _zh(system: str) -> str:
    kind = BY_SYSTEM.get(system) or BY_CODE["03"]
    return kind.zh


def spellings(reading: Reading) -> list[tuple[str, str]]:
    """The (system, value) under which a stored Patient may carry this number; the index knows one form of each."""
    systems = [reading.system]
    if reading.system == BY_CODE["08"].system:
        systems.append(IDENTITY_NUMBER)
    return [(system, reading.value) for system in systems]


def normalised(patient: dict[str, Any]) -> dict[str, Any]:
    """The Patient with its well-formed identity numbers in their one form (X in capitals, 18 digits)."""
    changes = {place: reading.value for place, reading in readings(patient) if not reading.problem}
    if not changes:
        return patient
    identifiers = list(patient["identifier"])
    for place, value in changes.items():
        if identifiers[place]["value"] != value:
            identifiers[place] = {**identifiers[place], "value": value}
    return {**patient, "identifier": identifiers}
