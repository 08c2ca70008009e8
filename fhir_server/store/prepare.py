"""A parsed resource made ready to commit: its exact text with marks for version and time, and its index rows."""

from __future__ import annotations

from typing import Any

from fhir_server.search.extract import Extractor
from fhir_server.search.rows import Rows
from fhir_server.store.protocol import Prepared
from profiles.lossless import encode, raw

VERSION_MARK = b"\x01"
TIME_MARK = b"\x02"
_VERSION = raw(VERSION_MARK)
_TIME = raw(TIME_MARK)


def with_identity(resource: dict[str, Any], id: str) -> dict[str, Any]:
    """The resource with ``id`` and with marks in ``meta.versionId`` and ``meta.lastUpdated``.

    Keys keep their places; ``id`` and ``meta`` come after ``resourceType`` where they were missing.
    """
    meta = resource.get("meta")
    stamped: dict[str, Any] = {"versionId": _VERSION, "lastUpdated": _TIME}
    if isinstance(meta, dict):
        if "versionId" in meta or "lastUpdated" in meta:
            stamped = {**meta, **stamped} if "versionId" in meta and "lastUpdated" in meta else {**stamped, **meta}
            stamped["versionId"], stamped["lastUpdated"] = _VERSION, _TIME
            # Extensions on the primitives that we set anew would describe values that are gone.
            stamped.pop("_versionId", None)
            stamped.pop("_lastUpdated", None)
        else:
            stamped.update(meta)
    if "id" in resource and "meta" in resource:
        return {**resource, "id": id, "meta": stamped}
    head: dict[str, Any] = {"resourceType": resource["resourceType"], "id": id, "meta": stamped}
    return {**head, **resource, "id": id, "meta": stamped}


def prepare(resource: dict[str, Any], id: str, extractor: Extractor) -> Prepared:
    """``resource`` (parsed, valid) as ``id``, ready for ``Transaction.put``.

    The rows never hold the version or time of the text: those are columns.
    """
    stamped = with_identity(resource, id)
    generation = extractor.generation
    rows: Rows = extractor.rows(stamped)
    return Prepared(resource["resourceType"], id, encode(stamped), rows, stamped, generation)


def stamp(template: bytes, version: int, updated: str) -> bytes:
    """The final text: marks replaced by the version number and the instant."""
    text = template.replace(VERSION_MARK, b'"%d"' % version, 1)
    return text.replace(TIME_MARK, b'"' + updated.encode() + b'"', 1)
