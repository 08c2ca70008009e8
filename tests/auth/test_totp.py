"""One-time codes are those of RFC 6238, within a window, and each counts once."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.auth import totp

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
NOW = 1_800_000_000.0
STEP = int(NOW) // 30


@pytest.mark.parametrize(
    ("time", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_codes_are_those_of_the_rfc(time: int, code: str) -> None:
    assert totp.code_now(RFC_SECRET, time) == code


@pytest.mark.parametrize(("away", "accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off(away: int, accepted: bool) -> None:
    code = totp.code_at(RFC_SECRET, STEP + away)
    assert (totp.accepted_step(RFC_SECRET, code, NOW, 0) is not None) is accepted


def test_a_code_counts_once_and_none_before_it_counts_after() -> None:
    used = totp.accepted_step(RFC_SECRET, totp.code_at(RFC_SECRET, STEP), NOW, 0)
    assert used == STEP
    for step in (STEP, STEP - 1):
        assert totp.accepted_step(RFC_SECRET, totp.code_at(RFC_SECRET, step), NOW, used) is None
    assert totp.accepted_step(RFC_SECRET, totp.code_at(RFC_SECRET, STEP + 1), NOW, used) == STEP + 1


@given(st.text(max_size=20))
def test_what_is_no_code_is_not_accepted(text: str) -> None:
    if text.replace(" ", "") not in {totp.code_at(RFC_SECRET, STEP + away) for away in (-1, 0, 1)}:
        assert totp.accepted_step(RFC_SECRET, text, NOW, 0) is None


def test_digits_of_other_scripts_are_no_code() -> None:
    code = totp.code_at(RFC_SECRET, STEP)
    assert totp.accepted_step(RFC_SECRET, code.translate({48 + n: 0xFF10 + n for n in range(10)}), NOW, 0) is None


def test_secrets_are_long_and_never_the_same() -> None:
    found = {totp.new_secret() for _ in range(50)}
    assert len(found) == 50
    assert all(len(base64.b32decode(secret)) == 20 for secret in found)


def test_recovery_codes_are_many_different_and_read_as_typed() -> None:
    codes = totp.new_recovery_codes()
    assert len(set(codes)) == 10
    for code in codes:
        assert totp.recovery_form(f" {code.lower().replace('-', ' ')} ") == code.replace("-", "")


@given(st.text(max_size=30))
def test_a_recovery_code_has_ten_letters_of_the_alphabet_or_is_none(text: str) -> None:
    form = totp.recovery_form(text)
    assert form is None or (len(form) == 10 and form.isascii() and form == form.upper())


def test_the_provisioning_address_can_be_read_by_apps() -> None:
    uri = totp.provisioning_uri("ABC", "li.ming@一档", "Yidang 一档")
    assert uri.startswith("otpauth://totp/Yidang%20%E4%B8%80%E6%A1%A3:li.ming%40%E4%B8%80%E6%A1%A3?secret=ABC&issuer=")
    assert uri.endswith("&algorithm=SHA1&digits=6&period=30")
