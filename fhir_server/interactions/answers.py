"""The answer to a batch or transaction: one response entry for each request entry, in their order.

https://hl7.org/fhir/R4/http.html#transaction-response
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fhir_server.interactions.listing import instant
from fhir_server.store.protocol import Stored
from profiles.issues import Issue
from profiles.lossless import encode


@dataclass(slots=True)
class Answer:
    """What became of one entry.

    ``stored`` is the version it made or found, ``located`` whether that gets a Location;
    ``body`` is JSON text to give back as the entry's resource, ``outcome`` an OperationOutcome; ``findings`` is what
    validation had to say of the resource.
    """

    status: int
    stored: Stored | None = None
    located: bool = False
    body: bytes | None = None
    outcome: dict[str, Any] | None = None
    location: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    findings: Sequence[Issue] = ()


_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def answer_bundle(kind: str, answers: Iterable[Answer], base_url: str, zone: str) -> bytes:
    """The JSON of the response Bundle of type ``kind``; locations are absolute where ``base_url`` is known."""
    base = f"{base_url}/" if base_url else ""
    entries = b",".join(_entry(answer, base, zone) for answer in answers)
    head = b'{"resourceType":"Bundle","type":"' + kind.encode() + b'"'
    return head + (b',"entry":[' + entries + b"]}" if entries else b"}")


def _entry(answer: Answer, base: str, zone: str) -> bytes:
    stored = answer.stored
    location, etag, modified = answer.location, answer.etag, answer.last_modified
    full_url = b""
    if stored is not None:
        if answer.located:
            location = f"{base}{stored.type}/{stored.id}/_history/{stored.version}"
        etag = f'W/\\"{stored.version}\\"'
        modified = instant(stored.updated, zone)
        if answer.body is not None and base:
            full_url = f'"fullUrl":"{base}{stored.type}/{stored.id}",'.encode()
    elif etag:
        etag = etag.replace('"', '\\"')
    response = f'"response":{{"status":"{_STATUS.get(answer.status, answer.status)}"'
    if location:
        response += f',"location":"{location}"'
    if etag:
        response += f',"etag":"{etag}"'
    if modified:
        response += f',"lastModified":"{modified}"'
    outcome = b',"outcome":' + encode(answer.outcome) if answer.outcome else b""
    resource = b'"resource":' + answer.body + b"," if answer.body is not None else b""
    return b"{" + full_url + resource + response.encode() + outcome + b"}}"
