"""A request that does not come to its end is given up after a while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from fhir_server.http import guard

SOON = 0.15


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body once it is there."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    body = b"%d" % size
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def run(monkeypatch: pytest.MonkeyPatch, talk: Callable[[Any, Any], Awaitable[bytes]]) -> bytes:
    """What ``talk(reader, writer)`` gives on a connection to a server that is quickly impatient."""
    monkeypatch.setattr(guard, "HEAD_SECONDS", SOON)
    monkeypatch.setattr(guard, "BODY_SECONDS", SOON)

    async def go() -> bytes:
        config = uvicorn.Config(echo, http=guard.Guarded, port=0, lifespan="off", log_level="error")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await asyncio.wait_for(talk(reader, writer), 5)
        finally:
            writer.close()
            server.should_exit = True
            await serving

    return asyncio.run(go())


def test_a_head_that_does_not_end_is_answered_408(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(reader: Any, writer: Any) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        return bytes(await reader.read())

    head, _, body = run(monkeypatch, talk).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["issue"][0]["code"] == "timeout"


def test_a_connection_without_a_request_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(reader: Any, writer: Any) -> bytes:
        return bytes(await reader.read())

    assert run(monkeypatch, talk) == b""


def test_a_body_that_does_not_come_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(reader: Any, writer: Any) -> bytes:
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab")
        return bytes(await reader.read())

    assert run(monkeypatch, talk) == b""


def test_a_body_that_comes_in_pieces_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(reader: Any, writer: Any) -> bytes:
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(SOON / 3)
            writer.write(b"a")
        return bytes(await reader.readuntil(b"10"))

    assert run(monkeypatch, talk).startswith(b"HTTP/1.1 200 ")


def test_an_idle_connection_is_kept_between_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(reader: Any, writer: Any) -> bytes:
        found = b""
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            found += await reader.readuntil(b"\r\n\r\n0")
            await asyncio.sleep(2 * SOON)
        return found

    assert run(monkeypatch, talk).count(b"HTTP/1.1 200 ") == 2
