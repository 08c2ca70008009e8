"""Bodies that are too long, wrongly compressed or of another kind are refused before they are read.

https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding, https://hl7.org/fhir/R4/http.html#mime-type
"""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from tests.robustness.hostile import LIMIT, Target, patient, refused


def test_a_body_over_the_limit_is_refused_by_its_length(target: Target) -> None:
    with target.unharmed():
        refused(target.api.post("Patient", patient('"language":"' + "a" * LIMIT + '"')), 413)


def test_a_body_over_the_limit_is_refused_without_a_length(target: Target) -> None:
    def pieces() -> Any:
        yield b'{"resourceType":"Patient","language":"'
        for _ in range(LIMIT // 50_000 + 2):
            yield b"a" * 50_000

    with target.unharmed():
        refused(target.api.post("Patient", pieces()), 413)


def test_a_body_at_the_limit_is_taken(target: Target) -> None:
    empty = patient('"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\"></div>"}')
    body = empty.replace(b"></div>", b">" + b"a" * (LIMIT - len(empty)) + b"</div>")
    assert len(body) == LIMIT
    assert target.api.post("Patient", body).status == 201


GZIP = gzip.compress(b'{"resourceType":"Patient"}')
ENCODED: dict[str, tuple[str, bytes, tuple[int, ...]]] = {
    "no gzip": ("gzip", b'{"resourceType":"Patient"}', (400,)),
    "a gzip cut short": ("gzip", GZIP[:-9], (400,)),
    "a gzip with a wrong checksum": ("gzip", GZIP[:-8] + b"\0" * 8, (400,)),
    "a gzip with garbage behind": ("gzip", GZIP + b"garbage", (400,)),
    "an empty gzip": ("gzip", gzip.compress(b""), (400,)),
    "nothing": ("gzip", b"", (400,)),
    "a bomb": ("gzip", gzip.compress(bytes(300_000_000), 9), (413,)),
    "a bomb of many members": ("gzip", gzip.compress(bytes(1_000_000)) * 300, (413,)),
    "a bomb inside a bomb": ("gzip", gzip.compress(gzip.compress(bytes(100_000_000), 9)), (400,)),
    "twice gzip": ("gzip, gzip", gzip.compress(GZIP), (415,)),
    "deflate": ("deflate", zlib.compress(b'{"resourceType":"Patient"}'), (415,)),
    "brotli": ("br", b"\x0b", (415,)),
    "an unknown encoding": ("é", b"{}", (415,)),
}


@pytest.mark.parametrize("name", ENCODED)
def test_a_bad_content_encoding_is_refused(target: Target, name: str) -> None:
    encoding, body, statuses = ENCODED[name]
    assert len(body) < LIMIT
    with target.unharmed():
        issues = refused(target.api.post("Patient", body, **{"Content-Encoding": encoding}), *statuses)
        assert issues[0].get("expression") == ["http.Content-Encoding"] or name in (
            "nothing",
            "an empty gzip",
            "a bomb inside a bomb",
        )


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "image/png",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/fhir+json; fhirVersion=5.0",
        "application/fhir+json; charset=utf-16",
        "application/fhir+turtle",
        "////",
        ";;;",
        "a" * 1000,
        "",
    ],
    ids=lambda text: text[:30] or "empty",
)
def test_a_body_of_another_media_type_is_refused(target: Target, content_type: str) -> None:
    with target.unharmed():
        refused(target.api.post("Patient", b'{"resourceType":"Patient"}', **{"Content-Type": content_type}), 415)


def test_a_body_in_the_other_format_is_refused(target: Target) -> None:
    as_xml = b'<Patient xmlns="http://hl7.org/fhir"/>'
    with target.unharmed():
        refused(target.api.post("Patient", as_xml), 400)
        json_sent = target.api.post(
            "Patient", b'{"resourceType":"Patient"}', **{"Content-Type": "application/fhir+xml"}
        )
        refused(json_sent, 400)
