"""``yidang guide``: the definitions in the records, read and searched over FHIR; the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.cli import main
from profiles.alliance import examples, resources
from profiles.packages import read_package


@pytest.fixture(scope="module")
def installed(start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> httpx.Client:
    data = tmp_path_factory.mktemp("guide") / "data"
    assert main(["guide", "install", "--data", str(data)]) == 0
    client: httpx.Client = start_server("--open", data=data).client()
    return client


def test_every_definition_is_found_by_its_url(installed: httpx.Client) -> None:
    for one in resources():
        page = installed.get(one["resourceType"], params={"url": one["url"]}).json()
        assert page["total"] == 1, one["url"]
    assert installed.get("StructureDefinition", params={"type": "Task", "_summary": "count"}).json()["total"] == 11


def test_its_search_parameters_work(installed: httpx.Client) -> None:
    for name in ("patient", "diagnostic-report-laboratory", "imaging-study"):
        resource = examples()[name].resource
        put = installed.put(f"{resource['resourceType']}/{resource['id']}", content=json.dumps(resource))
        assert put.status_code == 201, put.text
    for search in (
        "Patient?ethnic-group=urn:oid:2.16.156.10011.2.3.3.3|01",
        "Patient?division=990101001",
        "DiagnosticReport?recognition-scope=province",
        "DiagnosticReport?recognition-item=http://loinc.org|58410-2",
        "ImagingStudy?image-quality=A",
    ):
        assert installed.get(search).json()["total"] == 1, search
    assert installed.get("DiagnosticReport?recognition-scope=national").json()["total"] == 0


def test_what_claims_a_profile_is_told_where_it_does_not_satisfy_it(installed: httpx.Client) -> None:
    failing = examples()["patient"].fails[0].resource
    answer = installed.post("Patient", content=json.dumps(failing), headers={"Prefer": "return=OperationOutcome"})
    assert "yd-idno-1" in answer.text


def test_installing_again_changes_nothing_and_a_changed_definition_is_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], start_server: Callable[..., Any]
) -> None:
    data = tmp_path / "data"
    main(["guide", "install", "--data", str(data)])
    main(["guide", "install", "--data", str(data)])
    assert f"0 of {len(resources())} definitions written" in capsys.readouterr().out
    server = start_server("--open", data=data)
    with server.client() as client:
        changed = client.get("ValueSet/yidang-value-set-role").json() | {"title": "x"}
        client.put("ValueSet/yidang-value-set-role", content=json.dumps(changed))
    server.stop()
    main(["guide", "install", "--data", str(data)])
    assert f"1 of {len(resources())} definitions written" in capsys.readouterr().out


def test_the_package_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a.tgz", "b.tgz"):
        assert main(["guide", "export", str(tmp_path / name)]) == 0
    content = (tmp_path / "a.tgz").read_bytes()
    assert content == (tmp_path / "b.tgz").read_bytes()
    assert len(read_package(content).resources) >= 100


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guide", "export", str(tmp_path / "nowhere" / "a.tgz")]) == 1
    assert capsys.readouterr().err.startswith("yidang guide: ")


def test_a_policy_holds_each_kind_to_its_profile(
    start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("guide") / "data"
    data.mkdir()
    policy = {"default": {"mode": "enforce", "guide": True}, "types": {"Patient": {"mode": "warn", "guide": True}}}
    (data / "validation.json").write_text(json.dumps(policy))
    with start_server("--open", data=data).client() as client:
        report = {k: v for k, v in examples()["diagnostic-report-imaging"].resource.items() if k != "meta"}
        assert client.post("DiagnosticReport", content=json.dumps(report)).status_code == 201
        del report["imagingStudy"]
        refused = client.post("DiagnosticReport", content=json.dumps(report))
        assert refused.status_code == 422
        assert refused.json()["issue"][0]["expression"] == ["DiagnosticReport.imagingStudy"]
        taken = client.post("Patient", content=json.dumps({"resourceType": "Patient"}))
        assert (taken.status_code, taken.headers["X-Validation-Issues"]) == (201, "3")
        assert client.post("Basic", content=json.dumps({"resourceType": "Basic", "code": {"text": "x"}})).is_success
