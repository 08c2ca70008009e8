"""The server acting by itself within a client's write: what the person index sees and writes, the client does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from consent import Access
from fhir_server.audit.exchange import CURRENT
from fhir_server.store.protocol import Transaction


def index_access(party: str = "") -> Access:
    """Unrestricted access of the person index; ``party`` (``Organization/…``) becomes custodian of what is new."""
    everything = Access.everything("person index")
    return Access(reason=everything.reason, unrestricted=True, party=party)


@contextmanager
def acting(transaction: Transaction, access: Access) -> Iterator[None]:
    """Within the block ``transaction`` runs on behalf of ``access``, then of whom it ran for before."""
    before = transaction.access
    transaction.access = access
    try:
        yield
    finally:
        transaction.access = before


@contextmanager
def unseen() -> Iterator[None]:
    """Within the block nothing that the store hands out is noted as shown: the index compares, it does not tell."""
    token = CURRENT.set(None)
    try:
        yield
    finally:
        CURRENT.reset(token)
