"""Birth dates, telephones and addresses compared."""

from __future__ import annotations

import pytest

from fhir_server.records.matching.demographics import Agreement, address, born, phone, phones_of, place, places_of


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("1980-03-12", "1980-03-12", "exact"),
        ("1980-03-12", "1980-03-13", "slip"),
        ("1980-03-12", "1980-03-21", "slip"),
        ("1980-03-12", "1990-03-12", "slip"),
        ("1980-03-12", "1980-12-03", "slip"),
        ("1980-03-12", "1980-02-06", "lunar"),
        ("1980-03-12", "1980", "year"),
        ("1980-03-12", "1980-03", "month"),
        ("1980-03-12", "1981", "near-year"),
        ("1980", "1985", "different"),
        ("1980-03-12", "1975-08-24", "different"),
        ("1980-03-12", "", "missing"),
        ("1980-02-30", "1980-07-11", "different"),
    ],
)
def test_birth_dates(one: str, other: str, expected: str) -> None:
    assert born(one, other) == expected
    assert born(other, one) == expected


def test_phones_are_digits_and_placeholders_are_none() -> None:
    values = ["+86 139-1234-5678", "00000000000", "13800138000", "12", "023-48662222"]
    telecom = [{"system": "phone", "value": value} for value in values] + [{"system": "email", "value": "1391234567"}]
    assert phones_of({"telecom": telecom}) == {"13912345678", "02348662222"}


def test_phones_agree_by_one_of_several() -> None:
    assert phone(frozenset({"1", "2"}), frozenset({"2", "3"})) is Agreement.SAME
    assert phone(frozenset({"13912345678"}), frozenset({"13912345679"})) is Agreement.SLIP
    assert phone(frozenset({"13912345678"}), frozenset({"13987654321"})) is Agreement.DIFFERENT
    assert phone(frozenset(), frozenset({"1"})) is Agreement.MISSING


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("重庆市綦江区永新镇长田村3组15号", "永新镇长田村三组十五号", "same"),
        ("永新镇长田村民委员会15号", "永新镇长田村15号", "same"),
        ("永新镇长田村3组15号", "永新镇长田村", "village"),
        ("永新镇长田村3组15号", "永新镇和平村3组15号", "township"),
        ("永新镇长田村3组15号", "东溪镇长田村3组15号", "different"),
        ("长田村15号", "永新镇长田村15号", "same"),
        ("綦江区", "永新镇长田村15号", "missing"),
    ],
)
def test_addresses_agree_by_their_parts(one: str, other: str, expected: str) -> None:
    assert address((place(one),), (place(other),)) == expected


def test_an_address_in_parts_is_one_in_text() -> None:
    parts = {"city": "丰宁县", "district": "和平镇", "line": ["东风村12号"]}
    assert places_of({"address": [parts]}) == places_of({"address": [{"text": "丰宁县和平镇东风村12号"}]})
