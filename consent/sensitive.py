"""Codes and words that need special protection: one coding or concept → the Sensitivity bits that it means.

The table is data/sensitivity.json. Chinese extended ICD-10 codes (``B20.x00x001``) are opaque strings here;
only their beginning is compared. Words are compared as well: hospitals' own codes are in no table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from consent.vocabulary import NO_SENSITIVITY, Sensitivity

_LENGTHS = (7, 6, 5, 4, 3, 2)


def _bits(table: Mapping[str, list[str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, codes in table.items():
        for code in codes:
            found[code] = found.get(code, 0) | int(Sensitivity[name])
    return found


def _load() -> tuple[dict[str, str], dict[str, dict[str, int]], dict[str, dict[str, int]], dict[str, int]]:
    table = json.loads((files("consent") / "data" / "sensitivity.json").read_text("utf-8"))
    exact: dict[str, dict[str, int]] = {}
    prefixes: dict[str, dict[str, int]] = {}
    for name in set(table["systems"].values()):
        entry = table.get(name, {})
        exact[name] = _bits(entry.get("codes", {}))
        prefixes[name] = _bits(entry.get("prefixes", {})) | dict.fromkeys(entry.get("exempt", ()), 0)
    exempt = table["words"].pop("exempt")
    words = {word.upper(): bit for word, bit in _bits(table["words"]).items()} | dict.fromkeys(exempt, 0)
    return table["systems"], exact, prefixes, words


_SYSTEMS, _EXACT, _PREFIXES, _WORDS = _load()
_ANY_WORD = re.compile("|".join(re.escape(word) for word in sorted(_WORDS, key=len, reverse=True)), re.IGNORECASE)


@lru_cache(maxsize=65536)
def words_bits(text: str) -> int:
    """The sensitivities that the words of a name or display speak of."""
    found = 0
    for match in _ANY_WORD.finditer(text):
        found |= _WORDS[match.group().upper()]
    return found


def code_bits(system: str, code: str) -> int:
    """The sensitivities of one code, none where the table does not know its system."""
    name = _SYSTEMS.get(system)
    if name is None:
        # ICD codes often come without a system, or with a hospital's own name for it.
        if system and "icd" not in system.lower():
            return 0
        name = "icd10"
        if not re.match(r"[A-Z][0-9][0-9A-Z]", code):
            return 0
    found = _EXACT[name].get(code, 0)
    prefixes = _PREFIXES[name]
    if prefixes:
        for length in _LENGTHS:
            bits = prefixes.get(code[:length])
            if bits is not None:
                return found | bits
    return found


@lru_cache(maxsize=65536)
def _coding_bits(system: str | None, code: str | None, display: str | None) -> int:
    found = code_bits(system or "", code or "")
    return found | words_bits(display) if display else found


def concept_bits(concept: Mapping[str, Any]) -> int:
    """The sensitivities of a CodeableConcept: of its codes and of its words."""
    found = 0
    display = None
    if "coding" in concept:
        for coding in concept["coding"]:
            get = coding.get
            display = get("display")
            found |= _coding_bits(get("system"), get("code"), display)
    if "text" in concept:
        text = concept["text"]
        if text != display and text.__class__ is str:
            found |= words_bits(text)
    return found


def as_sensitivity(bits: int) -> Sensitivity:
    """The bits as Sensitivity."""
    return Sensitivity(bits) if bits else NO_SENSITIVITY
