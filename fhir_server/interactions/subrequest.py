"""One Bundle entry run as a request of its own, through the same routing as HTTP.

https://hl7.org/fhir/R4/http.html#brules
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.http.dispatch import dispatch, entry_request
from fhir_server.http.exchange import Request, Response
from fhir_server.http.negotiate import FHIR_JSON
from fhir_server.interactions.answers import Answer
from fhir_server.interactions.entries import Entry, patch_body
from profiles.lossless import encode

if TYPE_CHECKING:
    from fhir_server.context import Context


def outer_request(base_url: str = "") -> Request:
    """The request that a Bundle came with when it did not come by HTTP (loading)."""
    return Request("POST", (), [], {}, b"", base_url, "")


def request_of(entry: Entry, outer: Request) -> Request:
    """The entry as a Request. Writes return no resource unless the request of the Bundle prefers it."""
    headers = {"accept": FHIR_JSON, "prefer": "return=minimal", **entry.headers}
    body, resource = b"", entry.resource
    if entry.method == "PATCH":
        kind, patch = patch_body(entry)
        headers["content-type"] = kind
        body, resource = (patch, None) if isinstance(patch, bytes) else (b"", patch)
    if "prefer" in outer.headers:
        headers["prefer"] = outer.headers["prefer"]
    request = entry_request(outer, entry.method, entry.url, resource, headers)
    request.body = body
    return request


async def run_entry(entry: Entry, outer: Request, context: Context) -> Answer:
    """Run one entry. Raises FhirError for what the interaction refuses."""
    response = await dispatch(request_of(entry, outer), context)
    return answer_of(response, keep_body=entry.method != "HEAD")


def answer_of(response: Response, keep_body: bool = True) -> Answer:
    """A Response as the answer of an entry: an OperationOutcome goes to ``outcome``, all else to ``resource``."""
    answer = Answer(
        response.status,
        response.stored,
        location=response.header("Location"),
        etag=response.header("ETag"),
    )
    if response.resource is not None:
        if response.resource["resourceType"] == "OperationOutcome":
            answer.outcome = response.resource
        elif keep_body:
            answer.body = encode(response.resource)
    elif response.body and keep_body and response.content_type is None:
        answer.body = response.body
    return answer
