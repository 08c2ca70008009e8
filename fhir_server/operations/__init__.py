"""One FHIR operation per file; ``OPERATIONS`` is the list of those that are registered."""

from __future__ import annotations

from fhir_server.http.routes import Operation

OPERATIONS: tuple[Operation, ...] = ()
