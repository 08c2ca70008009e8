"""Rows of composite components: which values stand together in one element.

https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .closures import Branching, function
from .rows import Rows
from .sinks import Sink

MOST_ELEMENTS = 4_000  # of one resource: stores number them within a resource
_TABLES = ("tok", "str", "dat", "qty", "ref")


def elements_sink(
    names: tuple[str, ...], inside: Branching, outside: Branching, wanted: Mapping[str, frozenset[str]]
) -> Sink:
    """The function from a whole resource to the rows of the elements at the path ``names``.

    ``inside`` reads each element, ``outside`` the resource itself (``%resource``); ``wanted``
    maps the codes of the composites to the keys of their components. Elements that have not all
    components of any composite give no row.
    """
    of_element, of_resource = function(inside), function(outside)
    composites = tuple(wanted.items())

    def sink(resource: Any, out: Rows) -> None:
        shared = Rows()
        if of_resource is not None:
            of_resource(resource, shared)
        number = 1 + (out.elements[-1][0] if out.elements else 0)
        for element in _at(resource, names):
            found = Rows()
            if of_element is not None:
                of_element(element, found)
            if shared.present:
                _merge(found, shared)
            complete = [code for code, keys in composites if keys <= found.present]
            if complete and number < MOST_ELEMENTS:
                out.present.update(complete)
                out.elements += [(number, table, row) for table in _TABLES for row in getattr(found, table)]
                number += 1

    return sink


def _merge(found: Rows, shared: Rows) -> None:
    for table in _TABLES:
        getattr(found, table).extend(getattr(shared, table))
    found.present |= shared.present


def _at(value: Any, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The objects at a path, lists entered."""
    if type(value) is list:
        for item in value:
            yield from _at(item, names)
    elif type(value) is dict:
        if not names:
            yield value
        elif names[0] in value:
            yield from _at(value[names[0]], names[1:])
