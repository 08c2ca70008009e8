"""A small HTTP client of one connection, quick enough to press a server: what many threads use at once."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

FHIR_JSON = "application/fhir+json"
Resource = dict[str, Any]
#: What a request raises when the server dies meanwhile: whether it was carried out is not known then.
Broken = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def version(self) -> int:
        return int(self.headers["etag"].removeprefix('W/"').rstrip('"'))

    def ids(self) -> list[str]:
        """The ids of the matches of a searchset, in order."""
        return [entry["resource"]["id"] for entry in matches(self.json)]


def matches(bundle: Resource, mode: str = "match") -> list[Resource]:
    """The entries of a searchset with this search mode."""
    return [entry for entry in bundle.get("entry", []) if entry["search"]["mode"] == mode]


def next_link(bundle: Resource) -> str | None:
    """The URL of the next page, if there is one."""
    return next((link["url"] for link in bundle.get("link", []) if link["relation"] == "next"), None)


class Api:
    """One keep-alive connection to the FHIR base ``url``; for one thread at a time."""

    def __init__(self, url: str, timeout: float = 30) -> None:
        parts = urlsplit(url)
        self.url, self._path = url, parts.path
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)

    def send(
        self, method: str, path: str, body: Resource | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request; ``path`` is below the base, or a whole URL of this server."""
        path = path.removeprefix(self.url)
        target = self._path + (path if path[:1] in ("/", "?") or not path else f"/{path}")
        target = quote(target, safe="%/?&=:,|$+~*@!;'()#[]\"<>\\^`{}")  # only what is not ASCII, and blanks
        data = json.dumps(body, ensure_ascii=False).encode() if isinstance(body, dict) else body
        sent = {"Content-Type": FHIR_JSON, **(headers or {})} if data is not None else dict(headers or {})
        try:
            self._connection.request(method, target, data, sent)
            response = self._connection.getresponse()
            content = response.read()
        except Broken:
            self._connection.close()
            raise
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, content)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def put(self, path: str, body: Resource | bytes, **headers: str) -> Answer:
        return self.send("PUT", path, body, headers)

    def post(self, path: str, body: Resource | bytes, **headers: str) -> Answer:
        return self.send("POST", path, body, headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.send("DELETE", path, headers=headers)

    def walk(self, path: str) -> list[Resource]:
        """All pages of a search, by their next links."""
        pages = []
        following: str | None = path
        while following is not None:
            answer = self.get(following)
            assert answer.status == 200, answer.body
            pages.append(answer.json)
            following = next_link(pages[-1])
        return pages

    def count(self, path: str) -> int:
        """The number of matches of a search."""
        answer = self.get(path + ("&" if "?" in path else "?") + "_summary=count")
        assert answer.status == 200, answer.body
        total: int = answer.json["total"]
        return total

    def close(self) -> None:
        self._connection.close()
