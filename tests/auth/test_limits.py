"""Tries are counted before they are judged; the wait grows; many addresses are one person's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from fhir_server.auth import limits
from fhir_server.auth.file import AuthFile
from tests.auth.people import START, World


def test_the_wait_doubles_and_has_an_end() -> None:
    assert [limits.lock_wait(failures) for failures in range(4, 12)] == [0, 60, 120, 240, 480, 960, 1800, 1800]


def test_after_five_failures_the_login_waits_and_the_wait_is_no_try(clinic: World) -> None:
    for _ in range(5):
        assert limits.try_login(clinic.file, "account:a", START) == 0
    assert limits.try_login(clinic.file, "account:a", START) == 60
    assert limits.try_login(clinic.file, "account:a", START + 59) == 1
    assert limits.try_login(clinic.file, "account:b", START) == 0
    assert limits.try_login(clinic.file, "account:a", START + 60) == 0
    assert limits.try_login(clinic.file, "account:a", START + 60) == 120
    assert limits.failures(clinic.file, "account:a", START + 60) == (6, START + 180)


def test_failures_are_forgotten_after_a_day_or_a_success(clinic: World) -> None:
    for _ in range(5):
        limits.try_login(clinic.file, "account:a", START)
    assert limits.try_login(clinic.file, "account:a", START + limits.FORGOTTEN + 1) == 0
    assert limits.failures(clinic.file, "account:a", START + limits.FORGOTTEN + 1)[0] == 1
    limits.forgive(clinic.file, "account:a", all=True)
    assert limits.failures(clinic.file, "account:a", START + limits.FORGOTTEN + 1) == (0, 0.0)


def test_tries_at_the_same_moment_and_from_other_processes_are_counted_together(clinic: World) -> None:
    other = AuthFile(clinic.file.path, clinic.file.sealer)
    try:
        with ThreadPoolExecutor(8) as pool:
            files = [clinic.file, other] * 10
            waits = list(pool.map(lambda file: limits.try_login(file, "account:a", START), files))
    finally:
        other.close()
    assert sum(wait == 0 for wait in waits) == limits.FREE


def test_a_rate_lets_so_many_through_and_slides_on(clinic: World) -> None:
    rate = limits.Rate(3, 10.0)
    assert [limits.try_rate(clinic.file, "k", rate, START + n) for n in range(4)] == [0, 0, 0, 7]
    assert limits.try_rate(clinic.file, "k", rate, START + 10) == 0


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "address:192.0.2.1"),
        ("::ffff:192.0.2.1", "address:192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address:fe80::/64"),
        ("testclient", "address:testclient"),
        ("", "address:"),
    ],
)
def test_an_address_of_ipv6_stands_for_its_household(address: str, key: str) -> None:
    assert limits.address_key(address) == key
