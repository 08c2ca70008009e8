"""Operation Patient/$ihe-pix: the identifiers that a person has elsewhere, for one that is known (IHE PIXm ITI-83).

https://profiles.ihe.net/ITI/PIXm/ITI-83.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fhir_server.errors import BadRequest, FhirError, Forbidden, NotFound
from fhir_server.http.exchange import Request, Response
from fhir_server.interactions.criteria import criteria
from fhir_server.operations.parameters import simple_pairs
from fhir_server.records.matching.blocking import escaped
from profiles.lossless import parse

if TYPE_CHECKING:
    from fhir_server.context import Context

_KNOWN = frozenset({"sourceIdentifier", "targetSystem"})


async def ihe_pix(request: Request, context: Context) -> Response:
    """``GET Patient/$ihe-pix?sourceIdentifier=system|value``: Parameters with targetIdentifier and targetId.

    Only of a Patient that the requester may see. Raises NotFound for an unknown identifier, BadRequest for one
    without system, Forbidden (403, as the profile says) for a target system that nobody here uses.
    """
    pairs = simple_pairs(request, _KNOWN, "ihe-pix")
    source = [value for name, value in pairs if name == "sourceIdentifier"]
    targets = {value for name, value in pairs if name == "targetSystem"}
    system, mark, value = (source[0] if len(source) == 1 else "").partition("|")
    if not (system and mark and value):
        raise BadRequest("sourceIdentifier is one system|value", "http.sourceIdentifier", code="value")
    query = criteria("Patient", [("identifier", f"{system}|{escaped(value)}")], context)
    page = await context.store.search(replace(query, count=2), context.access)
    if not page.matches:
        raise NotFound("sourceIdentifier Patient Identifier not found", "http.sourceIdentifier")
    parameters: list[dict[str, Any]] = []
    for stored in page.matches:
        patient = parse(stored.body or b"{}")
        others = [i for i in patient.get("identifier", ()) if (i.get("system"), i.get("value")) != (system, value)]
        parameters += [
            {"name": "targetIdentifier", "valueIdentifier": identifier}
            for identifier in others
            if not targets or identifier.get("system") in targets
        ]
        reference = {"reference": f"{request.base_url}/Patient/{stored.id}"}
        parameters.append({"name": "targetId", "valueReference": reference})
    for target in targets:
        await _check_target(target, context)
    return Response(200, resource={"resourceType": "Parameters", "parameter": parameters})


async def _check_target(system: str, context: Context) -> None:
    """Refuse a target system under which the requester sees no identifier at all."""
    try:
        query = criteria("Patient", [("identifier", f"{system}|")], context)
    except FhirError:
        raise BadRequest("targetSystem is no system", "http.targetSystem", code="value") from None
    page = await context.store.search(replace(query, count=1), context.access)
    if not page.matches:
        raise Forbidden("targetSystem not found", "http.targetSystem", code="code-invalid")
