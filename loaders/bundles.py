"""Files and folders of FHIR JSON as a sequence of units to load: Bundles, or groups of single resources.

https://hl7.org/fhir/R4/bundle.html, https://hl7.org/fhir/R4/nd-json.html
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from loaders import ndjson
from profiles import lossless

SUFFIXES = (".json", ".json.gz", ".ndjson", ".ndjson.gz")
GROUP = 500

# Words in the names of files that others refer to: those are read first (as Synthea names them).
_FIRST = ("hospital", "organization", "location", "practitioner")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that was not loaded: the file, where in it (line or entry, 0 for the whole), and why."""

    path: Path
    position: int
    reason: str


@dataclass(slots=True)
class Unit:
    """What is committed at once: a Bundle, or a group of resources from NDJSON or a single-resource file.

    ``position`` numbers the units of a file from 0; ``whole`` says that the file is this one unit.
    ``refusals`` are lines that could not be read; ``lines`` are the line numbers of ``resources``;
    ``progress`` is how many bytes of the file were read when this unit was complete.
    """

    path: Path
    position: int
    progress: int
    bundle: dict[str, Any] | None = None
    resources: list[dict[str, Any]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    whole: bool = False


def is_foundation(path: Path) -> bool:
    """Whether the file's name says that others refer to what is in it (``0-…``, hospitals, practitioners)."""
    return _rank(path.name.lower()) <= len(_FIRST)


def _rank(name: str) -> int:
    if name.startswith("0-"):
        return 0
    return next((rank for rank, word in enumerate(_FIRST, 1) if word in name), len(_FIRST) + 1)


def _order(path: Path) -> tuple[int, str]:
    name = path.name.lower()
    return _rank(name), name


def files(paths: Iterable[Path]) -> tuple[list[Path], list[Refusal]]:
    """The files to read, in order, and the paths that lead nowhere.

    A folder gives its files (and those of its sub-folders) whose names end in one of ``SUFFIXES``:
    ``0-…`` first, then hospitals and practitioners, which others refer to, then the rest by name.
    A file named outright is taken whatever its name.
    """
    found: list[Path] = []
    missing: list[Refusal] = []
    for path in paths:
        if path.is_dir():
            inside = [p for p in path.rglob("*") if p.is_file() and p.name.lower().endswith(SUFFIXES)]
            if not inside:
                missing.append(Refusal(path, 0, f"no file in this folder ends in {', '.join(SUFFIXES)}"))
            found.extend(sorted(inside, key=_order))
        elif path.is_file():
            found.append(path)
        else:
            missing.append(Refusal(path, 0, "no such file or folder"))
    return list(dict.fromkeys(found)), missing


def content_hash(path: Path) -> str:
    """SHA-256 of the file as it is on disk, in hex: its identity in the load journal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(path: Path, raw: BinaryIO) -> BinaryIO:
    # By content, not by name: a wrong suffix should not cost a file.
    magic = raw.read(2)
    raw.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb")) if magic == b"\x1f\x8b" else raw


def _is_ndjson(path: Path) -> bool:
    return ".ndjson" in path.name.lower() or path.name.lower().endswith(".jsonl")


def _resource(text: bytes) -> dict[str, Any]:
    value = lossless.parse(text)
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        raise lossless.ParseError("not a FHIR resource: no resourceType")
    return value


def _groups(path: Path, raw: BinaryIO, file: BinaryIO, size: int) -> Iterator[Unit]:
    unit = Unit(path, 0, 0)
    for number, text in ndjson.lines(file):
        try:
            unit.resources.append(_resource(text))
            unit.lines.append(number)
        except lossless.ParseError as error:
            unit.refusals.append(Refusal(path, number, str(error)))
        if len(unit.resources) + len(unit.refusals) >= size:
            unit.progress = raw.tell()
            yield unit
            unit = Unit(path, unit.position + 1, 0)
    if unit.resources or unit.refusals:
        unit.progress = raw.tell()
        yield unit


def _whole(path: Path, raw: BinaryIO, file: BinaryIO) -> Iterator[Unit]:
    resource = _resource(file.read())
    unit = Unit(path, 0, raw.tell(), whole=True)
    if resource["resourceType"] != "Bundle":
        unit.resources.append(resource)
        unit.lines.append(1)
    elif resource.get("type") in ("transaction", "batch"):
        unit.bundle = resource
    else:
        entries = resource.get("entry")
        for n, entry in enumerate(entries if isinstance(entries, list) else [], 1):
            inner = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(inner, dict) and isinstance(inner.get("resourceType"), str):
                unit.resources.append(inner)
                unit.lines.append(n)
            else:
                unit.refusals.append(Refusal(path, n, "entry holds no resource"))
    yield unit


def units(path: Path, group: int = GROUP) -> Iterator[Unit | Refusal]:
    """The units of one file, in order; a Refusal where the file cannot be read (further).

    A transaction or batch Bundle is one unit; NDJSON is cut into groups of ``group`` lines; any other
    Bundle, or a single resource, is one group. Nothing is raised for bad content.
    """
    try:
        with path.open("rb") as raw:
            file = _open(path, raw)
            yield from _groups(path, raw, file, group) if _is_ndjson(path) else _whole(path, raw, file)
    except (OSError, EOFError, zlib.error, lossless.ParseError) as error:
        yield Refusal(path, 0, str(error) or type(error).__name__)
