"""Operation $reindex (our own): index older resources for a custom SearchParameter, and how far that is.

The job starts by itself when a SearchParameter is written; this starts it anew, or tells of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from consent import Access
from fhir_server.errors import Gone, NotFound, NotSupported
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions.listing import instant
from fhir_server.operations.parameters import simple_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhir_server.context import Context

EVERYTHING = "*"


@runtime_checkable
class Reindexing(Protocol):
    """A store that can index anew."""

    def jobs(self) -> Sequence[Any]:
        """All jobs, the newest first: id, status (queued, running, completed, ignored), done, total, note, started."""
        ...

    async def reindex(self, ids: list[str], access: Access) -> None:
        """Start the jobs of these SearchParameters anew; ``*`` makes all index rows anew."""
        ...


async def reindex(request: Request, context: Context) -> Response:
    """``SearchParameter/[id]/$reindex`` and ``$reindex``: POST starts the job, GET tells how far it is.

    202 where the job has still to run. Raises NotFound and Gone for a SearchParameter that is not there.
    """
    simple_pairs(request, frozenset(), "reindex")
    store = context.store
    if not isinstance(store, Reindexing):
        raise NotSupported("This store keeps its index by itself")
    id = request.id or EVERYTHING
    if request.id:
        found = store.read(request.type, request.id, context.access)
        if found is None:
            raise NotFound(f"There is no {request.type}/{request.id}")
        if found.deleted:
            raise Gone(f"{request.type}/{request.id} is deleted since version {found.version}")
    if request.method == "POST":
        await store.reindex([id], context.access)
    job = next((job for job in store.jobs() if job.id == id), None)
    if job is None:
        raise NotFound("There has been no such job; POST starts one")
    status = 202 if job.status in ("queued", "running") else 200
    return Response(status, resource=_parameters(job, context.settings.zone))


def _parameters(job: Any, zone: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"name": "status", "valueCode": job.status},
        {"name": "done", "valueInteger": job.done},
        {"name": "total", "valueInteger": job.total},
        {"name": "started", "valueInstant": instant(job.started, zone)},
    ]
    if job.note:
        parts.append({"name": "note", "valueString": job.note})
    return {"resourceType": "Parameters", "parameter": parts}
