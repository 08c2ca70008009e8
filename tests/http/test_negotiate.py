"""Which format a client gets and which bodies are understood."""

from __future__ import annotations

import pytest

from fhir_server.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from fhir_server.http.exchange import Request
from fhir_server.http.negotiate import answer_format, body_is_xml, is_pretty


def request(query: list[tuple[str, str]] | None = None, body: bytes = b"", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", ("Patient",), query or [], named, body, "http://h/fhir", "c")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/fhir+json"),
        ("application/fhir+json", "application/fhir+json"),
        ("application/json", "application/json"),
        ("text/json", "text/json"),
        ("application/*", "application/fhir+json"),
        ("application/fhir+xml", "application/fhir+xml"),
        ("text/xml", "text/xml"),
        ("APPLICATION/FHIR+XML; charset=utf-8", "application/fhir+xml"),
        ("application/fhir+json;q=0.5, application/fhir+xml", "application/fhir+xml"),
        ("application/fhir+xml;q=0.2, application/fhir+json;q=0.9", "application/fhir+json"),
        ("text/html, application/fhir+json", "application/fhir+json"),
        ("text/html, */*;q=0.1", "application/fhir+json"),
        ("application/fhir+json;q=0, */*", "application/json"),
        ("application/fhir+json; fhirVersion=4.0", "application/fhir+json"),
        ("application/fhir+json; fhirVersion=3.0, application/fhir+xml; fhirVersion=4.0", "application/fhir+xml"),
        ("application/fhir+json;q=nonsense, text/xml", "text/xml"),
    ],
)
def test_the_accept_header_decides_by_quality(accept: str, media_type: str) -> None:
    assert answer_format(request(accept=accept)).media_type == media_type


@pytest.mark.parametrize(
    "accept",
    ["text/html", "image/png, application/pdf", "application/fhir+json;q=0", "application/fhir+json; fhirVersion=5.0"],
)
def test_what_is_not_offered_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        answer_format(request(accept=accept))


@pytest.mark.parametrize(
    ("value", "xml"),
    [
        ("json", False),
        ("xml", True),
        ("application/fhir+xml", True),
        ("application/fhir xml", True),
        ("text/xml", True),
        ("application/json", False),
    ],
)
def test_format_overrides_accept(value: str, xml: bool) -> None:
    accept = "application/fhir+json" if xml else "application/fhir+xml"
    assert answer_format(request([("_format", value)], accept=accept)).xml is xml


@pytest.mark.parametrize("value", ["html", "ttl", "text/turtle", "", "application/fhir+json; fhirVersion=1.0"])
def test_an_unknown_format_is_refused(value: str) -> None:
    with pytest.raises(NotAcceptable):
        answer_format(request([("_format", value)]))


def test_json_is_the_default() -> None:
    assert answer_format(request()).content_type == "application/fhir+json; charset=utf-8"


def test_pretty_takes_true_and_false_only() -> None:
    assert is_pretty(request([("_pretty", "true")]))
    assert not is_pretty(request([("_pretty", "false")]))
    assert not is_pretty(request())
    with pytest.raises(BadRequest, match="_pretty"):
        is_pretty(request([("_pretty", "yes")]))


@pytest.mark.parametrize(
    ("content_type", "xml"),
    [
        ("application/fhir+json", False),
        ("application/json; charset=UTF-8", False),
        ("text/xml", True),
        ('application/fhir+xml; fhirVersion="4.0"', True),
    ],
)
def test_the_content_type_says_how_to_read_a_body(content_type: str, xml: bool) -> None:
    assert body_is_xml(request(content_type=content_type)) is xml


def test_without_a_content_type_the_body_says_it() -> None:
    assert body_is_xml(request(body=b' \n<?xml version="1.0"?>'))
    assert not body_is_xml(request(body=b'{"resourceType":'))


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/fhir+json; charset=gb2312", "application/fhir+json; fhirVersion=5.0", "nonsense", ""],
)
def test_other_bodies_are_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        body_is_xml(request(content_type=content_type))
