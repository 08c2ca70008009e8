"""Every page is guarded by its headers, and a request of another site's page is known by its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.auth.headers import data_headers, foreign, page_headers

ORIGIN = "https://alliance.example"


@pytest.mark.parametrize(
    ("headers", "is_foreign"),
    [
        ({}, False),
        ({"origin": ORIGIN}, False),
        ({"origin": "HTTPS://Alliance.Example"}, False),
        ({"origin": ORIGIN, "sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "null"}, True),
        ({"origin": ""}, True),
        ({"origin": "http://alliance.example"}, True),
        ({"origin": "https://alliance.example.evil.example"}, True),
        ({"origin": ORIGIN, "sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "new-word"}, True),
    ],
)
def test_another_site_is_known(headers: dict[str, str], is_foreign: bool) -> None:
    assert foreign(headers, ORIGIN) is is_foreign


def test_only_https_asks_for_https() -> None:
    for make in (page_headers, data_headers):
        assert "Strict-Transport-Security" in dict(make(True))
        assert "Strict-Transport-Security" not in dict(make(False))


def test_data_are_never_run_nor_framed() -> None:
    found = dict(data_headers(True))
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"


@given(st.text(max_size=80))
def test_no_redirect_uri_can_add_to_the_policy(uri: str) -> None:
    policy = dict(page_headers(False, (uri, f"https://{uri}", f"{uri}:x")))["Content-Security-Policy"]
    directives = [part.split()[0] for part in policy.split(";") if part.strip()]
    assert directives == [
        "default-src", "style-src", "img-src", "font-src", "form-action", "frame-ancestors", "base-uri",
    ]  # fmt: skip
    assert policy.isascii()
    assert "'unsafe" not in policy
    assert "\n" not in policy
