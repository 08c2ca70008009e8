"""Values as people write them: names in Chinese and pinyin, words of a code, distances in any unit of length."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.errors import BadRequest
from fhir_server.search.extract import Extractor
from fhir_server.search.parse import parse
from profiles.definitions import load

from .oracle import evaluate

EXTRACTOR = Extractor(load())
RESOURCES: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "one", "name": [{"family": "欧阳", "given": ["修文"]}]},
    {"resourceType": "Patient", "id": "two", "name": [{"family": "王", "given": ["小", "明"]}]},
    {"resourceType": "Patient", "id": "bare", "name": [{"text": "吕布"}]},
    {"resourceType": "Condition", "id": "c", "code": {"text": "原发性高血压2级"}, "subject": {"display": "x"}},
    {"resourceType": "Condition", "id": "d", "code": {"text": "Essential hypertension"}, "subject": {"display": "x"}},
    {"resourceType": "Location", "id": "here", "position": {"latitude": 30, "longitude": 120}},
    {"resourceType": "Location", "id": "near", "position": {"latitude": 30, "longitude": 120.0001}},
]
WORLD = {(r["resourceType"], r["id"]): EXTRACTOR.rows(r) for r in RESOURCES}


def found(search: str, **settings: Any) -> set[str]:
    type_, _, rest = search.partition("?")
    pairs = [tuple(part.split("=", 1)) for part in rest.split("&")]
    return {id_ for _, id_ in evaluate(parse((type_,), pairs, EXTRACTOR, **settings).query, WORLD)}


@pytest.mark.parametrize(
    "name", ["欧阳", "修文", "欧阳修文", "欧阳 修文", "ouyangxiuwen", "ouyang xiuwen", "oyxw", "OYXW"]
)
def test_a_chinese_name_is_found_by(name: str) -> None:
    assert found(f"Patient?name={name}") == {"one"}


@pytest.mark.parametrize("name", ["xiuwen", "xiu wen", "xw"])
def test_a_chinese_given_name_is_found_alone_in_pinyin(name: str) -> None:
    assert found(f"Patient?name={name}") == {"one"}


@pytest.mark.parametrize("name", ["小明", "xiaoming", "xm", "王小明", "wxm"])
def test_a_given_name_in_parts_is_found_as_one(name: str) -> None:
    assert found(f"Patient?name={name}") == {"two"}


@pytest.mark.parametrize("name", ["lvbu", "lübu", "lb", "吕"])
def test_a_name_that_is_only_text_is_found_by(name: str) -> None:
    assert found(f"Patient?name={name}") == {"bare"}


@pytest.mark.parametrize("text", ["原发", "高血压", "压", "2级", "性高"])
def test_any_part_of_a_chinese_text_of_a_code_finds_it(text: str) -> None:
    assert found(f"Condition?code:text={text}") == {"c"}


def test_other_texts_of_a_code_are_found_by_their_start() -> None:
    assert found("Condition?code:text=essential") == {"d"}
    assert found("Condition?code:text=hypertension") == set()


@pytest.mark.parametrize(
    ("near", "ids"),
    [
        ("30|120|1|cm", {"here"}),
        ("30|120|20|m", {"here", "near"}),
        ("30|120|20000|mm", {"here", "near"}),
        ("30|120|100|[ft_i]", {"here", "near"}),
        ("30|120|0.001|[mi_us]", {"here"}),
    ],
)
def test_a_distance_may_be_in_any_unit_of_length(near: str, ids: set[str]) -> None:
    assert found(f"Location?near={near}") == ids


@pytest.mark.parametrize("unit", ["furlongs", "kg", "Cel"])
def test_a_distance_in_no_unit_of_length_is_refused(unit: str) -> None:
    with pytest.raises(BadRequest, match=r"near.*UCUM"):
        found(f"Location?near=30|120|1|{unit}")


def test_what_is_ignored_of_a_sort_or_include_is_told_with_its_value() -> None:
    pairs = [("_sort", "blah"), ("_include", "Patient:blah"), ("blah", "1")]
    ignored = parse(("Patient",), pairs, EXTRACTOR, lenient=True).ignored
    assert ignored == ("_sort=blah", "_include=Patient:blah", "blah")


@pytest.mark.parametrize(
    ("search", "most"),
    [
        ("Patient?name={}", 500),
        ("Observation?code:text={}", 500),
        ("Observation?code=s{}|a", 500),
        ("Observation?code=s|{}", 3_900),
        ("Observation?subject=Patient/{}", 3_900),
        ("Observation?patient={}", 1_900),
        ("Observation?subject={}", 990),
        ("Observation?value-quantity=gt{}", 990),
        ("Observation?_lastUpdated=gt{}", 190),
        ("Observation?_list={}", 190),
    ],
)
def test_many_values_are_taken_up_to_what_can_be_answered_in_time(search: str, most: int) -> None:
    type_, _, pair = search.partition("?")
    name, _, value = pair.partition("=")

    def ask(count: int) -> None:
        parse((type_,), [(name, ",".join(value.format(1_000 + n) for n in range(count)))], EXTRACTOR)

    ask(most - 20)
    with pytest.raises(BadRequest, match="fewer values"):
        ask(4 * most)


def test_a_value_given_twice_counts_once() -> None:
    query = parse(("Patient",), [("name", ",".join(["a"] * 5_000))], EXTRACTOR).query
    assert query == parse(("Patient",), [("name", "a")], EXTRACTOR).query


def test_a_sort_key_knows_all_index_keys_of_the_parameter() -> None:
    (combined,) = parse(("Observation",), [("_sort", "combo-value-quantity")], EXTRACTOR).query.sort
    assert {combined.key, *combined.also} == {"value-quantity", "component-value-quantity"}
    types = ("AllergyIntolerance", "Observation")
    (of_both,) = parse(types, [("_sort", "patient")], EXTRACTOR).query.sort
    assert {of_both.key, *of_both.also} == {"patient", "subject"}


def test_a_sort_by_what_is_of_different_types_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"different types \(string, token\)"):
        parse(("ImagingStudy", "Immunization"), [("_sort", "series")], EXTRACTOR)
