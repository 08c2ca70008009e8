"""Access as a condition on rows of ``res``: inside every query, never after it."""

from __future__ import annotations

from consent import Access
from fhir_server.store.sqlite.sql import FALSE, TRUE, Sql


def access_condition(access: Access, alias: str) -> Sql:
    """The rows ``alias`` of ``res`` that ``access`` lets through; nothing where it says nothing."""
    if not isinstance(access, Access):
        raise TypeError("every store call needs an Access")
    return TRUE if access.unrestricted else FALSE
