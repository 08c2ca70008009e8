"""``yidang quality``: all files of an institution judged, as its own quality office sees them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_server.cli import main
from fhir_server.store.protocol import Stored
from profiles.lossless import parse
from profiles.quality import measure

CLINIC = "village-1-1"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("quality") / "data"
    assert main(["demo", "--data", str(data), "--residents", "12", "--quiet"]) == 0
    return data


def test_the_report_counts_the_files_that_the_institution_keeps(
    built: Path, yidang: Callable[..., int], versions: Callable[[Path], list[Stored]], tmp_path: Path, capsys: Any
) -> None:
    found = [one for one in versions(built) if one.type == "Patient" and one.body]
    ((keeper, _),) = Counter(one.custodian for one in found).most_common(1)
    patients = {one.id: parse(one.body) for one in found if one.custodian == keeper and one.body}
    adults = {id for id, one in patients.items() if one["birthDate"] < "2008"}
    out = tmp_path / "report.json"
    assert (
        yidang(
            "quality",
            "report",
            keeper.removeprefix("Organization/"),
            "--data",
            built,
            "--out",
            out,
            "--save",
            "--quiet",
        )
        == 0
    )
    report = json.loads(out.read_text("utf-8"))
    rules = {group["code"]["coding"][0]["code"]: group["population"] for group in report["group"]}
    assert adults and rules["name-missing"][0]["count"] == len(adults), "minors' files need an approval of their own"
    assert rules["name-missing"][1]["count"] == len(adults)
    listed = {entry["item"]["reference"] for entry in report["contained"][0]["entry"]}
    assert {f"Patient/{id}" for id in adults} <= listed
    printed = capsys.readouterr().out
    assert "平均" in printed and "files to mend" in printed
    saved = [parse(one.body) for one in versions(built) if one.type == "MeasureReport" and one.body]
    assert [one["group"] for one in saved] == [parse(out.read_bytes())["group"]]
    assert all("contained" not in one for one in saved), "what is kept names nobody"


def test_the_demonstration_has_the_measure(built: Path, yidang: Callable[..., int], capsys: Any) -> None:
    assert yidang("quality", "install", "--data", built) == 0
    assert "there already" in capsys.readouterr().out
    assert measure()["id"] == "record-quality"


@pytest.mark.parametrize(("arguments", "status"), [(("nowhere",), 1), ((CLINIC, "--worst", -1), 2), (("--quiet",), 2)])
def test_what_cannot_be_done_is_said(
    built: Path, yidang: Callable[..., int], capsys: Any, arguments: tuple[object, ...], status: int
) -> None:
    assert yidang("quality", "report", *arguments, "--data", built) == status
    assert capsys.readouterr().err


def test_a_folder_without_records_is_refused(tmp_path: Path, yidang: Callable[..., int], capsys: Any) -> None:
    assert yidang("quality", "report", CLINIC, "--data", tmp_path / "none") == 1
    assert "there are no records" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
