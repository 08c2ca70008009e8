"""String parameters: names, addresses, titles, free text.

https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.search.context import Context, bad_value, no_modifier, per_source, unescape
from fhir_server.search.normalise import DERIVED, has_han, name_parts, normalise, pinyin_forms
from fhir_server.search.plan import Indexed
from fhir_server.search.rows import Rows
from fhir_server.search.sinks import Factory, Setting, Sink
from fhir_server.search.tree import Node, String, StringMode

_ADDRESS = ("text", "city", "district", "state", "postalCode", "country")


def _plain(key: str, setting: Setting) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        if type(value) is str:
            out.str.append((key, normalise(value), value))

    return sink


def family_name(key: str, setting: Setting) -> Sink:
    """The sink of ``HumanName.family``: as written, and in pinyin as a surname."""
    return _named(key, surname=True)


def given_name(key: str, setting: Setting) -> Sink:
    """The sink of ``HumanName.given``: as written, and in pinyin."""
    return _named(key, surname=False)


def _named(key: str, surname: bool) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        if type(value) is str:
            out.str.append((key, normalise(value), value))
            if not value.isascii():
                out.str += [(key, form, DERIVED) for form in pinyin_forms(value, surname)]

    return sink


def _human_name(key: str, setting: Setting) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        family, given, text = value.get("family", ""), value.get("given", ()), value.get("text")
        rows = out.str
        names = [name for name in given if type(name) is str]
        if type(family) is not str:
            family = ""
        for part in (family, *names, *value.get("prefix", ()), *value.get("suffix", ())):
            if part and type(part) is str:
                rows.append((key, normalise(part), part))
        joined = name_parts(family, tuple(names))
        chinese = has_han(family)
        rows += [
            (key, form, f"{family}{''.join(names)}" if chinese and not place else DERIVED)
            for place, form in enumerate(joined)
        ]
        if type(text) is str:
            rows.append((key, normalise(text), text))
            if not text.isascii():
                rows += [(key, form, DERIVED) for form in pinyin_forms(text) if form not in joined]

    return sink


def _address(key: str, setting: Setting) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        rows = out.str
        lines = [line for line in value.get("line", ()) if type(line) is str]
        parts = [part for name in _ADDRESS if type(part := value.get(name)) is str]
        rows += [(key, normalise(part), part) for part in (*lines, *parts)]
        if lines and has_han(lines[0]):
            whole = "".join(
                part for name in ("state", "city", "district") if type(part := value.get(name)) is str
            ) + "".join(lines)
            rows.append((key, normalise(whole), whole))

    return sink


def _concept(key: str, setting: Setting) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        texts = [value.get("text"), *(coding.get("display") for coding in value.get("coding", ()))]
        out.str += [(key, normalise(text), text) for text in dict.fromkeys(texts) if type(text) is str]

    return sink


def _fields(names: Iterable[str]) -> Factory:
    """Sinks for a type whose given fields hold the text."""
    wanted = tuple(names)

    def factory(key: str, setting: Setting) -> Sink:
        def sink(value: Any, out: Rows) -> None:
            found = [value.get(name) for name in wanted]
            out.str += [(key, normalise(text), text) for text in found if type(text) is str]

        return sink

    return factory


SINKS: dict[str, Factory] = {
    "HumanName": _human_name,
    "Address": _address,
    "CodeableConcept": _concept,
    "Coding": _fields(["display"]),
    "Identifier": _fields(["value"]),
    "ContactPoint": _fields(["value"]),
    "Annotation": _fields(["text"]),
    "Attachment": _fields(["title"]),
    "Reference": _fields(["display"]),
    **dict.fromkeys(("string", "markdown", "code", "id", "uri", "url", "canonical", "oid", "uuid"), _plain),
}

MODIFIERS = ("missing", "exact", "contains")
_MODES = {"": StringMode.PREFIX, "exact": StringMode.EXACT, "contains": StringMode.CONTAINS}


def node(context: Context, indexed: Indexed, modifier: str, text: str) -> Node:
    """The condition that one string value asks: starts with (folded), ``:contains`` or ``:exact``."""
    mode = _MODES.get(modifier)
    if mode is None:
        raise no_modifier(indexed, modifier, MODIFIERS)
    value = unescape(text)
    if mode is not StringMode.EXACT and not (value := normalise(value)):
        raise bad_value(indexed, text, "it has no characters")
    return per_source(indexed, lambda p, _: String(p, mode, value))
