"""Parts of resources hold what was asked for, what is mandatory, and a tag that says that they are parts."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from fhir_server.errors import BadRequest
from fhir_server.http.summary import SUBSETTED, only_elements, subsetter, summarised, wanted_part
from profiles import lossless
from profiles.definitions import load

EXAMPLES = Path(__file__).parents[2] / ".." / "shared" / "fhir" / "r4" / "examples.ndjson.gz"

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"versionId": "1"},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    "extension": [{"url": "http://x.org", "valueString": "x"}],
    "modifierExtension": [{"url": "http://x.org/m", "valueString": "x"}],
    "active": False,
    "name": [{"family": "王", "_family": {"id": "f"}}],
    "contact": [{"name": {"family": "李"}}],
    "link": [{"other": {"reference": "Patient/q"}, "type": "seealso"}],
    "communication": [{"language": {"text": "中文"}}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    "status": "final",
    "code": {"text": "BP"},
    "valueQuantity": {"value": 1, "unit": "kg"},
    "note": [{"text": "n"}],
    "component": [{"code": {"text": "s"}, "valueInteger": 1, "interpretation": [{"text": "H"}]}],
}


def part(resource: dict[str, Any], **asked: str) -> dict[str, Any]:
    found = wanted_part(list(asked.items()), load())
    assert found is not None
    result: dict[str, Any] = lossless.parse(found(lossless.encode(resource)))
    return result


def test_summary_true_keeps_the_summary_elements() -> None:
    found = part(PATIENT, _summary="true")
    assert set(found) == {"resourceType", "id", "meta", "modifierExtension", "active", "name", "link"}
    assert found["active"] is False
    assert found["name"] == PATIENT["name"]
    assert found["link"] == PATIENT["link"]


def test_summary_true_looks_into_backbone_elements() -> None:
    found = part(OBSERVATION, _summary="true")
    assert found["component"] == [{"code": {"text": "s"}, "valueInteger": 1}]
    assert found["valueQuantity"] == OBSERVATION["valueQuantity"]
    assert "note" not in found


def test_summary_text_keeps_the_narrative_and_what_is_mandatory() -> None:
    assert set(part(OBSERVATION, _summary="text")) == {"resourceType", "id", "meta", "text", "status", "code"}


def test_summary_data_leaves_only_the_narrative_out() -> None:
    assert set(part(PATIENT, _summary="data")) == set(PATIENT) - {"text"}


def test_elements_keep_what_is_named_and_what_is_mandatory() -> None:
    assert set(part(OBSERVATION, _elements="component")) == {
        "resourceType",
        "id",
        "meta",
        "status",
        "code",
        "component",
    }


@pytest.mark.parametrize("name", ["value", "value[x]", "valueQuantity", "Observation.value", "note, value"])
def test_elements_name_choices_and_may_carry_the_type(name: str) -> None:
    assert "valueQuantity" in part(OBSERVATION, _elements=name)


def test_elements_of_another_type_take_nothing() -> None:
    assert "valueQuantity" not in part(OBSERVATION, _elements="Patient.value")


def test_parts_are_tagged_once() -> None:
    tagged = only_elements(PATIENT, frozenset({"name"}), load())
    assert tagged["meta"] == {"versionId": "1", "tag": [SUBSETTED]}
    assert only_elements(tagged, frozenset({"name"}), load())["meta"]["tag"] == [SUBSETTED]


def test_the_original_is_left_as_it_was() -> None:
    before = lossless.encode(PATIENT)
    summarised(PATIENT, "true", load())
    assert lossless.encode(PATIENT) == before


def test_whole_resources_need_no_subsetter() -> None:
    assert subsetter(None, (), load()) is None
    assert subsetter("false", (), load()) is None
    assert wanted_part([("_summary", "false")], load()) is None


@pytest.mark.parametrize("pairs", [[("_summary", "yes")], [("_summary", "true"), ("_elements", "name")]])
def test_nonsense_is_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(BadRequest):
        wanted_part(pairs, load())


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the folder shared/fhir is not beside the project")
def test_every_official_example_has_a_summary_with_its_mandatory_elements() -> None:
    for line in gzip.decompress(EXAMPLES.read_bytes()).splitlines():
        resource = lossless.parse(line)
        found = summarised(resource, "true", load())
        known = load().type(resource["resourceType"]).elements
        mandatory = {key for key in resource if key in known and known[key].min}
        assert mandatory <= set(found) <= {*resource, "meta"}
        assert found["meta"]["tag"][-1] == SUBSETTED
