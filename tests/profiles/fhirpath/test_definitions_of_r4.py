"""Every expression that R4 itself holds compiles, and its invariants hold on its own examples."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from profiles.definitions import load
from profiles.fhirpath import compile
from profiles.lossless import parse

EXAMPLES = Path(__file__).parents[3] / ".." / "shared" / "fhir" / "r4" / "examples.ndjson.gz"


def test_every_search_expression_compiles() -> None:
    texts = {parameter.expression for parameter in load().search_parameters if parameter.expression}
    texts |= {text for parameter in load().search_parameters for _, text in parameter.components if text}
    assert len(texts) > 1_000
    for text in texts:
        compile(text)


def test_every_invariant_compiles() -> None:
    invariants = {i for name in load().type_names for i in load().invariants(name)}
    assert len(invariants) > 230
    for invariant in invariants:
        compile(invariant.expression)


def _places(resource: dict[str, Any], path: str) -> list[Any]:
    """The elements of the resource that an invariant at ``path`` speaks of."""
    _, dot, rest = path.partition(".")
    return list(compile(rest.replace("[x]", "")).locate(resource)) if dot else [resource]


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the official examples are not here")
def test_no_official_example_breaks_an_invariant() -> None:
    checked = 0
    for line in gzip.decompress(EXAMPLES.read_bytes()).splitlines():
        if len(line) > 100_000:
            continue
        resource = parse(line)
        for invariant in load().invariants(resource["resourceType"]):
            for place in _places(resource, invariant.path):
                checked += 1
                verdict = compile(invariant.expression).holds(place)
                # A warning may be deserved: four examples have names with spaces.
                assert verdict is not False or invariant.severity == "warning", (resource.get("id"), invariant.key)
    assert checked > 3_000
