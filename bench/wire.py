"""The benchmark's own HTTP client: raw sockets, so that it costs less than the server it measures.

Run as ``python -m bench.wire`` it is what drives the server where wrk is missing: it reads a job
(JSON) from standard input and writes wrk-like figures (JSON) to standard output.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import Any

_END = b"\r\n\r\n"


def request_bytes(method: str, path: str, body: bytes = b"", token: str = "") -> bytes:
    """One HTTP/1.1 request as it goes over the wire, with an access token if given."""
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if body or method in ("POST", "PUT"):
        head += f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def complete(data: bytes | bytearray) -> tuple[int, int, int] | None:
    """(status, where the body begins, where it ends) once the whole answer is in ``data``."""
    end = data.find(_END)
    if end < 0:
        return None
    head = bytes(data[:end]).lower()
    at = head.find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0
    stop = end + 4 + length
    return (int(head[9:12]), end + 4, stop) if len(data) >= stop else None


class Wire:
    """One connection that asks and waits."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, path: str, body: bytes = b"", token: str = "") -> tuple[int, bytes]:
        """(status, body) of the answer."""
        self._socket.sendall(request_bytes(method, path, body, token))
        data = bytearray()
        while (found := complete(data)) is None:
            piece = self._socket.recv(262_144)
            if not piece:
                raise ConnectionError(f"the server closed the connection on {method} {path}")
            data += piece
        status, begin, end = found
        return status, bytes(data[begin:end])

    def close(self) -> None:
        self._socket.close()


def drive(port: int, requests: list[bytes], connections: int, seconds: float) -> dict[str, Any]:
    """Send the requests in turn over many connections for some seconds; counts and latencies (ms)."""
    selector = selectors.DefaultSelector()
    began = time.perf_counter()
    stop = began + seconds
    latencies: list[float] = []
    errors = size = sent = 0
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(requests[sent % len(requests)])
        selector.register(connection, selectors.EVENT_READ, [time.perf_counter(), bytearray(), connection])
        sent += 1
    while time.perf_counter() < stop:
        for key, _ in selector.select(0.2):
            state = key.data
            state[1] += state[2].recv(262_144)
            found = complete(state[1])
            if found is None:
                continue
            latencies.append((time.perf_counter() - state[0]) * 1000)
            size += len(state[1])
            errors += found[0] >= 300
            state[0], state[1] = time.perf_counter(), bytearray()
            state[2].sendall(requests[sent % len(requests)])
            sent += 1
    wall = time.perf_counter() - began
    latencies.sort()
    at = [latencies[min(int(len(latencies) * q), len(latencies) - 1)] for q in (0.5, 0.95, 0.99)] if latencies else []
    return {"requests": len(latencies), "seconds": wall, "errors": errors, "bytes": size, "latency": at}


if __name__ == "__main__":
    job = json.load(sys.stdin)
    made = [request_bytes(job["method"], path, body.encode(), job.get("token", "")) for path, body in job["requests"]]
    print(json.dumps(drive(job["port"], made, job["connections"], job["seconds"])))
