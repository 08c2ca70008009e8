"""Reference parameters: links to resources of this server, other URLs, canonicals, logical identifiers.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from fhir_server.errors import NotSupported
from fhir_server.search.context import (
    Context,
    bad_value,
    is_id,
    no_modifier,
    per_source,
    unescape,
)
from fhir_server.search.plan import Indexed, Source
from fhir_server.search.rows import Rows
from fhir_server.search.sinks import Factory, Setting, Sink
from fhir_server.search.tree import Node, Or, Param, Reference, Token, Uri, UriMode
from fhir_server.search.types import token

Local = tuple[str, str]
_LONG = 1000  # characters of a reference


@lru_cache(maxsize=16)
def local_reader(resource_types: frozenset[str], base_urls: tuple[str, ...]) -> Callable[[str], Local | None]:
    """The function from the text of a reference to (type, id) of a resource of this server, None if it is none."""
    bases = tuple(f"{url.rstrip('/')}/" for url in base_urls)

    def read(text: str) -> Local | None:
        # What is longer is no reference of ours, and would fill the memory if it were remembered.
        return remembered(text) if len(text) <= _LONG else None

    @lru_cache(maxsize=65_536)
    def remembered(text: str) -> Local | None:
        for base in bases:
            if text.startswith(base):
                text = text[len(base) :]
                break
        parts = text.split("/")
        if len(parts) not in (2, 4) or parts[0] not in resource_types or not is_id(parts[1]):
            return None
        if len(parts) == 4 and parts[2] != "_history":
            return None
        return parts[0], parts[1]

    return read


def versioned(local: Local, text: str) -> str:
    """The relative reference to the version that ``text`` names."""
    return f"{local[0]}/{local[1]}/_history/{text.rpartition('/')[2]}"


def foreign_type(text: str, resource_types: frozenset[str]) -> str | None:
    """The resource type that the end of a foreign URL names, if it does."""
    parts = text.split("/_history/")[0].rsplit("/", 2)
    return parts[1] if len(parts) == 3 and parts[1] in resource_types else None


def _reference(key: str, setting: Setting) -> Sink:
    read = local_reader(setting.resource_types, tuple(setting.base_urls))
    only, also, types = setting.target, setting.also or {}, setting.resource_types
    identifier_key, bare, hashed = f"{key}:identifier", setting.bare, setting.shield.identifier

    def sink(value: Any, out: Rows) -> None:
        text = value.get("reference")
        found: str | None = None
        if type(text) is str:
            local = read(text)
            found = local[0] if local is not None else foreign_type(text, types)
            if only is not None and found != only:
                return
            if local is not None:
                out.ref.append((key, *local))
                if "/_history/" in text:
                    out.tok.append((key, "", versioned(local, text)))
            elif text[:1] != "#":
                out.tok.append((key, "", text))
            elif not bare:
                out.inside.append((key, text[1:]))
        identifier = value.get("identifier")
        if identifier is not None:
            found = found or value.get("type")
            if only is not None and found != only:
                return
            number, system = identifier.get("value", ""), identifier.get("system", "")
            if not bare and type(number) is str and type(system) is str and (number or system):
                out.tok.append((identifier_key, system, hashed(system, number, identifier.get("type"))))
        if found is not None and also:
            out.present.update(also.get(found, ()))

    return sink


def canonical_rows(key: str, text: str) -> list[tuple[str, str, str]]:
    """The token rows of a uri or canonical: the URL, and again with its version where it has one."""
    url, bar, version = text.partition("|")
    return [(key, "", url), (key, version, url)] if bar and version else [(key, "", url)]


def canonical(key: str, setting: Setting) -> Sink:
    """The sink of uris and canonicals."""

    def sink(value: Any, out: Rows) -> None:
        if type(value) is str:
            out.tok += canonical_rows(key, value)

    return sink


def _named(key: str, setting: Setting) -> Sink:
    """A resource named by its canonical URL, or by a literal reference to one of this server."""
    read = local_reader(setting.resource_types, tuple(setting.base_urls))
    as_uri = canonical(key, setting)

    def sink(value: Any, out: Rows) -> None:
        as_uri(value, out)
        local = read(value.partition("|")[0]) if type(value) is str else None
        if local is not None:
            out.ref.append((key, *local))

    return sink


def _inline(key: str, setting: Setting) -> Sink:
    """A resource that stands in place (``Bundle.entry[0].resource``)."""

    def sink(value: Any, out: Rows) -> None:
        type_, id_ = value.get("resourceType"), value.get("id")
        if type(type_) is str and type(id_) is str:
            out.ref.append((key, type_, id_))

    return sink


SINKS: dict[str, Factory] = {
    "Reference": _reference,
    "Resource": _inline,
    **dict.fromkeys(("canonical", "uri", "url"), _named),
}

MODIFIERS = ("missing", "identifier", "above", "below", "[type]")


def node(context: Context, indexed: Indexed, modifier: str, text: str) -> Node:
    """The condition that one reference value asks: an id, ``Type/id``, or a URL."""
    if modifier == "identifier":
        inner = Indexed(indexed.type, indexed.code, "token", indexed.definition, _identifiers(indexed), ())
        return token.node(context, inner, "", text)
    if modifier in ("above", "below"):
        raise NotSupported(f"'{indexed.code}:{modifier}' (hierarchies of references) is not offered by this server")
    wanted = ""
    if modifier:
        if modifier not in context.definitions.resource_types:
            raise no_modifier(indexed, modifier, MODIFIERS)
        wanted = modifier
    value = unescape(text)
    bases: Sequence[str] = context.base_urls
    local = local_reader(context.definitions.resource_types, tuple(bases))(value)
    if local is not None and wanted in ("", local[0]):
        if "/_history/" in value:
            one = versioned(local, value)
            return per_source(
                indexed, lambda p, s: Uri(p, UriMode.EXACT, one) if s.target in (None, local[0]) else Or(())
            )
        link = per_source(indexed, lambda p, s: _same_type(p, s, local[0], local[1]))
        # An absolute URL may have been filed when this server did not yet go by that address.
        return Or((link, per_source(indexed, lambda p, _: Uri(p, UriMode.EXACT, value)))) if ":" in value else link
    if is_id(value):
        type_ = wanted or (indexed.targets[0] if len(indexed.targets) == 1 else None)
        return per_source(indexed, lambda p, s: _same_type(p, s, s.target or type_, value))
    if ":" not in value or wanted:
        raise bad_value(indexed, text, "it is an id, 'Type/id' or a URL")
    url, bar, version = value.partition("|")
    if bar and version:
        return per_source(indexed, lambda p, _: Token(p, version, url))
    return per_source(indexed, lambda p, s: _foreign(context, p, s, url))


def _same_type(param: Param, source: Source, type: str | None, id: str) -> Node:
    return Or(()) if source.target not in (None, type) else Reference(param, type, id)


def _foreign(context: Context, param: Param, source: Source, url: str) -> Node:
    """A URL of elsewhere; where the parameter wants a type, one that the URL does not deny."""
    if source.target is not None and foreign_type(url, context.definitions.resource_types) not in (None, source.target):
        return Or(())
    return Uri(param, UriMode.EXACT, url)


def _identifiers(indexed: Indexed) -> tuple[Source, ...]:
    return tuple(Source(f"{s.key}:identifier") for s in indexed.sources)
