"""Accounts: one each, known by login, identity number or phone, of which the file keeps only keyed hashes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.auth import accounts, sessions, totp
from fhir_server.auth.accounts import AccountError
from tests.auth.people import HASHED, IDENTITY_NUMBER, PASSWORD, SECRET, START, World


def test_a_resident_is_known_by_number_and_phone_however_they_are_typed(clinic: World) -> None:
    made = clinic.resident()
    for typed in (IDENTITY_NUMBER, IDENTITY_NUMBER.lower(), "990101 19800101 001x", "10012345678", "+86 100 1234 5678"):
        assert accounts.known_as(clinic.file, typed) == made
    for typed in ("", "990101198001010019", "10012345679", "' OR 1=1 --"):
        assert accounts.known_as(clinic.file, typed) is None


def test_the_file_holds_neither_number_nor_phone(clinic: World) -> None:
    clinic.resident()
    dump = b"".join(path.read_bytes() for path in clinic.file.path.parent.glob("auth.db*"))
    assert IDENTITY_NUMBER.encode() not in dump
    assert b"10012345678" not in dump
    assert PASSWORD.encode() not in dump


def test_the_second_factor_is_sealed_in_the_file(clinic: World) -> None:
    clinic.doctor()
    row = clinic.file.row("SELECT totp FROM accounts")
    assert row is not None
    assert SECRET.encode() not in row["totp"]


@pytest.mark.parametrize(
    ("subject", "more", "problem"),
    [
        ("doctor", {"login": "other"}, "has an account already"),
        ("other", {"login": "doctor.li"}, "another account's"),
        ("other", {"login": "Doctor.Li"}, "another account's"),
        ("other", {}, "needs a login"),
        ("other", {"login": "1number"}, "a login has"),
        ("other", {"login": "ab"}, "a login has"),
        ("other", {"login": "with space"}, "a login has"),
        ("other", {"login": "good", "phone": "12"}, "a phone number"),
        ("other", {"login": "good", "identity_number": "一二三四五"}, "an identity number"),
        ("../x", {"login": "good"}, "Practitioner id"),
    ],
)
def test_an_account_that_may_not_be_is_refused(clinic: World, subject: str, more: dict[str, str], problem: str) -> None:
    clinic.doctor()
    before = len(accounts.everybody(clinic.file))
    with pytest.raises(AccountError, match=problem):
        accounts.create(clinic.file, "staff", subject, PASSWORD, now=START, hashed=HASHED, **more)
    assert len(accounts.everybody(clinic.file)) == before


def test_a_weak_password_makes_no_account(clinic: World) -> None:
    with pytest.raises(AccountError) as refused:
        accounts.create(clinic.file, "staff", "x", "doctor.li-A1", now=START, login="doctor.li")
    assert refused.value.codes == ("personal",)
    assert accounts.everybody(clinic.file) == []


def test_the_birth_date_in_the_number_is_no_password(clinic: World) -> None:
    with pytest.raises(AccountError):
        accounts.create(clinic.file, "resident", "x", "Kite-19800101", now=START, identity_number=IDENTITY_NUMBER)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
def test_nothing_that_can_be_typed_is_an_error(clinic: World, text: str) -> None:
    assert accounts.known_as(clinic.file, text) is None


def test_a_new_password_ends_sessions_and_is_none_of_the_last(clinic: World) -> None:
    made = clinic.resident()
    here, there = (
        sessions.start(clinic.file, made.id, "full", START, amr=("pwd",), address="", agent="") for _ in range(2)
    )
    mine = sessions.find(clinic.file, here, START)
    assert mine is not None
    accounts.change_password(clinic.file, made, "Other-kite-8", START + 1, keep=mine.id)
    assert sessions.find(clinic.file, here, START + 1)
    assert sessions.find(clinic.file, there, START + 1) is None
    for old in (PASSWORD, "Other-kite-8"):
        with pytest.raises(AccountError) as refused:
            accounts.change_password(clinic.file, made, old, START + 2)
        assert refused.value.codes == ("same",)


def test_a_locked_account_ends_at_once_and_comes_back(clinic: World) -> None:
    made = clinic.resident()
    token = sessions.start(clinic.file, made.id, "full", START, amr=("pwd",), address="", agent="")
    accounts.lock(clinic.file, made.id, START)
    assert sessions.find(clinic.file, token, START) is None
    locked = accounts.get(clinic.file, made.id)
    assert locked is not None
    assert not locked.usable(START)
    accounts.unlock(clinic.file, made.id)
    unlocked = accounts.get(clinic.file, made.id)
    assert unlocked is not None
    assert unlocked.usable(START)
    assert sessions.find(clinic.file, token, START) is None  # what has ended stays ended


def test_an_account_expires(clinic: World) -> None:
    made = clinic.resident(expires=START + 100)
    token = sessions.start(clinic.file, made.id, "full", START, amr=("pwd",), address="", agent="")
    assert made.usable(START + 99)
    assert not made.usable(START + 100)
    assert sessions.find(clinic.file, token, START + 99)
    assert sessions.find(clinic.file, token, START + 100) is None


def test_staff_choose_a_new_password_every_quarter_and_residents_need_not(clinic: World) -> None:
    later = START + 91 * 24 * 3600
    assert clinic.doctor().needs_new_password(later)
    assert not clinic.resident().needs_new_password(later)


def test_recovery_codes_count_once_and_only_for_their_account(clinic: World) -> None:
    doctor, resident = clinic.doctor(with_totp=False), clinic.resident()
    codes = accounts.set_totp(clinic.file, doctor.id, SECRET)
    accounts.set_totp(clinic.file, resident.id, totp.new_secret())
    assert accounts.check_code(clinic.file, resident.id, codes[0], START) == ""
    assert accounts.check_code(clinic.file, doctor.id, codes[0].lower(), START) == "recovery"
    assert accounts.check_code(clinic.file, doctor.id, codes[0], START) == ""
    assert accounts.recovery_codes_left(clinic.file, doctor.id) == 9
    fresh = accounts.set_totp(clinic.file, doctor.id, SECRET)
    assert accounts.check_code(clinic.file, doctor.id, codes[1], START) == ""
    assert accounts.check_code(clinic.file, doctor.id, fresh[1], START) == "recovery"


def test_without_a_second_factor_no_code_is_right(clinic: World) -> None:
    made = clinic.doctor(with_totp=False)
    assert accounts.check_code(clinic.file, made.id, clinic.code(), START) == ""
    assert accounts.check_code(clinic.file, "nobody", clinic.code(), START) == ""
