"""FHIR NPM packages (.tgz): read without writing anything to disk, and refuse what is hostile.

https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from profiles.lossless import ParseError, parse

MAX_ARCHIVE = 200 * 1024 * 1024
"""Largest archive that is read, in bytes."""
MAX_CONTENT = 1024 * 1024 * 1024
"""Most bytes that all files of an archive may unpack to."""
MAX_FILE = 64 * 1024 * 1024
MAX_FILES = 50_000
CONFORMANCE = frozenset({"StructureDefinition", "ValueSet", "CodeSystem"})
"""The resources of a package that take part in validation."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._\-]{0,100}", re.IGNORECASE)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_\-]{0,60}")
_CORE = re.compile(r"hl7\.fhir\.r4\.(?:core|examples|expansions)")
_FHIR_4_0 = re.compile(r"4\.0(?:\.\d+)?")


class PackageError(ValueError):
    """Why an archive is no package that can be used; the text says which part."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package: its ``package.json`` in brief, and its conformance resources."""

    name: str
    version: str
    title: str
    canonical: str
    dependencies: tuple[tuple[str, str], ...]
    resources: tuple[dict[str, Any], ...]

    @property
    def id(self) -> str:
        """``name#version``"""
        return f"{self.name}#{self.version}"


def read_package(content: bytes) -> Package:
    """The package in a tgz archive. Raises PackageError."""
    if len(content) > MAX_ARCHIVE:
        raise PackageError(f"the archive has more than {MAX_ARCHIVE:,} bytes")
    manifest: dict[str, Any] | None = None
    resources: list[dict[str, Any]] = []
    for name, body in _files(content):
        value = _json(name, body)
        if name == "package.json":
            manifest = value
        elif value.get("resourceType") in CONFORMANCE:
            resources.append(value)
    if manifest is None:
        raise PackageError("the archive has no package/package.json")
    return _package(manifest, resources)


def missing_dependencies(package: Package, present: Iterable[str]) -> list[str]:
    """The packages (``name#version``) that this one needs and that are not among ``present``.

    A patch version ``x`` (``1.0.x``) is satisfied by any; the R4 definitions themselves are always there.
    """
    there = set(present)
    return [
        f"{name}#{version}"
        for name, version in package.dependencies
        if not _CORE.fullmatch(name) and not any(_satisfies(one, name, version) for one in there)
    ]


def _satisfies(present: str, name: str, version: str) -> bool:
    other, _, found = present.partition("#")
    if other != name:
        return False
    if version in ("*", "latest", "current", "dev", ""):
        return True
    wanted, have = version.split("."), found.split(".")
    if "x" in wanted:
        place = wanted.index("x")
        return wanted[:place] == have[:place]
    return wanted == have


def _files(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The JSON files directly in ``package/``: name and content."""
    try:
        raw = _unpacked(content)
        with tarfile.open(fileobj=BytesIO(raw), mode="r:") as archive:
            for count, member in enumerate(archive):
                if count >= MAX_FILES:
                    raise PackageError(f"the archive has more than {MAX_FILES:,} files")
                name = _checked_name(member)
                if name is None:
                    continue
                if member.size > MAX_FILE:
                    raise PackageError(f"{member.name[:80]} has more than {MAX_FILE:,} bytes")
                file = archive.extractfile(member)
                if file is not None:
                    yield name, file.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise PackageError(f"the file is no tgz archive: {error}") from None


def _unpacked(content: bytes) -> bytes:
    """The tar in a gzip file, unpacked piece by piece so that a bomb is seen before it fills the memory."""
    out = bytearray()
    rest = content
    while rest:
        unpacker = zlib.decompressobj(wbits=31)
        while rest and not unpacker.eof:
            out += unpacker.decompress(rest, 1 << 20)
            rest = unpacker.unconsumed_tail
            if len(out) > MAX_CONTENT:
                raise PackageError(f"the archive unpacks to more than {MAX_CONTENT:,} bytes")
            if not rest and not unpacker.eof:
                out += unpacker.flush()
                break
        if not unpacker.eof:
            raise EOFError("it ends too early")
        rest = unpacker.unused_data.lstrip(b"\0")
    return bytes(out)


def _checked_name(member: tarfile.TarInfo) -> str | None:
    """The name below ``package/``; None for what is not read. Raises PackageError for tricks."""
    parts = member.name.replace("\\", "/").split("/")
    if member.name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in member.name:
        raise PackageError(f"the archive has a file with the path '{member.name[:80]}'")
    if member.issym() or member.islnk() or member.isdev():
        raise PackageError(f"the archive holds a link or a device: '{member.name[:80]}'")
    parts = [part for part in parts if part not in ("", ".")]
    if not member.isfile() or len(parts) != 2 or parts[0] != "package":
        return None
    name = parts[1]
    return name if name.endswith(".json") and not name.startswith(".") else None


def _json(name: str, body: bytes) -> dict[str, Any]:
    try:
        value = parse(body.removeprefix(b"\xef\xbb\xbf"))
    except ParseError as error:
        raise PackageError(f"{name} is no JSON: {error}") from None
    return value if isinstance(value, dict) else {}


def _package(manifest: dict[str, Any], resources: list[dict[str, Any]]) -> Package:
    name, version = manifest.get("name"), manifest.get("version")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PackageError("package.json has no usable name")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise PackageError("package.json has no usable version")
    versions = manifest.get("fhirVersions") or manifest.get("fhir-version-list")
    if isinstance(versions, list) and versions and not any(_FHIR_4_0.fullmatch(str(v)) for v in versions):
        raise PackageError(f"{name}#{version} is for FHIR {', '.join(map(str, versions))}, not for R4 (4.0)")
    needed = manifest.get("dependencies")
    dependencies = [(str(n), str(v)) for n, v in needed.items()] if isinstance(needed, dict) else []
    return Package(
        name,
        version,
        str(manifest.get("title") or manifest.get("description") or ""),
        str(manifest.get("canonical") or ""),
        tuple(dependencies),
        tuple(resources),
    )
