"""A made-up Chinese county: institutions, staff and residents' files, the same ones for the same seed.

Nobody in it exists. It is the project's own demonstration, test and benchmark data, in any size:
Bundles are made one at a time, so memory does not grow with the number of residents.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

from loaders.demo.county import county_bundle, institutions
from loaders.demo.resident import resident

__all__ = ["bundles", "county_bundle", "resident_bundle", "residents"]

Resource = dict[str, Any]

_SPACE = uuid.UUID("6f1d1b4e-6a0e-4c39-9a55-2f7f5a1c9c11")
_OWN = re.compile(r"(Patient|Encounter|Observation|DiagnosticReport|Condition|MedicationRequest)/")


def _urn(seed: int, reference: str) -> str:
    return f"urn:uuid:{uuid.uuid5(_SPACE, f'{seed}/{reference}')}"


def _relinked(value: Any, seed: int) -> Any:
    """A copy of ``value`` whose references to the resident's own resources are urn:uuid ones."""
    if isinstance(value, dict):
        return {
            k: _urn(seed, v) if k == "reference" and _OWN.match(v) else _relinked(v, seed) for k, v in value.items()
        }
    if isinstance(value, list):
        return [_relinked(v, seed) for v in value]
    return value


def _created(resource: Resource, seed: int) -> Resource:
    type = resource["resourceType"]
    return {
        "fullUrl": _urn(seed, f"{type}/{resource['id']}"),
        "resource": {k: _relinked(v, seed) for k, v in resource.items() if k != "id"},
        "request": {"method": "POST", "url": type},
    }


def _put(resource: Resource) -> Resource:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url}}


def residents(count: int, seed: int = 1) -> Iterator[list[Resource]]:
    """The resources of ``count`` residents, a list for each, the Patient first."""
    places = institutions()
    for number in range(1, count + 1):
        yield list(resident(number, seed, places))


def resident_bundle(resources: list[Resource], seed: int = 1, create: bool = False) -> Resource:
    """One resident's transaction Bundle.

    By default PUTs with the resources' ids; with ``create`` POSTs joined by urn:uuid references,
    as an EMR would send them (the server then gives the ids).
    """
    entries = [_created(r, seed) if create else _put(r) for r in resources]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def bundles(count: int, seed: int = 1, create: bool = False) -> Iterator[tuple[str, Resource]]:
    """(name, Bundle) of the whole county: first the institutions and staff, then one per resident."""
    yield "0-county", county_bundle(seed)
    for number, resources in enumerate(residents(count, seed), 1):
        yield f"resident-{number:06d}", resident_bundle(resources, seed, create)
