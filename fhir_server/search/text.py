"""The words of a resource for ``_text`` (its narrative) and ``_content`` (all of it).

https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from .national import is_national, masked

_TAG = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)
_SKIPPED = frozenset(
    {"resourceType", "div", "data", "id", "reference", "system", "url", "fullUrl", "contentType", "hash"}
)
_LONGEST = 20_000  # characters of one string: beyond it are attachments and scripts


def narrative(resource: dict[str, Any]) -> str:
    """The text of ``text.div`` without its tags."""
    text = resource.get("text")
    div = text.get("div") if isinstance(text, dict) else None
    if not isinstance(div, str):
        return ""
    return masked(" ".join(html.unescape(_TAG.sub(" ", div)).split()))


def full_text(resource: dict[str, Any]) -> tuple[str, str]:
    """The narrative's text, and all strings of the resource (the narrative too), joined by blanks.

    Ids, URLs, systems and binary data are left out: they are no words. So are national identity numbers: they are
    found by keyed hashes only (``shield``).
    """
    told = narrative(resource)
    return told, " ".join([told, *_strings(resource)] if told else _strings(resource))


def _strings(value: Any) -> Iterator[str]:
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if type(item) is str:
            if item and len(item) <= _LONGEST:
                yield masked(item)
        elif type(item) is list:
            stack.extend(reversed(item))
        elif type(item) is dict:
            skipped = _SKIPPED | {"value"} if _names_person(item.get("system")) else _SKIPPED
            stack.extend(reversed([v for k, v in item.items() if k not in skipped]))


def _names_person(system: Any) -> bool:
    return type(system) is str and is_national(system)
