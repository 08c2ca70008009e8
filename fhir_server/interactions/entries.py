"""The entries of a batch or transaction Bundle as plain data, with the cheap checks that the Bundle itself needs.

https://hl7.org/fhir/R4/bundle.html, https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fhir_server.errors import BadRequest, FhirError, NotSupported, TooLarge
from fhir_server.http.dispatch import path_segments, query_pairs
from profiles.issues import Issue

if TYPE_CHECKING:
    from profiles.definitions import Definitions

READS = frozenset({"GET", "HEAD"})
# What POST may call and yet changes nothing.
_READING = frozenset({"_search", "$validate", "$everything", "$meta", "$match", "$ihe-pix"})
METHODS = ("DELETE", "POST", "PUT", "PATCH", "GET", "HEAD")
_HEADERS = {
    "ifNoneMatch": "if-none-match",
    "ifModifiedSince": "if-modified-since",
    "ifMatch": "if-match",
    "ifNoneExist": "if-none-exist",
}
_ELEMENTS = {header: element for element, header in _HEADERS.items()}
_OTHER_TYPES = {
    "document": "a document is stored as it is by POST [base]/Bundle",
    "message": "messages are not processed here; it can be stored as it is by POST [base]/Bundle",
    "collection": "a collection is stored as it is by POST [base]/Bundle",
    "searchset": "the result of a search cannot be submitted",
    "history": "a history is not accepted; send its entries as a batch or transaction",
    "batch-response": "a response cannot be submitted",
    "transaction-response": "a response cannot be submitted",
}


@dataclass(slots=True)
class Entry:
    """One entry: what it asks for, read from ``request``, beside its resource.

    ``segments`` and ``query`` are the decoded url, relative to the base; ``text`` is its query as sent.
    ``headers`` are the conditions under their HTTP names in lower case.
    """

    index: int
    method: str
    url: str
    segments: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    text: str
    resource: dict[str, Any] | None
    full_url: str | None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The FHIRPath of the entry in its Bundle."""
        return f"Bundle.entry[{self.index}]"


def check_bundle(bundle: dict[str, Any], types: frozenset[str], most: int, definitions: Definitions) -> list[Any]:
    """The raw entries of a Bundle whose type is one of ``types``.

    Raises BadRequest for what is no such Bundle and TooLarge for more than ``most`` entries.
    """
    name = bundle.get("resourceType")
    if name != "Bundle":
        what = f"a {name}" if isinstance(name, str) else "something without resourceType"
        raise BadRequest(f"POST to the base takes a Bundle, not {what}", "Bundle", code="structure")
    kind = bundle.get("type")
    if kind not in types:
        hint = _OTHER_TYPES.get(kind, "") if isinstance(kind, str) else ""
        said = f"'{kind}'" if kind is not None else "missing"
        raise BadRequest(
            f"Bundle.type is {said}, but a Bundle of type {' or '.join(sorted(types))} is needed here"
            + (f": {hint}" if hint else ""),
            "Bundle.type",
            code="required" if kind is None else "value",
        )
    _known(bundle, definitions, "Bundle", "Bundle")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise BadRequest("Bundle.entry must be an array", "Bundle.entry", code="structure")
    if len(entries) > most:
        raise TooLarge(f"The Bundle has {len(entries)} entries, more than the {most} taken at once", "Bundle.entry")
    return entries


def read_entry(raw: Any, index: int, base_url: str, definitions: Definitions) -> Entry:
    """The entry at ``index``; ``base_url`` is taken off absolute URLs of this server.

    Raises FhirError, with the path of the element, for an entry that cannot be understood.
    """
    path = f"Bundle.entry[{index}]"
    if not isinstance(raw, dict):
        raise BadRequest("An entry must be an object", path, code="structure")
    _known(raw, definitions, "Bundle.entry", path)
    request = raw.get("request")
    if not isinstance(request, dict):
        raise BadRequest("The entry needs a request with method and url", f"{path}.request", code="required")
    _known(request, definitions, "Bundle.entry.request", f"{path}.request")
    method = _text(request, "method", f"{path}.request")
    if method not in METHODS:
        raise BadRequest(
            f"The method '{method}' is none of {', '.join(METHODS)}", f"{path}.request.method", code="value"
        )
    url = _text(request, "url", f"{path}.request")
    headers = {
        header: _text(request, key, f"{path}.request")
        for key, header in _HEADERS.items()
        if request.get(key) is not None
    }
    if "if-modified-since" in headers:
        headers["if-modified-since"] = _http_time(headers["if-modified-since"])
    try:
        segments, query, text = _split(url, base_url)
    except FhirError as error:
        raise BadRequest(str(error), f"{path}.request.url") from None
    resource = raw.get("resource")
    if resource is not None and (not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str)):
        raise BadRequest("The resource must be an object with a resourceType", f"{path}.resource", code="structure")
    if resource is None and method in ("PUT", "PATCH"):
        raise BadRequest(f"A {method} entry needs a resource", f"{path}.resource", code="required")
    full_url = raw.get("fullUrl")
    if full_url is not None:
        _check_full_url(full_url, f"{path}.fullUrl")
    return Entry(index, method, url, segments, query, text, resource, full_url, headers)


def is_read(entry: Entry) -> bool:
    """Whether the entry changes nothing: GET, HEAD, a search or an operation of this kind by POST."""
    last = entry.segments[-1] if entry.segments else ""
    return entry.method in READS or (entry.method == "POST" and last in _READING)


def patch_body(entry: Entry) -> tuple[str, Any]:
    """The patch of a PATCH entry: its media type, and the bytes of a Binary or the Parameters resource.

    Raises BadRequest where it is neither. https://hl7.org/fhir/R4/http.html#patch
    """
    resource = entry.resource or {}
    if resource["resourceType"] == "Parameters":
        return "application/fhir+json", resource
    if resource["resourceType"] != "Binary":
        raise BadRequest(
            "A PATCH entry holds a Parameters resource (FHIRPath Patch) or a Binary with the patch as its data",
            f"{entry.path}.resource",
        )
    kind, data = resource.get("contentType"), resource.get("data")
    if not isinstance(kind, str) or not isinstance(data, str):
        raise BadRequest("The Binary of a PATCH needs contentType and data", f"{entry.path}.resource", code="required")
    try:
        return kind.partition(";")[0].strip().lower(), base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest("The data is no base64", f"{entry.path}.resource.data", code="value") from None


def at_entry(error: FhirError, path: str) -> FhirError:
    """The same refusal with its expressions below the entry at ``path``, and the entry named in each text."""
    issues = [
        Issue(issue.code, f"{path}: {issue.diagnostics}", _below(issue.expression, path), issue.severity)
        for issue in error.issues
    ]
    moved = type(error).of(issues)
    moved.status = error.status
    return moved


def _below(expressions: tuple[str, ...], path: str) -> tuple[str, ...]:
    moved = []
    for expression in expressions:
        if expression.startswith("Bundle."):
            moved.append(expression)
        elif expression.startswith("http."):
            # What a request has in its headers and query, an entry has in its request element.
            moved.append(f"{path}.request.{_ELEMENTS.get(expression[5:].lower(), 'url')}")
        else:
            # Expressions of a resource's own findings begin with its type.
            tail = expression.partition(".")
            moved.append(f"{path}.resource{tail[1]}{tail[2]}")
    return tuple(moved) or (path,)


@lru_cache(maxsize=1024)
def _split(url: str, base_url: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...], str]:
    """Segments, query pairs and query text of an entry's url; the many equal ones (``Observation``) are split once."""
    if base_url and url.startswith(base_url):
        url = url[len(base_url) :]
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        raise BadRequest(f"'{url}' is not a URL of this server; give it relative to the base")
    return path_segments(parts.path), tuple(query_pairs(parts.query)), parts.query


@lru_cache(maxsize=16)
def _keys(definitions: Definitions, type_name: str) -> frozenset[str]:
    """The JSON keys of a type, those of primitives' extensions included."""
    elements = definitions.type(type_name).elements
    return frozenset(elements) | {f"_{name}" for name in elements} | {"resourceType"}


def _known(holder: dict[str, Any], definitions: Definitions, type_name: str, path: str) -> None:
    if not holder.keys() <= (keys := _keys(definitions, type_name)):
        key = next(key for key in holder if key not in keys)
        raise BadRequest(f"'{key}' is no element of {path}", f"{path}.{key}", code="structure")
    if "modifierExtension" in holder:
        raise NotSupported("A modifierExtension here may change the meaning and is not understood", path)


def _text(holder: dict[str, Any], key: str, path: str) -> str:
    value = holder.get(key)
    if not isinstance(value, str) or not value:
        raise BadRequest(
            f"{path}.{key} must be a text that is not empty",
            f"{path}.{key}",
            code="required" if value is None else "structure",
        )
    return value


def _http_time(text: str) -> str:
    """The instant of ``ifModifiedSince`` as the header says it; what is no instant is left to the header's reader."""
    try:
        moment = datetime.fromisoformat(text)
        return format_datetime(moment.astimezone(UTC), usegmt=True) if moment.tzinfo else text
    except (ValueError, OverflowError):
        return text


def _check_full_url(value: Any, path: str) -> None:
    if not isinstance(value, str) or ":" not in value:
        raise BadRequest("fullUrl must be an absolute URL or a urn", path, code="value")
    if "/_history/" in value:
        raise BadRequest("fullUrl cannot be a version specific reference (bdl-8)", path, code="invariant")
