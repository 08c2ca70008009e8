"""``yidang package``: add, list, remove."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.profiles.test_packages import PROFILE, package

Yidang = Callable[..., int]


@pytest.fixture
def guide(tmp_path: Path) -> Path:
    path = tmp_path / "guide.tgz"
    path.write_bytes(package(("package/a.json", PROFILE), title="指南", dependencies={"other.guide": "2.0.0"}))
    return path


def test_a_package_is_added_listed_and_removed(
    yidang: Yidang, tmp_path: Path, guide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    assert yidang("package", "add", guide, "--data", data) == 0
    told = capsys.readouterr()
    assert "test.guide#1.0.0 is added: 1 StructureDefinition" in told.out
    assert "depends on other.guide#2.0.0, which is not here" in told.err
    assert yidang("package", "list", "--data", data) == 0
    assert capsys.readouterr().out == "test.guide#1.0.0\t1 definitions\t指南\tmissing: other.guide#2.0.0\n"
    assert yidang("package", "remove", "test.guide", "--data", data) == 0
    assert capsys.readouterr().out == "test.guide#1.0.0 is removed\n"
    assert yidang("package", "remove", "test.guide", "--data", data) == 1


def test_a_hostile_or_absent_file_is_refused(
    yidang: Yidang, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = tmp_path / "hostile.tgz"
    hostile.write_bytes(package(("../evil.json", {})))
    assert yidang("package", "add", hostile, "--data", tmp_path / "data") == 1
    assert "path '../evil.json'" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
    assert yidang("package", "add", tmp_path / "none.tgz", "--data", tmp_path / "data") == 1
