"""Bodies are decompressed within their limit and parsed with named faults."""

from __future__ import annotations

import gzip

import pytest

from fhir_server.errors import BadRequest, TooLarge, UnsupportedMediaType
from fhir_server.http.body import decompressed, parsed_body
from fhir_server.http.exchange import Request


def request(body: bytes, content_type: str = "application/fhir+json") -> Request:
    return Request("POST", ("Patient",), [], {"content-type": content_type}, body, "http://h/fhir", "c")


def test_gzip_bodies_are_opened_also_in_several_members() -> None:
    assert decompressed(gzip.compress(b"ab", mtime=0) + gzip.compress(b"cd"), "gzip", 10) == b"abcd"
    assert decompressed(b"ab", "identity", 10) == b"ab"


def test_a_decompression_bomb_is_cut_at_the_limit() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(TooLarge, match="1000000"):
        decompressed(bomb, "gzip", 1_000_000)


def test_the_limit_itself_is_allowed() -> None:
    assert len(decompressed(gzip.compress(bytes(1000)), "gzip", 1000)) == 1000
    with pytest.raises(TooLarge):
        decompressed(gzip.compress(bytes(1001)), "gzip", 1000)


@pytest.mark.parametrize("body", [b"not gzip at all", gzip.compress(b"a" * 1000, mtime=0)[:-9], b"\x1f\x8b"])
def test_broken_gzip_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest, match="gzip"):
        decompressed(body, "gzip", 10_000)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        decompressed(b"x", encoding, 10)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b"  ", "empty"),
        (b"{", "cannot be parsed"),
        (b"[]", "must be a resource"),
        (b"1", "must be a resource"),
        (b"{}", "no resourceType"),
        (b'{"resourceType":1}', "no resourceType"),
        (b'{"resourceType":"Patient","id":"1","id":"2"}', "'id' twice"),
        (b'{"resourceType":"Patient","id":"\xff"}', "cannot be parsed"),
        (b'{"resourceType":"Patient","a":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
    ],
)
def test_what_is_no_resource_is_refused_with_the_reason(body: bytes, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        parsed_body(request(body))


def test_xml_bodies_give_the_same_resource() -> None:
    xml = b'<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>'
    assert parsed_body(request(xml, "application/fhir+xml")) == {"resourceType": "Patient", "active": True}
