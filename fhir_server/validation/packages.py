"""The packages of a data folder: each one file ``packages/name#version.tgz``, as it was added.

https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from profiles.packages import MAX_ARCHIVE, Package, PackageError, missing_dependencies, read_package

FOLDER = "packages"
Stamp = tuple[str, int, int]
"""A package's file: its name, when it was changed (ns) and its size."""
_FILE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._\-]*)#([A-Za-z0-9][A-Za-z0-9.+_\-]*)\.tgz")
_DIGITS = re.compile(r"(\d+)")


def files(folder: Path) -> list[Path]:
    """The package files in the data folder, older versions before newer ones."""
    found = [path for path in (folder / FOLDER).glob("*.tgz") if _FILE.fullmatch(path.name)]
    return sorted(found, key=_order)


def _order(path: Path) -> tuple[str, list[int]]:
    name, _, version = path.stem.partition("#")
    return name, [int(part) if part.isdigit() else 0 for part in _DIGITS.split(version)]


def ids(folder: Path) -> list[str]:
    """The packages in the data folder as ``name#version``."""
    return [path.stem for path in files(folder)]


class Packages:
    """The packages of a data folder, each read once as long as its file stays the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Stamp, Package] = {}

    def all(self, sound: bool = False) -> list[Package]:
        """The packages now; with ``sound`` those that can be read. Raises PackageError for a file that is none."""
        now = dict(zip(stamp(self._folder), files(self._folder), strict=False))
        self._read = {mark: package for mark, package in self._read.items() if mark in now}
        for mark, path in now.items():
            if mark not in self._read:
                try:
                    self._read[mark] = read_package(path.read_bytes())
                except (PackageError, OSError) as error:
                    if not sound:
                        raise PackageError(f"{path.name}: {error}") from None
        return [self._read[mark] for mark in now if mark in self._read]


def add(folder: Path, archive: Path) -> tuple[Package, list[str]]:
    """Put an archive among the packages; the package, and what it depends on that is not there.

    Raises PackageError for an archive that is no package, or hostile; OSError.
    """
    if archive.stat().st_size > MAX_ARCHIVE:
        raise PackageError(f"the archive has more than {MAX_ARCHIVE:,} bytes")
    content = archive.read_bytes()
    package = read_package(content)
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    part = place / f".{package.id}.part"
    part.write_bytes(content)
    os.replace(part, place / f"{package.id}.tgz")
    return package, missing_dependencies(package, ids(folder))


def remove(folder: Path, name: str) -> list[str]:
    """Take a package (``name#version``, or all versions of ``name``) away; what was taken away."""
    taken = [path for path in files(folder) if name in (path.stem, path.stem.partition("#")[0])]
    for path in taken:
        path.unlink()
    return [path.stem for path in taken]


def stamp(folder: Path) -> tuple[Stamp, ...]:
    """What changes when the packages change."""
    return tuple((path.name, status.st_mtime_ns, status.st_size) for path in files(folder) if (status := path.stat()))
