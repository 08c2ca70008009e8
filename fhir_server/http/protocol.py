"""The connection: uvicorn's HTTP protocol with one write per answer and a shortcut for plain reads.

Two thirds of what a read costs is the machinery around it (a task, an event, an ASGI exchange).
A GET of one resource needs none of it, as the store answers at once, so it is answered in place.
https://www.uvicorn.org/settings/#implementation (``http``)
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from fhir_server.http.guard import Guarded
from fhir_server.http.shell import Application

_CONTINUE = b"HTTP/1.1 100"
_END = b"\r\n\r\n"


class _Joined:
    """The transport of one exchange: it holds the head of an answer back until its body is there."""

    __slots__ = ("_held", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._transport.is_closing():
            self._held = b""  # the client is gone: there is nobody to write to
        elif self._held:
            self._transport.write(self._held + data)
            self._held = b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(_CONTINUE):
            self._held = data
        else:
            self._transport.write(data)

    def flush(self) -> None:
        if self._held and not self._transport.is_closing():
            self._transport.write(self._held)
        self._held = b""

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class Connection(Guarded):
    """One client connection."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._joined: _Joined | None = None
        self._short = False  # the request that is being received was answered by the shortcut
        self._held = False  # and the answer is still to come
        self._single = False  # what was received is the whole head of one request, and nothing behind it
        self._application = self.app if isinstance(self.app, Application) else None

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._single = data.endswith(_END) and data.count(_END) == 1
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """Answer a plain read at once; leave everything else to the application."""
        if (
            self._application is not None
            and self._single
            and self.parser.get_method() == b"GET"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.pipeline
            and not self.flow.write_paused
            and self.parser.get_http_version() == "1.1"
        ):
            address = self.client[0] if self.client else ""
            self._short = self._held = True
            if self._application.plain_read(self.url, self.headers, address, self._write_short):
                if self._held:  # the answer comes in a moment: nothing else is taken up before
                    self.flow.pause_reading()
                return
            self._short = self._held = False
        super().on_headers_complete()

    def _write_short(self, answer: list[bytes]) -> None:
        """Send the answer to a plain read; an empty one ends the connection."""
        self._held = False
        if self.transport.is_closing():
            return
        if not answer:
            self.transport.close()
            return
        head = [b"HTTP/1.1 200 OK\r\n"]
        for name, value in self.server_state.default_headers:
            head += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join(head + answer))
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        self.flow.resume_reading()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body (a plain read has none)."""
        if not self._short:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._short:
            self._short = False
            self.ended()
        else:
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._joined = _Joined(self.transport)
        cycle.transport = cast(asyncio.Transport, self._joined)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """An answer is complete: what was held back (the head of an answer without body) goes out."""
        if self._joined is not None:
            self._joined.flush()
        super().on_response_complete()
