"""Each rule of quality with a file that passes it and one that fails it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from profiles.definitions import load
from profiles.lossless import encode, parse
from profiles.quality import BY_ID, RULES, File, Tally, assess, band_of, measure
from profiles.structure import Validator
from tests.profiles.quality.records import (
    Read,
    Resource,
    adult,
    child,
    condition,
    dead,
    elder,
    encounter,
    expectant,
    observation,
    patient,
    pressure,
    read,
)

Spoiled = Callable[[], File]


def put(base: Callable[[], list[Resource]], *more: Resource, **changes: Any) -> Spoiled:
    """The file ``base`` with further resources, and with other elements in its Patient."""

    def make() -> File:
        first, *rest = base()
        return read([{**first, **changes}, *rest, *more])

    return make


def without(base: Callable[[], list[Resource]], *types: str, days: tuple[str, ...] = ()) -> Spoiled:
    """The file ``base`` without the resources of these types."""

    def make() -> File:
        kept = [one for one in base() if one["resourceType"] not in types]
        return read([one for one in kept if not str(one.get("effectiveDateTime", "")).startswith(days or ("-",))])

    return make


def changed(base: Callable[[], list[Resource]], id: str, **changes: Any) -> Spoiled:
    """The file ``base`` with other elements in one resource (None: taken out)."""
    return lambda: read([{**one, **changes} if one.get("id") == id else one for one in base()])


def numbered(*numbers: Read, **changes: Any) -> Spoiled:
    def make() -> File:
        first, *rest = adult()
        return read([{**first, **changes}, *rest], *numbers)

    return make


def unnumbered() -> File:
    file = read(adult())
    file.numbers = ()
    return file


def old(type: str) -> Resource:
    return {
        "resourceType": type,
        "id": "old",
        "status": "preliminary",
        "code": {"text": "x", "coding": [{"system": "s", "code": "c"}]},
    }


def again(base: Callable[[], list[Resource]], id: str) -> Spoiled:
    """The file with one resource twice."""
    return lambda: read([*base(), *({**one, "id": "again"} for one in base() if one.get("id") == id)])


HB = {"referenceRange": [{"low": {"value": 130}, "high": {"value": 175}}]}
# Rule → a file that passes, a file that fails.
CASES: dict[str, tuple[Spoiled, Spoiled]] = {
    "identity-number-missing": (put(adult), unnumbered),
    "identity-number-wrong": (put(adult), numbered(Read(problem="its check character is wrong"))),
    "identity-number-differs": (
        numbered(Read(born=date(1981, 9, 17), sex="male")),
        numbered(Read(born=date(1981, 9, 18), sex="male")),
    ),
    "name-missing": (put(adult), put(adult, name=[{"use": "official"}])),
    "name-placeholder": (put(adult), put(adult, name=[{"text": "无名氏"}])),
    "gender-missing": (put(adult), put(adult, gender="unknown")),
    "birth-date-missing": (put(adult), put(adult, birthDate=None)),
    "birth-date-imprecise": (put(adult), put(adult, birthDate="1981-09")),
    "birth-date-future": (put(adult), put(adult, birthDate="2027-01-01")),
    "too-old": (put(adult), put(adult, birthDate="1899-01-01")),
    "death-before-birth": (put(dead), put(dead, deceasedDateTime="1980-01-01")),
    "death-future": (put(dead), put(dead, deceasedDateTime="2027-01-01")),
    "phone-missing": (put(adult), put(adult, telecom=[{"system": "email", "value": "a@b"}])),
    "phone-wrong": (put(adult), put(adult, telecom=[{"system": "phone", "value": "12345"}])),
    "address-missing": (put(adult), put(adult, address=None)),
    "address-vague": (put(adult), put(adult, address=[{"text": "一档县"}])),
    "file-number-missing": (put(adult), put(adult, identifier=[])),
    "file-number-wrong": (
        put(adult),
        put(adult, identifier=[{"system": "urn:oid:2.16.156.10011.1.2", "value": "990101"}]),
    ),
    "institution-missing": (put(adult), put(adult, managingOrganization=None)),
    "doctor-missing": (put(adult), put(adult, generalPractitioner=None)),
    "ethnic-group-missing": (put(adult), put(adult, extension=None)),
    "guardian-missing": (put(child), without(child, "RelatedPerson")),
    "allergies-missing": (put(adult), without(adult, "AllergyIntolerance")),
    "blood-group-missing": (put(adult), changed(adult, "abo", code={"text": "血型"})),
    "report-empty": (put(adult), changed(adult, "rep", result=None)),
    "undated": (put(adult), changed(adult, "enc", period=None)),
    "future": (put(adult), changed(adult, "glu", effectiveDateTime="2027-01-01")),
    "before-birth": (put(adult), changed(adult, "glu", effectiveDateTime="1970-01-01")),
    "after-death": (put(dead), put(dead, encounter("late", "2026-05-01"))),
    "period-reversed": (
        put(adult),
        changed(adult, "enc", period={"start": "2026-10-20T09:00:00+08:00", "end": "2026-10-12T10:00:00+08:00"}),
    ),
    "value-implausible": (put(adult), put(adult, observation("k", "2823-3", 45, "mmol/L"))),
    "unit-mistaken": (put(adult), put(adult, observation("cr", "14682-9", 1.1, "umol/L"))),
    "unit-missing": (put(adult), changed(adult, "glu", valueQuantity={"value": 5.6})),
    "flag-wrong": (put(adult), changed(adult, "hb", interpretation=[{"coding": [{"code": "H"}]}])),
    "pressure-reversed": (put(adult), put(adult, pressure("turned", 80, 128))),
    "height-unsteady": (put(adult), put(adult, observation("h2", "8302-2", 158, "cm", "2025-10-20"))),
    "body-mass-wrong": (
        put(adult),
        changed(adult, "bmi", valueQuantity={"value": 30, "unit": "kg/m2", "code": "kg/m2"}),
    ),
    "sex-contradicted": (put(adult), put(adult, condition("O24.4", "妊娠期糖尿病"))),
    "code-missing": (put(adult), changed(adult, "con-I10", code={"text": "高血压"})),
    "system-missing": (put(adult), changed(adult, "con-I10", code={"coding": [{"code": "I10"}], "text": "高血压"})),
    "display-missing": (put(adult), changed(adult, "rx", medicationCodeableConcept={"coding": [{"code": "C08CA01"}]})),
    "duplicate-observation": (put(adult), again(adult, "glu")),
    "duplicate-condition": (put(adult), again(adult, "con-I10")),
    "duplicate-encounter": (put(adult), again(adult, "enc")),
    "duplicate-immunization": (put(adult), again(adult, "flu")),
    "duplicate-medicationrequest": (put(adult), again(adult, "rx")),
    "result-unfinished": (put(adult), put(adult, {**old("Observation"), "effectiveDateTime": "2026-01-05"})),
    "encounter-open": (put(adult), changed(adult, "enc", status="in-progress", period={"start": "2026-01-05"})),
    "hypertension-follow-up": (put(adult), changed(adult, "bp", effectiveDateTime="2026-07-01")),
    "diabetes-follow-up": (put(adult), changed(adult, "glu", effectiveDateTime="2026-07-01")),
    "copd-follow-up": (put(adult), without(adult, "Encounter")),
    "mental-follow-up": (put(adult), without(adult, "Encounter")),
    "tuberculosis-follow-up": (put(adult), without(adult, "Encounter")),
    "chronic-examination": (put(adult), without(adult, days=("2026-10-20",))),
    "elderly-examination": (put(elder), without(elder, "DiagnosticReport")),
    "child-visit": (put(child), without(child, "Encounter")),
    "immunizations-missing": (put(child), without(child, "Immunization")),
    "immunizations-few": (
        put(child),
        lambda: read([one for one in child() if one.get("id") not in ("dose-1", "dose-2")]),
    ),
    "pregnancy-visit": (put(expectant), changed(expectant, "anc", period={"start": "2026-09-05"})),
    "pressure-yearly": (put(adult), without(adult, days=("2026-10-20",))),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_rule_passes_and_fails(rule: Any) -> None:
    passing, failing = (make() for make in CASES[rule.id])
    assert rule.about(passing), "the rule is about the file that passes"
    assert list(rule.find(passing)) == []
    assert rule.about(failing), "the rule is about the file that fails"
    found = list(rule.find(failing))
    assert found
    for finding in found:
        assert finding.element and finding.zh and finding.en


def test_every_rule_has_a_name_a_weight_and_a_case() -> None:
    assert set(CASES) == set(BY_ID) and len(BY_ID) == len(RULES)
    for rule in RULES:
        assert rule.zh and rule.en and rule.weight > 0 and rule.severity in ("error", "warning", "information")


@pytest.mark.parametrize("base", [adult, child, elder, expectant, dead])
def test_good_files_fail_no_more_than_what_they_are_not_made_for(base: Callable[[], list[Resource]]) -> None:
    found = assess(read(base()))
    names = {rule.id for rule, _ in found.failed}
    small = {"allergies-missing", "blood-group-missing", "pressure-yearly"}
    assert names <= (set() if base is adult else small)
    assert found.score == 100 if base is adult else found.score >= 90
    assert set(found.dimensions) <= {"completeness", "plausibility", "uniqueness", "coding", "timeliness"}


@pytest.mark.parametrize(
    ("file", "rule"),
    [
        (put(adult, telecom=[{"system": "phone", "value": "0597-6831234"}]), "phone-wrong"),
        (put(adult, telecom=[{"system": "phone", "value": "+852 2345 6789"}]), "phone-wrong"),
        (put(child, telecom=None), "phone-missing"),
        (put(adult, name=[{"family": "欧阳", "given": [None, "娜"]}]), "name-missing"),
        (put(adult, observation("other", "2345-7", 150, "mg/dL")), "unit-missing"),
        (put(dead, {**old("DiagnosticReport"), "effectiveDateTime": "2026-05-01"}), "after-death"),
        (
            put(adult, {**observation("wrong", "2823-3", 45, "mmol/L"), "status": "entered-in-error"}),
            "value-implausible",
        ),
        (put(expectant, condition("O80.0", "顺产", "2024-01-01")), "sex-contradicted"),
        (put(adult, condition("I10.x00x002", "高血压2级", "2026-11-01")), "hypertension-follow-up"),
    ],
)
def test_what_looks_odd_and_is_right(file: Spoiled, rule: str) -> None:
    assert list(BY_ID[rule].find(file())) == []


def test_chinese_codes_with_additions_are_of_their_category() -> None:
    late = put(lambda: [patient()], condition("I10.x00x002", "高血压2级"))()
    assert BY_ID["hypertension-follow-up"].about(late)
    assert [one.zh for one in BY_ID["hypertension-follow-up"].find(late)] == ["高血压随访超期（从未随访）"]


def test_a_file_whose_patient_is_not_open_is_judged_by_its_items_only() -> None:
    found = assess(read([one for one in adult() if one["resourceType"] != "Patient"]))
    assert found.score == 100
    assert not any(rule.startswith(("identity", "name", "address")) for rule in found.about)
    assert "value-implausible" in found.about
    assert assess(read([])).score == 100


def test_a_failed_rule_takes_its_weight_once() -> None:
    bad = [observation(f"k{n}", "2823-3", 45 + n, "mmol/L") for n in range(80)]
    found = assess(put(adult, *bad)())
    ((rule, findings),) = found.failed
    total = sum(BY_ID[id].weight for id in found.about)
    assert rule.id == "value-implausible" and len(findings) == 50
    assert found.score == round(100 * (1 - rule.weight / total), 1)
    assert found.dimensions["plausibility"] < 100 == found.dimensions["completeness"]


def test_files_are_added_up_without_being_kept() -> None:
    tally = Tally(most=2)
    good, bad, worse = read(adult()), put(adult, name=None)(), put(adult, name=None, birthDate=None, address=None)()
    for name, file in (("a", good), ("b", bad), ("c", worse), ("d", good)):
        tally.add(name, assess(file))
    assert tally.files == 4 and tally.about["name-missing"] == 4 and tally.failed["name-missing"] == 2
    assert [name for _, name, _ in tally.worst] == ["c", "b"]
    assert sum(tally.bands.values()) == 4 and tally.bands["good"] >= 2
    assert tally.score == round(sum(assess(f).score for f in (good, bad, worse, good)) / 4, 1)
    assert Tally().score == 100 and band_of(0) == "bad" and band_of(95) == "good"


def test_the_measure_is_valid_and_has_a_group_for_each_rule() -> None:
    found = measure()
    assert Validator(load()).check(parse(encode(found))) == []
    codes = [group["code"]["coding"][0]["code"] for group in found["group"]]
    assert codes == ["score", *(rule.id for rule in RULES)]
