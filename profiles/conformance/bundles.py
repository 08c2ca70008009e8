"""Bundles: full URLs, links, search sets, and documents and messages that must hold what they refer to.

https://hl7.org/fhir/R4/bundle.html, https://hl7.org/fhir/R4/documents.html, https://hl7.org/fhir/R4/messaging.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from profiles.conformance.run import Check, bundle_entries, full_url_of
from profiles.definitions import load
from profiles.fhirpath.model import Node, children

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_RESTFUL = re.compile(r"https?://\S+/([A-Za-z]+)/([A-Za-z0-9.\-]{1,64})")
# Relations that a set of links has once: https://www.iana.org/assignments/link-relations
_ONCE = frozenset({"self", "first", "previous", "prev", "next", "last"})
# What a document must hold itself: https://hl7.org/fhir/R4/documents.html#content
_OF_COMPOSITION = ("subject", "encounter", "author", "custodian")
_SEARCHED = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)\?")


def check_bundle(node: Node, check: Check) -> None:
    """Note what is wrong with a Bundle as a whole."""
    _check_links(node, check)
    entries = bundle_entries(node)
    for entry, resource in entries:
        _check_full_url(entry, resource, check)
    kind = node.content.get("type")
    if kind in ("document", "message", "searchset", "collection"):
        for entry, _ in entries:
            if "fullUrl" not in entry.content:
                check.add("invalid", "an entry has a fullUrl", entry, check.options.in_words)
    if kind == "document":
        _check_document(entries, check)
    elif kind == "message":
        _check_message(entries, check)
    elif kind == "searchset":
        _check_search_set(node, entries, check)


def _check_links(node: Node, check: Check) -> None:
    seen: set[str] = set()
    links = node.content.get("link")
    for place, link in enumerate(links if isinstance(links, list) else ()):
        relation = link.get("relation") if isinstance(link, dict) else None
        if isinstance(relation, str):
            if relation in _ONCE and relation in seen:
                check.add("invalid", f"a Bundle has one link '{relation}'", f"{node.path}.link[{place}]")
            seen.add(relation)


def _check_full_url(entry: Node, resource: Node, check: Check) -> None:
    url = entry.content.get("fullUrl")
    if not isinstance(url, str):
        return
    if not _ABSOLUTE.fullmatch(url):
        check.add("invalid", f"a fullUrl is absolute, not '{url}'", entry)
        return
    match = _RESTFUL.fullmatch(url)
    if match is None or match[1] not in load().resource_types:
        return
    id = resource.content.get("id")
    if id is None:
        check.add(
            "invalid",
            f"the fullUrl {url} is that of a server, so the resource needs the id {match[2]}",
            entry,
            check.options.in_words,
        )
    elif (resource.shape.name, id) != (match[1], match[2]):
        check.add(
            "invalid", f"the fullUrl {url} does not end in {resource.shape.name}/{id}", entry, check.options.in_words
        )


def _check_document(entries: list[tuple[Node, Node]], check: Check) -> None:
    if not entries or entries[0][1].shape.name != "Composition":
        return
    composition, urls = entries[0][1], _urls(entries)
    for name in _OF_COMPOSITION:
        _check_all_there(composition, (name,), "Composition." + name, urls, check)
    _check_all_there(composition, ("attester", "party"), "Composition.attester.party", urls, check)
    for section in _sections(composition):
        for name in ("author", "focus", "entry"):
            _check_all_there(section, (name,), "Composition.section." + name, urls, check)


def _urls(entries: list[tuple[Node, Node]]) -> Counter[str]:
    return Counter(url for entry, _ in entries if isinstance(url := entry.content.get("fullUrl"), str))


def _sections(node: Node) -> Iterator[Node]:
    found: list[Any] = []
    children(node, "section", found)
    for section in found:
        yield section
        yield from _sections(section)


def _check_message(entries: list[tuple[Node, Node]], check: Check) -> None:
    if entries and entries[0][1].shape.name == "MessageHeader":
        for name in ("focus", "author", "enterer", "responsible"):
            _check_all_there(entries[0][1], (name,), "MessageHeader." + name, _urls(entries), check)


def _check_all_there(start: Node, names: tuple[str, ...], label: str, urls: Counter[str], check: Check) -> None:
    nodes = [start]
    for name in names:
        found: list[Any] = []
        for one in nodes:
            children(one, name, found)
        nodes = found
    for node in nodes:
        reference = node.value.get("reference") if isinstance(node.value, dict) else None
        if not isinstance(reference, str) or reference.startswith("#"):
            continue
        several = _matches(reference, node, urls)
        if several > 1:
            check.add("invalid", f"{label}: the Bundle has {several} entries for '{reference}'", node)
        elif check.resolve_within(reference, node) is None:
            # Published documents refer so to entries whose full URL is urn:uuid: and the same id.
            severity = "error" if check.by_id(reference, node) is None else check.options.in_words
            check.add("not-found", f"{label}: the Bundle has no entry for '{reference}'", node, severity)


def _matches(reference: str, node: Node, urls: Counter[str]) -> int:
    """How many entries have the full URL that an unversioned reference means."""
    if "/_history/" in reference:
        return 0
    base = full_url_of(node) or ""
    return urls[reference] + urls["/".join(base.split("/")[:-2]) + "/" + reference]


def _check_search_set(node: Node, entries: list[tuple[Node, Node]], check: Check) -> None:
    """https://hl7.org/fhir/R4/http.html#search"""
    links = node.content.get("link")
    self_links = (
        [li.get("url", "") for li in links if isinstance(li, dict) and li.get("relation") == "self"]
        if isinstance(links, list)
        else []
    )
    searched = _SEARCHED.search(str(self_links[0])) if self_links else None
    for entry, resource in entries:
        search = entry.content.get("search")
        mode = search.get("mode") if isinstance(search, dict) else None
        kind = resource.shape.name
        if mode == "outcome":
            if kind != "OperationOutcome":
                check.add("invalid", f"an entry of mode outcome holds an OperationOutcome, not a {kind}", resource)
            continue
        if resource.content.get("id") is None and kind != "OperationOutcome":
            check.add("invalid", "what a search finds has an id", resource)
        if mode == "match" and searched is not None and kind not in (searched[1], "OperationOutcome"):
            check.add("invalid", f"the search was for {searched[1]}, this is a {kind}", resource)
