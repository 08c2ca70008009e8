"""The JSON Schemas of the quick check: finite, strict, and passing what is common."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema_rs
import pytest

from profiles.definitions import load
from profiles.structure.schema import FRAGMENT_KEYWORD, NARRATIVE_KEYWORD, resource_schema
from tests.profiles.structure.samples import ALL, sample


class AnyFragment:
    """Passes every fragment, and nothing else."""

    def __init__(self, *_: object) -> None:
        pass

    def validate(self, value: object) -> None:
        if not str(value).startswith("#"):
            raise ValueError


class AnyText:
    """Passes every narrative."""

    def __init__(self, *_: object) -> None:
        pass

    def validate(self, value: object) -> None:
        pass


@cache
def compiled(resource_type: str) -> Any:
    schema = resource_schema(load(), resource_type)
    keywords: dict[str, Any] = {FRAGMENT_KEYWORD: AnyFragment, NARRATIVE_KEYWORD: AnyText}
    return jsonschema_rs.Draft4Validator(schema, keywords=keywords)


def depth(name: str, definitions: dict[str, Any], above: tuple[str, ...] = ()) -> int:
    """The longest way from a definition to one without links; fails on a circle."""
    assert name not in above, " -> ".join((*above, name))
    below = {link.removeprefix("#/definitions/") for link in links(definitions[name])}
    return 1 + max((depth(link, definitions, (*above, name)) for link in below), default=0)


def links(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [value["$ref"]] if "$ref" in value else [link for v in value.values() for link in links(v)]
    return [link for v in value for link in links(v)] if isinstance(value, list) else []


@pytest.mark.parametrize("resource_type", ["Patient", "Questionnaire", "GraphDefinition", "Parameters"])
def test_no_definition_leads_back_to_itself(resource_type: str) -> None:
    definitions = resource_schema(load(), resource_type)["definitions"]
    assert max(depth(name, definitions) for name in definitions) < 30


def test_every_resource_type_has_a_schema_that_compiles() -> None:
    for resource_type in sorted(load().resource_types)[::8]:
        assert not compiled(resource_type).is_valid({})


@pytest.mark.parametrize("name", [name for name in ALL if name != "PATIENT"])
def test_samples_without_padded_arrays_pass_at_once(name: str) -> None:
    resource = sample(name)
    assert compiled(resource["resourceType"]).is_valid(resource)


def test_nine_of_ten_official_examples_pass_at_once(official_examples: list[dict[str, Any]]) -> None:
    common = [r for r in official_examples if r["resourceType"] in ("Observation", "Patient", "Encounter", "Condition")]
    numbers_in_literal_form = {"decimal"}
    tried = [r for r in common if r.get("id") not in numbers_in_literal_form]
    assert sum(compiled(r["resourceType"]).is_valid(r) for r in tried) >= 0.9 * len(tried)
