"""What the product ships as resources, put into the records without overwriting what administrators changed or removed.

What was put in is noted by a hash of its content: only what still has that content is brought to a newer edition.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhir_server.store.prepare import prepare
from profiles.lossless import encode, parse

if TYPE_CHECKING:
    from fhir_server.context import Context
    from fhir_server.store.protocol import Stored, Transaction

_NOTE = "shipped:"


@dataclass(frozen=True, slots=True)
class Installed:
    """How many resources were written (new, or brought to this edition), were there already, and were left alone."""

    written: int = 0
    present: int = 0
    left: int = 0


async def install(resources: Sequence[dict[str, Any]], context: Context) -> Installed:
    """Put ``resources`` (with ids) into the records, in one commit. Raises ValueError for an invalid one."""
    parsed = [parse(encode(resource)) for resource in resources]
    for resource in parsed:
        issues = [issue for issue in context.validator.check(resource) if issue.severity in ("error", "fatal")]
        if issues:
            raise ValueError(f"{resource['resourceType']}/{resource['id']}: {issues[0].diagnostics}")
    ready = [(prepare(resource, resource["id"], context.extractor), _digest(resource)) for resource in parsed]
    noted = context.store.noted(_NOTE, context.access)

    def work(transaction: Transaction) -> Installed:
        written = present = left = 0
        for prepared, digest in ready:
            name = f"{prepared.type}/{prepared.id}"
            stored = transaction.read(prepared.type, prepared.id)
            if stored is not None and _digest_of(stored) == digest:
                present += 1
            elif stored is None or f"{_NOTE}{name}:{_digest_of(stored)}" in noted:
                transaction.once(f"{_NOTE}{name}:{digest}")
                transaction.put(prepared, "PUT")
                written += 1
            else:
                left += 1
        return Installed(written, present, left)

    return await context.store.write(work, context.access)


def _digest_of(stored: Stored) -> str:
    """The digest of a stored version; '' of a deletion, which is somebody's decision, too."""
    return "" if stored.body is None else _digest(parse(stored.body))


def _digest(resource: dict[str, Any]) -> str:
    """A hash of the content, whatever the order of its keys and whatever ``meta`` the server gave it."""
    content = {key: value for key, value in resource.items() if key != "meta"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
