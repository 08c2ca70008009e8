"""Who may see what: requester and consent compiled to an Access (pure; knows no HTTP and no store)."""

from consent.access import Access

__all__ = ["Access"]
