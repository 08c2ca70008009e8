"""Operation Patient/$match: who in the person index a Patient may be, and how surely.

https://hl7.org/fhir/R4/patient-operation-match.html, IHE PDQm ITI-119
https://profiles.ihe.net/ITI/PDQm/ITI-119.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_server.audit.exchange import concerns
from fhir_server.errors import BadRequest, Unprocessable
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions.listing import bundle, now
from fhir_server.operations.parameters import input_of, parts_of
from fhir_server.records.content import asked, minimal
from fhir_server.records.index import Candidate, candidates_now
from fhir_server.records.matching.identity_numbers import normalised
from fhir_server.records.matching.score import Grade
from fhir_server.records.pace import check_pace
from profiles.lossless import encode

if TYPE_CHECKING:
    from fhir_server.context import Context

_GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
_KNOWN = frozenset({"resource", "onlyCertainMatches", "count"})
_COUNT, _COUNT_MOST = 10, 50


async def match(request: Request, context: Context) -> Response:
    """``POST Patient/$match``: a searchset, the surest first, each entry with its score and grade.

    A requester sees of the matches those Patients that it may see anyway, and of a person that it certainly
    knows (so that the person is before it) the id with the masked name; never anything of persons who are merely
    alike.
    """
    patient, certain_only, count = _input(request)
    check_pace("$match", context.settings.matches_per_minute, context)
    own = context.access.unrestricted or context.access.identities
    sought = normalised(patient) if own else asked(patient, context.access.party)
    found = await candidates_now(sought, context)
    if certain_only:
        found = [one for one in found if one.verdict.grade is Grade.CERTAIN]
        if len(found) > 1:  # the caller takes what comes for the one; there is none
            found = []
    entries = [entry for one in found if (entry := _entry(one, request, context)) is not None][:count]
    return Response(body=bundle("searchset", (), entries, len(entries), now(context)))


def _entry(found: Candidate, request: Request, context: Context) -> bytes | None:
    stored = context.store.read("Patient", found.stored.id, context.access)
    if stored is not None and stored.body is not None:
        text = stored.body
    elif found.verdict.grade is Grade.CERTAIN and context.access.party.startswith("Organization/"):
        text = encode(minimal(found.patient))
        concerns(found.stored.id)
    else:
        return None
    grade = found.verdict.grade
    search = {
        "extension": [{"url": _GRADE, "valueCode": str(grade)}],
        "mode": "match",
        "score": found.verdict.score,
    }
    url = encode(f"{request.base_url}/{found.reference}")
    return b'{"fullUrl":' + url + b',"resource":' + text + b',"search":' + encode(search) + b"}"


def _input(request: Request) -> tuple[dict[str, Any], bool, int]:
    """The Patient, whether only a certain match is wanted, and how many matches at most."""
    body = input_of(request)
    if body is None:
        raise BadRequest("$match needs a Patient", "Parameters.parameter.where(name='resource')", code="required")
    if body.get("resourceType") == "Patient":
        return _patient(body), False, _COUNT
    values: dict[str, Any] = {}
    for part in parts_of(body, "match"):
        name = part["name"]
        if name not in _KNOWN:
            raise BadRequest(f"$match has no parameter '{name}'", f"Parameters.parameter.where(name='{name}')")
        value = next((value for key, value in part.items() if key.startswith("value")), None)
        values[name] = part.get("resource") if name == "resource" else value
    certain, count = values.get("onlyCertainMatches", False), values.get("count", _COUNT)
    if not isinstance(certain, bool):
        raise BadRequest("onlyCertainMatches is true or false", "Parameters.parameter.valueBoolean", code="value")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise BadRequest("count is a whole number from 1 on", "Parameters.parameter.valueInteger", code="value")
    return _patient(values.get("resource")), certain, min(count, _COUNT_MOST)


def _patient(resource: Any) -> dict[str, Any]:
    """A Patient with something to look for."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "Patient":
        where = "Parameters.parameter.where(name='resource')"
        raise BadRequest("The parameter 'resource' of $match is a Patient", where, code="structure")
    if not any(resource.get(element) for element in ("identifier", "name", "telecom")):
        raise Unprocessable("There is nothing to look for: give an identifier, a name or a phone", "Patient")
    return resource
