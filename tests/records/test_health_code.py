"""The person's code: random, checked, given by the server."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.records.health_code import check_character, code_of, new_code, read_code, with_code, without_code

codes = st.integers(0, 2**32).map(lambda seed: new_code(Random(seed).randrange))


@given(codes)
def test_a_code_is_read_however_it_is_typed(code: str) -> None:
    assert read_code(code) == code
    assert read_code(f" {code[:4]}-{code[4:8]} {code[8:]}".lower()) == code


@given(codes, st.integers(0, 15), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_every_wrong_character_is_noticed(code: str, place: int, other: str) -> None:
    wrong = code[:place] + other + code[place + 1 :]
    assert wrong == code or read_code(wrong) is None


@given(codes, st.integers(0, 13))
def test_nearly_all_characters_changed_round_are_noticed(code: str, place: int) -> None:
    turned = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    # ISO 7064 MOD 37,36 lets few transpositions pass; of one code not all may.
    assert turned == code or read_code(turned) is None or check_character(turned[:-1]) == turned[-1]


def test_the_check_character_is_that_of_iso_7064() -> None:
    """The standard's own example for MOD 37,36: A12425GABC1234002 has the check character M (ISO 17364, GRid)."""
    assert check_character("A12425GABC1234002") == "M"


@pytest.mark.parametrize("text", ["", "0" * 15, "0" * 17, "I" * 16, "汉" * 16, "11010519491231002X"])
def test_other_texts_are_no_codes(text: str) -> None:
    assert read_code(text) is None


def test_codes_do_not_repeat() -> None:
    assert len({new_code() for _ in range(10_000)}) == 10_000


def test_a_patient_keeps_the_code_it_has() -> None:
    patient = with_code({"resourceType": "Patient"})
    assert with_code(patient) == patient
    assert code_of(patient) is not None
    assert code_of(without_code(patient)) is None
    assert without_code(patient) == {"resourceType": "Patient"}
