"""Parameters that every type has and that are answered by no index rows of their own kind.

``_id``, ``_lastUpdated``, ``_list``, ``_text``, ``_content``, ``_query``.
https://hl7.org/fhir/R4/search.html#all
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fhir_server.errors import BadRequest, NotSupported

from .context import Context, UnknownParameter, any_of, is_id, prefixed, split, unescape
from .times import widen
from .tree import And, Id, InList, LastUpdated, Node, Not, Or, Prefix, Text

_COST = 20  # of one value of ``_lastUpdated`` or ``_list``, out of ``MAX_NODES``
Common = Callable[[Context, str, str, str], Node]


def _refuse_modifier(name: str, modifier: str) -> None:
    if modifier:
        raise UnknownParameter(f"'{name}' has no modifier ':{modifier}'", f"http.{name}")


def _always(name: str, value: str) -> Node:
    """The condition of ``:missing`` on what every resource has."""
    if value not in ("true", "false"):
        raise BadRequest(f"'{name}:missing' is 'true' or 'false', not '{value}'", f"http.{name}")
    return Or(()) if value == "true" else And(())


def _id(context: Context, type: str, modifier: str, value: str) -> Node:
    if modifier == "missing":
        return _always("_id", value)
    if modifier != "not":
        _refuse_modifier("_id", modifier)
    # Of "Patient/1" only the id counts; what can be no id is nobody's.
    ids = [unescape(one).removeprefix(f"{type}/") for one in split(value, ",")]
    found = Id(tuple(dict.fromkeys(one for one in ids if is_id(one))))
    return Not(found) if modifier else found


def _last_updated(context: Context, type: str, modifier: str, value: str) -> Node:
    if modifier == "missing":
        return _always("_lastUpdated", value)
    _refuse_modifier("_lastUpdated", modifier)
    nodes: list[Node] = []
    for one in dict.fromkeys(split(value, ",")):
        context.spend(_COST)
        prefix, rest = prefixed(one)
        span = context.interval(rest)
        if span is None:
            raise BadRequest(f"'{one}' is no date for '_lastUpdated'", "http._lastUpdated")
        low, high = widen(span, context.now) if prefix is Prefix.AP else span
        nodes.append(LastUpdated(prefix, low, high))
    return any_of(nodes)


def _list(context: Context, type: str, modifier: str, value: str) -> Node:
    _refuse_modifier("_list", modifier)
    nodes: list[Node] = []
    for one in dict.fromkeys(split(value, ",")):
        context.spend(_COST)
        name = one.removeprefix("List/")
        if name.startswith("$"):
            raise NotSupported(f"functional lists like '{one}' are not offered by this server")
        if not is_id(name):
            raise BadRequest(f"_list: '{one}' is no id of a List", "http._list")
        nodes.append(InList(name))
    return any_of(nodes)


def _words(scope: str) -> Common:
    def node(context: Context, type: str, modifier: str, value: str) -> Node:
        _refuse_modifier(scope, modifier)
        words = " ".join(unescape(value).split())
        if not words:
            raise BadRequest(f"'{scope}' has no words", f"http.{scope}")
        return Text(scope, words)

    return node


def _query(context: Context, type: str, modifier: str, value: str) -> Node:
    raise NotSupported(f"there is no named query '{value}' on this server")


NODES: Mapping[str, Common] = {
    "_id": _id,
    "_lastUpdated": _last_updated,
    "_list": _list,
    "_text": _words("_text"),
    "_content": _words("_content"),
    "_query": _query,
}
