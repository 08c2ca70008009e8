"""What the policy has to say to each client, and to local commands."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.errors import Unprocessable
from fhir_server.local import open_records
from fhir_server.validation import packages
from fhir_server.validation.policy import FILE, read_policy
from fhir_server.validation.profiles import Profiles
from profiles.conformance import ProfileSet
from profiles.packages import read_package
from tests.profiles.conformance.build import URL, element, profile
from tests.profiles.test_packages import package

PATIENT: dict[str, Any] = {"resourceType": "Patient", "meta": {"profile": [URL]}}


@pytest.fixture
def profiles(tmp_path: Path) -> Iterator[Profiles]:
    policy = {"clients": {"strict": "enforce", "old": "off", "lab": {"types": {"Patient": "enforce"}}}}
    (tmp_path / FILE).write_text(json.dumps(policy))
    context = open_records(tmp_path, "test")
    given = [profile("Patient", element("Patient.name", min=1))]
    found = Profiles(tmp_path, context.store, context.extractor, read_policy(tmp_path), lambda: given)
    yield found
    found.close()
    context.store.close()


def test_each_client_is_judged_by_its_own_rule(profiles: Profiles) -> None:
    assert [(i.severity, i.expression) for i in profiles.judge(PATIENT, "usual")] == [("warning", ("Patient.name",))]
    assert profiles.judge(PATIENT, "old") == []
    for client in ("strict", "lab"):
        with pytest.raises(Unprocessable) as refusal:
            profiles.judge(PATIENT, client)
        assert [i.expression for i in refusal.value.issues if i.severity == "error"] == [("Patient.name",)]


def test_local_commands_are_told_nothing_of_warnings(profiles: Profiles) -> None:
    assert profiles.judge(PATIENT, None) == []


def test_what_is_enforced_is_enforced_for_what_is_loaded(
    tmp_path: Path, yidang: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    policy = {"types": {"Observation": {"mode": "enforce", "profiles": ["http://hl7.org/fhir/StructureDefinition/bp"]}}}
    (data / FILE).write_text(json.dumps(policy))
    lines = [
        {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "x"}},
        {"resourceType": "Patient", "id": "p1"},
    ]
    file = tmp_path / "all.ndjson"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    assert yidang("load", "--data", data, "--quiet", file) == 1
    assert "Observation.category" in capsys.readouterr().err
    context = open_records(data, "test")
    try:
        assert context.store.read("Observation", "o1", context.access) is None
        assert context.store.read("Patient", "p1", context.access) is not None
    finally:
        context.store.close()


BROKEN = '{"default": "enforc"}'


def test_nothing_starts_where_the_policy_cannot_be_understood(
    tmp_path: Path, yidang: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FILE).write_text(BROKEN)
    (tmp_path / "one.ndjson").write_text(json.dumps({"resourceType": "Patient", "id": "p1"}))
    assert yidang("serve", "--data", tmp_path, "--open", "--port", "0") == 2
    assert "not 'enforc'" in capsys.readouterr().err
    assert yidang("load", "--data", tmp_path, "--quiet", tmp_path / "one.ndjson") != 0
    assert "not 'enforc'" in capsys.readouterr().err


def test_a_policy_that_is_broken_later_changes_nothing(
    profiles: Profiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = profiles.current()
    (tmp_path / FILE).write_text(BROKEN)
    made = counted(monkeypatch)
    assert asyncio.run(profiles.fresh()) is before
    assert asyncio.run(profiles.fresh()) is before
    assert made == []
    assert capsys.readouterr().err.count("not 'enforc'") == 1
    (tmp_path / FILE).write_text('{"default": "off"}')
    assert asyncio.run(profiles.fresh()).policy.rule("Patient", "strict").mode == "off"


def test_a_broken_package_at_the_start_leaves_the_policy_in_force(
    profiles: Profiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "guide.tgz"
    archive.write_bytes(package(("package/a.json", profile("Device", url="urn:a"))))
    packages.add(tmp_path, archive)
    (tmp_path / "packages" / "broken#1.0.0.tgz").write_bytes(b"nothing")
    made = counted(monkeypatch)
    for _ in range(3):
        with pytest.raises(Unprocessable):
            profiles.judge(PATIENT, "strict")
    assert len(made) == 1
    assert profiles.current().profiles.definition("urn:a") is not None


def test_a_package_is_read_once_while_its_file_stays_the_same(
    profiles: Profiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    monkeypatch.setattr(packages, "read_package", lambda content: read.append(content) or read_package(content))
    archive = tmp_path / "guide.tgz"
    archive.write_bytes(package(("package/a.json", profile("Device", url="urn:a"))))
    name = packages.add(tmp_path, archive)[0].id
    del read[:]
    for mode in ("warn", "enforce", "off"):
        (tmp_path / FILE).write_text(json.dumps({"default": mode}))
        assert asyncio.run(profiles.fresh()).profiles.definition("urn:a") is not None
    assert len(read) == 1
    packages.remove(tmp_path, name)
    assert asyncio.run(profiles.fresh()).profiles.definition("urn:a") is None


def test_what_was_in_force_is_let_go_of(profiles: Profiles, tmp_path: Path) -> None:
    before = profiles.current().profiles
    before.beyond_structure(PATIENT)
    codes = weakref.ref(before.bindings)
    assert before._rules and codes() is not None
    gc.disable()
    try:
        (tmp_path / FILE).write_text("{}")
        assert asyncio.run(profiles.fresh()).profiles is not before
        assert codes() is None
        assert not before._rules and not before._trees and not before._base._plans
        assert ("Patient.name",) in [i.expression for i in before.beyond_structure(PATIENT)]  # one under way
    finally:
        gc.enable()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A note of each ProfileSet that is made from now on."""
    made: list[object] = []
    load = ProfileSet.load.__func__  # type: ignore[attr-defined]

    def noted(cls: type[ProfileSet], *given: object) -> object:
        made.append(given)
        return load(cls, *given)

    monkeypatch.setattr(ProfileSet, "load", classmethod(noted))
    return made
