"""Passwords are good enough or refused with the reason, and stored so that nobody can read them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.auth import passwords
from fhir_server.auth.passwords import LONGEST, REASONS, SHORTEST, hashed, outdated, verified, weaknesses
from tests.auth.people import HASHED, PASSWORD


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("Ab1-xyz", "short"),
        ("Ab1-" + "xq" * 70, "long"),
        ("justletters", "classes"),
        ("lower-and-signs", "classes"),
        ("Password2026", "common"),
        ("密码2026!!", "common"),
        ("Qwerty!2", "common"),
        ("Tulip-1234-x", "run"),
        ("Tulip-4321-x", "run"),
        ("Tulip-cdef-7", "run"),
        ("Tulip-8888-x", "run"),
        ("Li.ming-2x", "personal"),
        ("19800101-Kite", "personal"),
        ("Kite\x00over-7", "control"),
        ("Kite\ud800over-7", "control"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(password: str, reason: str) -> None:
    assert reason in weaknesses(password, ("li.ming", "19800101", "x"))
    assert reason in REASONS


@pytest.mark.parametrize("password", [PASSWORD, "Tr4ctor-green", "风筝飞过Seven7座山!", "correct Horse battery 9"])
def test_a_good_password_passes(password: str) -> None:
    assert weaknesses(password, ("li.ming", "张秀英", "99010119800101001X")) == []


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.lists(st.text(max_size=20), max_size=4))
def test_any_text_is_judged_without_an_error(password: str, personal: list[str]) -> None:
    found = weaknesses(password, tuple(personal))
    assert set(found) <= REASONS.keys()
    if not found:
        assert SHORTEST <= len(password) <= LONGEST


def test_only_the_right_password_is_verified() -> None:
    assert verified(HASHED, PASSWORD)
    assert not verified(HASHED, PASSWORD + " ")
    assert not verified(HASHED, PASSWORD.lower())
    assert not verified(HASHED, "")
    assert not verified("no hash at all", PASSWORD)


def test_the_same_characters_match_however_they_were_typed() -> None:
    stored = hashed("Café-风筝-7x")
    assert verified(stored, unicodedata.normalize("NFD", "Café-风筝-7x"))


def test_where_nothing_is_stored_no_password_is_right_and_the_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    verifications: list[str] = []
    real = passwords._hasher

    class Counting:
        def verify(self, stored: str, password: bytes) -> bool:
            verifications.append(stored)
            return real.verify(stored, password)

    monkeypatch.setattr(passwords, "_hasher", Counting())
    assert not verified(None, PASSWORD)
    assert not verified(HASHED, "wrong")
    assert len(verifications) == 2
    # The same parameters mean the same work.
    assert verifications[0].split("$")[:4] == verifications[1].split("$")[:4]


def test_a_stored_password_names_argon2id_and_its_cost() -> None:
    assert HASHED.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert PASSWORD not in HASHED
    assert not outdated(HASHED)
    assert outdated("$argon2id$v=19$m=1024,t=1,p=1$c29tZXNhbHRzb21l$" + "A" * 43)


def test_a_crowd_is_refused_rather_than_kept_waiting() -> None:
    held = 0
    while passwords._room.acquire(blocking=False):
        held += 1
    try:
        with pytest.raises(passwords.Crowded):
            verified(HASHED, PASSWORD)
        with pytest.raises(passwords.Crowded):
            verified(None, PASSWORD)
    finally:
        for _ in range(held):
            passwords._room.release()
    assert held == 18
    assert verified(HASHED, PASSWORD)
