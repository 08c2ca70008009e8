"""Tells whether two answers differ: one about something hidden, one about something that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tests.leaks.compare import seen
from tests.leaks.http import Answer
from tests.leaks.oracle import Row, Who
from tests.leaks.web import Web

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.0-9]*(?:Z|[+-]\d\d:\d\d)")


def absent_id(id: str) -> str:
    """An id of the same length that nothing has."""
    return "Q" * len(id) if len(id) > 3 else "Q" + id[1:]


def hidden(web: Web, who: Who, letter: str = "r", deleted: bool = False) -> list[Row]:
    """What is there and what ``who`` may not see: one of each type; Patients of whom they see nothing at all."""
    shown = seen(web.world, who, letter)
    open_ = {(row.type, row.id) for row in shown}
    known = {row.person for row in shown}
    found: dict[str, Row] = {}
    for row in web.world.current.values():
        if row.type == "Patient" and row.id in known:
            continue
        if (row.type, row.id) not in open_ and row.deleted == deleted:
            found.setdefault(row.type, row)
    return list(found.values())


def same(
    web: Web,
    who: Who,
    method: str,
    path: str,
    row: Row,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Ask about ``row`` and about what is absent ({id} in path, body and headers): the answers must be equal.

    Ids that the server gives, times and lengths that come of them are left out.
    """
    other = absent_id(row.id)
    got = _told(web.ask(who, method, put_id(path, row.id), put_id(body, row.id), put_id(headers, row.id)), row.id)
    wanted = _told(web.ask(who, method, put_id(path, other), put_id(body, other), put_id(headers, other)), other)
    assert got == wanted, f"{who.name} can tell {row.type}/{row.id} from what is absent: {method} {path}"


def _told(answer: Answer, id: str) -> object:
    status, headers, text = answer.without(id)
    return status, [plain(f"{name}: {value}") for name, value in headers], plain(text)


def plain(text: str) -> str:
    return _INSTANT.sub("(time)", _UUID.sub("(uuid)", text))


def put_id(value: Any, id: str) -> Any:
    """The value with ``{id}`` filled in, at any depth."""
    if isinstance(value, str):
        return value.replace("{id}", id)
    if isinstance(value, Mapping):
        return {key: put_id(inner, id) for key, inner in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [put_id(inner, id) for inner in value]
    return value
