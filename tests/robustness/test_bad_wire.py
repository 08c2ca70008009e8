"""What is no proper HTTP, never ends or comes in drops is refused and stops nobody else.

https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.robustness.hostile import Target

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/fhir+json\r\n"
CREATE = b"POST /fhir/Patient HTTP/1.1\r\n" + HOST + JSON


@contextmanager
def wire(target: Target) -> Iterator[socket.socket]:
    """A bare connection."""
    parts = urlsplit(target.fork.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as found:
        yield found


def answered(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of the answer; (0, what came) when it was closed without one."""
    received = b""
    while True:
        try:
            piece = connection.recv(65_536)
        except ConnectionError:
            piece = b""
        received += piece
        head, mark, body = received.partition(b"\r\n\r\n")
        length = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if not piece or (mark and length and len(body) >= length[0]):
            return (int(head.split()[1]), body) if head.startswith(b"HTTP/1.1") else (0, received)


def assert_refused(status: int, body: bytes) -> None:
    assert status == 0 or 400 <= status < 500, (status, body)
    if status:
        found = json.loads(body)
        assert found["resourceType"] == "OperationOutcome"
        assert found["issue"][0]["diagnostics"]


NO_HTTP: dict[str, bytes] = {
    "letters": b"hello\r\n\r\n",
    "blanks": b"\r\n\r\n \r\n\r\n",
    "bytes": bytes(range(256)) * 8,
    "zeros": bytes(4096) + b"\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an SSH greeting": b"SSH-2.0-OpenSSH_9.0\r\n",
    "an MLLP message": b"\x0bMSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\r\x1c\r",
    "another version": b"GET /fhir/metadata HTTP/9.9\r\n" + HOST + b"\r\n",
    "an unknown method": b"FOO /fhir/Patient HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path without slash": b"GET fhir HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path with raw bytes": b"GET /fhir/Patient/\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path with a blank": b"GET /fhir/Patient/a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header without colon": b"GET /fhir/metadata HTTP/1.1\r\nbanana\r\n\r\n",
    "a header with NUL": b"GET /fhir/metadata HTTP/1.1\r\nX: a\x00b\r\n" + HOST + b"\r\n",
    "a header name with blank": b"GET /fhir/metadata HTTP/1.1\r\nX Y: a\r\n" + HOST + b"\r\n",
    "a negative length": CREATE + b"Content-Length: -1\r\n\r\n{}",
    "a length of letters": CREATE + b"Content-Length: banana\r\n\r\n{}",
    "a huge length": CREATE + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}",
    "two lengths": CREATE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "length and chunks": (
        CREATE + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /fhir/Patient/witness HTTP/1.1\r\n" + HOST + b"\r\n"
    ),
    "a bad chunk": CREATE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "a huge chunk": (CREATE + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n{}\r\n"),
    "an unknown transfer encoding": b"POST /fhir/Patient HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: banana\r\n\r\n{}",
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_is_refused(target: Target, name: str) -> None:
    with target.unharmed(), wire(target) as connection:
        connection.sendall(NO_HTTP[name])
        connection.shutdown(socket.SHUT_WR)
        assert_refused(*answered(connection))


def test_random_bytes_are_refused(target: Target) -> None:
    chance = random.Random(20260101)
    with target.unharmed():
        for _ in range(60):
            with wire(target) as connection:
                connection.sendall(chance.randbytes(chance.randrange(1, 2000)) + b"\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                assert_refused(*answered(connection))


def test_damaged_requests_never_fail_the_server(target: Target) -> None:
    chance = random.Random(20260102)
    body = b'{"resourceType":"Patient","id":"witness","gender":"male"}'
    whole = b"GET /fhir/Patient/witness?_pretty=true HTTP/1.1\r\n" + HOST + JSON + b"Accept: */*\r\n\r\n" + body
    with target.unharmed():
        for _ in range(150):
            damaged = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            with wire(target) as connection:
                connection.sendall(damaged)
                connection.shutdown(socket.SHUT_WR)
                status, _ = answered(connection)
                assert status < 500


def test_a_head_without_end_is_refused(target: Target) -> None:
    with target.unharmed(), wire(target) as connection:
        connection.sendall(b"GET /fhir/metadata HTTP/1.1\r\n" + HOST)
        try:
            for number in range(100):
                connection.sendall(b"X-%d: " % number + b"a" * 10_000 + b"\r\n")
        except ConnectionError:
            return
        assert_refused(*answered(connection))


def test_ten_thousand_headers_are_refused_or_passed_over(target: Target) -> None:
    with target.unharmed(), wire(target) as connection:
        connection.sendall(b"GET /fhir/Patient/witness HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 10_000 + b"\r\n")
        status, _ = answered(connection)
        assert status == 200 or 400 <= status < 500


def test_a_body_cut_by_the_client_changes_nothing(target: Target) -> None:
    body = b'{"resourceType":"Patient","active":true}'
    head = b"POST /fhir/Patient HTTP/1.1\r\n" + HOST + JSON
    with target.unharmed():
        for sent in (
            head + b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body,
            head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n",
            head + b"Content-Length: 4\r\n",
        ):
            with wire(target) as connection:
                connection.sendall(sent)
                # A reset: nobody is there any more when the server reads on.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_clients_that_send_nothing_or_drops_stop_nobody(target: Target) -> None:
    starts = [
        b"",
        b"G",
        b"GET /fhir/Patient/witness HTTP/1.1\r\nX: ",
        CREATE + b"Content-Length: 100000\r\n\r\n{",
        CREATE + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    ]
    connections: list[socket.socket] = []
    with target.unharmed():
        parts = urlsplit(target.fork.url)
        for number in range(200):
            connections.append(socket.create_connection((parts.hostname, parts.port), timeout=10))
            connections[-1].sendall(starts[number % len(starts)])
        for connection in connections[1::5]:
            connection.sendall(b"E")
        assert target.answer_time() < 1
        for connection in connections:
            connection.close()


def test_a_client_that_does_not_read_its_answers_stops_nobody(target: Target) -> None:
    with target.unharmed(), wire(target) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(1)
        asked = b"GET /fhir/metadata HTTP/1.1\r\n" + HOST + b"\r\n"
        try:
            for _ in range(300):
                connection.sendall(asked)
        except TimeoutError:
            pass
        assert target.answer_time() < 1


def test_pipelined_requests_are_answered_in_their_order(target: Target) -> None:
    with wire(target) as connection:
        asked = b"".join(b"GET /fhir/Patient/none-%d HTTP/1.1\r\n" % n + HOST + b"\r\n" for n in range(20))
        connection.sendall(asked + b"GET /fhir/Patient/last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    places = [received.index(b"Patient/none-%d" % n) for n in range(20)]
    assert places == sorted(places) and received.index(b"Patient/last") > places[-1]


def test_a_crowd_of_hostile_clients_does_not_slow_the_others(target: Target) -> None:
    stop = threading.Event()

    def annoy(seed: int) -> None:
        chance = random.Random(seed)
        while not stop.is_set():
            with wire(target) as connection:
                connection.sendall(NO_HTTP[chance.choice(list(NO_HTTP))])

    crowd = [threading.Thread(target=annoy, args=(seed,)) for seed in range(4)]
    with target.unharmed():
        for one in crowd:
            one.start()
        times = [target.answer_time() for _ in range(20)]
        stop.set()
        for one in crowd:
            one.join(timeout=10)
        assert sorted(times)[10] < 1
