"""SMART scopes: reading, writing and narrowing them.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, urlencode

from consent.requester import Scope

LETTERS = "cruds"
# Scopes that are no right to resources; each is granted or not as it stands.
PLAIN = ("openid", "fhirUser", "profile", "offline_access", "online_access", "launch", "launch/patient")
PLAIN_SCOPES = frozenset((*PLAIN, "launch/encounter"))
_V1 = {"read": "rs", "write": "cud", "*": "cruds"}
_SCOPE = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.(read|write|\*|c?r?u?d?s?)(?:\?(.+))?", re.ASCII)


def parse(text: str) -> Scope | None:
    """One scope to resources, or None where it is none that we know (it is dropped, as OAuth has it)."""
    match = _SCOPE.fullmatch(text)
    if match is None or not match[3]:
        return None
    try:
        query = parse_qsl(match[4], keep_blank_values=True, strict_parsing=True) if match[4] else []
    except ValueError:
        return None
    if any(not name or not value for name, value in query):
        return None
    return Scope(match[1], match[2], _V1.get(match[3], match[3]), tuple(query))


def parse_all(text: str) -> tuple[Scope, ...]:
    """The scopes to resources in ``text`` (separated by spaces), each once."""
    found = (parse(part) for part in text.split())
    return tuple(dict.fromkeys(scope for scope in found if scope is not None))


def render(scope: Scope) -> str:
    """``scope`` as SMART v2 writes it."""
    query = "?" + urlencode(scope.query, quote_via=quote, safe=":/|,.-*") if scope.query else ""
    return f"{scope.context}/{scope.type}.{scope.letters}{query}"


def narrowed(asked: Scope, registered: Iterable[Scope]) -> tuple[Scope, ...]:
    """What of ``asked`` the registered scopes cover: their common types, letters and both constraints."""
    found: dict[Scope, None] = {}
    for allowed in registered:
        if allowed.context != asked.context or ("*" not in (asked.type, allowed.type) and asked.type != allowed.type):
            continue
        letters = "".join(letter for letter in LETTERS if letter in asked.letters and letter in allowed.letters)
        if letters:
            type = allowed.type if asked.type == "*" else asked.type
            query = tuple(dict.fromkeys((*allowed.query, *asked.query)))
            found[Scope(asked.context, type, letters, query)] = None
    return _without_contained(found)


def _without_contained(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """``scopes`` without those that another of them covers."""
    given = list(scopes)
    return tuple(one for one in given if not any(other != one and covers(other, one) for other in given))


def covers(wide: Scope, narrow: Scope) -> bool:
    """Whether ``wide`` gives all that ``narrow`` does."""
    return (
        wide.context == narrow.context
        and wide.type in ("*", narrow.type)
        and set(narrow.letters) <= set(wide.letters)
        and set(wide.query) <= set(narrow.query)
    )


def grantable(asked: str, registered: str, contexts: Iterable[str] = ("patient", "user", "system")) -> str:
    """What of the scopes ``asked`` a client registered for ``registered`` may have, as text; '' for nothing.

    ``contexts``: those that make sense for who signs in (systems: system; residents: patient, user; …). Scopes that
    are granted as asked keep their form (v1 stays v1); others are given as SMART v2 writes them.
    """
    allowed = parse_all(registered)
    plain = frozenset(registered.split()) & PLAIN_SCOPES
    granted: dict[str, None] = {}
    for text in asked.split():
        if text in PLAIN_SCOPES:
            if text in plain:
                granted[text] = None
            continue
        scope = parse(text)
        if scope is None or scope.context not in contexts:
            continue
        parts = narrowed(scope, allowed)
        granted.update(dict.fromkeys([text] if parts == (scope,) else map(render, parts)))
    return " ".join(granted)
