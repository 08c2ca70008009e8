"""The guide as a FHIR NPM package, which other servers and validators load.

https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
"""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import Any

from profiles.alliance.build import VERSION, guide
from profiles.alliance.examples import examples
from profiles.alliance.tables import profile_set
from profiles.lossless import encode

NAME = "yidang.alliance"
_MANIFEST = {
    "name": NAME,
    "version": VERSION,
    "title": "县域医共体健康档案实施指南 County medical alliance guide",
    "canonical": "urn:yidang:guide:alliance",
    "fhirVersions": ["4.0.1"],
    "dependencies": {"hl7.fhir.r4.core": "4.0.1"},
    "author": "Yidang 一档",
    "license": "Apache-2.0",
}


def archive() -> bytes:
    """The package (.tgz): definitions with snapshots, and the examples; the same bytes every time."""
    files: dict[str, Any] = {"package.json": _MANIFEST}
    for one in guide().resources:
        whole = profile_set().snapshot(one["url"]) if one["resourceType"] == "StructureDefinition" else one
        files[f"{one['resourceType']}-{one['id']}.json"] = whole
    for example in examples().values():
        files[f"example/{example.resource['resourceType']}-{example.resource['id']}.json"] = example.resource
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, value in files.items():
            content = encode(value)
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)
