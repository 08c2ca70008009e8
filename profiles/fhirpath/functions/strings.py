"""Functions on strings.

https://hl7.org/fhirpath/N1/#string-manipulation
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable

from profiles.fhirpath import patterns
from profiles.fhirpath.errors import FhirPathError
from profiles.fhirpath.functions.signature import (
    Apply,
    Args,
    Function,
    Table,
    integer_argument,
    text_argument,
    text_input,
)
from profiles.fhirpath.model import Items
from profiles.fhirpath.scope import Scope
from profiles.fhirpath.values import system


def _with_text(name: str, function: Callable[[str, str], object]) -> Apply:
    """A function of the input and one text: empty if either is."""

    def apply(items: Items, args: Args, scope: Scope) -> Items:
        text, other = text_input(items, name), text_argument(args, 0, scope, name)
        if text is None or other is None:
            return []
        scope.run.spend(len(text) >> 6)
        return [_made(function(text, other), scope)]

    return apply


def _matching(name: str, function: Callable[[str, str], bool]) -> Apply:
    """The same for a pattern, whose matching is paid for by its size."""

    def apply(items: Items, args: Args, scope: Scope) -> Items:
        text, pattern = text_input(items, name), text_argument(args, 0, scope, name)
        if text is None or pattern is None:
            return []
        scope.run.spend(patterns.work(pattern, text))
        return [function(pattern, text)]

    return apply


def _made(value: object, scope: Scope) -> object:
    return scope.run.made_text(value) if isinstance(value, str) else value


def _plain(name: str, function: Callable[[str], object]) -> Apply:
    def apply(items: Items, args: Args, scope: Scope) -> Items:
        text = text_input(items, name)
        if text is None:
            return []
        scope.run.spend(len(text) >> 6)
        return [_made(function(text), scope)]

    return apply


def _substring(items: Items, args: Args, scope: Scope) -> Items:
    text = text_input(items, "substring()")
    start = integer_argument(args, 0, scope, "substring()")
    if text is None or start is None or not 0 <= start < len(text):
        return []
    if len(args) < 2:
        return [text[start:]]
    length = integer_argument(args, 1, scope, "substring()")
    return [text[start:] if length is None else text[start : start + max(0, length)]]


def _replace(items: Items, args: Args, scope: Scope) -> Items:
    text = text_input(items, "replace()")
    old, new = text_argument(args, 0, scope, "replace()"), text_argument(args, 1, scope, "replace()")
    if text is None or old is None or new is None:
        return []
    hits = text.count(old) if old else len(text) + 1
    scope.run.check_length(len(text) + hits * len(new))
    return [scope.run.made_text(text.replace(old, new))]


def _replace_matches(items: Items, args: Args, scope: Scope) -> Items:
    name = "replaceMatches()"
    text = text_input(items, name)
    pattern, new = text_argument(args, 0, scope, name), text_argument(args, 1, scope, name)
    if text is None or pattern is None or new is None:
        return []
    if not pattern:
        return [text]
    scope.run.spend(patterns.work(pattern, text))
    return [scope.run.made_text(patterns.replace(pattern, text, new))]


def _to_chars(items: Items, args: Args, scope: Scope) -> Items:
    text = text_input(items, "toChars()")
    scope.run.spend(len(text or ""))
    return list(text or "")


def _split(items: Items, args: Args, scope: Scope) -> Items:
    text, separator = text_input(items, "split()"), text_argument(args, 0, scope, "split()")
    if text is None or separator is None:
        return []
    parts = text.split(separator) if separator else list(text)
    scope.run.spend(len(parts))
    return list(parts)


def _join(items: Items, args: Args, scope: Scope) -> Items:
    separator = text_argument(args, 0, scope, "join()") if args else ""
    texts = [value for value in map(system, items) if value is not None]
    if not all(isinstance(value, str) for value in texts):
        raise FhirPathError("join() works on Strings")
    if separator is None or not texts:
        return []
    scope.run.check_length(sum(map(len, texts)) + len(separator) * len(texts))
    return [scope.run.made_text(separator.join(texts))]


def _hex_decoded(text: str) -> bytes:
    return bytes.fromhex(text)


_ENCODERS: dict[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "base64": lambda data: base64.b64encode(data).decode(),
    "urlbase64": lambda data: base64.urlsafe_b64encode(data).decode(),
}
_DECODERS: dict[str, Callable[[str], bytes]] = {
    "hex": _hex_decoded,
    "base64": lambda text: base64.b64decode(text, validate=True),
    "urlbase64": lambda text: base64.b64decode(text, altchars=b"-_", validate=True),
}
_ESCAPES: dict[str, Callable[[str], str]] = {
    "html": lambda text: html.escape(text).replace("&#x27;", "&#39;"),
    "json": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
}


_JSON_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')


def _json_unescaped(text: str) -> str:
    return _JSON_ESCAPE.sub(lambda escape: str(json.loads(f'"{escape[0]}"')), text)


_UNESCAPES: dict[str, Callable[[str], str]] = {"html": html.unescape, "json": _json_unescaped}


def _encode(text: str, kind: str) -> str:
    if kind not in _ENCODERS:
        raise FhirPathError(f"encode() has no form '{kind}'")
    return _ENCODERS[kind](text.encode("utf-8", "surrogatepass"))


def _decode(text: str, kind: str) -> str:
    if kind not in _DECODERS:
        raise FhirPathError(f"decode() has no form '{kind}'")
    try:
        return _DECODERS[kind](text).decode()
    except (binascii.Error, ValueError) as error:
        raise FhirPathError(f"decode('{kind}'): {error}") from None


def _escape(text: str, kind: str) -> str:
    if kind not in _ESCAPES:
        raise FhirPathError(f"escape() has no form '{kind}'")
    return _ESCAPES[kind](text)


def _unescape(text: str, kind: str) -> str:
    if kind not in _UNESCAPES:
        raise FhirPathError(f"unescape() has no form '{kind}'")
    return _UNESCAPES[kind](text)


TABLE: Table = {
    "indexOf": Function(_with_text("indexOf()", str.find), 1, 1),
    "lastIndexOf": Function(_with_text("lastIndexOf()", str.rfind), 1, 1),
    "startsWith": Function(_with_text("startsWith()", lambda text, other: text.startswith(other)), 1, 1),
    "endsWith": Function(_with_text("endsWith()", lambda text, other: text.endswith(other)), 1, 1),
    "contains": Function(_with_text("contains()", lambda text, other: other in text), 1, 1),
    "matches": Function(_matching("matches()", patterns.found), 1, 1),
    "matchesFull": Function(_matching("matchesFull()", patterns.matched), 1, 1),
    "encode": Function(_with_text("encode()", _encode), 1, 1),
    "decode": Function(_with_text("decode()", _decode), 1, 1),
    "escape": Function(_with_text("escape()", _escape), 1, 1),
    "unescape": Function(_with_text("unescape()", _unescape), 1, 1),
    "upper": Function(_plain("upper()", str.upper)),
    "lower": Function(_plain("lower()", str.lower)),
    "trim": Function(_plain("trim()", str.strip)),
    "length": Function(_plain("length()", len)),
    "substring": Function(_substring, 1, 2),
    "replace": Function(_replace, 2, 2),
    "replaceMatches": Function(_replace_matches, 2, 2),
    "toChars": Function(_to_chars),
    "split": Function(_split, 1, 1),
    "join": Function(_join, 0, 1),
}
