"""The pages of the guide at ``/guide``: readable by anybody, without script; definitions and the package beside them.

Everything shown comes from ``profiles.alliance.tables``, of which ``docs/guide`` is made too. Nothing is read or made
before the first request.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

from fhir_server.auth.headers import data_headers, page_headers

PATH = "/guide"
_KEPT = 128  # pages
_HTML, _JSON = "text/html; charset=utf-8", "application/fhir+json; charset=utf-8"
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: media type, content, its tag, and whether a browser shows it as a page."""

    media: str
    body: bytes
    tag: str
    shown: bool = True


class GuidePages:
    """The ASGI application of ``/guide``. ``https``: whether browsers may be told to stay with HTTPS."""

    def __init__(self, https: bool) -> None:
        self._https = https

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        """Answer GET and HEAD; 404 for what is no page, 405 for other methods."""
        if scope["method"] not in ("GET", "HEAD"):
            await self._send(send, 405, None, scope, [("Allow", "GET, HEAD")])
            return
        path = unquote(scope["path"]).removeprefix(PATH).strip("/")
        page = await asyncio.to_thread(_page, path)
        if page is None:
            await self._send(send, 404, await asyncio.to_thread(_missing), scope, [])
            return
        headers = [("ETag", page.tag), ("Cache-Control", "max-age=300")]
        known = dict(scope["headers"]).get(b"if-none-match", b"").decode("latin-1")
        status = 304 if page.tag in {tag.strip() for tag in known.split(",")} else 200
        await self._send(send, status, page, scope, headers)

    async def _send(
        self, send: Send, status: int, page: Page | None, scope: dict[str, Any], own: list[tuple[str, str]]
    ) -> None:
        shown = page is None or page.shown
        headers = dict(page_headers(self._https) if shown else data_headers(self._https)) | dict(own)
        body = b"" if page is None or status == 304 else page.body
        if page is not None and status != 304:
            headers["Content-Type"] = page.media
        headers["Content-Length"] = str(len(body))
        lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


@lru_cache(maxsize=_KEPT)
def _page(path: str) -> Page | None:
    """The page of a path below ``/guide``; None where there is none."""
    if path == "style.css":
        return _answer("text/css; charset=utf-8", _style())
    if path == "package.tgz":
        from profiles.alliance.package import archive

        return _answer("application/gzip", archive(), shown=False)
    kind, _, name = path.partition("/")
    if name.endswith(".json"):
        return _definition(kind, name.removesuffix(".json"))
    make = _PAGES.get(kind)
    html = make(name) if make is not None else None
    return None if html is None else _answer(_HTML, html.encode())


def _answer(media: str, body: bytes, shown: bool = True) -> Page:
    return Page(media, body, f'"{hashlib.sha256(body).hexdigest()[:16]}"', shown)


def _missing() -> Page:
    return _answer(_HTML, _render("missing", title="没有这一页", english="There is no such page").encode())


@cache
def _style() -> bytes:
    return files("fhir_server.guide").joinpath("static/style.css").read_bytes()


@cache
def _templates() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("fhir_server.guide"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(template: str, **data: Any) -> str:
    from profiles.alliance import VERSION, tables

    style = f"{PATH}/style.css?v={hashlib.sha256(_style()).hexdigest()[:12]}"
    text: str = (
        _templates()
        .get_template(f"{template}.html")
        .render(data, style=style, version=VERSION, name_of=tables.name_of, titles=tables.titles, root=PATH)
    )
    return text


def _find(kind: str, name: str) -> dict[str, Any] | None:
    """The definition of a kind (as in the paths) and short name."""
    from profiles.alliance import guide, tables

    kinds = {
        "profile": guide().profiles,
        "extension": guide().extensions,
        "value-set": guide().value_sets,
        "code-system": guide().code_systems,
        "concept-map": guide().concept_maps,
        "search": guide().search_parameters,
    }
    return next((one for one in kinds.get(kind, ()) if tables.name_of(one) == name), None)


def _definition(kind: str, name: str) -> Page | None:
    """The definition itself, as FHIR JSON; with its snapshot where it has one."""
    from profiles.alliance import tables

    found = _find(kind, name)
    if found is None:
        return None
    if found["resourceType"] == "StructureDefinition":
        found = tables.profile_set().snapshot(found["url"])
    return _answer(_JSON, json.dumps(found, ensure_ascii=False, indent=1).encode(), shown=False)


def _index(name: str) -> str | None:
    from profiles.alliance import guide

    if name:
        return None
    found = guide()
    sections = [(one.title, [found.profile(name) for name in one.names]) for one in found.sections]
    title, english = "县域医共体健康档案实施指南", "County medical alliance guide"
    return _render("index", title=title, english=english, guide=found, sections=sections)


def _profile_page(name: str) -> str | None:
    return _structure("profile", name)


def _extension_page(name: str) -> str | None:
    return _structure("extension", name)


def _structure(kind: str, name: str) -> str | None:
    from profiles.alliance import examples, tables

    found = _find(kind, name)
    if found is None:
        return None
    title, english = tables.titles(found)
    example = examples().get(name)
    fails = example.fails if example is not None else ()
    return _render(
        "structure",
        title=title,
        english=english,
        kind=kind,
        definition=found,
        parents=tables.parents(found),
        documents=tables.documents(found),
        lines=tables.lines(found),
        rules=tables.rules(found),
        example=example,
        text=None if example is None else tables.pretty(example.resource),
        fails=[(one, [(path, tables.changed_to(value)) for path, value in one.changes.items()]) for one in fails],
    )


def _value_set_page(name: str) -> str | None:
    return _codes("value-set", name)


def _code_system_page(name: str) -> str | None:
    return _codes("code-system", name)


def _codes(kind: str, name: str) -> str | None:
    from profiles.alliance import guide, tables

    found = _find(kind, name)
    if found is None:
        return None
    title, english = tables.titles(found)
    url = found["url"] if kind == "value-set" else found["valueSet"]
    systems = {one["url"]: one for one in guide().code_systems}
    return _render(
        "codes",
        title=title,
        english=english,
        kind=kind,
        definition=found,
        codes=tables.codes(found),
        systems=systems,
        used=tables.used_by(url),
    )


def _mapping(name: str) -> str | None:
    from profiles.alliance import guide, tables

    if name:
        return None
    sections = [(one.title, tables.national(one)) for one in guide().sections]
    return _render("mapping", title="与国家标准的对照", english="National names", sections=sections)


_PAGES: dict[str, Callable[[str], str | None]] = {
    "": _index,
    "profile": _profile_page,
    "extension": _extension_page,
    "value-set": _value_set_page,
    "code-system": _code_system_page,
    "mapping": _mapping,
}
