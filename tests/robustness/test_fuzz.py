"""Official examples, damaged at random: refused with the place, or kept so that they can be read in every form.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.robustness.api import Api, Resource
from tests.robustness.hostile import Target, refused, refused_or_good

SEED = int(os.environ.get("YIDANG_TEST_SEED") or random.randrange(10**6))
MOST = 20_000  # bytes of an example that is worth its time here
Path = tuple[str | int, ...]
QUIET = settings(
    deadline=None,
    max_examples=int(os.environ.get("YIDANG_TEST_EXAMPLES", "120")),
    suppress_health_check=list(HealthCheck),
    derandomize=False,
    database=None,
)


@pytest.fixture(scope="module")
def small(examples: list[bytes]) -> list[bytes]:
    return [text for text in examples if len(text) < MOST]


def places(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every element inside with its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key), inner
        yield from places(inner, (*path, key))


def replaced(resource: Resource, path: Path, value: Any) -> Resource:
    """A copy with another value at ``path``."""
    changed = copy.deepcopy(resource)
    holder: Any = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return changed


#: Values of another JSON type than what stood there: never right, whatever the element is.
ANOTHER_TYPE: dict[type, tuple[Any, ...]] = {
    str: ({}, [], {"a": 1}, True, [[]], [None], [{}]),
    bool: ("true", 0, {}, [True]),
    int: ("1", {}, [1], True),
    float: ("1.5", {}, [1.5], False),
    dict: ("x", 5, [], {}, None, True),
    list: ("x", 5, {}, [], None, [5], [[]], [True]),
}


def test_a_value_of_another_type_is_refused_and_its_place_named(target: Target, small: list[bytes]) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    with target.unharmed():
        for _ in range(300):
            example = json.loads(chance.choice(small))
            path, value = chance.choice(list(places(example)))
            if path[0] in ("id", "resourceType") or value is None or _open(example, path):
                continue
            wrong = chance.choice(ANOTHER_TYPE[type(value)])
            changed = replaced(example, path, wrong)
            answer = target.api.post(example["resourceType"], changed)
            issues = refused(answer, 400, 422)
            named = " ".join(str(issue.get("expression")) for issue in issues)
            names = [str(part).lstrip("_") for part in path if isinstance(part, str)]
            assert any(name in named or _choice(name) in named for name in names), (path, wrong, issues)


def _open(example: Resource, path: Path) -> bool:
    """Whether ``path`` ends in an array that may hold null (beside the extensions of primitives)."""
    return isinstance(path[-1], int) and any(isinstance(part, str) and part.startswith("_") for part in path)


def _choice(name: str) -> str:
    """``value`` of ``valueQuantity``: FHIRPath names a choice without its type."""
    return name[: next((place for place, c in enumerate(name) if c.isupper()), len(name))]


def test_an_element_that_is_not_there_in_fhir_is_refused(target: Target, small: list[bytes]) -> None:
    chance = random.Random(SEED + 1)
    with target.unharmed():
        for _ in range(100):
            example = json.loads(chance.choice(small))
            holders = [path for path, value in places(example) if isinstance(value, dict)]
            path = chance.choice([(), *holders])
            changed = replaced(example, (*path, "unheardOf"), chance.choice(["x", 5, {}, [], None, True]))
            issues = refused(target.api.post(example["resourceType"], changed), 400, 422)
            assert "unheardOf" in str(issues)


def test_a_body_cut_anywhere_is_refused(target: Target, small: list[bytes]) -> None:
    chance = random.Random(SEED + 2)
    with target.unharmed():
        for _ in range(200):
            text = chance.choice(small)
            type_ = json.loads(text)["resourceType"]
            issues = refused(target.api.post(type_, text[: chance.randrange(len(text))]), 400)
            assert issues[0]["code"] in ("structure", "required")


def written_twice(api: Api, type_: str, body: bytes) -> None:
    """Refused properly; or else written, read in each form, found, and removed again."""
    answer = api.post(type_, body)
    if not refused_or_good(answer):
        return
    path = f"{type_}/{answer.json['id']}"
    for accept in ("application/fhir+json", "application/fhir+xml"):
        assert api.get(path, Accept=accept).status == 200
    assert api.get(f"{type_}?_id={answer.json['id']}&_summary=true").status == 200
    assert api.get(f"{path}/_history").status == 200
    again = json.loads(body)
    kept = api.get(path, Accept="application/fhir+json").json
    for resource in (again, kept):
        resource.pop("meta", None)
        resource.pop("id", None)
    assert kept == again
    assert api.delete(path).status == 204


def damaged_bytes(draw: Callable[..., Any], text: bytes) -> bytes:
    body = bytearray(text)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(body) - 1))
        kind = draw(st.sampled_from(["flip", "drop", "double", "insert"]))
        if kind == "flip":
            body[place] = draw(st.integers(0, 255))
        elif kind == "drop":
            del body[place : place + draw(st.integers(1, 20))]
        elif kind == "double":
            body[place:place] = body[place : place + draw(st.integers(1, 40))]
        else:
            body[place:place] = draw(
                st.sampled_from([b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\0", b"\xff", b"null", b"1e9"])
            )
        if not body:
            return b""
    return bytes(body)


@QUIET
@given(data=st.data())
def test_bytes_changed_at_random_never_fail_the_server(target: Target, small: list[bytes], data: st.DataObject) -> None:
    text = small[data.draw(st.integers(0, len(small) - 1))]
    written_twice(target.api, json.loads(text)["resourceType"], damaged_bytes(data.draw, text))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@QUIET
@given(data=st.data())
def test_any_json_in_any_place_never_fails_the_server(target: Target, small: list[bytes], data: st.DataObject) -> None:
    example = json.loads(small[data.draw(st.integers(0, len(small) - 1))])
    spots = list(places(example))
    path = spots[data.draw(st.integers(0, len(spots) - 1))][0]
    changed = replaced(example, path, data.draw(JSON_VALUES))
    written_twice(target.api, example["resourceType"], json.dumps(changed).encode())


@QUIET
@given(data=st.data())
def test_texts_of_any_characters_never_fail_the_server(target: Target, small: list[bytes], data: st.DataObject) -> None:
    example = json.loads(small[data.draw(st.integers(0, len(small) - 1))])
    spots = [path for path, value in places(example) if isinstance(value, str) and path[0] != "resourceType"]
    path = spots[data.draw(st.integers(0, len(spots) - 1))]
    changed = replaced(example, path, data.draw(st.text(min_size=1, max_size=20)))
    written_twice(
        target.api, example["resourceType"], json.dumps(changed, ensure_ascii=False).encode("utf-8", "surrogatepass")
    )


@QUIET
@given(data=st.data())
def test_xml_changed_at_random_never_fails_the_server(target: Target, small: list[bytes], data: st.DataObject) -> None:
    from profiles.lossless import parse
    from profiles.xml_format import to_xml

    text = small[data.draw(st.integers(0, len(small) - 1))]
    body = damaged_bytes(data.draw, to_xml(parse(text)))
    answer = target.api.post(json.loads(text)["resourceType"], body, **{"Content-Type": "application/fhir+xml"})
    if refused_or_good(answer):
        path = f"{answer.json['resourceType']}/{answer.json['id']}"
        assert target.api.get(path, Accept="application/fhir+xml").status == 200
        assert target.api.delete(path).status == 204
