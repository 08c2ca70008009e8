"""The real application in this process, asked over ASGI with real tokens: no port, no waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fhir_server.http.shell import Application

HOST = "yidang.test"
BASE = f"http://{HOST}/fhir"
_VARYING = frozenset({"x-request-id", "date"})


@dataclass(frozen=True)
class Answer:
    """What came back. ``headers`` are in lower case, without those that differ every time."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    def without(self, *names: str) -> tuple[int, tuple[tuple[str, str], ...], str]:
        """The whole answer as text, with each of these names (ids, of one length) made the same."""
        text = self.body.decode("utf-8", "replace")
        headers = [(name, value) for name, value in sorted(self.headers.items()) if name not in _VARYING]
        for name in names:
            text = text.replace(name, "…")
            headers = [(key, value.replace(name, "…")) for key, value in headers]
        return self.status, tuple(headers), text


class Server:
    """An application that has started."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self._loop = asyncio.new_event_loop()
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._done: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._life = self._loop.create_task(
            self.application({"type": "lifespan"}, self._messages.get, self._done.put)  # type: ignore[arg-type]
        )
        started = self._loop.run_until_complete(self._exchange("lifespan.startup"))
        if started["type"] != "lifespan.startup.complete":
            raise AssertionError(started)

    async def _exchange(self, type: str) -> dict[str, Any]:
        await self._messages.put({"type": type})
        return await self._done.get()

    def close(self) -> None:
        self._loop.run_until_complete(self._exchange("lifespan.shutdown"))
        self._loop.run_until_complete(self._life)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def ask(
        self,
        method: str,
        path: str,
        token: str = "",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; ``path`` is below the FHIR base, or begins with ``/`` for the whole path."""
        sent = {"host": HOST, **{name.lower(): value for name, value in (headers or {}).items()}}
        if token:
            sent["authorization"] = f"Bearer {token}"
        payload = b""
        if body is not None:
            payload = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
            sent.setdefault("content-type", "application/fhir+json")
            sent["content-length"] = str(len(payload))
        target = path.removeprefix(BASE).removeprefix("/") if not path.startswith("/") else path
        full = (
            target if path.startswith("/") else (f"/fhir/{target}" if target and target[0] != "?" else f"/fhir{target}")
        )
        return self._loop.run_until_complete(self._ask(method, full, sent, payload))

    async def _ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": quote(path, safe="/$*%:@-._~!&'()+,;=").encode("ascii"),
            "query_string": quote(query, safe="/$*%:@-._~!&'()+,;=?|").encode("ascii"),
            "root_path": "",
            "client": ("127.0.0.1", 40000),
            "server": (HOST, 80),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
        sent: list[dict[str, Any]] = []
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> dict[str, Any]:
            found = next(messages, None)
            if found is None:
                await asyncio.Event().wait()
            return found or {}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.application(scope, receive, send)
        names = {name.decode().lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], names, content)
