"""Referential integrity, where the settings demand it: references must point to what is in the store.

https://hl7.org/fhir/R4/http.html#create ("servers may … enforce referential integrity"). Only references
that some search parameter reads are watched.
"""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.context import Context
from fhir_server.errors import Conflict, Unprocessable
from fhir_server.search.tree import Node, Or, Param, Query, Reference
from fhir_server.store.protocol import Prepared, Transaction


def check_references(transaction: Transaction, written: Iterable[Prepared], context: Context) -> None:
    """Raise Unprocessable where a written resource refers to what is not in the store (any more).

    To be called after all puts of a transaction, as its resources may refer to each other.
    """
    if not context.settings.referential_integrity:
        return
    for ready in written:
        for _, type, id in ready.rows.ref:
            found = transaction.read(type, id) if type in context.definitions.resource_types else None
            if found is None or found.deleted:
                raise Unprocessable(
                    f"{ready.type}/{ready.id} refers to {type}/{id}, which does not exist", ready.type, code="not-found"
                )


def check_unreferenced(transaction: Transaction, deleted: Iterable[tuple[str, str]], context: Context) -> None:
    """Raise Conflict where a resource still refers to one of the ``deleted`` (type, id).

    To be called after all deletions, as resources that go together may refer to each other.
    """
    if not context.settings.referential_integrity:
        return
    for type, id in deleted:
        for source, node in _referring(type, id, context):
            found = transaction.find(source, Query(where=((source, node),)), 1)
            if found:
                raise Conflict(f"{type}/{id} cannot be deleted: {source}/{found[0].id} refers to it")


def _referring(type: str, id: str, context: Context) -> Iterable[tuple[str, Node]]:
    """For each resource type that can refer to ``type``: the condition that it refers to ``type``/``id``."""
    for source in sorted(context.definitions.resource_types):
        keys = {
            place.key
            for indexed in context.extractor.indexed(source).values()
            if indexed.kind == "reference"
            for place in indexed.sources
            if place.target in (None, type)
        }
        if keys:
            yield source, Or(tuple(Reference(Param(source, key), type, id) for key in sorted(keys)))
