"""The HTTP shell: headers, limits, compression, browsers, faults, and input that means harm."""

from __future__ import annotations

import gzip
import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import Running

PATIENT = {"resourceType": "Patient", "name": [{"family": "A" * 5000}]}


@pytest.fixture(scope="module")
def guarded(start_server: Callable[..., Running]) -> Running:
    """A server that demands tokens."""
    return start_server()


def raw(server: Running, request: bytes) -> bytes:
    """What the server answers to these bytes on a connection of their own."""
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=10) as connection:
        connection.sendall(request)
        pieces = []
        while piece := connection.recv(65_536):
            pieces.append(piece)
        return b"".join(pieces)


def test_health_is_told_without_access(server: Running) -> None:
    answer = httpx.get(f"{server.root}/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert httpx.head(f"{server.root}/healthz").status_code == 200
    assert httpx.post(f"{server.root}/healthz").status_code == 405


@pytest.mark.parametrize("path", ["/", "/nothing", "/fhirx", "/fhirx/Patient", "/FHIR/Patient"])
def test_other_paths_are_not_found(server: Running, path: str) -> None:
    answer = httpx.get(f"{server.root}{path}")
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_a_slash_at_the_end_is_forgiven(client: httpx.Client) -> None:
    assert client.get("Patient/").status_code == 200
    assert client.get("metadata/").status_code == 200


def test_every_answer_has_a_correlation_id(client: httpx.Client) -> None:
    first, second = client.get("Patient/x"), client.get("Patient/x")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert client.get("Patient/x", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert client.get("Patient/x", headers={"X-Request-Id": "a b"}).headers["x-request-id"] != "a b"


def test_answers_are_compressed_for_those_who_take_it(client: httpx.Client) -> None:
    id = client.post("Patient", json=PATIENT).json()["id"]
    small = client.get(f"Patient/{id}", headers={"Accept-Encoding": "gzip, br"})
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < 2000
    assert small.json()["name"] == PATIENT["name"]
    for header in ("identity", "gzip;q=0", "br"):
        assert "content-encoding" not in client.get(f"Patient/{id}", headers={"Accept-Encoding": header}).headers
    assert "Accept-Encoding" in small.headers["vary"]


def test_compressed_bodies_are_taken(client: httpx.Client) -> None:
    body = gzip.compress(json.dumps(PATIENT).encode())
    answer = client.post("Patient", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 201
    assert client.post("Patient", content=body[:-8], headers={"Content-Encoding": "gzip"}).status_code == 400
    assert client.post("Patient", content=body, headers={"Content-Encoding": "br"}).status_code == 415


def test_bodies_over_the_limit_are_refused(start_server: Callable[..., Running]) -> None:
    server = start_server("--open", environment={"YIDANG_BODY_LIMIT": "10000"})
    with server.client() as client:
        assert client.post("Patient", json=PATIENT).status_code == 201
        big = json.dumps({**PATIENT, "name": [{"family": "A" * 20_000}]}).encode()
        for content in (big, iter([big])):  # with a length, and in chunks
            answer = client.post("Patient", content=content)
            assert answer.status_code == 413
            assert answer.json()["issue"][0]["code"] == "too-long"
        bomb = client.post("Patient", content=gzip.compress(bytes(10_000_000)), headers={"Content-Encoding": "gzip"})
        assert bomb.status_code == 413
        assert client.get("Patient").status_code == 200


def test_methods_that_are_not_offered_are_told_which_are(client: httpx.Client) -> None:
    answer = client.request("DELETE", "Patient/1/_history")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.json()["issue"][0]["code"] == "not-supported"


def test_browsers_of_other_origins_may_call(client: httpx.Client) -> None:
    preflight = client.options(
        "Patient/1", headers={"Origin": "http://localhost:3000", "Access-Control-Request-Method": "PUT"}
    )
    assert preflight.status_code == 204
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert "If-Match" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-allow-origin"] == "*"
    answer = client.get("Patient/nobody", headers={"Origin": "http://localhost:3000"})
    assert answer.headers["access-control-allow-origin"] == "*"
    for name in ("ETag", "Location", "Last-Modified", "Content-Location"):
        assert name in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in client.get("Patient/nobody").headers


def test_options_tell_the_methods(client: httpx.Client) -> None:
    answer = client.options("Patient/1")
    assert answer.headers["allow"] == "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"
    assert client.options("Foo").status_code == 404


def test_errors_come_in_the_format_asked_for(client: httpx.Client) -> None:
    answer = client.get("Patient/nobody", headers={"Accept": "application/fhir+xml"})
    assert answer.status_code == 404
    assert b'<OperationOutcome xmlns="http://hl7.org/fhir">' in answer.content
    assert b"<OperationOutcome" in client.get("Patient?colour=red&_format=xml").content


def test_without_the_development_mode_nothing_is_given_out(start_server: Callable[..., Running]) -> None:
    server = start_server()
    with server.client() as client:
        for method, path in (("GET", "Patient"), ("GET", "Patient/1"), ("POST", "Patient"), ("GET", "_history")):
            answer = client.request(method, path, json=PATIENT if method == "POST" else None)
            assert answer.status_code == 401, path
            assert answer.json()["issue"][0]["code"] == "login"
            assert answer.headers["www-authenticate"] == 'Bearer realm="yidang"'
        assert client.get("metadata").status_code == 200
        assert httpx.get(f"{server.root}/healthz").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 100000000",
        b"Content-Length: 100000000\r\nContent-Encoding: gzip",
        b"Content-Length: 9999999999999",
        b"Transfer-Encoding: chunked",
        b"Content-Length: 100000000\r\nAuthorization: Bearer made-up",
        b"Content-Length: 100000000\r\nExpect: 100-continue",
    ],
)
@pytest.mark.parametrize("path", [b"", b"/Patient", b"/Patient/_search"])
def test_the_token_is_looked_at_before_the_body(guarded: Running, path: bytes, body: bytes) -> None:
    where = urlsplit(guarded.url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=10) as connection:
        connection.sendall(b"POST /fhir" + path + b" HTTP/1.1\r\nHost: x\r\n" + body + b"\r\n\r\n")
        # Nothing of the body was sent: a server that waits for it does not answer.
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401")


def test_a_body_for_what_everybody_may_read_is_not_taken(guarded: Running) -> None:
    where = urlsplit(guarded.url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=10) as connection:
        connection.sendall(b"POST /fhir/metadata HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 405")


HARMFUL = [
    b"GET /fhir/Patient/%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /fhir/Patient/%FF%FE HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /fhir/Patient?name=%FF HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /fhir/Patient?%00=%00&name=%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /fhir/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /fhir/Patient/..%2F..%2Fetc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b'GET /fhir/Patient HTTP/1.1\r\nHost: a"b<c>\r\nConnection: close\r\n\r\n',
    b"GET /fhir/Patient?" + b"a=1&" * 20_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b'POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nConnection: close\r\n\r\n{"a":\x00\xff}',
    b"POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\nConnection: close\r\n\r\n{}",
    b"NONSENSE\r\n\r\n",
    b"\x00\x01\x02\x03" * 100,
]


@pytest.mark.parametrize("request_bytes", HARMFUL, ids=range(len(HARMFUL)))
def test_harmful_requests_are_refused_and_the_server_lives(server: Running, request_bytes: bytes) -> None:
    answer = raw(server, request_bytes)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert b"Traceback" not in answer
    assert httpx.get(f"{server.root}/healthz").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceType":"Patient","extension":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"resourceType":"Observation","valueQuantity":{"value":1e999999999}}',
        b'{"resourceType":"Observation","valueInteger":' + b"9" * 5000 + b"}",
        b'{"resourceType":"Patient","birthDate":{"a":1}}',
        b'{"resourceType":"Patient","name":"\\ud800"}',
        b'{"resourceType":["Patient"]}',
        b'{"resourceType":"Patient","id":null}',
        b'\xef\xbb\xbf{"resourceType":"Patient","meta":[]}',
        b'{"resourceType":"Patient","meta":7}',
        b'{"resourceType":"Patient","contained":[null]}',
        b'{"resourceType":"Patient","text":{"status":"generated","div":"<div>"}}',
    ],
)
@pytest.mark.parametrize("path", ["Patient", "Observation"])
def test_harmful_bodies_are_refused(client: httpx.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_the_base_url_of_the_settings_is_used_in_links(start_server: Callable[..., Running]) -> None:
    server = start_server("--open", environment={"YIDANG_BASE_URL": "https://health.example/fhir/"})
    with server.client() as client:
        answer = client.post("Patient", json={"resourceType": "Patient"})
        assert answer.headers["location"].startswith("https://health.example/fhir/Patient/")


def test_a_stopped_server_has_kept_what_it_answered(start_server: Callable[..., Running], tmp_path: Path) -> None:
    first = start_server("--open", data=tmp_path / "data")
    with first.client() as client:
        id = client.post("Patient", json=PATIENT).json()["id"]
    assert first.stop() == 0
    second = start_server("--open", data=tmp_path / "data")
    with second.client() as client:
        assert client.get(f"Patient/{id}").status_code == 200


def test_several_workers_share_the_records_and_stop_together(start_server: Callable[..., Running]) -> None:
    server = start_server("--open", "--workers", "2")
    ids = []
    for _ in range(10):
        with server.client() as client:  # a connection of its own each time, so that both processes get some
            ids.append(client.post("Patient", json=PATIENT).json()["id"])
            assert all(client.get(f"Patient/{id}").status_code == 200 for id in ids)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=40) == 0


def test_what_is_under_way_is_finished_before_the_server_stops(start_server: Callable[..., Running]) -> None:
    server = start_server("--open")
    entry = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
    body = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry] * 300}).encode()
    head = f"POST /fhir HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")  # the server waits for the body now
        connection.sendall(body[:1000])
        server.process.send_signal(signal.SIGTERM)
        connection.sendall(body[1000:])
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer
    assert answer.count(b"201 Created") == 300
    assert server.process.wait(timeout=40) == 0


def test_settings_change_what_they_say(start_server: Callable[..., Running]) -> None:
    settings = {"HANDLING": "lenient", "SKIP_UNCHANGED": "true", "CORS_ORIGIN": "", "PAGE_SIZE": "2", "PAGE_MAX": "3"}
    server = start_server("--open", environment={f"YIDANG_{name}": value for name, value in settings.items()})
    with server.client() as client:
        for n in range(5):
            client.put(f"Patient/{n}", json={"resourceType": "Patient", "id": str(n)})
        again = client.put("Patient/1", json={"resourceType": "Patient", "id": "1", "meta": {"versionId": "9"}})
        assert (again.status_code, again.headers["etag"]) == (200, 'W/"1"')
        changed = client.put("Patient/1", json={"resourceType": "Patient", "id": "1", "active": True})
        assert changed.headers["etag"] == 'W/"2"'
        assert len(client.get("Patient?colour=red").json()["entry"]) == 3  # two patients and what was ignored
        assert len(client.get("Patient?_count=100").json()["entry"]) == 3
        assert client.get("Patient?colour=red", headers={"Prefer": "handling=strict"}).status_code == 400
        answer = client.get("Patient/1", headers={"Origin": "http://localhost:3000"})
        assert "access-control-allow-origin" not in answer.headers


def test_an_ipv6_address_works_too(start_server: Callable[..., Running]) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = start_server("--open", "--host", "::1")
    with server.client() as client:
        made = client.post("Patient", json={"resourceType": "Patient"})
        assert made.headers["location"].startswith(server.url)
        assert client.get(made.headers["location"]).status_code == 200


@pytest.mark.parametrize(
    "path", ["Patient?name=%ff", "Patient?_pretty=perhaps", "../nothing", "Patient?_format=xml&a=%ff"]
)
def test_refusals_before_the_negotiation_speak_the_format_that_was_asked_for(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers={"Accept": "application/fhir+xml"})
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"].startswith("application/fhir+xml")
    assert "<OperationOutcome" in answer.text


def test_the_access_log_has_one_line_per_request_and_identifies_nobody(start_server: Callable[..., Running]) -> None:
    server = start_server("--open", environment={"YIDANG_ACCESS_LOG": "true"})
    with server.client() as client:
        client.put("Patient/secret-id", json={"resourceType": "Patient", "id": "secret-id"})
        client.get("Patient/secret-id", headers={"X-Request-Id": "mine-1"})
        client.get("Patient?name=secret-name")
        client.get("Patient/secret-id/$everything")
        client.get(f"{server.root}/secret-place")
    server.stop()
    text = server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    lines = [line for line in lines if line["status"] != 200 or "{type}" in line["route"]]  # not the start's own look
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("PUT", "/{type}/{id}", 201),
        ("GET", "/{type}/{id}", 200),
        ("GET", "/{type}", 200),
        ("GET", "/{type}/{id}/$everything", 200),
        ("GET", "(outside the base)", 404),
    ]
    assert lines[1]["correlation"] == "mine-1"
    assert all(line["ms"] >= 0 for line in lines)
    assert "secret" not in text.replace(str(server.data), "")
