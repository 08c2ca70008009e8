"""Sessions end by idleness, by age and by will, and what the cookie holds is nowhere else."""

from __future__ import annotations

from fhir_server.auth import sessions
from fhir_server.auth.sessions import IDLE_SECONDS, LONGEST_SECONDS, MOST, STEP_SECONDS, Level
from tests.auth.people import START, World


def start(clinic: World, account: str, level: Level = "full", now: float = START) -> str:
    return sessions.start(clinic.file, account, level, now, amr=("pwd",), address="10.0.0.1", agent="x")


def test_an_idle_session_ends_and_a_used_one_goes_on(clinic: World) -> None:
    account = clinic.resident().id
    token = start(clinic, account)
    assert sessions.find(clinic.file, token, START + IDLE_SECONDS - 1)
    assert sessions.find(clinic.file, token, START + IDLE_SECONDS + 1000)
    assert sessions.find(clinic.file, token, START + IDLE_SECONDS + 1000 + IDLE_SECONDS) is None


def test_however_much_it_is_used_a_session_ends_with_the_shift(clinic: World) -> None:
    token = start(clinic, clinic.resident().id)
    now = START
    while now < START + LONGEST_SECONDS - 600:
        now += 600
        assert sessions.find(clinic.file, token, now)
    assert sessions.find(clinic.file, token, START + LONGEST_SECONDS) is None


def test_a_half_session_has_a_quarter_of_an_hour(clinic: World) -> None:
    token = start(clinic, clinic.doctor().id, "password")
    assert sessions.find(clinic.file, token, START + STEP_SECONDS - 1)
    assert sessions.find(clinic.file, token, START + STEP_SECONDS) is None


def test_the_token_changes_with_the_second_factor_and_the_old_one_is_nothing(clinic: World) -> None:
    token = start(clinic, clinic.doctor().id, "password")
    half = sessions.find(clinic.file, token, START)
    assert half is not None
    raised = sessions.raise_to_full(clinic.file, half, "otp", START + 5)
    assert raised is not None
    assert sessions.find(clinic.file, token, START + 5) is None
    full = sessions.find(clinic.file, raised, START + 5)
    assert full is not None
    assert (full.id, full.full, full.amr, full.at) == (half.id, True, ("pwd", "otp", "mfa"), START + 5)
    assert sessions.raise_to_full(clinic.file, half, "otp", START + 6) is None


def test_an_ended_session_cannot_be_raised(clinic: World) -> None:
    account = clinic.doctor().id
    half = sessions.find(clinic.file, start(clinic, account, "password"), START)
    assert half is not None
    sessions.end(clinic.file, account, START)
    assert sessions.raise_to_full(clinic.file, half, "otp", START) is None


def test_the_file_does_not_hold_what_the_cookie_holds(clinic: World) -> None:
    token = start(clinic, clinic.resident().id)
    rows = clinic.file.rows("SELECT hash, id, facts FROM sessions")
    assert token not in repr([tuple(row) for row in rows])


def test_one_ends_others_end_all_end_and_only_one_s_own(clinic: World) -> None:
    mine, other = clinic.resident().id, clinic.doctor().id
    tokens = [start(clinic, mine) for _ in range(3)]
    foreign = start(clinic, other)
    found = [sessions.find(clinic.file, token, START) for token in tokens]
    ids = [one.id for one in found if one is not None]
    assert sessions.end(clinic.file, other, START, ids[0]) == 0
    assert sessions.end(clinic.file, mine, START, ids[0]) == 1
    assert sessions.end(clinic.file, mine, START, but=ids[1]) == 1
    assert [bool(sessions.find(clinic.file, token, START)) for token in tokens] == [False, True, False]
    assert sessions.end(clinic.file, mine, START) == 1
    assert sessions.find(clinic.file, foreign, START)


def test_too_many_sessions_of_one_account_end_the_oldest(clinic: World) -> None:
    account = clinic.resident().id
    tokens = [start(clinic, account, now=START + n) for n in range(MOST + 2)]
    alive = [bool(sessions.find(clinic.file, token, START + 20)) for token in tokens]
    assert alive == [False, False] + [True] * MOST
    assert len(sessions.current(clinic.file, account, START + 20)) == MOST
