"""Full text: ``_text`` (narrative) and ``_content`` (all strings), by any run of characters."""

from __future__ import annotations

from fhir_server.search.tree import Text
from fhir_server.store.sqlite.sql import Sql


def text_rows(t: int, node: Text) -> Sql:
    """``SELECT rid`` of the resources whose text has every word (or run of Chinese characters)."""
    raise NotImplementedError
