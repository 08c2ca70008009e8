"""Codes and words that need special protection: one code or text → the Sensitivity bits that it means.

The table is data/sensitivity.json. Chinese extended ICD-10 codes (``B20.x00x001``) are opaque strings here;
only their beginning is compared. Words are compared as well: hospitals' own codes are in no table. Both are
compared in one form, however they were typed: width (NFKC, https://www.unicode.org/reports/tr15/), letter case,
invisible characters, blanks between the characters.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from consent.vocabulary import NO_SENSITIVITY, Sensitivity

_LENGTHS = (7, 6, 5, 4, 3, 2)
_REMEMBERED = 256  # characters; longer texts are hardly met twice


def _bits(table: Mapping[str, list[str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, codes in table.items():
        for code in codes:
            found[code] = found.get(code, 0) | int(Sensitivity[name])
    return found


_TABLE: dict[str, Any] = json.loads((files("consent") / "data" / "sensitivity.json").read_text("utf-8"))
_SYSTEMS: dict[str, str] = {system.lower(): name for system, name in _TABLE["systems"].items()}
_EXACT: dict[str, dict[str, int]] = {name: _bits(_TABLE.get(name, {}).get("codes", {})) for name in _SYSTEMS.values()}
_PREFIXES: dict[str, dict[str, int]] = {
    name: _bits(_TABLE.get(name, {}).get("prefixes", {})) | dict.fromkeys(_TABLE.get(name, {}).get("exempt", ()), 0)
    for name in _SYSTEMS.values()
}
_EXEMPT = _TABLE["words"].pop("exempt")
_WORDS = {word.upper(): bits for word, bits in _bits(_TABLE["words"]).items()} | dict.fromkeys(_EXEMPT, 0)
_ABBREVIATIONS = _bits(_TABLE["abbreviations"])
_BETWEEN = r"[\s._*·/-]"  # what may stand between the letters of an abbreviation, the same each time


def _abbreviated(number: int, word: str) -> str:
    """The pattern of an abbreviation: no part of a longer word (archive, hives), its letters maybe set apart."""
    first, second, rest = word[0], word[1], word[2:]
    apart = "".join(rf"(?P=apart{number}){letter}" for letter in rest)
    return rf"{first}(?:(?<![A-Z]{first})|(?<=ANTI{first}))(?P<apart{number}>{_BETWEEN}?){second}{apart}(?!E)"


def _spelt(word: str) -> str:
    """The pattern of a word: blanks of any length, hyphens or none."""
    return re.escape(word).replace(r"\ ", r"\s+").replace(r"\-", r"[\s-]?")


# What each begins with stands first in its pattern: so the search steps over what begins none of them.
_ANY_WORD = re.compile(
    "|".join(
        [_spelt(word) for word in sorted(_WORDS, key=len, reverse=True)]
        + [_abbreviated(number, word) for number, word in enumerate(_ABBREVIATIONS)]
    )
)
_AS_WRITTEN = re.compile(rf"(?<![A-Za-z])A({_BETWEEN}?)I\1D\1S(?![A-Za-z])")  # not the aids of hearing and walking
_HAN = "\u2e80-\u9fff\U00020000-\U0003ffff"
_APART = re.compile(rf"(?<=[{_HAN}])[\s._*·-]+(?=[{_HAN}])")
_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>")
# Characters of no width, joiners, marks that are put over letters, fillers.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u0300-\u036f\u0600-\u0605\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u1ab0-\u1aff"
    "\u1dc0-\u1dff\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20f0\u3164\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)


def _plain(text: str) -> str:
    """``text`` without what only a machine sees: width, ligatures, invisible characters."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _UNSEEN.sub("", text))


def words_bits(text: str) -> int:
    """The sensitivities that the words of a name, display or note speak of."""
    return _remembered(text) if len(text) <= _REMEMBERED else _words_bits(text)


def _words_bits(text: str) -> int:
    if "<" in text or "&" in text:
        text = html.unescape(_MARKUP.sub("", text))  # a narrative, a note in Markdown
    text = _plain(text)
    found = _HIV if _AS_WRITTEN.search(text) else 0
    for match in _ANY_WORD.finditer(_APART.sub("", text.upper())):
        abbreviation = match.lastgroup
        found |= _BY_GROUP[abbreviation] if abbreviation else _BY_WORD[_squeezed(match.group())]
    return found


def _squeezed(word: str) -> str:
    return re.sub(r"[\s-]+", "", word)


_remembered = lru_cache(maxsize=65536)(_words_bits)
_HIV = int(Sensitivity.HIV)
_BY_WORD = {_squeezed(word): bits for word, bits in _WORDS.items()}
_BY_GROUP = {f"apart{number}": bits for number, bits in enumerate(_ABBREVIATIONS.values())}
_ICD10 = re.compile(r"[A-Z][0-9][0-9A-Z]")
_ICD11 = re.compile(r"[0-9A-Z][A-Z][0-9][0-9A-Z]")
_SURELY_ICD10 = re.compile(r"[A-Z][0-9][0-9A-Z]\.[0-9X]")


@lru_cache(maxsize=65536)
def code_bits(system: str, code: str) -> int:
    """The sensitivities of one code, none where the table does not know its system."""
    code = "".join(_plain(code).split()).upper()
    name = _table(system.strip().lower().replace("https:", "http:").partition("|")[0].rstrip("/"), code)
    if name == "icd10" and code[3:4].isalnum():
        code = f"{code[:3]}.{code[3:]}"  # written without its dot
    found = _EXACT[name].get(code, 0)
    prefixes = _PREFIXES[name]
    if prefixes:
        for length in _LENGTHS:
            bits = prefixes.get(code[:length])
            if bits is not None:
                return found | bits
    return found


def _table(system: str, code: str) -> str:
    """The name of the table that the code is looked up in."""
    name = _SYSTEMS.get(system)
    if name is not None:
        return name
    if system.startswith("http://snomed.info/sct"):  # an edition
        return "snomed"
    # ICD codes often come without a system, or with a hospital's own name for it.
    if not system or "icd" in system:
        if _ICD10.match(code):
            return "icd10"
        return "icd11" if system and _ICD11.match(code) else "plain"
    return "icd10" if _SURELY_ICD10.match(code) else "plain"


def as_sensitivity(bits: int) -> Sensitivity:
    """The bits as Sensitivity."""
    return Sensitivity(bits) if bits else NO_SENSITIVITY
