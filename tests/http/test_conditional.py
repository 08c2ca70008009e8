"""Version conditions in headers hold in every form that clients send them."""

from __future__ import annotations

import pytest

from fhir_server.errors import BadRequest, PreconditionFailed
from fhir_server.http.conditional import check_if_match, check_if_none_match, not_modified, tags
from fhir_server.http.exchange import Request
from fhir_server.store.protocol import Stored

AT = 1_700_000_000_500_000  # 2023-11-14T22:13:20.5Z
CURRENT = Stored("Patient", "p", 3, 7, AT, "PUT", b"{}")
DELETED = Stored("Patient", "p", 4, 8, AT, "DELETE", None)


def request(**headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("PUT", ("Patient", "p"), [], named, b"", "http://h/fhir", "c", type="Patient", id="p")


@pytest.mark.parametrize("header", ['W/"3"', '"3"', "3", ' W/"3" ', 'W/"1", W/"3"', "*"])
def test_if_match_holds_for_the_current_version(header: str) -> None:
    check_if_match(request(if_match=header), CURRENT)


@pytest.mark.parametrize("header", ['W/"2"', '"33"', "", "W/", "x"])
def test_if_match_fails_for_other_versions(header: str) -> None:
    with pytest.raises(PreconditionFailed, match="Patient/p has version 3"):
        check_if_match(request(if_match=header), CURRENT)


@pytest.mark.parametrize("current", [None, DELETED])
def test_if_match_fails_where_nothing_exists(current: Stored | None) -> None:
    with pytest.raises(PreconditionFailed, match="does not exist"):
        check_if_match(request(if_match="*"), current)


def test_if_none_match_star_guards_what_exists() -> None:
    with pytest.raises(PreconditionFailed):
        check_if_none_match(request(if_none_match="*"), CURRENT)
    check_if_none_match(request(if_none_match="*"), None)
    check_if_none_match(request(if_none_match="*"), DELETED)
    check_if_none_match(request(if_none_match='W/"2"'), CURRENT)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"if_none_match": 'W/"3"'}, True),
        ({"if_none_match": '"2", "3"'}, True),
        ({"if_none_match": 'W/"2"'}, False),
        ({"if_modified_since": "Tue, 14 Nov 2023 22:13:20 GMT"}, True),
        ({"if_modified_since": "Tue, 14 Nov 2023 22:13:19 GMT"}, False),
        ({"if_modified_since": "Wed, 15 Nov 2023 00:00:00 GMT"}, True),
        # If-None-Match takes precedence (RFC 9110 §13.2.2)
        ({"if_none_match": 'W/"2"', "if_modified_since": "Wed, 15 Nov 2023 00:00:00 GMT"}, False),
    ],
)
def test_reads_are_not_modified_by_version_or_time(headers: dict[str, str], expected: bool) -> None:
    assert not_modified(request(**headers), CURRENT) is expected


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(BadRequest, match="not an HTTP date"):
        not_modified(request(if_modified_since="yesterday"), CURRENT)


def test_tags_are_read_in_all_forms() -> None:
    assert tags('W/"1", "2",3') == {"1", "2", "3"}
