"""JSON Patch changes a copy of the resource, loses no digit, and says which operation failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_server.errors import BadRequest, Unprocessable
from fhir_server.interactions.patch.json_patch import apply, same
from profiles.lossless import encode, parse

SUITE = Path(__file__).parents[3] / ".." / "shared" / "fhir" / "patch" / "json-patch-tests.json"
CASES = json.loads(SUITE.read_text()) if SUITE.exists() else []


@pytest.mark.skipif(not CASES, reason="the official JSON Patch suite is not here")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["comment"])
def test_case_of_the_official_suite(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(Unprocessable):
            apply(case["doc"], case["patch"])
    else:
        assert apply(case["doc"], case["patch"]) == case["expected"]


def patient() -> dict[str, Any]:
    return {"resourceType": "Patient", "active": True, "telecom": [{"value": "1"}, {"value": "2"}]}


def test_the_resource_given_is_not_changed_nor_shared() -> None:
    before, added = patient(), {"family": "王"}
    after = apply(before, [{"op": "add", "path": "/name", "value": [added]}, {"op": "remove", "path": "/telecom/0"}])
    after["name"][0]["family"] = "李"
    assert before == patient() and added == {"family": "王"}
    assert after["telecom"] == [{"value": "2"}]


def test_digits_of_numbers_and_order_of_keys_are_kept() -> None:
    before = parse(b'{"resourceType":"Observation","valueQuantity":{"value":1.00,"unit":"g"},"status":"final"}')
    patch = parse(b'[{"op":"test","path":"/valueQuantity/value","value":1},{"op":"copy","from":"/valueQuantity",'
                  b'"path":"/x"},{"op":"replace","path":"/valueQuantity/value","value":2.50}]')  # fmt: skip
    assert encode(apply(before, patch)) == (
        b'{"resourceType":"Observation","valueQuantity":{"value":2.50,"unit":"g"},"status":"final",'
        b'"x":{"value":1.00,"unit":"g"}}'
    )


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("1.0", "1", True), ("true", "1", False), ("1", '"1"', False), ("null", "null", True), ("null", "false", False),
     ('{"a":1,"b":[1.50]}', '{"b":[1.5],"a":1}', True), ("[1,2]", "[2,1]", False), ("{}", "[]", False)],
)  # fmt: skip
def test_values_are_equal_as_json_values(one: str, other: str, expected: bool) -> None:
    assert same(parse(one.encode()), parse(other.encode())) is expected


def test_a_list_emptied_by_removals_is_dropped() -> None:
    remove = {"op": "remove", "path": "/telecom/0"}
    assert "telecom" not in apply(patient(), [remove, remove])


def test_a_list_emptied_and_filled_again_stays() -> None:
    remove = {"op": "remove", "path": "/telecom/0"}
    add = {"op": "add", "path": "/telecom/-", "value": {"value": "3"}}
    assert apply(patient(), [remove, remove, add])["telecom"] == [{"value": "3"}]


def test_an_object_whose_only_member_is_removed_is_dropped_with_its_list() -> None:
    resource = {"resourceType": "Patient", "name": [{"text": "a"}]}
    assert apply(resource, [{"op": "remove", "path": "/name/0/text"}]) == {"resourceType": "Patient"}


def test_moving_a_value_to_where_it_stands_changes_nothing() -> None:
    assert apply(patient(), [{"op": "move", "from": "/telecom/1", "path": "/telecom/1"}]) == patient()


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/gender"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/telecom/2", "value": {}},
        {"op": "replace", "path": "/telecom/-", "value": {}},
        {"op": "add", "path": "/telecom/3", "value": {}},
        {"op": "add", "path": "/telecom/01", "value": {}},
        {"op": "add", "path": "/telecom/x", "value": {}},
        {"op": "add", "path": "/active/x", "value": 1},
        {"op": "move", "from": "/telecom", "path": "/telecom/0/x"},
        {"op": "copy", "from": "/nothing", "path": "/x"},
        {"op": "test", "path": "/active", "value": 1},
        {"op": "replace", "path": "", "value": []},
    ],
    ids=str,
)
def test_an_operation_that_does_not_fit_is_refused_and_named(operation: dict[str, Any]) -> None:
    test = {"op": "test", "path": "/active", "value": True}
    with pytest.raises(Unprocessable) as refusal:
        apply(patient(), [test, operation])
    assert refusal.value.issues[0].expression in (("patch[1]",), ("patch",))


@pytest.mark.parametrize(
    "document",
    [
        {},
        "x",
        [1],
        [{}],
        [{"op": "spoil", "path": "/x"}],
        [{"op": ["add"], "path": "/x"}],
        [{"op": "add", "path": "/x"}],
        [{"op": "add", "value": 1}],
        [{"op": "remove", "path": "x"}],
        [{"op": "remove", "path": "/a~2"}],
        [{"op": "remove", "path": 1}],
        [{"op": "move", "path": "/a"}],
        [{"op": "move", "from": 1, "path": "/a"}],
    ],
    ids=str,
)
def test_a_document_that_is_no_json_patch_is_refused(document: Any) -> None:
    with pytest.raises(BadRequest):
        apply(patient(), document)


def test_copies_that_double_the_resource_again_and_again_are_stopped() -> None:
    bomb = [{"op": "copy", "from": "", "path": f"/{n}"} for n in range(60)]
    with pytest.raises(Unprocessable):
        apply(patient(), bomb)
    nest = [{"op": "add", "path": "/a" * n, "value": {}} for n in range(1, 400)]
    with pytest.raises(Unprocessable):
        apply(patient(), nest)
