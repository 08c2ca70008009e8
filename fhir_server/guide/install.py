"""The guide's definitions written into the records, where FHIR clients read and search them by their ``url``.

https://hl7.org/fhir/R4/conformance-module.html
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from consent import Access
from fhir_server.context import Context
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Transaction
from fhir_server.store.sqlite import SqliteStore
from profiles.alliance import resources
from profiles.lossless import encode, parse

_LOOK_SECONDS = 0.02


async def install(context: Context) -> int:
    """Write those of the guide's definitions that are missing or different, in one commit; how many were written."""
    access = Access.everything("yidang guide install")
    wanted = [parse(encode(one)) for one in resources()]
    changed = [one for one in wanted if _stored(context, access, one) != one]
    prepared = [prepare(one, str(one["id"]), context.extractor) for one in changed]

    def work(transaction: Transaction) -> int:
        for one in prepared:
            transaction.put(one, "PUT")
        return len(prepared)

    return await context.store.write(work, access) if prepared else 0


def install_now(context: Context) -> int:
    """``install`` for commands: waits until what was there before can be searched by the guide's parameters, too."""
    written = asyncio.run(install(context))
    store = context.store
    assert isinstance(store, SqliteStore)
    own = {one["id"] for one in resources() if one["resourceType"] == "SearchParameter"}
    while any(job.id in own and job.status in ("queued", "running") for job in store.jobs()):
        time.sleep(_LOOK_SECONDS)
    return written


def _stored(context: Context, access: Access, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """What is in the records under the same id, without what the server sets."""
    found = context.store.read(str(wanted["resourceType"]), str(wanted["id"]), access)
    if found is None or found.body is None:
        return None
    return {key: value for key, value in parse(found.body).items() if key != "meta"}
