"""A made-up Chinese county: institutions, staff and residents' files, the same ones for the same seed.

Nobody in it exists. It is the project's own demonstration, test and benchmark data, in any size:
Bundles are made one at a time, so memory does not grow with the number of residents.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from loaders.demo.county import county_bundle, county_resources, institutions, offices
from loaders.demo.resident import File, resident, resident_file

__all__ = [
    "File",
    "bundles",
    "county_bundle",
    "county_resources",
    "files",
    "institutions",
    "offices",
    "resident_bundle",
    "resident_file",
    "residents",
]

Resource = dict[str, Any]

_SPACE = uuid.UUID("6f1d1b4e-6a0e-4c39-9a55-2f7f5a1c9c11")
_LINKS = frozenset({"reference", "url"})


def _urn(seed: int, reference: str) -> str:
    return f"urn:uuid:{uuid.uuid5(_SPACE, f'{seed}/{reference}')}"


def _relinked(value: Any, urns: dict[str, str]) -> Any:
    """A copy of ``value`` whose references to the resident's own resources are urn:uuid ones."""
    if isinstance(value, dict):
        return {
            k: urns.get(v, v) if k in _LINKS and isinstance(v, str) else _relinked(v, urns) for k, v in value.items()
        }
    if isinstance(value, list):
        return [_relinked(v, urns) for v in value]
    return value


def _created(resource: Resource, urns: dict[str, str]) -> Resource:
    type = resource["resourceType"]
    return {
        "fullUrl": urns[f"{type}/{resource['id']}"],
        "resource": {k: _relinked(v, urns) for k, v in resource.items() if k != "id"},
        "request": {"method": "POST", "url": type},
    }


def _strangers(value: Any, own: dict[str, str]) -> bool:
    """Whether it refers to somebody else's Patient or to what is said of one."""
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference.startswith(("Patient/", "RelatedPerson/")) and reference not in own:
            return True
        return any(_strangers(v, own) for v in value.values())
    return isinstance(value, list) and any(_strangers(v, own) for v in value)


def _put(resource: Resource) -> Resource:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url}}


def residents(count: int, seed: int = 1) -> Iterator[list[Resource]]:
    """The resources of ``count`` residents, a list for each, the Patient first."""
    places = institutions()
    for number in range(1, count + 1):
        yield list(resident(number, seed, places))


def files(count: int, seed: int = 1) -> Iterator[File]:
    """The files of ``count`` residents, saying who wrote what."""
    places = institutions()
    return (resident_file(number, seed, places) for number in range(1, count + 1))


def resident_bundle(resources: list[Resource], seed: int = 1, create: bool = False) -> Resource:
    """One resident's transaction Bundle.

    By default PUTs with the resources' ids; with ``create`` POSTs joined by urn:uuid references,
    as an EMR would send them (the server then gives the ids); what refers to another resident's
    Patient (guardians) is left out then.
    """
    if not create:
        return {"resourceType": "Bundle", "type": "transaction", "entry": [_put(r) for r in resources]}
    urns = {name: _urn(seed, name) for name in (f"{r['resourceType']}/{r['id']}" for r in resources)}
    left_out = {f"{r['resourceType']}/{r['id']}" for r in resources if _strangers(r, urns)}
    kept = {name: urn for name, urn in urns.items() if name not in left_out}
    entries = [_created(r, kept) for r in resources if f"{r['resourceType']}/{r['id']}" in kept]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def bundles(count: int, seed: int = 1, create: bool = False) -> Iterator[tuple[str, Resource]]:
    """(name, Bundle) of the whole county: first the institutions and staff, then one per resident."""
    yield "0-county", county_bundle(seed)
    for number, resources in enumerate(residents(count, seed), 1):
        yield f"resident-{number:06d}", resident_bundle(resources, seed, create)
