"""The address of a client behind proxies of ours is the one that they saw, never the one that it claims."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.http.forwarded import named, networks
from fhir_server.settings import settings_from

PROXIES = networks("10.0.0.1 10.1.0.0/16 fd00::/8")


def scope(client: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", one.encode("latin-1", "replace")) for one in forwarded]
    return {"type": "http", "client": None if client is None else (client, 5000), "headers": headers}


@pytest.mark.parametrize(
    ("client", "forwarded", "found"),
    [
        ("192.0.2.9", ("198.51.100.7",), "192.0.2.9"),  # nobody's proxy
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.7",), "198.51.100.7"),
        ("10.0.0.1", ("1.1.1.1, 198.51.100.7",), "198.51.100.7"),  # what the client says of itself does not count
        ("10.0.0.1", ("1.1.1.1, 198.51.100.7, 10.1.2.3",), "198.51.100.7"),
        ("10.0.0.1", ("1.1.1.1", "198.51.100.7, 10.1.2.3"), "198.51.100.7"),
        ("fd00::1", ("2001:db8::7",), "2001:db8::7"),
        ("10.0.0.1", ("198.51.100.7, nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("10.1.2.3",), "10.0.0.1"),
        (None, ("198.51.100.7",), None),
    ],
)
def test_the_last_address_that_no_proxy_of_ours_has_counts(
    client: str | None, forwarded: tuple[str, ...], found: str | None
) -> None:
    seen = named(scope(client, *forwarded), PROXIES)["client"]
    assert (seen and seen[0]) == found


@given(st.text(max_size=60))
def test_no_header_is_an_error(text: str) -> None:
    assert named(scope("10.0.0.1", text), PROXIES)["client"]


def test_proxies_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(ValueError, match="YIDANG_PROXIES"):
        settings_from({"YIDANG_PROXIES": "the one in the cellar"})
    assert settings_from({"YIDANG_PROXIES": "10.0.0.1 fd00::/8"}).proxies == "10.0.0.1 fd00::/8"
