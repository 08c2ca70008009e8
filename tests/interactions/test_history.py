"""Histories over HTTP: what happened, newest first, page by page."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.conftest import Running


@pytest.fixture(scope="module")
def own(start_server: Callable[..., Running]) -> Iterator[httpx.Client]:
    """A server of this module alone, so that type and system histories are known."""
    with start_server("--open").client() as client:
        yield client


def put(client: httpx.Client, id: str, **more: Any) -> dict[str, Any]:
    answer = client.put(f"Patient/{id}", json={"resourceType": "Patient", "id": id, **more})
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


def link(bundle: dict[str, Any], relation: str) -> str | None:
    return next((one["url"] for one in bundle["link"] if one["relation"] == relation), None)


def walk(client: httpx.Client, url: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    following: str | None = url
    while following:
        bundle = client.get(following).json()
        entries += bundle.get("entry", [])
        following = link(bundle, "next")
    return entries


def test_an_instance_history_tells_every_version(client: httpx.Client) -> None:
    id = f"h-{uuid.uuid4()}"
    put(client, id, gender="male")
    put(client, id, gender="female")
    client.delete(f"Patient/{id}")
    answer = client.get(f"Patient/{id}/_history")
    bundle = answer.json()
    assert (bundle["type"], bundle["total"]) == ("history", 3)
    deleted, second, first = bundle["entry"]
    assert "resource" not in deleted
    assert deleted["request"] == {"method": "DELETE", "url": f"Patient/{id}"}
    assert deleted["response"]["etag"] == 'W/"3"'
    assert deleted["response"]["status"].startswith("204")
    assert second["resource"]["gender"] == "female"
    assert second["response"]["status"].startswith("200")
    assert first["request"] == {"method": "PUT", "url": f"Patient/{id}"}
    assert first["response"]["status"].startswith("201")
    assert first["response"]["lastModified"] == first["resource"]["meta"]["lastUpdated"] or first["response"]
    assert all(entry["fullUrl"].endswith(f"/fhir/Patient/{id}") for entry in bundle["entry"])


def test_a_created_resource_is_told_as_a_post_to_its_type(client: httpx.Client) -> None:
    id = client.post("Patient", json={"resourceType": "Patient"}).json()["id"]
    entry = client.get(f"Patient/{id}/_history").json()["entry"][0]
    assert entry["request"] == {"method": "POST", "url": "Patient"}


def test_the_history_of_nothing_is_not_found(client: httpx.Client) -> None:
    assert client.get(f"Patient/{uuid.uuid4()}/_history").status_code == 404


def test_type_and_system_histories_hold_their_types(own: httpx.Client) -> None:
    put(own, "s1")
    own.put("Basic/b1", json={"resourceType": "Basic", "id": "b1", "code": {"text": "x"}})
    of_type = walk(own, "Basic/_history")
    assert [entry["fullUrl"].rpartition("/fhir/")[2] for entry in of_type] == ["Basic/b1"]
    names = [entry["fullUrl"].rpartition("/fhir/")[2] for entry in walk(own, "_history")]
    assert names[0] == "Basic/b1"
    assert "Patient/s1" in names


def test_pages_give_each_version_once_while_others_write(own: httpx.Client) -> None:
    ids = [f"page-{n}" for n in range(7)]
    for id in ids:
        put(own, id)
    first = own.get("Patient/_history?_count=3").json()
    expected = own.get("Patient/_history?_count=1000").json()["entry"]
    seen = first["entry"]
    following = link(first, "next")
    while following:
        put(own, "page-late", gender="male")
        bundle = own.get(following).json()
        assert bundle["total"] == first["total"]
        seen += bundle["entry"]
        following = link(bundle, "next")
    assert [(e["fullUrl"], e["response"]["etag"]) for e in seen] == [
        (e["fullUrl"], e["response"]["etag"]) for e in expected
    ]
    assert link(first, "self") is not None


def test_since_leaves_older_versions_out(own: httpx.Client) -> None:
    put(own, "since-1")
    time.sleep(0.01)
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    time.sleep(0.01)
    put(own, "since-2")
    bundle = own.get("Patient/_history", params={"_since": moment}).json()
    assert [entry["fullUrl"].rpartition("/")[2] for entry in bundle["entry"]] == ["since-2"]


def test_at_gives_the_versions_current_then(own: httpx.Client) -> None:
    put(own, "at-1", gender="male")
    time.sleep(0.01)
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    time.sleep(0.01)
    put(own, "at-1", gender="female")
    bundle = own.get("Patient/at-1/_history", params={"_at": moment}).json()
    assert [entry["resource"]["gender"] for entry in bundle["entry"]] == ["male"]


def test_a_count_of_none_gives_the_total_only(own: httpx.Client) -> None:
    put(own, "count-1")
    for query in ("_count=0", "_summary=count"):
        bundle = own.get(f"Patient/_history?{query}").json()
        assert bundle["total"] >= 1
        assert "entry" not in bundle


@pytest.mark.parametrize(
    "query", ["_since=yesterday", "_count=-1", "_count=x", "_page=nonsense", "foo=1", "_since=2020&_at=2020", "_at=x"]
)
def test_nonsense_is_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"Patient/_history?{query}")
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"
