"""Search parameters read in the surroundings of a request: searches, and the criteria of conditional interactions.

https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.context import Context
from fhir_server.errors import BadRequest, PreconditionFailed
from fhir_server.http.dispatch import query_pairs
from fhir_server.http.exchange import Pairs
from fhir_server.search.parse import parse
from fhir_server.search.tree import Query, SearchRequest
from fhir_server.store.protocol import Stored, Transaction

# What shapes an answer and selects nothing: were it taken for a criterion, the condition would match everything.
GENERAL = frozenset(
    {"_format", "_pretty", "_summary", "_elements", "_sort", "_count", "_total", "_include", "_revinclude"}
    | {"_contained", "_containedType", "_cursor"}
)

# What searches ask of terminology may take long, and is remembered: it is first asked in a thread.
_TERMINOLOGY = (":in", ":not-in", ":above", ":below")


def asks_terminology(pairs: Pairs) -> bool:
    """Whether reading the search of ``pairs`` may mean to work out a value set, or what is below a code."""
    return any(name.endswith(_TERMINOLOGY) or name == "_filter" for name, _ in pairs)


def text_asks_terminology(text: object) -> bool:
    """The same of a URL or the text of criteria (anything else asks nothing)."""
    try:
        return isinstance(text, str) and asks_terminology(query_pairs(text.replace("?", "&")))
    except BadRequest:
        return False


def read_search(
    types: tuple[str, ...], pairs: Pairs, context: Context, base_url: str = "", lenient: bool = False
) -> SearchRequest:
    """The search that ``pairs`` ask for on ``types``. Raises BadRequest for what is unknown unless ``lenient``."""
    return parse(
        types,
        pairs,
        context.extractor,
        lenient=lenient,
        base_url=base_url or context.settings.base_url,
        now=context.clock(),
        max_count=context.settings.page_max,
        default_count=context.settings.page_size,
    )


def criteria(type: str, pairs: Pairs, context: Context, expression: str = "http.url") -> Query:
    """The query of ``pairs`` on ``type``; what only shapes the answer is left out.

    Raises PreconditionFailed where no criterion is left, BadRequest for an unknown parameter.
    """
    wanted = [(name, value) for name, value in pairs if name.partition(":")[0] not in GENERAL]
    if not any(value for _, value in wanted):
        raise PreconditionFailed(
            "The condition has no search criterion, so it is not selective enough", expression, code="multiple-matches"
        )
    return read_search((type,), wanted, context).query


def header_criteria(type: str, text: str, context: Context) -> Query:
    """The query of an If-None-Exist header (``identifier=…``, also with ``?`` or ``Type?`` before it)."""
    head, mark, tail = text.partition("?")
    if mark and head not in ("", type):
        raise BadRequest(f"If-None-Exist is about {type}, not '{head}'", "http.If-None-Exist")
    return criteria(type, query_pairs(tail if mark else head), context, "http.If-None-Exist")


def only_match(transaction: Transaction, type: str, query: Query) -> Stored | None:
    """The one match or None; raises PreconditionFailed for several."""
    found: Sequence[Stored] = transaction.find(type, query, 2)
    if len(found) > 1:
        raise PreconditionFailed(
            f"More than one {type} satisfies the condition; make it more selective", code="multiple-matches"
        )
    return found[0] if found else None
