"""Packages are read whole, and hostile archives refused."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import Any

import pytest

from profiles import packages
from profiles.packages import PackageError, missing_dependencies, read_package

MANIFEST = {"name": "test.guide", "version": "1.0.0", "fhirVersions": ["4.0.1"]}
PROFILE = {"resourceType": "StructureDefinition", "url": "http://test.example/p"}


def archive(*members: tuple[str, Any], mode: str = "w:gz") -> bytes:
    """A tgz of (name, JSON value, bytes, or TarInfo)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for name, value in members:
            if isinstance(value, tarfile.TarInfo):
                tar.addfile(value)
                continue
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def package(*members: tuple[str, Any], **manifest: Any) -> bytes:
    return archive(("package/package.json", {**MANIFEST, **manifest}), *members)


def test_a_package_has_its_definitions_and_not_its_examples() -> None:
    found = read_package(
        package(
            ("package/StructureDefinition-p.json", PROFILE),
            ("package/Patient-1.json", {"resourceType": "Patient"}),
            ("package/.index.json", {"files": []}),
            ("package/example/StructureDefinition-e.json", PROFILE),
            ("package/other/README.md", b"text"),
        )
    )
    assert (found.id, found.resources) == ("test.guide#1.0.0", (PROFILE,))


def test_numbers_keep_their_digits_and_a_byte_order_mark_does_no_harm() -> None:
    text = b'\xef\xbb\xbf{"resourceType":"ValueSet","x":1.00}'
    found = read_package(package(("package/ValueSet-v.json", text)))
    assert str(found.resources[0]["x"]) == "1.00"


@pytest.mark.parametrize(
    "name", ["../evil.json", "package/../../evil.json", "/etc/evil.json", "package\\..\\evil.json", "C:/evil.json"]
)
def test_paths_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(PackageError, match="path"):
        read_package(package((name, {})))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(kind: bytes) -> None:
    info = tarfile.TarInfo("package/x.json")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(PackageError, match="link or a device"):
        read_package(package(("", info)))


def test_bombs_are_seen_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "MAX_CONTENT", 5_000_000)
    with pytest.raises(PackageError, match="unpacks to more than"):
        read_package(gzip.compress(bytes(50_000_000)))
    monkeypatch.setattr(packages, "MAX_FILES", 10)
    with pytest.raises(PackageError, match="more than 10 files"):
        read_package(package(*((f"package/{n}.json", {}) for n in range(20))))


# Named, as compressed bytes tell the time: each process that collects the tests would call them otherwise.
@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", gzip.compress(b"no tar"), archive()[:40], bytes(2000)],
    ids=["empty", "words", "compressed words", "cut short", "zeros"],
)
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    with pytest.raises(PackageError):
        read_package(content)


@pytest.mark.parametrize(
    "manifest",
    [
        {"name": "../x"},
        {"name": 1},
        {"version": "1/../../2"},
        {"version": None},
        {"fhirVersions": ["5.0.0"]},
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(manifest: dict[str, Any]) -> None:
    with pytest.raises(PackageError):
        read_package(package(**manifest))


def test_a_package_without_manifest_or_with_broken_json_is_refused() -> None:
    with pytest.raises(PackageError, match=r"no package/package\.json"):
        read_package(archive(("package/x.json", PROFILE)))
    with pytest.raises(PackageError, match="no JSON"):
        read_package(package(("package/x.json", b"{")))


def test_dependencies_that_are_not_there_are_named() -> None:
    needs = {"hl7.fhir.r4.core": "4.0.1", "a": "1.0.x", "b": "2.0.0", "c": "1.0.0"}
    found = read_package(package(dependencies=needs))
    assert missing_dependencies(found, ["a#1.0.7", "b#1.0.0", "c#1.0.0"]) == ["b#2.0.0"]
