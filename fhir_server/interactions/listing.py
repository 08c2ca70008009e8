"""Bundles of stored resources, joined from their bytes: nothing that is stored is parsed to list it.

https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fhir_server.http.exchange import Pairs
from fhir_server.http.summary import Subsetter
from fhir_server.store.protocol import Stored
from profiles.lossless import encode, parse

if TYPE_CHECKING:
    from fhir_server.context import Context

Links = Sequence[tuple[str, str]]
_RESPONSES = {"POST": b"201 Created", "DELETE": b"204 No Content"}


@lru_cache(maxsize=4096)
def _second(second: int, zone: str) -> tuple[str, str]:
    text = datetime.fromtimestamp(second, ZoneInfo(zone)).isoformat()
    return text[:19], text[19:]


def instant(microseconds: int, zone: str) -> str:
    """A FHIR instant to the millisecond in the deployment's ``zone``: the text that ``meta.lastUpdated`` has."""
    second, rest = divmod(microseconds, 1_000_000)
    head, offset = _second(second, zone)
    return f"{head}.{rest // 1000:03d}{offset}"


def now(context: Context) -> str:
    """The present instant, for ``Bundle.meta.lastUpdated``."""
    return instant(context.clock(), context.settings.zone)


@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    return quote(text, safe=":,|$/-._~*@")  # separators of search values stay readable


def query_text(pairs: Iterable[tuple[str, str]]) -> str:
    """The query string of these pairs."""
    return "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in pairs])


def link_url(base_url: str, path: str, pairs: Iterable[tuple[str, str]]) -> str:
    """The URL of a page: ``path`` below the base with its query."""
    query = query_text(pairs)
    where = f"{base_url}/{path}" if path else base_url
    return f"{where}?{query}" if query else where


def without(pairs: Pairs, *names: str) -> Pairs:
    """The pairs that have none of these names."""
    return [pair for pair in pairs if pair[0] not in names]


def bundle(kind: str, links: Links, entries: Sequence[bytes], total: int | None, written: str) -> bytes:
    """A Bundle of type ``kind``; ``written`` is its instant, ``total`` None where it is not known."""
    head = b'{"resourceType":"Bundle","meta":{"lastUpdated":"%s"},"type":"%s"' % (written.encode(), kind.encode())
    if total is not None:
        head += b',"total":%d' % total
    if links:
        head += b',"link":' + encode([{"relation": relation, "url": url} for relation, url in links])
    if entries:
        return head + b',"entry":[' + b",".join(entries) + b"]}"
    return head + b"}"


def search_entries(found: Iterable[Stored], mode: str, base_url: str, part: Subsetter | None) -> list[bytes]:
    """The entries of a searchset: full URL, the stored text (or the part asked for), mode match or include."""
    start = b'{"fullUrl":' + encode(base_url)[:-1] + b"/"
    middle = b'","resource":'
    end = b',"search":{"mode":"' + mode.encode() + b'"}}'
    return [
        b"".join(
            (
                start,
                stored.type.encode(),
                b"/",
                stored.id.encode(),
                middle,
                part(stored.body) if part else stored.body,
                end,
            )
        )
        for stored in found
        if stored.body is not None
    ]


def fragment_entries(
    found: Iterable[Stored], places: Mapping[int, Sequence[int]], base_url: str, part: Subsetter | None
) -> list[bytes]:
    """The entries of a search with ``_containedType=contained``: the contained resources that matched.

    ``places``: by sequence of a container, where they stand in it. A match without any is shown itself.
    """
    entries: list[bytes] = []
    for stored in found:
        inside = places.get(stored.sequence)
        if inside is None or stored.body is None:
            entries += search_entries((stored,), "match", base_url, part)
            continue
        contained = parse(stored.body)["contained"]
        for place in inside:
            one = contained[place]
            url = encode(f"{base_url}/{stored.type}/{stored.id}#{one.get('id', place)}")
            text = encode(one)
            shown = part(text) if part else text
            entries.append(b'{"fullUrl":' + url + b',"resource":' + shown + b',"search":{"mode":"match"}}')
    return entries


def outcome_entry(outcome: dict[str, object]) -> bytes:
    """The entry of a searchset that says what was ignored."""
    return b'{"resource":' + encode(outcome) + b',"search":{"mode":"outcome"}}'


def history_entry(stored: Stored, base_url: str, zone: str, part: Subsetter | None) -> bytes:
    """The entry of one version: its text (none for a deletion), the request that made it and what that answered."""
    name = f"{stored.type}/{stored.id}"
    url = stored.type if stored.method == "POST" else name
    head = b'{"fullUrl":' + encode(f"{base_url}/{name}")
    if stored.body is not None:
        head += b',"resource":' + (part(stored.body) if part else stored.body)
    status = _RESPONSES.get(stored.method) or (b"201 Created" if stored.version == 1 else b"200 OK")
    return b"".join(
        (
            head,
            b',"request":{"method":"%s","url":%s}' % (stored.method.encode(), encode(url)),
            b',"response":{"status":"%s","etag":"W/\\"%d\\"","lastModified":"%s"}}'
            % (status, stored.version, instant(stored.updated, zone).encode()),
        )
    )
