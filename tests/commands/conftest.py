"""Records made by the command line, and what is in them."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from consent import Access
from fhir_server.cli import main
from fhir_server.local import existing_store
from fhir_server.store.protocol import Stored
from loaders.demo import bundles
from profiles import lossless

Yidang = Callable[..., int]


@pytest.fixture
def yidang() -> Yidang:
    """Run a command in this process: ``yidang("load", "--data", folder, file)``; gives the exit status."""

    def run(*arguments: object) -> int:
        try:
            return main([str(argument) for argument in arguments])
        except SystemExit as left:  # argparse, on wrong usage
            return int(left.code or 0)

    return run


def versions(data: Path) -> list[Stored]:
    """Every version in the records, in the order of their commits."""
    store = existing_store(data, "test")
    assert store is not None
    try:
        return list(store.feed(0, 10**9, Access.everything("test")))
    finally:
        store.close()


def counted(data: Path) -> Counter[str]:
    """How many resources of each type there are; fails if one has more than one version."""
    found = versions(data)
    assert all(version.version == 1 for version in found)
    return Counter(version.type for version in found)


@pytest.fixture(name="counted")
def counted_fixture() -> Callable[[Path], Counter[str]]:
    """The function ``counted``."""
    return counted


@pytest.fixture(name="versions")
def versions_fixture() -> Callable[[Path], list[Stored]]:
    """The function ``versions``."""
    return versions


def write_bundles(folder: Path, found: Sequence[tuple[str, dict[str, Any]]]) -> Counter[str]:
    """Write (name, Bundle) as files, every second one gzipped; the resources in them by type."""
    folder.mkdir(parents=True, exist_ok=True)
    expected: Counter[str] = Counter()
    for n, (name, bundle) in enumerate(found):
        text = lossless.encode(bundle)
        (folder / f"{name}.json{'.gz' if n % 2 else ''}").write_bytes(gzip.compress(text) if n % 2 else text)
        expected.update(entry["resource"]["resourceType"] for entry in bundle["entry"])
    return expected


@pytest.fixture
def county(tmp_path: Path) -> tuple[Path, Counter[str]]:
    """A folder with a county of 12 residents as an EMR sends it, and the resources in it by type."""
    folder = tmp_path / "county"
    return folder, write_bundles(folder, list(bundles(12, create=True)))
