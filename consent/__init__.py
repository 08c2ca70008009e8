"""Who may see what: requester and consent compiled to an Access (pure; knows no HTTP and no store)."""

from consent.access import Access
from consent.grant import Grant
from consent.requester import Requester, Scope

__all__ = ["Access", "Grant", "Requester", "Scope"]
