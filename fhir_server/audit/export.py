"""The chain written out as FHIR: one AuditEvent a line, in their order; read from the chain, not the index.

https://hl7.org/fhir/uv/bulkdata/ for the form.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fhir_server.audit.balp import View, audit_event
from fhir_server.audit.chain import HEAD, Broken, Head, Walk, segment_path, segments
from fhir_server.audit.event import decode, parts
from profiles.lossless import encode


def lines(folder: Path, since: int = 0, patient: str = "", zone: str = "Asia/Shanghai") -> Iterator[bytes]:
    """The AuditEvents of entries at or after ``since`` (µs), all or those of one ``patient``.

    Raises Broken where the chain cannot be read on.
    """
    view = View("", zone, lambda reference: "")
    for first in segments(folder):
        descriptor = os.open(segment_path(folder, first), os.O_RDONLY)
        try:
            walk = Walk(descriptor, Head.decode(os.pread(descriptor, HEAD, 0)))
            for entry in walk:
                event = decode(entry.body)
                if event.time < since:
                    continue
                for part in parts(event):
                    if not patient or part.patient == patient:
                        yield encode(audit_event(entry.seq, event, part, view))
            if walk.ended == "damaged":
                raise Broken(walk.why)
        finally:
            os.close(descriptor)
