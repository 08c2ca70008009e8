"""Operations $meta, $meta-add and $meta-delete: the profiles, tags and security labels of resources.

https://hl7.org/fhir/R4/resource-operation-meta.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fhir_server.errors import BadRequest, Gone, NotFound, Unprocessable
from fhir_server.http.conditional import check_if_match, etag, http_date
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions.vread import version_of
from fhir_server.operations.parameters import input_of, parts_of
from fhir_server.search.tree import And, Missing, Node, Not, Or, Param, Query, Token
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Stored, Transaction
from profiles.lossless import parse

if TYPE_CHECKING:
    from fhir_server.context import Context

_LISTS = ("profile", "security", "tag")
_PARAMS = {"profile": "_profile", "security": "_security", "tag": "_tag"}
_MOST = 1000  # distinct values told for a whole type
_Key = tuple[str, str]


async def meta(request: Request, context: Context) -> Response:
    """``$meta``: of one resource or version its meta; of a type or the system, all that is in use there."""
    if request.id:
        if request.version:
            found_version: Stored | None = version_of(request, context)
        else:
            found_version = context.store.read(request.type, request.id, context.access)
        stored = _current(found_version, request)
        return _answer(parse(stored.body or b"{}").get("meta", {}), stored)
    types = (request.type,) if request.type else tuple(sorted(context.definitions.resource_types))
    found: dict[str, dict[_Key, Any]] = {name: {} for name in _LISTS}
    for type_name in types:
        for name in _LISTS:
            await _in_use(type_name, name, found[name], context)
    return _answer({name: list(values.values()) for name, values in found.items() if values})


async def meta_add(request: Request, context: Context) -> Response:
    """``$meta-add``: adds profiles, tags and labels to a resource; gives back its meta."""
    return await _change(request, context, _added)


async def meta_delete(request: Request, context: Context) -> Response:
    """``$meta-delete``: takes profiles, tags and labels off a resource; gives back its meta."""
    return await _change(request, context, _removed)


def _key(name: str, value: Any) -> _Key:
    """What makes two entries the same: the URL of a profile, system and code of a label."""
    if isinstance(value, dict):
        return str(value.get("system", "")), str(value.get("code", ""))
    return name, str(value)


def _added(old: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    new = dict(old)
    for name in _LISTS:
        present = list(old.get(name, []))
        keys = {_key(name, value) for value in present}
        for value in given.get(name, []):
            if _key(name, value) not in keys:
                keys.add(_key(name, value))
                present.append(value)
        if present:
            new[name] = present
    return new


def _removed(old: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    new = dict(old)
    for name in _LISTS:
        keys = {_key(name, value) for value in given.get(name, [])}
        left = [value for value in old.get(name, []) if _key(name, value) not in keys]
        if left:
            new[name] = left
        else:
            new.pop(name, None)
    return new


async def _change(
    request: Request, context: Context, change: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
) -> Response:
    """Change the meta in a new version: stored versions never change here, their texts are evidence."""
    given = _given(request)

    def work(transaction: Transaction) -> tuple[Stored, dict[str, Any]]:
        current = _current(transaction.read(request.type, request.id), request)
        check_if_match(request, current)
        resource = parse(current.body or b"{}")
        old = resource.get("meta", {})
        new = change(old, given)
        if new == old:
            return current, old
        resource["meta"] = new
        issues = [i for i in context.validator.check(resource) if i.severity in ("error", "fatal")]
        if issues:
            raise Unprocessable.of(issues)
        stored = transaction.put(prepare(resource, request.id, context.extractor), "PUT")
        return stored, parse(stored.body or b"{}")["meta"]

    stored, now = await context.store.write(work, context.access)
    return _answer(now, stored)


def _given(request: Request) -> dict[str, Any]:
    body = input_of(request)
    values = [
        part.get("valueMeta") for part in (parts_of(body, request.operation) if body else ()) if part["name"] == "meta"
    ]
    if len(values) != 1 or not isinstance(values[0], dict):
        raise BadRequest(
            f"${request.operation} needs one parameter 'meta' with a valueMeta",
            "Parameters.parameter.where(name='meta')",
            code="required",
        )
    given: dict[str, Any] = values[0]
    if not all(isinstance(given.get(name, []), list) for name in _LISTS):
        raise BadRequest("profile, security and tag are lists", "Parameters.parameter.valueMeta", code="structure")
    return given


def _current(stored: Stored | None, request: Request) -> Stored:
    if stored is None:
        raise NotFound(f"There is no {request.type}/{request.id}")
    if stored.body is None:
        raise Gone(f"{request.type}/{request.id} is deleted since version {stored.version}")
    return stored


def _answer(meta: dict[str, Any], stored: Stored | None = None) -> Response:
    resource = {"resourceType": "Parameters", "parameter": [{"name": "return", "valueMeta": meta}]}
    response = Response(200, resource=resource, stored=stored)
    if stored is not None:
        response.headers = [("ETag", etag(stored.version)), ("Last-Modified", http_date(stored.updated))]
    return response


async def _in_use(type_name: str, name: str, found: dict[_Key, Any], context: Context) -> None:
    """Add to ``found`` the values in use: each search asks for a resource that has one not seen yet."""
    param = Param(type_name, _PARAMS[name])
    known: list[Node] = []
    while len(found) <= _MOST:
        where: tuple[Node, ...] = (Missing(param, False), *((Not(Or(tuple(known))),) if known else ()))
        page = await context.store.search(Query(((type_name, And(where)),), count=1), context.access)
        if not page.matches:
            return
        before = len(known)
        for value in parse(page.matches[0].body or b"{}").get("meta", {}).get(name, []):
            found.setdefault(_key(name, value), value)
            known.append(_token(param, value))
        if len(known) == before:
            return


def _token(param: Param, value: Any) -> Token:
    if isinstance(value, dict):
        return Token(param, str(value.get("system", "")), str(value.get("code", "")))
    return Token(param, None, str(value))
