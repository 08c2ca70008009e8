"""Identity numbers: what is well formed, and what is read off a number."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.records.matching.identity_numbers import (
    BY_CODE,
    KINDS,
    PASSPORT,
    normalised,
    problems,
    read_number,
    spellings,
)
from fhir_server.search.national import is_national
from loaders.demo.identity import HEALTH_FILE_NUMBER, IDENTITY_NUMBER, identity_check, identity_number

births = st.dates(date(1900, 1, 1), date(2026, 11, 1))


def read(value: str, code: str = "01") -> Any:
    found = read_number(BY_CODE[code].system, value)
    assert found is not None
    return found


@given(st.integers(0, 499), births, st.booleans())
def test_birth_date_and_sex_are_read_off_a_right_number(serial: int, born: date, female: bool) -> None:
    found = read(identity_number(serial, born, female))
    assert (found.problem, found.checked) == ("", True)
    assert (found.born, found.sex) == (born, "female" if female else "male")


@given(st.integers(0, 499), births, st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_is_always_noticed(serial: int, born: date, place: int, off: int) -> None:
    number = identity_number(serial, born, False)
    wrong = number[:place] + str((int(number[place]) + off) % 10) + number[place + 1 :]
    assert read(wrong).problem


@given(st.integers(0, 499), births, st.integers(0, 15))
def test_two_neighbouring_digits_changed_round_are_always_noticed(serial: int, born: date, place: int) -> None:
    number = identity_number(serial, born, True)
    turned = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    assert turned == number or read(turned).problem


def test_the_published_example_is_right() -> None:
    assert read("11010519491231002X").born == date(1949, 12, 31)


@pytest.mark.parametrize(
    "text", ["11010519491231002x", " 110105 19491231 002X", "１１０１０５１９４９１２３１００２Ｘ"]
)
def test_a_number_has_one_form_however_it_is_typed(text: str) -> None:
    assert read(text).value == "11010519491231002X"


@given(st.integers(0, 499), st.dates(date(1900, 1, 1), date(1999, 12, 31)), st.booleans())
def test_the_old_form_of_15_digits_is_the_present_one(serial: int, born: date, female: bool) -> None:
    number = identity_number(serial, born, female)
    found = read(number[:6] + number[8:17])
    assert (found.value, found.born) == (number, born)
    assert not found.checked  # it has no check character, so a slip would go unseen


def test_dates_that_do_not_exist_are_wrong_even_with_a_right_check_character() -> None:
    first17 = "11010519990230001"
    assert "date" in read(first17 + identity_check(first17)).problem


@pytest.mark.parametrize("text", ["", "x", "1" * 17, "1" * 19, "11010519491231002Y", "１" * 40, "\x00"])
def test_other_texts_are_wrong_and_the_reason_does_not_repeat_them(text: str) -> None:
    found = read(text)
    assert found.problem
    assert not text or text not in found.problem


def test_a_residence_permit_is_one_number_under_both_systems() -> None:
    first17 = "81000019900102001"
    number = first17 + identity_check(first17)
    assert read(number) == read(number, "08")
    assert set(spellings(read(number))) == {(BY_CODE["08"].system, number), (IDENTITY_NUMBER, number)}


@pytest.mark.parametrize(
    ("code", "right", "wrong"),
    [
        ("03", "E12345678", "E1"),
        ("06", "H12345678", "X12345678"),
        ("07", "12345678", "1234567"),
        ("09", "CAN110176050201", "CAN110176990201"),
        ("09", "911124198108030024", "911124198108030025"),
        ("111", "P500123456", "500123456"),
        ("04", "军字第2001988号", "军"),
    ],
)
def test_other_kinds_have_their_forms(code: str, right: str, wrong: str) -> None:
    assert not read(right, code).problem
    assert read(wrong, code).problem


def test_passports_of_every_country_are_identity_numbers() -> None:
    assert read_number(f"{PASSPORT}USA", "567890123") is not None
    assert is_national(f"{PASSPORT}USA")
    assert not is_national("urn:oid:2.16.156.10011.1.11")
    assert read_number(HEALTH_FILE_NUMBER, "x") is None


def test_every_kind_reads_any_text() -> None:
    for kind in KINDS:
        for text in ("", "A", "9" * 18, "汉字", "x" * 1000):
            assert kind.read(kind.system, text).system


def test_the_problems_of_a_patient_name_the_element() -> None:
    patient = {
        "identifier": [
            {"system": HEALTH_FILE_NUMBER, "value": "1"},
            {"system": IDENTITY_NUMBER, "value": "110105194912310021"},
            {"system": IDENTITY_NUMBER, "value": "old and wrong", "use": "old"},
        ]
    }
    ((where, what),) = problems(patient)
    assert where == "Patient.identifier[1].value"
    assert "居民身份证" in what
    assert "11010519491231" not in what


def test_a_patient_is_kept_with_its_numbers_in_their_one_form() -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": IDENTITY_NUMBER, "value": "11010519491231002x"}]}
    assert normalised(patient)["identifier"][0]["value"] == "11010519491231002X"
    assert patient["identifier"][0]["value"].endswith("x")  # what came in is left as it is
    assert normalised({"resourceType": "Patient"}) == {"resourceType": "Patient"}
