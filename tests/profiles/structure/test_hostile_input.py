"""The check never raises, and its quick half never passes what the exact half refuses."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles.definitions import load
from profiles.lossless import parse
from profiles.structure import Validator
from profiles.structure.walk import Walk
from tests.profiles.structure.samples import ALL, sample

WALK = Walk(load())
KEYS = [
    "id",
    "_id",
    "extension",
    "url",
    "valueString",
    "reference",
    "contained",
    "resourceType",
    "value",
    "_given",
    "é",
]
TEXTS = ["", " ", "#", "#o1", "Patient/1", "Device/1", "male", "1990-02-30", "1990-02-28", "a\x00", "urn:oid:1", "zh"]
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?", fullmatch=True).map(
        lambda text: parse(text.encode())
    ),
    st.text(max_size=5),
    st.sampled_from(TEXTS),
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below the value."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in items:
        found.append((value, key))
        found += places(member)
    return found


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A sample with one to three of its members replaced, removed, doubled, renamed or swapped."""
    resource = sample(draw(st.sampled_from(sorted(ALL))))
    for _ in range(draw(st.integers(1, 3))):
        spots = places(resource)
        if not spots:
            break
        at, key = draw(st.sampled_from(spots))
        action = draw(st.sampled_from(["replace", "remove", "list", "add", "copy"]))
        if action == "replace":
            at[key] = draw(values)
        elif action == "remove":
            del at[key]
        elif action == "list":
            at[key] = [at[key]]
        elif action == "copy":
            other, name = draw(st.sampled_from(spots))
            at[key] = other[name] if not isinstance(other[name], (dict, list)) else draw(leaves)
        elif isinstance(at, dict):
            at[draw(st.sampled_from(KEYS) | st.sampled_from(sorted(at)).map(lambda k: "_" + k))] = draw(values)
        else:
            at.append(draw(values))
    return resource


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(resource=mutated())
def test_quick_and_exact_check_agree_on_damaged_resources(validator: Validator, resource: Any) -> None:
    assert bool(validator.check(resource)) == bool(WALK.issues(resource))


@settings(max_examples=200, deadline=None)
@given(value=values)
def test_any_json_value_is_answered_without_an_error(validator: Validator, value: Any) -> None:
    assert validator.check(value)


@settings(max_examples=200, deadline=None)
@given(members=st.dictionaries(st.sampled_from(sorted(load().type("Observation").elements)), values))
def test_random_members_of_an_observation_get_one_verdict(validator: Validator, members: dict[str, Any]) -> None:
    resource = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **members}
    assert bool(validator.check(resource)) == bool(WALK.issues(resource))


def nested_extension(depth: int) -> dict[str, Any]:
    extension: dict[str, Any] = {"url": "http://example.org/a", "valueString": "x"}
    for _ in range(depth):
        extension = {"url": "http://example.org/a", "extension": [extension]}
    return {"resourceType": "Basic", "code": {"text": "x"}, "extension": [extension]}


@pytest.mark.parametrize("depth", [10, 90, 300, 900])
def test_deep_nesting_is_answered_on_any_thread(validator: Validator, depth: int) -> None:
    resource = nested_extension(depth)
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(bool(validator.check(resource))))
    thread.start()
    thread.join()
    assert answers == [depth > 100]


def test_bundles_in_bundles_are_answered(validator: Validator) -> None:
    resource = sample("PATIENT")
    for _ in range(300):
        resource = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}]}
    assert [issue.code for issue in validator.check(resource)] == ["structure"]


def test_numbers_beyond_measure_are_refused_quickly(validator: Validator) -> None:
    observation = sample("OBSERVATION")
    for number in (10**100_000, -(10**400), Decimal("1e100000"), float("inf")):
        observation["valueQuantity"]["value"] = number
        assert len(validator.check(observation)) == 1


def test_threads_do_not_mix_their_contained_references(validator: Validator) -> None:
    right, wrong = sample("PATIENT"), sample("PATIENT")
    wrong["managingOrganization"]["reference"] = "#gone"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: len(validator.check(wrong if n % 2 else right)), range(400)))
    assert answers == [n % 2 for n in range(400)]
