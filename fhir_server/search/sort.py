"""``_sort``: the order of the matches.

https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.errors import BadRequest

from .context import Context
from .tree import Order, Sort

_ORDERS = {
    "token": Order.TOKEN,
    "uri": Order.TOKEN,
    "string": Order.STRING,
    "date": Order.DATE,
    "number": Order.NUMBER,
    "quantity": Order.NUMBER,
    "reference": Order.REFERENCE,
}
_COLUMNS = {"_id": Order.ID, "_lastUpdated": Order.LAST_UPDATED}
_MOST_KEYS = 10


def sorts(context: Context, types: Sequence[str], value: str) -> tuple[Sort, ...]:
    """The sort keys of ``-date,family``; every one must be a parameter of all ``types``.

    Raises UnknownParameter for an unknown one, BadRequest for one that has no order.
    """
    keys = [_sort(context, types, one.strip()) for one in value.split(",")]
    if len(keys) > _MOST_KEYS:
        raise BadRequest(f"_sort has more than {_MOST_KEYS} keys", "http._sort")
    return tuple(dict.fromkeys(keys))


def _sort(context: Context, types: Sequence[str], text: str) -> Sort:
    descending = text.startswith("-")
    code = text.removeprefix("-")
    if not code:
        raise BadRequest("_sort has an empty key", "http._sort")
    if (column := _COLUMNS.get(code)) is not None:
        return Sort(code, column, descending)
    found = [context.param(type, code) for type in types]
    order = _ORDERS.get(found[0].kind)
    if order is None or not found[0].sources or code in ("_text", "_content", "_query"):
        raise BadRequest(f"cannot sort by '{code}' ({found[0].kind}): it has no order", "http._sort")
    if any(_ORDERS.get(one.kind) is not order for one in found):
        kinds = ", ".join(sorted({one.kind for one in found}))
        raise BadRequest(
            f"cannot sort by '{code}': it is of different types ({kinds}) in what is searched", "http._sort"
        )
    key, *also = dict.fromkeys(source.key for one in found for source in one.sources)
    targets = {source.target for one in found for source in one.sources}
    return Sort(key, order, descending, tuple(also), targets.pop() if len(targets) == 1 else None)
