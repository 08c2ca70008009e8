"""``yidang terminology``: what is loaded is served at once, versions side by side, and can be removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_server.terminology import ServedTerminology
from tests.commands.conftest import Yidang
from tests.conftest import Running
from tests.profiles.test_packages import package

CLINICAL, INSURANCE = "urn:oid:2.16.156.10011.2.3.3.11.3", "urn:yidang:icd-10-insurance"
MAP = "urn:yidang:ConceptMap:icd-10-clinical-to-insurance"


def lists(folder: Path) -> tuple[Path, Path, Path]:
    clinical, insurance, between = folder / "clinical.csv", folder / "insurance.csv", folder / "between.csv"
    rows = "".join(f"Q{n:03d}.x00x{n:03d},先天性疾病{n}\n" for n in range(500))
    clinical.write_bytes(f"主要编码,疾病名称\nI10.x00x002,高血压病\n{rows}".encode("gb18030"))
    insurance.write_text("诊断代码,诊断名称\nI10.900,原发性高血压\n")
    between.write_text("临床版编码,医保版编码,对应关系\nI10.x00x002,I10.900,wider\n")
    return clinical, insurance, between


def test_loaded_lists_are_served_while_the_server_runs(
    yidang: Yidang, start_server: Callable[..., Running], tmp_path: Path
) -> None:
    server = start_server("--open")
    clinical, insurance, between = lists(tmp_path)
    with server.client() as client:
        asked = {"system": CLINICAL, "code": "I10.x00x002"}
        assert client.get("CodeSystem/$lookup", params=asked).status_code == 404
        load = ("terminology", "load", "--quiet", "--data", server.data)
        assert yidang(*load, "--mapping", "icd-10-clinical", clinical) == 0
        assert yidang(*load, "--mapping", "icd-10-insurance", insurance) == 0
        assert yidang(*load, "--mapping", "icd-10-clinical-to-insurance", between) == 0
        told = client.get("CodeSystem/$lookup", params=asked).json()["parameter"]
        assert {"name": "display", "valueString": "高血压病"} in told
        found = client.get("ValueSet/$expand", params={"url": f"{CLINICAL}?fhir_vs", "filter": "xtx 12", "count": 5})
        assert found.json()["expansion"]["contains"][0]["display"] == "先天性疾病12"
        other = client.get("ConceptMap/$translate", params={"url": MAP, **asked}).json()["parameter"]
        assert other[1]["part"][1]["valueCoding"]["code"] == "I10.900"
        back = {"url": MAP, "system": INSURANCE, "code": "I10.900", "reverse": "true"}
        match = client.get("ConceptMap/$translate", params=back).json()["parameter"][1]["part"]
        assert match[0]["valueCode"] == "narrower" and match[1]["valueCoding"]["code"] == "I10.x00x002"
        condition = {
            "resourceType": "Condition",
            "subject": {"reference": "Patient/t1"},
            "code": {"coding": [{"system": CLINICAL, "code": "Q007.x00x007"}]},
        }
        assert client.put("Patient/t1", json={"resourceType": "Patient", "id": "t1"}).status_code == 201
        assert client.post("Condition", json=condition).status_code == 201
        inside = client.get("Condition", params={"code:in": f"{CLINICAL}?fhir_vs", "_total": "accurate"})
        assert inside.json()["total"] == 1


def test_versions_stand_side_by_side_until_they_are_removed(
    yidang: Yidang, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    clinical, _, _ = lists(tmp_path)
    data = tmp_path / "data"
    load = ("terminology", "load", "--quiet", "--data", data, "--mapping", "icd-10-clinical")
    assert yidang(*load, clinical) == 0
    assert yidang(*load, "--version", "3.0", clinical) == 0
    assert yidang(*load, "--version", "3.0", clinical) == 0  # again: in its own place
    capsys.readouterr()
    assert yidang("terminology", "list", "--data", data) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"CodeSystem\t{CLINICAL}\t2.0\t501",
        f"CodeSystem\t{CLINICAL}\t3.0\t501",
    ]
    assert yidang("terminology", "remove", "--data", data, CLINICAL, "2.0") == 0
    assert yidang("terminology", "remove", "--data", data, CLINICAL, "2.0") == 1
    capsys.readouterr()
    yidang("terminology", "list", "--data", data)
    assert capsys.readouterr().out.splitlines() == [f"CodeSystem\t{CLINICAL}\t3.0\t501"]


def test_a_bad_file_changes_nothing_and_says_where(
    yidang: Yidang, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data, bad = tmp_path / "data", tmp_path / "bad.csv"
    clinical, _, _ = lists(tmp_path)
    load = ("terminology", "load", "--quiet", "--data", data, "--mapping", "icd-10-clinical")
    assert yidang(*load, clinical) == 0
    bad.write_text("主要编码,疾病名称\nA,甲\nA,乙\n")
    capsys.readouterr()
    assert yidang(*load, bad) == 1
    assert "line 3" in capsys.readouterr().err
    bad.write_text("主要编码,疾病名称\n")
    assert yidang(*load, bad) == 1
    assert "no rows" in capsys.readouterr().err
    yidang("terminology", "list", "--data", data)
    assert capsys.readouterr().out.splitlines() == [f"CodeSystem\t{CLINICAL}\t2.0\t501"]
    assert yidang("terminology", "load", "--data", data, "--mapping", "nothing", bad) == 2


def test_the_codes_of_packages_are_known(yidang: Yidang, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_server.validation.packaged_codes._LOOK_SECONDS", 0)
    data, guide = tmp_path / "data", tmp_path / "guide.tgz"
    data.mkdir()
    served = ServedTerminology(None, data)
    assert served().valueset("urn:p:vs") is None
    system = {"resourceType": "CodeSystem", "url": "urn:p", "status": "active", "content": "complete"}
    compose = {"include": [{"system": "urn:p"}]}
    valueset = {"resourceType": "ValueSet", "url": "urn:p:vs", "status": "active", "compose": compose}
    guide.write_bytes(package(("package/a.json", {**system, "concept": [{"code": "a"}]}), ("package/b.json", valueset)))
    assert yidang("package", "add", guide, "--data", data) == 0
    known = served()
    assert known.valueset("urn:p:vs") is not None and known.versions("urn:p")[0].find("a") is not None
    assert served() is known
    assert yidang("package", "remove", "test.guide", "--data", data) == 0
    assert served().valueset("urn:p:vs") is None
