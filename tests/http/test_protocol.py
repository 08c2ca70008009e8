"""The shortcut of plain reads gives what the long way gives, and is taken only where it may be."""

from __future__ import annotations

import socket
import uuid
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import Running


@pytest.fixture(scope="module")
def id(client: httpx.Client) -> str:
    name = f"plain-{uuid.uuid4()}"
    body = {"resourceType": "Patient", "id": name, "name": [{"family": "王" * 2000}]}
    assert client.put(f"Patient/{name}", json=body).status_code == 201
    return name


def exchange(server: Running, *requests: str, wait: bool = False) -> bytes:
    """Send requests on one connection (in one piece, or each after the answer to the one before).

    The last one must make the server close the connection.
    """
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=10) as connection:
        received = b""
        if wait:
            for request in requests[:-1]:
                connection.sendall(request.encode())
                received += connection.recv(65_536)
            connection.sendall(requests[-1].encode())
        else:
            connection.sendall("".join(requests).encode())
        while piece := connection.recv(65_536):
            received += piece
        return received


def get(path: str, *headers: str) -> str:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""])


@pytest.mark.parametrize("headers", [{}, {"Accept": "application/fhir+json"}, {"User-Agent": "x"}])
def test_both_ways_give_the_same(client: httpx.Client, id: str, headers: dict[str, str]) -> None:
    plain = {"Accept": "*/*", "Accept-Encoding": "identity", **headers}
    for _ in range(2):  # the second time the Accept header is known
        short = client.get(f"Patient/{id}", headers=plain)
        long = client.get(f"Patient/{id}", headers={**plain, "X-Unknown": "1"})
        assert short.content == long.content
        names = set(short.headers) | set(long.headers)
        for name in names - {"date", "x-request-id"}:
            assert short.headers[name] == long.headers[name], name


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": 'W/"1"'}, 304),
        ({"Accept": "image/png"}, 406),
        ({"Accept": "application/fhir+xml"}, 200),
        ({"Host": "a b"}, 400),
        ({"X-Request-Id": "mine"}, 200),
        ({"Accept-Encoding": "gzip"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
    ],
)
def test_headers_that_change_the_answer_are_honoured(
    client: httpx.Client, id: str, headers: dict[str, str], status: int
) -> None:
    client.get(f"Patient/{id}")
    answer = client.get(f"Patient/{id}", headers=headers)
    assert answer.status_code == status
    if "Accept" in headers and status == 200:
        assert answer.headers["content-type"].startswith("application/fhir+xml")
    if "X-Request-Id" in headers:
        assert answer.headers["x-request-id"] == "mine"
    if "Accept-Encoding" in headers:
        assert answer.headers["content-encoding"] == "gzip"
    if "Origin" in headers:
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("wait", [False, True])
def test_short_and_long_answers_mix_on_one_connection(server: Running, id: str, wait: bool) -> None:
    plain, searched = get(f"/fhir/Patient/{id}"), get(f"/fhir/Patient?_id={id}&_elements=active")
    last = get(f"/fhir/Patient/{id}", "Connection: close")
    received = exchange(server, plain, searched, plain, get("/fhir/Patient/nobody"), plain, last, wait=wait)
    statuses = [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"200", b"200", b"404", b"200", b"200"]


def test_a_connection_is_closed_when_the_client_wants_it(server: Running, id: str) -> None:
    received = exchange(server, get(f"/fhir/Patient/{id}", "Connection: close"), get(f"/fhir/Patient/{id}"))
    assert received.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in received


def test_a_get_with_a_body_is_still_answered(server: Running, id: str) -> None:
    received = exchange(
        server, get(f"/fhir/Patient/{id}", "Content-Length: 2") + "{}", get("/healthz", "Connection: close")
    )
    assert received.count(b"HTTP/1.1 200") == 2


def test_an_old_client_gets_its_answer(server: Running, id: str) -> None:
    received = exchange(server, f"GET /fhir/Patient/{id} HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200")


def test_expecting_clients_are_told_to_go_on(server: Running) -> None:
    body = '{"resourceType":"Patient"}'
    head = "POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    received = exchange(server, head, body, wait=True)
    assert received.startswith(b"HTTP/1.1 100 Continue")
    assert b"HTTP/1.1 201" in received
