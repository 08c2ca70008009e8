"""Token parameters: codes, identifiers, booleans.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.errors import NotSupported
from fhir_server.search.codes import Codes
from fhir_server.search.context import Context, any_of, bad_value, negated, no_modifier, per_source, split, unescape
from fhir_server.search.normalise import has_han, normalise
from fhir_server.search.plan import Indexed
from fhir_server.search.rows import Rows
from fhir_server.search.sinks import Factory, Setting, Sink
from fhir_server.search.tree import Node, Param, String, StringMode, Token, Tokens

_PRIMITIVE = frozenset({"code", "boolean", "string", "id", "uri", "markdown", "oid", "uuid", "url", "canonical"})
_TERMINOLOGY = frozenset({"in", "not-in", "above", "below"})
CODED = frozenset({"CodeableConcept", "Coding", "code"})


def _primitive(key: str, setting: Setting) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        if type(value) is str:
            out.tok.append((key, "", value))
        elif type(value) is bool:
            out.tok.append((key, "", "true" if value else "false"))
        elif type(value) is int:
            out.tok.append((key, "", str(value)))

    return sink


def _coding(key: str, setting: Setting) -> Sink:
    text_key, bare = f"{key}:text", setting.bare

    def sink(value: Any, out: Rows) -> None:
        code, system = value.get("code", ""), value.get("system", "")
        if type(code) is str and type(system) is str and (code or system):
            out.tok.append((key, system, code))
        display = value.get("display")
        if type(display) is str and not bare:
            out.str.append((text_key, normalise(display), display))

    return sink


def _codeable_concept(key: str, setting: Setting) -> Sink:
    text_key, bare = f"{key}:text", setting.bare

    def sink(value: Any, out: Rows) -> None:
        text = value.get("text")
        if type(text) is str and not bare:
            out.str.append((text_key, normalise(text), text))
        for coding in value.get("coding", ()):
            code, system = coding.get("code", ""), coding.get("system", "")
            if type(code) is str and type(system) is str and (code or system):
                out.tok.append((key, system, code))
            display = coding.get("display")
            if display != text and type(display) is str and not bare:
                out.str.append((text_key, normalise(display), display))

    return sink


def _identifier(key: str, setting: Setting) -> Sink:
    text_key, type_key, bare = f"{key}:text", f"{key}:of-type", setting.bare
    hashed = setting.shield.identifier

    def sink(value: Any, out: Rows) -> None:
        number, system = value.get("value", ""), value.get("system", "")
        if type(number) is not str or type(system) is not str:
            return
        kind = value.get("type")
        number = hashed(system, number, kind)
        if number or system:
            out.tok.append((key, system, number))
        if kind is None or bare:
            return
        text = kind.get("text")
        if type(text) is str:
            out.str.append((text_key, normalise(text), text))
        for coding in kind.get("coding", ()):
            code, type_system = coding.get("code"), coding.get("system", "")
            if type(code) is str and type(type_system) is str and number:
                out.tok.append((type_key, type_system, f"{code}|{number}"))

    return sink


def _contact_point(key: str, setting: Setting) -> Sink:
    def sink(value: Any, out: Rows) -> None:
        number, system = value.get("value"), value.get("system", "")
        if type(number) is str and type(system) is str:
            out.tok.append((key, system, number))

    return sink


SINKS: dict[str, Factory] = {
    "CodeableConcept": _codeable_concept,
    "Coding": _coding,
    "Identifier": _identifier,
    "ContactPoint": _contact_point,
    **dict.fromkeys((*sorted(_PRIMITIVE), "integer", "positiveInt", "unsignedInt"), _primitive),
}

MODIFIERS = ("missing", "not", "text", "of-type", "in", "not-in", "above", "below")


def node(context: Context, indexed: Indexed, modifier: str, text: str) -> Node:
    """The condition that one token value asks. ``:not`` and ``:missing`` are dealt with before."""
    if modifier == "text":
        wanted = normalise(unescape(text))
        # Chinese is written without blanks: what would be the start of a word stands anywhere.
        mode = StringMode.CONTAINS if has_han(wanted) else StringMode.PREFIX
        return per_source(indexed, lambda p, _: String(Param(p.type, f"{p.key}:text"), mode, wanted))
    if modifier == "of-type":
        return _of_type(context, indexed, text)
    if modifier in _TERMINOLOGY:
        return _by_terminology(context, indexed, modifier, text)
    if modifier:
        raise no_modifier(indexed, modifier, MODIFIERS)
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) == 1:
        # Primitive elements have no system: saying so spares the store the look for the same code in several.
        system = "" if indexed.types and indexed.types <= _PRIMITIVE else None
        return per_source(indexed, lambda p, _: _of_any_system(context, indexed, p, system, parts[0]))
    if len(parts) > 2 or not any(parts):
        raise bad_value(indexed, text, "it is 'code', 'system|code', '|code' or 'system|'")
    return per_source(indexed, lambda p, _: _with_system(context, indexed, p, *parts))


def _by_terminology(context: Context, indexed: Indexed, modifier: str, text: str) -> Node:
    """Codes in a value set, or above or below a code; one condition for all of them, however many."""
    if context.codes is None:
        raise NotSupported(f"'{indexed.code}:{modifier}' needs terminology, which is not at hand here")
    if indexed.types and not indexed.types & CODED:
        raise no_modifier(indexed, modifier, [m for m in MODIFIERS if m not in _TERMINOLOGY])
    if modifier in ("in", "not-in"):
        codes = context.codes.members(unescape(text))
    else:
        parts = [unescape(part) for part in split(text, "|")]
        if len(parts) != 2 or not all(parts):
            raise bad_value(indexed, text, f"with :{modifier} it is 'system|code'")
        codes = (context.codes.below if modifier == "below" else context.codes.above)(*parts)
    found = per_source(indexed, lambda p, _: any_of(_one_of(indexed, p, codes)))
    return negated(found) if modifier == "not-in" else found


def _one_of(indexed: Indexed, param: Param, codes: Codes) -> Iterator[Node]:
    for system, several in codes.items():
        if indexed.types - _PRIMITIVE or not indexed.types:
            yield Token(param, system, None) if several is None else Tokens(param, system, tuple(several))
        if indexed.types & _PRIMITIVE and system in indexed.systems and several is not None:
            yield Tokens(param, "", tuple(several))


def _of_any_system(context: Context, indexed: Indexed, param: Param, system: str | None, code: str) -> Node:
    """The code, and where it can be an identity number of whatever kind, its hash."""
    identifies = not indexed.types or "Identifier" in indexed.types
    codes = context.shield.spellings(code) if identifies else (context.shield.code("", code),)
    return any_of(Token(param, system, one) for one in codes)


def _with_system(context: Context, indexed: Indexed, param: Param, system: str, code: str) -> Node:
    """Elements of type ``code`` or ``boolean`` hold no system; theirs is implied by the definition."""
    if not system and "Identifier" in indexed.types:  # a number of which only the type says what it is
        return _of_any_system(context, indexed, param, "", code)
    code = context.shield.code(system, code)
    nodes: list[Node] = []
    if indexed.types - _PRIMITIVE or not indexed.types:
        nodes.append(Token(param, system, code or None))
    if indexed.types & _PRIMITIVE and system in ("", *indexed.systems):
        nodes.append(Token(param, "", code or None))
    return any_of(dict.fromkeys(nodes))


def _of_type(context: Context, indexed: Indexed, text: str) -> Node:
    parts = [unescape(part) for part in split(text, "|")]
    if "Identifier" not in indexed.types:
        raise no_modifier(indexed, "of-type", [m for m in MODIFIERS if m != "of-type"])
    if len(parts) != 3 or not all(parts):
        raise bad_value(indexed, text, "with :of-type it is 'type-system|type-code|value'")
    system, code, number = parts
    codes = [f"{code}|{one}" for one in context.shield.spellings(number)]
    return per_source(indexed, lambda p, _: any_of(Token(Param(p.type, f"{p.key}:of-type"), system, c) for c in codes))
