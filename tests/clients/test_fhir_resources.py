"""fhir.resources, an independent reader, understands what the server sends.

https://github.com/nazrulworld/fhir.resources. It has R4B; https://hl7.org/fhir/R4B/history.html#history
tells what R4B changed.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

SHARED = Path(__file__).parents[3] / "shared" / "fhir"
#: R4 types that have an official example and that R4B dropped or replaced by new ones: evidence synthesis
#: became Evidence and EvidenceReport, MedicinalProduct and its kin became MedicinalProductDefinition and its kin.
NOT_IN_R4B = {
    "EffectEvidenceSynthesis",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "RiskEvidenceSynthesis",
}


@pytest.fixture(scope="module")
def examples() -> list[dict[str, Any]]:
    path = SHARED / "r4" / "examples.ndjson.gz"
    if not path.is_file():
        pytest.skip("the folder ../shared/fhir is not there")
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def read_as_r4b(text: bytes | str) -> Any:
    """The resource of ``text`` as the reader understands it; raises ValueError where it does not."""
    type_ = json.loads(text)["resourceType"]
    return get_fhir_model_class(type_).model_validate_json(text)


def known(types: Iterable[str]) -> set[str]:
    found = set()
    for type_ in types:
        try:
            get_fhir_model_class(type_)
            found.add(type_)
        except ValueError:
            continue
    return found


def test_every_example_of_a_type_of_r4b_is_read(client: httpx.Client, examples: list[dict[str, Any]]) -> None:
    """All types but those that R4B dropped; Evidence and EvidenceVariable are rewritten there, yet are read."""
    types = {example["resourceType"] for example in examples}
    readable = known(types)
    assert types - readable == NOT_IN_R4B
    problems = []
    read = 0
    for number, example in enumerate(examples):
        if example["resourceType"] not in readable:
            continue
        path = f"{example['resourceType']}/r4b-{number}"
        put = client.put(path, content=json.dumps({**example, "id": f"r4b-{number}"}))
        assert put.status_code in (200, 201), f"{path}: {put.text[:300]}"
        got = client.get(path, headers={"Accept": "application/fhir+json"})
        try:
            model = read_as_r4b(got.content)
        except ValueError as error:
            problems.append(f"{path}: {str(error)[:300]}")
            continue
        read += 1
        if (model.id, model.meta.versionId) != (f"r4b-{number}", got.headers["etag"][3:-1]):
            problems.append(f"{path} is read as {model.id} version {model.meta.versionId}")
    assert not problems, "\n".join(problems)
    assert read > 470


@pytest.mark.parametrize(
    "path",
    [
        "metadata",
        "Patient?_count=5",
        "Patient?_count=5&_total=accurate&_revinclude=Observation:subject",
        "Observation?_count=5&_include=*",
        "?_type=Patient,Observation&_count=7",
        "Patient?_summary=count",
        "Patient?_summary=true",
        "Patient?name=x&_count=0",
        "_history?_count=10",
        "Patient/reader/_history",
        "Patient/reader/$everything",
        "Patient/reader/$meta",
        "Patient/nobody",
        "Patient?foo=bar",
        "Foo/1",
    ],
)
def test_every_other_answer_is_read(client: httpx.Client, path: str) -> None:
    put = client.put("Patient/reader", content='{"resourceType":"Patient","id":"reader","active":true}')
    assert put.status_code in (200, 201)
    answer = client.get(path)
    assert answer.content
    read_as_r4b(answer.content)


def test_the_answers_to_bundles_are_read(client: httpx.Client) -> None:
    entry = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
    bad = {"resource": {"resourceType": "Patient", "gender": "mann"}, "request": {"method": "POST", "url": "Patient"}}
    for kind, entries in (("transaction", [entry]), ("batch", [entry, bad]), ("transaction", [entry, bad])):
        answer = client.post("", content=json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}))
        read_as_r4b(answer.content)
