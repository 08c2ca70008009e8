"""Which packages may import which: pure cores never import the server, and none imports one that stands on it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "terminology": {"fhir_server", "profiles", "consent", "loaders"},
    "profiles": {"fhir_server", "consent", "loaders"},
    "consent": {"fhir_server", "loaders"},
    "loaders": {"fhir_server"},
}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_a_package_imports_only_what_is_beneath_it(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    wrong = {str(path.relative_to(ROOT)): used for path in files if (used := FORBIDDEN[package] & set(imported(path)))}
    assert not wrong
