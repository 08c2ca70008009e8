"""R4's own profiles, extensions and examples, and published guides: snapshots as published, examples without errors."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from profiles.conformance import Options, ProfileSet, SnapshotError
from profiles.lossless import parse
from profiles.packages import read_package

SHARED = Path(__file__).parents[3] / ".." / "shared" / "fhir"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the FHIR data folder is not beside this checkout")

# What the published snapshot has otherwise: id of the profile, and why.
OTHERWISE = {
    "familymemberhistory-genetic": "the published one lacks the elements without changes",
    "catalog": "the published one lacks Composition.date",
    "bp": "the published one makes no slice of component.valueQuantity",
    "provenance-relevant-history": "the published one lacks the binding of the slice",
    "elementdefinition-de": "the published one writes the children of the extensions out",
    "structuredefinition-json-type": "the published one has no type code for Extension.id",
    "structuredefinition-rdf-type": "likewise",
    "structuredefinition-xml-type": "likewise",
}


def published() -> Iterator[dict[str, Any]]:
    for name in ("profiles-others", "extension-definitions"):
        with gzip.open(SHARED / "r4" / f"{name}.json.gz") as file:
            for entry in json.load(file)["entry"]:
                if "snapshot" in entry["resource"]:
                    yield entry["resource"]


def in_brief(elements: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        element["id"]: (
            element["min"],
            element["max"],
            sorted(str((kind.get("code"), kind.get("profile"))) for kind in element.get("type", ())),
            (element.get("binding") or {}).get("valueSet"),
            {key: value for key, value in element.items() if key.startswith(("fixed", "pattern"))},
        )
        for element in elements
    }


def test_generated_snapshots_are_those_published() -> None:
    profiles = ProfileSet.load()
    checked, different = 0, []
    for definition in published():
        checked += 1
        made = in_brief(profiles.snapshot(definition["url"])["snapshot"]["element"])
        if made != in_brief(definition["snapshot"]["element"]):
            different.append(definition["id"])
    assert checked == 444
    assert sorted(different) == sorted(OTHERWISE)


def test_official_examples_have_no_errors() -> None:
    profiles = ProfileSet.load()
    wrong = []
    with gzip.open(SHARED / "r4" / "examples.ndjson.gz") as lines:
        for line in lines:
            resource = parse(line)
            found = [i for i in profiles.check(resource) if i.severity in ("error", "fatal")]
            if found:
                wrong.append((resource["resourceType"], resource.get("id"), found[0].diagnostics))
    assert not wrong


@pytest.mark.parametrize(("name", "count"), [("us.core-3.1.1", 30), ("us.core-6.1.0", 59), ("uv.ips-1.1.0", 36)])
def test_the_profiles_of_published_packages_compile_with_and_without_their_snapshots(name: str, count: int) -> None:
    package = read_package((SHARED / "packages" / f"hl7.fhir.{name}.tgz").read_bytes())
    bare = [{k: v for k, v in r.items() if k != "snapshot"} for r in package.resources]
    for resources in (package.resources, bare):
        profiles = ProfileSet.load(resources)
        urls = [
            r["url"]
            for r in resources
            if r["resourceType"] == "StructureDefinition" and r.get("derivation") == "constraint"
        ]
        assert len(urls) == count
        failing = []
        for url in urls:
            try:
                profiles.rule(url)
            except SnapshotError:
                failing.append(url)
        # Its base is in a package that is not at hand.
        assert all(url.endswith("us-core-questionnaireresponse") for url in failing)


def test_a_patient_of_us_core() -> None:
    package = read_package((SHARED / "packages" / "hl7.fhir.us.core-3.1.1.tgz").read_bytes())
    profiles = ProfileSet.load(package.resources)
    url = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"
    good = {
        "resourceType": "Patient",
        "identifier": [{"system": "http://hospital.example.org", "value": "1"}],
        "name": [{"family": "Shaw", "given": ["Amy"]}],
        "gender": "female",
    }
    options = Options(best_practice="information")
    assert not [i for i in profiles.check(good, [url], options) if i.severity == "error"]
    found = [i for i in profiles.check({"resourceType": "Patient"}, [url], options) if i.severity == "error"]
    assert {i.expression[0] for i in found} >= {"Patient.identifier", "Patient.name", "Patient.gender"}
    birthsex = {
        "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex",
        "valueCode": "X",
    }
    wrong = profiles.check({**good, "extension": [birthsex]}, [url], options)
    assert [i.expression for i in wrong if i.severity == "error"] == [("Patient.extension[0].value",)]


@pytest.mark.parametrize(
    ("name", "count", "wrong"),
    [
        # A hash that is no base64, and a full URL that is not absolute.
        ("us.core-3.1.1", 84, {"DiagnosticReport-cardiology-report.json", "Bundle-uscore-mo3.json"}),
        ("us.core-6.1.0", 183, set()),
        ("uv.ips-1.1.0", 40, set()),
    ],
)
def test_the_examples_of_published_packages_satisfy_their_profiles(name: str, count: int, wrong: set[str]) -> None:
    path = SHARED / "packages" / f"hl7.fhir.{name}.tgz"
    profiles = ProfileSet.load(read_package(path.read_bytes()).resources)
    examples: dict[str, dict[str, Any]] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if "/example/" in member.name else None
            resource = parse(file.read()) if file is not None and member.name.endswith(".json") else {}
            if "resourceType" in resource and resource["resourceType"] != "ImplementationGuide":
                examples[Path(member.name).name] = resource
    by_reference = {f"{r['resourceType']}/{r.get('id')}": r for r in examples.values()}
    options = Options(resolve=by_reference.get)
    failing = {
        file
        for file, resource in examples.items()
        if any(i.severity == "error" for i in profiles.check(resource, (), options))
    }
    assert (len(examples), failing) == (count, wrong)
