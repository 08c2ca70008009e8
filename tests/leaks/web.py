"""A world behind the real application, asked over HTTP with real access tokens; and shadows that are open servers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fhir_server import app
from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import issue
from fhir_server.http.shell import Application, Started
from fhir_server.settings import Settings
from tests.leaks.compare import fill_shadow, requester
from tests.leaks.http import BASE, Answer, Server
from tests.leaks.oracle import Who
from tests.leaks.world import Loaded

LIFETIME = 400 * 86400.0  # seconds: worlds move their clocks by months
_VERSION = re.compile(r'"versionId":"\d+","lastUpdated":"[^"]*"')
_CURSOR = re.compile(r"([?&])_?cursor=[^&\"]*|([?&])_page=[^&\"]*")


def start(data: Path, clock: list[int], **settings: Any) -> Server:
    """A server of this process on the folder ``data`` whose time is ``clock``."""
    chosen = Settings(data=data, matches_per_minute=1_000_000, **settings)  # the clock of a world stands still

    def begin() -> Started:
        before, app.wall_clock = app.wall_clock, lambda: clock[0]
        try:
            return app._start(chosen)
        finally:
            app.wall_clock = before

    return Server(Application(chosen, begin))


@dataclass
class Web:
    """A world, the server before it, and a token for everybody who asks."""

    world: Loaded
    data: Path
    server: Server = field(init=False)
    _tokens: dict[Who, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = start(self.data, self.world.clock, page_max=1000)
        self._auth = AuthFile.open(self.data)

    def token(self, who: Who) -> str:
        if who not in self._tokens:
            now = self.world.clock[0] / 1e6
            self._tokens[who] = issue(self._auth, requester(who), LIFETIME, now=now)
        return self._tokens[who]

    def ask(
        self, who: Who, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request of ``who``."""
        return self.server.ask(method, path, self.token(who), body, headers)

    def get(self, who: Who, path: str, **headers: str) -> Answer:
        return self.ask(who, "GET", path, headers=headers)

    def close(self) -> None:
        self.server.close()
        self._auth.close()
        self.world.store.close()


class Shadow:
    """An open server on a store that holds only what ``who`` may search."""

    def __init__(self, world: Loaded, who: Who, folder: Path) -> None:
        fill_shadow(world, who, folder)
        self.server = start(folder, world.clock, open=True, page_max=1000)

    def get(self, path: str) -> Answer:
        return self.server.ask("GET", path)

    def close(self) -> None:
        self.server.close()


def normal(answer: Answer) -> tuple[int, Any]:
    """Status and body of an answer, without versions, times and page tokens."""
    text = _VERSION.sub('"versionId":"","lastUpdated":""', answer.body.decode())
    if not text:
        return answer.status, None
    body = json.loads(text)
    if isinstance(body, dict):
        _plain(body)
    return answer.status, body


def _plain(body: dict[str, Any]) -> None:
    if body.get("resourceType") == "Bundle":
        for name in ("id", "meta", "timestamp"):
            body.pop(name, None)
        # Of further pages it only matters that there are some: their tokens are opaque.
        body["link"] = sorted(link["relation"] for link in body.get("link", ()))
        for entry in body.get("entry", ()):
            entry.pop("response", None)
        included = [e for e in body.get("entry", ()) if e.get("search", {}).get("mode") == "include"]
        rest = [e for e in body.get("entry", ()) if e not in included]
        body["entry"] = rest + sorted(included, key=lambda entry: str(entry["fullUrl"]))


def next_link(answer: Answer) -> str | None:
    """The path of the next page."""
    for link in answer.json.get("link", ()):
        if link["relation"] == "next":
            return str(link["url"]).removeprefix(BASE).removeprefix("/")
    return None
