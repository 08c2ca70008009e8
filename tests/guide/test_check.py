"""``yidang guide check``: files held against the guide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fhir_server.cli import main
from loaders.demo import bundles
from profiles.alliance import examples
from profiles.lossless import encode


def test_the_demonstration_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, bundle in bundles(2, create=True):
        (tmp_path / f"{name}.json").write_bytes(encode(bundle))
    assert main(["guide", "check", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "2 checked        0 wrong  urn:yidang:profile:patient" in out


def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = examples()["patient"]
    lines = [example.resource, example.fails[0].resource, example.fails[3].resource]
    file = tmp_path / "patients.ndjson"
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\nnot JSON\n")
    assert main(["guide", "check", str(file), "--most", "1"]) == 1
    told = capsys.readouterr()
    assert f"{file}:2: Patient/example-patient: Patient.identifier[0]: yd-idno-1" in told.out
    assert "… and 1 more errors" in told.out
    assert "3 checked        2 wrong  urn:yidang:profile:patient" in told.out
    assert f"{file}:4: " in told.err


def test_a_file_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guide", "check", str(tmp_path / "nowhere")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_what_has_no_profile_is_held_to_r4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps({"resourceType": "Basic"}))
    assert main(["guide", "check", str(file)]) == 1
    assert "Basic.code" in capsys.readouterr().out
