"""JSON Merge Patch does what RFC 7396 says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fhir_server.errors import BadRequest
from fhir_server.interactions.patch.merge_patch import apply

# The examples of RFC 7396, appendix A, as members "x" (its patches of whole documents do not apply to resources).
EXAMPLES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("before", "patch", "after"), EXAMPLES)
def test_the_examples_of_the_standard_hold(before: Any, patch: Any, after: Any) -> None:
    assert apply({"x": before}, {"x": patch}) == {"x": after}


def test_the_resource_is_left_as_it_was_and_numbers_as_written() -> None:
    resource = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1.00"), "unit": "kg"}}
    patched = apply(resource, {"valueQuantity": {"unit": None}})
    assert patched["valueQuantity"] == {"value": Decimal("1.00")}
    assert resource["valueQuantity"] == {"value": Decimal("1.00"), "unit": "kg"}


@pytest.mark.parametrize("patch", [[], "x", 1, None])
def test_only_objects_are_merge_patches(patch: Any) -> None:
    with pytest.raises(BadRequest):
        apply({"resourceType": "Patient"}, patch)
