"""Whatever is posted to the base is understood or refused: never a fault, and a refused transaction leaves nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent import Access
from fhir_server.app import open_context
from fhir_server.errors import FhirError
from fhir_server.http.exchange import Request
from fhir_server.interactions.bundle import submit
from fhir_server.settings import Settings

Post = Callable[[Any], tuple[int, dict[str, Any]]]

URLS = ["Patient", "Patient/1", "Patient/1/_history/1", "Patient/1/$meta", "Patient?identifier=a|b", "Patient?", "?"]
WORDS = [*URLS, "_history", "$meta", "Patient/_search", "urn:uuid:1", "POST", "*", 'W/"1"', "male", "2020-01-01"]
KEYS = ["resourceType", "id", "reference", "url", "text", "div", "name", "meta", "identifier", "extension", "contained"]
leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(WORDS)
value = st.recursive(
    leaf,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)
methods = st.sampled_from(["POST", "PUT", "GET", "DELETE", "PATCH"]) | leaf
request = value | st.fixed_dictionaries(
    {"method": methods, "url": st.sampled_from(WORDS) | leaf},
    optional={name: leaf for name in ("ifMatch", "ifNoneMatch", "ifNoneExist", "ifModifiedSince")},
)
typed = st.builds(
    lambda found, kind: {**(found if isinstance(found, dict) else {}), "resourceType": kind},
    value,
    st.sampled_from(["Patient", "Binary", "Parameters", "Bundle", "Foo"]),
)
entry = value | st.fixed_dictionaries({}, optional={"request": request, "resource": typed | value, "fullUrl": leaf})


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """Post a Bundle to a server's interactions without HTTP; faults are raised."""
    with asyncio.Runner() as runner:

        async def start() -> Any:
            return open_context(Settings(data=tmp_path_factory.mktemp("hostile")), Access.everything("test"))

        context = runner.run(start())

        def run(bundle: Any) -> tuple[int, dict[str, Any]]:
            asked = Request("POST", (), [], {}, json.dumps(bundle).encode(), "http://h/fhir", "c")
            try:
                answer = runner.run(submit(asked, context))
            except FhirError as error:
                return error.status, {}
            return answer.status, json.loads(answer.body)

        yield run
        context.store.close()


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(kind=st.sampled_from(["batch", "transaction"]), entries=st.lists(entry, max_size=4))
def test_random_bundles_are_answered_or_refused(post: Post, kind: str, entries: list[Any]) -> None:
    status, answer = post({"resourceType": "Bundle", "type": kind, "entry": entries})
    assert status == 200 or 400 <= status < 500 or status == 501
    if status == 200:
        statuses = [item["response"]["status"] for item in answer.get("entry", [])]
        assert len(statuses) == len(entries)
        assert not [found for found in statuses if found.startswith("500")]


@pytest.mark.parametrize("depth", [10, 100, 300])
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_deep_nesting_is_no_fault(post: Post, kind: str, depth: int) -> None:
    extension: dict[str, Any] = {"url": "http://example.org/e", "valueString": "a"}
    for _ in range(depth):
        extension = {"url": "http://example.org/e", "extension": [extension]}
    patient = {"resourceType": "Patient", "extension": [extension]}
    made = {"resource": patient, "request": {"method": "POST", "url": "Patient"}}
    status, answer = post({"resourceType": "Bundle", "type": kind, "entry": [made]})
    if kind == "batch":
        status = int(answer["entry"][0]["response"]["status"][:3])
    assert status == 201 if depth <= 10 and kind == "batch" else status in (200, 201, 400, 422)


def test_links_cannot_be_made_to_run_in_circles(post: Post) -> None:
    urls = ["urn:uuid:1", "urn:uuid:1#x", "urn:uuid:1/_history/1/_history/2", "#", "?", "urn:uuid:1?x=y"]
    patient = {
        "resourceType": "Patient",
        "link": [{"other": {"reference": url}, "type": "seealso"} for url in urls[:3]],
    }
    made = {"fullUrl": "urn:uuid:1", "resource": patient, "request": {"method": "POST", "url": "Patient"}}
    assert post({"resourceType": "Bundle", "type": "transaction", "entry": [made]})[0] in (200, 400, 422)
