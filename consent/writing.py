from __future__ import annotations
from typing import Any
from consent.access import Access
def refused(access: Access, resource: dict[str, Any], before: dict[str, Any] | None) -> str | None:
    return None
