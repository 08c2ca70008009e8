"""HTTP/1.1 below the ASGI application: uvicorn's protocol with bounds for a request's head and for slow clients.

https://www.rfc-editor.org/rfc/rfc9112, https://www.rfc-editor.org/rfc/rfc6585#section-5
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from profiles.issues import Issue, operation_outcome
from profiles.lossless import encode

HEAD_MAX = 256 * 1024  # bytes of request line and headers
HEAD_SECONDS = 30.0  # for the whole head
BODY_SECONDS = 60.0  # for the next piece of the body


class Guarded(HttpToolsProtocol):
    """One connection. What is no HTTP, too long or too slow is refused with an OperationOutcome and closed."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._open = True  # a message is awaited or has begun, and has not ended
        self._in_head = True
        self._head_size = 0
        self._pieces = self._seen = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come; it has to ask for something."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_SECONDS, self._overdue)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and watch that the message comes to its end."""
        super().data_received(data)
        if not self._open or self.transport.is_closing():
            return
        self._pieces += 1
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > HEAD_MAX:
                self.refuse(431, "too-long", f"The head of the request is over {HEAD_MAX} bytes")
                return
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS if self._in_head else BODY_SECONDS, self._overdue)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._open = self._in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is there; a body may follow."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there."""
        self.ended()
        super().on_message_complete()

    def ended(self) -> None:
        """Stop watching: the request has come to its end."""
        self._open = self._in_head = False
        if self._timer is not None:
            self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _overdue(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._in_head and self._head_size:
            self.refuse(408, "timeout", f"The head of the request did not arrive within {HEAD_SECONDS:.0f} seconds")
        elif self._in_head or self._pieces == self._seen:
            self.transport.close()  # nobody asked for anything, or the rest of the body does not come
        else:
            self._seen = self._pieces
            self._timer = self.loop.call_later(BODY_SECONDS, self._overdue)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self.refuse(400, "structure", msg)

    def refuse(self, status: int, code: str, text: str) -> None:
        """Answer with an OperationOutcome and close the connection."""
        body = encode(operation_outcome([Issue(code, text)]))
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            "content-type: application/fhir+json; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
