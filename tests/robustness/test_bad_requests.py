"""Hostile queries, paths, methods and headers are answered with their cause, quickly, and harm nothing.

https://hl7.org/fhir/R4/search.html#errors, https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import re
import time

import pytest

from tests.robustness.api import Answer
from tests.robustness.hostile import Target, outcome, patient, refused, refused_or_good

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
QUICK = 3.0  # seconds that any refusal may take
AS_CHAIN = "subject:Patient.link:Patient."

#: Each must be refused, and the parameter named.
WRONG_QUERIES = [
    "Patient?foo=bar",
    "Patient?name:foo=x",
    "Patient?gender:exact=male",
    "Patient?birthdate=banana",
    "Patient?birthdate=2026-13-45",
    "Patient?birthdate=2026-02-30",
    "Patient?birthdate=xx2026",
    "Patient?birthdate=ge",
    "Patient?birthdate=",
    "Patient?birthdate=0000",
    "Patient?birthdate=99999",
    "Patient?birthdate=2026-01-01T25:00:00Z",
    "Patient?birthdate:missing=maybe",
    "Observation?value-quantity=banana",
    "Observation?value-quantity=5|a|b|c|d",
    "Observation?value-quantity=gt",
    "Observation?value-quantity=NaN",
    "Observation?value-quantity=inf",
    "RiskAssessment?probability=0x10",
    "RiskAssessment?probability=1_000",
    "Observation?subject:Foo=1",
    "Observation?subject:Patient.foo=1",
    "Observation?status.code=1",
    "Observation?code-value-quantity=5",
    "Patient?_has:Observation=x",
    "Patient?_has:Observation:code:foo=x",
    "Patient?_has:::=x",
    "Patient?_has:Foo:patient:code=x",
    "Patient?_sort=",
    "Patient?_sort=foo",
    "Patient?_sort=-",
    "Patient?_sort=,",
    "Patient?_count=-1",
    "Patient?_count=abc",
    "Patient?_count=1e3",
    "Patient?_count=",
    "Patient?_count=%D9%A3",
    "Patient?_summary=banana",
    "Patient?_total=banana",
    "Patient?_include=banana",
    "Patient?_include=Foo:bar",
    "Patient?_include=Patient:foo",
    "Patient?_include:foo=Patient:organization",
    "Patient?_revinclude=Patient",
    "Patient?_filter=(((",
    "Patient?_filter=name eq",
    "Patient?_filter=foo eq 1",
    "Patient?_elements=",
    "Patient?_pretty=maybe",
    "Patient?_contained=maybe",
    "Patient?_lastUpdated=yesterday",
    "Patient?_cursor=x",
    "Patient?_type=Foo",
    "Location?near=x|y",
    "Location?near=1000|1000",
    "?_type=Foo",
    "?_type=Patient&gender=banana&foo=1",
    "Patient/witness/Foo",
    "Patient/witness/Observation?foo=bar",
    "_history?_since=banana",
    "_history?_count=banana",
    "Patient/_history?foo=1",
    "Patient?name=%ff%fe",
    "Patient?name=%c0%af",
    "Patient?%ff=1",
]


@pytest.mark.parametrize("query", WRONG_QUERIES)
def test_a_wrong_query_is_refused_and_its_parameter_named(target: Target, query: str) -> None:
    issues = refused(target.api.get(query), 400, 404)
    said = "".join(issue["diagnostics"] + str(issue.get("expression")) for issue in issues)
    asked = query.partition("?")[2].rpartition("&")[2]
    words = [word for word in re.split(r"[^\w-]+", asked) if word] or [""]
    assert any(word in said for word in words) or "http.url" in said, issues


#: Odd, long or deep: refused properly or answered, in any case quickly.
ODD_QUERIES: dict[str, str] = {
    "10,000 parameters": "&".join(f"p{n}=1" for n in range(10_000)),
    "20,000 parameters": "&".join(f"p{n}=1" for n in range(20_000)),
    "10,000 equal parameters": "&".join(["_id=witness"] * 9_999),
    "5,000 different criteria": "&".join(f"name=a{n}" for n in range(5000)),
    "an OR of 100,000 ids": "_id=" + ",".join(f"p{n}" for n in range(100_000)),
    "an OR of 20,000 tokens": "identifier=" + ",".join(f"urn:s|{n}" for n in range(20_000)),
    "an OR of 20,000 texts": "name=" + ",".join(f"n{n}" for n in range(20_000)),
    "an OR of 20,000 parts of texts": "name:contains=" + ",".join(f"n{n}" for n in range(20_000)),
    "an OR of 20,000 dates": "birthdate=" + ",".join(f"ge{1000 + n % 1000}" for n in range(20_000)),
    "an OR of 20,000 references": "organization=" + ",".join(f"Organization/{n}" for n in range(20_000)),
    "an OR of 100,000 nothings": "name=" + "," * 100_000,
    "a long value": "name=" + "a" * 1_000_000,
    "a long name": "a" * 1_000_000 + "=1",
    "a long chain": "link:Patient." * 2_000 + "name=x",
    "a chain of 20": "link:Patient." * 20 + "name=x",
    "a chain without types": "link:Patient." * 5 + "general-practitioner." * 3 + "name=x",
    "_has in _has": "_has:Observation:patient:" * 500 + "code=x",
    "_has and chains in turn": "_has:Observation:patient:subject:Patient." * 50 + "name=x",
    "a deep filter": "_filter=" + "(" * 50_000 + "name eq x" + ")" * 50_000,
    "a filter of many parts": "_filter=" + " or ".join(f"name eq a{n}" for n in range(5_000)),
    "a filter of many negations": "_filter=" + "not(" * 5_000 + "name eq x" + ")" * 5_000,
    "1,000 sort keys": "_sort=" + ",".join(["birthdate", "-family"] * 500),
    "1,000 includes": "&".join(["_include=Patient:organization"] * 1_000),
    "every reverse include, iterated": "_revinclude:iterate=*&_include:iterate=*",
    "10,000 elements": "_elements=" + ",".join(f"e{n}" for n in range(10_000)),
    "10,000 types": "_type=" + ",".join(["Patient"] * 10_000),
    "a huge count": "_count=" + "9" * 5_000,
    "a huge number": "_has:Observation:patient:value-quantity=1e999999999",
    "a huge number of digits": "_has:Observation:patient:value-quantity=" + "9" * 100_000,
    "a tiny number": "_has:Observation:patient:value-quantity=1e-999999999",
    "NUL": "name=%00",
    "NUL in a token": "identifier=a%00b|c%00d",
    "control characters": "name=%01%02%1f%7f",
    "a lone percent": "name=%",
    "a bad percent-encoding": "name=%zz&gender=%a",
    "a surrogate": "name=%ed%a0%80",
    "blanks": "name=+++&gender=+",
    "only separators": "&&&&&;;;;",
    "only pipes": "identifier=|||||",
    "backslashes": "name=" + "%5C" * 10_001,
    "SQL": "name=x'%20OR%201=1;--&_id=1;DROP%20TABLE%20res",
    "wildcards": "name=%25_%25_%25&name:contains=***",
    "a regular expression": "name:contains=(a%2B)%2B%24" + "a" * 60,
    "right to left": "name=%E2%80%AE%E2%80%8F",
    "an emoji": "name=%F0%9F%A9%BA",
    "text search syntax": '_text=%22AND%20NEAR(%20OR%20*%20-%22%22',
    "content search syntax": "_content=%22%22%22&_text=*",
    "a long text search": "_text=" + "%E7%97%85" * 20_000,
    "a list of nothing": "_list=%24current-problems",
    "a page beyond": "_cursor=" + "A" * 100_000,
    "lastUpdated at the ends of time": "_lastUpdated=ge0001-01-01&_lastUpdated=le9999-12-31T23:59:59.999999999-14:00",
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_QUERIES)
def test_an_odd_query_is_answered_quickly(target: Target, name: str) -> None:
    query = ODD_QUERIES[name]
    with target.unharmed():
        start = time.monotonic()
        refused_or_good(target.api.post("Patient/_search", query.encode(), **FORM))
        assert time.monotonic() - start < QUICK
        if len(query) < 60_000:
            refused_or_good(target.api.get(f"Patient?{query}"))
            refused_or_good(target.api.get(f"?_type=Patient&{query}"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("Patient/..%2f..%2f..%2fetc%2fpasswd", 404),
        ("../../etc/passwd", 404),
        ("Patient/%00", 404),
        ("Patient/a%20b", 404),
        ("Patient/%E6%A1%A3", 404),
        ("Patient/" + "a" * 65, 404),
        ("Patient/" + "a" * 60_000, 404),
        ("Patient/%ff", 400),
        ("%ff", 400),
        ("Patient//", 404),
        ("Patient/witness/_history/0", 404),
        ("Patient/witness/_history/-1", 404),
        ("Patient/witness/_history/banana", 404),
        ("Patient/witness/_history/" + "9" * 30, 404),
        ("Patient/witness/_history/" + "9" * 6_000, 404),
        ("Patient/witness/_history/1/2", 404),
        ("Patient/witness/_history/%D9%A1", 404),
        ("patient", 404),
        ("Foo", 404),
        ("Resource", 404),
        ("DomainResource/1", 404),
        ("Patient/$foo", 404),
        ("$", 404),
        ("$$$", 404),
        ("Patient/witness/$", 404),
        ("_foo", 404),
        ("Patient/_foo", 404),
        ("a/" * 5_000, 404),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_path_to_nothing_is_refused(target: Target, path: str, status: int) -> None:
    with target.unharmed():
        refused(target.api.get(path), status, 400, 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("TRACE", "Patient/witness"),
        ("PROPFIND", "Patient"),
        ("DELETE", ""),
        ("PUT", ""),
        ("PATCH", ""),
        ("PUT", "metadata"),
        ("POST", "metadata"),
        ("DELETE", "metadata"),
        ("POST", "Patient/witness"),
        ("PUT", "Patient"),
        ("PATCH", "Patient"),
        ("DELETE", "Patient"),
        ("PUT", "Patient/_search"),
        ("DELETE", "Patient/witness/_history"),
        ("DELETE", "Patient/witness/_history/1"),
        ("PUT", "Patient/witness/_history/1"),
        ("GET", "Patient/witness/$meta-add"),
        ("DELETE", "Patient/$validate"),
        ("PUT", "Patient/" + "a" * 65),
        ("PUT", "Patient/a_b"),
        ("PUT", "Patient/%E6%A1%A3"),
        ("PUT", "Patient/%2e%2e%2f"),
    ],
)
def test_a_method_in_the_wrong_place_is_refused(target: Target, method: str, path: str) -> None:
    body = patient(f'"id":"{path.partition("/")[2]}"') if path.startswith("Patient/") else patient('"active":true')
    with target.unharmed():
        refused(target.api.send(method, path, body))


BAD_TAGS = ("banana", "W/", 'W/""', "", ",", "9" * 5000, 'W/"01"', 'W/"-1"', "\xff")
BAD_CONDITIONS = (
    *("", "banana", "foo=bar", "identifier=%ff", "birthdate=banana", "Foo?identifier=x", "name:foo=x"),
    *("_count=1", "_sort=name", "_include=Patient:organization", "_cursor=x", "a" * 10_000),
)
HEADERS: list[tuple[str, str, dict[str, str], bool]] = [
    *(("PUT", "Patient/witness", {"If-Match": text}, True) for text in BAD_TAGS),
    *(("POST", "Patient", {"If-None-Exist": text}, True) for text in BAD_CONDITIONS),
    *(("PUT", f"Patient?{text}", {}, True) for text in BAD_CONDITIONS[:-1]),
    *(("DELETE", f"Patient?{text}", {}, True) for text in BAD_CONDITIONS[:-2]),
    ("GET", "Patient/witness", {"If-Modified-Since": "yesterday"}, True),
    ("GET", "Patient/witness", {"If-Modified-Since": "Sat, 99 Nov 9999 99:99:99 GMT"}, True),
    ("GET", "Patient/witness", {"If-Modified-Since": "Mon, 01 Jan 99999 00:00:00 GMT"}, True),
    ("GET", "Patient/witness", {"If-None-Match": "banana" * 1000}, False),
    ("GET", "Patient/witness", {"Accept": "image/png"}, True),
    ("GET", "Patient/witness", {"Accept": "////;;;,,,q=5;q=x"}, True),
    ("GET", "Patient/witness", {"Accept": "application/fhir+json;q=nan"}, False),
    ("GET", "Patient/witness", {"Accept": ",".join(["a/b;q=0.1"] * 5000)}, True),
    ("GET", "Patient/witness", {"Accept-Encoding": "gzip;q=banana, *;q=,,,"}, False),
    ("GET", "Patient/witness", {"Prefer": "===;;;,,,"}, False),
    ("GET", "Patient?name=x", {"Prefer": "handling=banana"}, True),
    ("GET", "Patient/witness", {"X-Request-Id": "a" * 5000}, False),
    ("GET", "Patient/witness", {"X-Request-Id": "\xff\xfe"}, False),
    ("GET", "Patient/witness", {"Host": "evil.example/../<script>"}, True),
    ("GET", "Patient/witness", {"Host": "a b"}, True),
    ("GET", "Patient/witness", {"Host": ""}, False),
    ("GET", "Patient/witness", {"Range": "bytes=0-1,5-99999999999999999999"}, False),
    ("GET", "Patient/witness", {"Cookie": "a" * 10_000, "Authorization": "Basic ////"}, False),
]


@pytest.mark.parametrize(
    ("method", "path", "headers", "bad"), HEADERS, ids=[f"{h[0]} {h[1]} {h[2]}"[:60] for h in HEADERS]
)
def test_a_bad_header_is_refused_or_passed_over(
    target: Target, method: str, path: str, headers: dict[str, str], bad: bool
) -> None:
    body = None if method in ("GET", "DELETE") else patient('"id":"witness"')
    with target.unharmed():
        answer = target.api.send(method, path, body, headers)
        if bad:
            refused(answer)
        else:
            assert answer.status == 200


def test_pretty_names_of_formats_that_are_none_are_refused(target: Target) -> None:
    for name in ("foo", "", "html/json", "application/pdf", "a" * 10_000, "%00"):
        refused(target.api.get(f"Patient/witness?_format={name}"), 406, 400)


def test_two_answers_are_never_mixed(target: Target) -> None:
    """An odd request leaves the connection in order for the next one."""

    def fine(answer: Answer) -> bool:
        return bool(answer.status == 200 and answer.json["id"] == "witness")

    for odd in ("Patient/%ff", "Patient?foo=1", "Foo", "Patient/none"):
        outcome(target.api.get(odd))
        assert fine(target.api.get("Patient/witness"))
        head = target.api.send("HEAD", odd)
        assert head.body == b""
        assert fine(target.api.get("Patient/witness"))
