"""Links between the entries of a transaction: found in one pass over each resource, rewritten when ids are known.

https://hl7.org/fhir/R4/http.html#transaction ("Servers SHALL replace all matching links in the bundle …")
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from profiles.definitions import Definitions

_URI_TYPES = frozenset({"uri", "url", "oid", "uuid"})
_NAMES = frozenset({("Extension", "url"), ("Coding", "system")})
_ATTRIBUTE = re.compile(r"""(?P<before><(?:a|img)\b[^<>]*?\s(?:href|src)\s*=\s*)(?P<q>["'])(?P<link>[^"'<>]*)(?P=q)""")
_RESTFUL = re.compile(r"^(?P<base>https?://.+/)[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}$")


@dataclass(slots=True)
class Links:
    """Where one resource may point to other entries; each member keeps the text as it was sent.

    ``references``: (Reference, text). ``uris``: (object or array, key or place, text).
    ``narratives``: (Narrative, div).
    """

    references: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    uris: list[tuple[Any, Any, str]] = field(default_factory=list)
    narratives: list[tuple[dict[str, Any], str]] = field(default_factory=list)


@lru_cache(maxsize=4)
def _link_keys(definitions: Definitions) -> frozenset[str]:
    """The JSON keys under which a link can stand: elements of uri types, references and narratives."""
    found = {"reference", "div"}
    for name in definitions.type_names:
        found.update(e.key for e in definitions.type(name).elements.values() if e.type in _URI_TYPES)
    return frozenset(found)


def find_links(resource: dict[str, Any], full_urls: Collection[str], definitions: Definitions) -> Links:
    """The links of a resource: all its literal references, and other texts that are one of ``full_urls``.

    Only elements of type uri, url, oid and uuid count beside references (never canonicals, strings, the
    url of an extension or the system of a Coding); the types are looked up only where a text is a full URL.
    """
    links = Links()
    if _walk(resource, _link_keys(definitions), full_urls, links):
        links.uris = list(_uris(resource, resource["resourceType"], full_urls, definitions))
    return links


def _walk(node: dict[str, Any], keys: frozenset[str], full_urls: Collection[str], links: Links) -> bool:
    hit = False
    for key, value in node.items():
        kind = type(value)
        if kind is str:
            if key not in keys:
                continue
            if key == "reference":
                if value[:1] != "#":
                    links.references.append((node, value))
            elif key == "div":
                if "href" in value or "src" in value:
                    links.narratives.append((node, value))
            elif value in full_urls:
                hit = True
        elif kind is dict:
            hit |= _walk(value, keys, full_urls, links)
        elif kind is list:
            for item in value:
                if type(item) is dict:
                    # Codings are by far the most objects of a record, and name their system: no link.
                    if key != "coding" or "extension" in item:
                        hit |= _walk(item, keys, full_urls, links)
                elif key in keys and type(item) is str and item in full_urls:
                    hit = True
    return hit


def _uris(
    node: dict[str, Any], type_name: str, full_urls: Collection[str], definitions: Definitions
) -> Iterator[tuple[Any, Any, str]]:
    try:
        elements = definitions.type(type_name).elements
    except KeyError:
        return
    for key, value in node.items():
        element = elements.get(key)
        if (
            element is None
            or (key == "url" and type_name == "Extension")
            or (key == "system" and type_name == "Coding")
        ):
            continue
        places = list(enumerate(value)) if isinstance(value, list) else [(key, value)]
        holder = value if isinstance(value, list) else node
        for place, item in places:
            if isinstance(item, str):
                # An http address in a uri is mostly a name (Coding.system); in a url it is where to go.
                named = element.type == "uri" and not item.startswith("urn:")
                if element.type in _URI_TYPES and not named and item in full_urls:
                    yield holder, place, item
            elif isinstance(item, dict):
                inner = item.get("resourceType", element.type)
                if isinstance(inner, str):
                    yield from _uris(item, inner, full_urls, definitions)


def base_of(full_url: str | None) -> str:
    """The base of a RESTful full URL, with its slash, against which relative references are read; '' for a urn."""
    found = _RESTFUL.match(full_url) if full_url else None
    return found["base"] if found else ""


class Rewriter:
    """Rewrites links once the entries' identities are known.

    ``targets``: full URL to ``Type/id``. ``created``: those ``Type/id`` that get version 1.
    ``searches``: conditional references (as sent) to ``Type/id``.
    """

    def __init__(
        self, targets: Mapping[str, str], created: Collection[str], searches: Mapping[str, str] | None = None
    ) -> None:
        self._targets, self._created, self._searches = targets, created, searches or {}
        self._known: dict[tuple[str, str], str] = {}

    def target(self, link: str, base: str = "") -> str:
        """What ``link`` becomes; itself when it points to nothing in the Bundle."""
        key = (link, base)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._find(link, base)
        return found

    def _find(self, link: str, base: str) -> str:
        if link in self._searches:
            return self._searches[link]
        exact = self._targets.get(link) or (self._targets.get(base + link) if base else None)
        if exact:
            return exact
        head, mark, fragment = link.partition("#")
        if mark and head:
            moved = self.target(head, base)
            return f"{moved}#{fragment}" if moved != head else link
        head, mark, version = link.partition("/_history/")
        if mark:
            moved = self.target(head, base)
            if moved in self._created:
                version = "1"
            return f"{moved}/_history/{version}" if moved != head or moved in self._created else link
        return link

    def rewrite(self, links: Links, base: str = "") -> None:
        """Set every link of a resource to what it becomes, starting from the texts as sent."""
        target = self.target
        for node, text in links.references:
            node["reference"] = target(text, base)
        for holder, place, text in links.uris:
            holder[place] = target(text)
        for node, text in links.narratives:
            node["div"] = _ATTRIBUTE.sub(lambda m: f"{m['before']}{m['q']}{target(m['link'])}{m['q']}", text)
