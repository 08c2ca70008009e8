"""The small lists of the alliance: valid resources, right units, found in Chinese, mapped to LOINC and ATC."""

from __future__ import annotations

from importlib.resources import files

import pytest

from profiles.definitions import load
from profiles.lossless import parse
from profiles.structure import Validator
from terminology import service
from terminology.alliance import alliance
from terminology.arguments import Arguments
from terminology.base import base
from terminology.registry import Terminology
from terminology.ucum import readable

KNOWN = Terminology((alliance(), base()))
FOLDER = files("terminology").joinpath("data", "alliance")
NAMES = sorted(one.name for one in FOLDER.iterdir() if one.name.endswith(".json"))
SYSTEMS = {"lab-item": 52, "imaging-type": 20, "ecg-finding": 21, "drug": 20}


@pytest.mark.parametrize("name", NAMES)
def test_a_list_is_a_valid_resource(name: str) -> None:
    resource = parse(FOLDER.joinpath(name).read_bytes())
    assert Validator(load()).check(resource) == []
    assert resource["url"].startswith("urn:yidang:") and resource["version"]


@pytest.mark.parametrize(("name", "size"), SYSTEMS.items())
def test_a_system_has_its_concepts_with_chinese_and_english_names(name: str, size: int) -> None:
    system = KNOWN.system(f"urn:yidang:{name}")
    assert system is not None and system.size == size
    for concept in system.at(range(size)):
        assert concept.display and any(d.language == "en" for d in concept.designations)


def test_units_are_units() -> None:
    system = KNOWN.system("urn:yidang:lab-item")
    assert system is not None
    units = [p.text for c in system.at(range(system.size)) for p in c.values("unit")]
    assert len(units) > 40 and all(map(readable, units))


def test_loinc_codes_have_right_check_digits() -> None:
    for one in KNOWN.maps():
        if one.url.startswith("urn:yidang:") and one.url.endswith("-loinc"):
            codes = [t["code"] for e in one.resource["group"][0]["element"] for t in e["target"]]
            assert codes and all(map(is_loinc, codes))


def is_loinc(code: str) -> bool:
    digits, check = code.split("-")
    total = sum(sum(map(int, str(int(d) * (2 if n % 2 == 0 else 1)))) for n, d in enumerate(reversed(digits)))
    return (10 - total % 10) % 10 == int(check)


@pytest.mark.parametrize(
    ("valueset", "filter", "code"),
    [
        ("lab-items", "baixibao", "WBC"),
        ("lab-items", "肌酐", "CREA"),
        ("lab-items-loinc", "xhdb", "718-7"),
        ("imaging-types", "luna", "CT-HEAD"),
        ("ecg-findings", "fangchan", "AFIB"),
        ("ecg-findings", "心房颤", "AFIB"),
        ("common-diagnoses", "gxy", "I10"),
        ("drugs", "erjiashuanggua", "metformin"),
    ],
)
def test_the_value_sets_are_searched_in_chinese_and_pinyin(valueset: str, filter: str, code: str) -> None:
    named = [("url", f"urn:yidang:ValueSet:{valueset}"), ("filter", filter)]
    found = service.expand(KNOWN, Arguments(named), "urn:uuid:x", "2026-01-01T00:00:00Z")
    assert [one["code"] for one in found["expansion"].get("contains", [])][:1] == ([code] if code else [])


def test_items_are_translated_and_back() -> None:
    url = "urn:yidang:ConceptMap:lab-item-loinc"
    there = service.translate(KNOWN, Arguments([("url", url), ("system", "urn:yidang:lab-item"), ("code", "HBA1C")]))
    assert there["parameter"][1]["part"][1]["valueCoding"]["code"] == "4548-4"
    pairs = [("url", url), ("system", "http://loinc.org"), ("code", "4548-4"), ("reverse", True)]
    back = service.translate(KNOWN, Arguments([*pairs, ("displayLanguage", "zh-CN")]))
    assert back["parameter"][1]["part"][1]["valueCoding"]["display"] == "糖化血红蛋白"
