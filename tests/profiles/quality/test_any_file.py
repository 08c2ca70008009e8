"""No valid resource, however odd, breaks the judgement on a file: all official examples, alone and together."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from profiles.quality import TYPES, File, assess
from tests.profiles.quality.records import REFERENCES

EXAMPLES = Path(__file__).parents[4] / "shared" / "fhir" / "r4" / "examples.ndjson.gz"


def examples() -> list[dict[str, Any]]:
    """The official examples of the types that the rules read, also those within Bundles."""
    found = []
    for line in gzip.decompress(EXAMPLES.read_bytes()).splitlines():
        value = msgspec.json.decode(line)
        inside = [entry.get("resource") for entry in value.get("entry") or () if isinstance(entry, dict)]
        found += [one for one in (value, *inside) if isinstance(one, dict) and one.get("resourceType") in TYPES]
    return found


@pytest.mark.skipif(not EXAMPLES.is_file(), reason="the examples of ../shared/fhir are absent")
def test_every_official_example_can_be_judged() -> None:
    found = examples()
    assert len(found) > 100
    patients = [one for one in found if one["resourceType"] == "Patient"]
    for one in found:
        assert 0 <= assess(File([one], date(2026, 12, 1), REFERENCES)).score <= 100
    for patient in patients[:10]:
        rest = [one for one in found if one["resourceType"] != "Patient"]
        score = assess(File([patient, *rest], date(2026, 12, 1), REFERENCES))
        assert score.failed and 0 <= score.score < 100
