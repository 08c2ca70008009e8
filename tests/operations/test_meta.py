"""$meta, $meta-add and $meta-delete over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

SYSTEM = "http://example.org/tags"


def tag(code: str) -> dict[str, str]:
    return {"system": SYSTEM, "code": code}


def parameters(**meta: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}


def meta(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["parameter"][0]["valueMeta"]
    return found


@pytest.fixture
def basic(client: httpx.Client) -> str:
    resource = {"resourceType": "Basic", "code": {"text": "x"}, "meta": {"tag": [tag("old")]}}
    return f"Basic/{client.post('Basic', json=resource).json()['id']}"


def test_the_meta_of_a_resource_is_given_with_its_version(client: httpx.Client, basic: str) -> None:
    found = client.get(f"{basic}/$meta")
    assert meta(found)["tag"] == [tag("old")]
    assert meta(found)["versionId"] == "1"
    assert found.headers["etag"] == 'W/"1"'


def test_adding_keeps_what_is_there_and_adds_each_once(client: httpx.Client, basic: str) -> None:
    code = f"new-{uuid.uuid4()}"
    body = parameters(tag=[tag("old"), tag(code)], profile=["http://example.org/p"], security=[tag("R")])
    found = meta(client.post(f"{basic}/$meta-add", json=body))
    assert found["tag"] == [tag("old"), tag(code)]
    assert found["profile"] == ["http://example.org/p"]
    assert client.get(basic).json()["meta"] == found
    assert client.get(f"Basic?_tag={SYSTEM}|{code}&_total=accurate").json()["total"] == 1


def test_deleting_takes_off_by_system_and_code(client: httpx.Client, basic: str) -> None:
    body = parameters(tag=[{**tag("old"), "display": "whatever"}, tag("never there")])
    assert "tag" not in meta(client.post(f"{basic}/$meta-delete", json=body))
    assert "tag" not in client.get(basic).json()["meta"]


def test_a_change_is_a_new_version_and_no_change_is_none(client: httpx.Client, basic: str) -> None:
    assert meta(client.post(f"{basic}/$meta-add", json=parameters(tag=[tag("old")])))["versionId"] == "1"
    assert meta(client.post(f"{basic}/$meta-add", json=parameters(tag=[tag("b")])))["versionId"] == "2"
    assert client.get(f"{basic}/_history/1").json()["meta"]["tag"] == [tag("old")]


def test_a_type_and_the_system_tell_all_that_is_in_use(client: httpx.Client, basic: str) -> None:
    codes = [f"c-{uuid.uuid4()}" for _ in range(3)]
    for code in codes:
        client.post("Basic", json={"resourceType": "Basic", "code": {"text": "x"}, "meta": {"tag": [tag(code)]}})
    for url in ("Basic/$meta", "$meta"):
        assert {item["code"] for item in meta(client.get(url))["tag"]} >= {*codes, "old"}
    assert "versionId" not in meta(client.get("Basic/$meta"))


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Parameters"},
        {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueString": "x"}]},
        {"resourceType": "Patient"},
        parameters(tag="x"),
    ],
)
def test_a_body_without_a_meta_is_refused(client: httpx.Client, basic: str, body: dict[str, Any]) -> None:
    assert client.post(f"{basic}/$meta-add", json=body).status_code == 400


def test_invalid_labels_are_refused_and_nothing_changes(client: httpx.Client, basic: str) -> None:
    assert client.post(f"{basic}/$meta-add", json=parameters(tag=[{"code": 7}])).status_code == 422
    assert client.get(basic).headers["etag"] == 'W/"1"'


def test_unknown_and_deleted_resources(client: httpx.Client, basic: str) -> None:
    client.delete(basic)
    assert client.get(f"{basic}/$meta").status_code == 410
    assert client.get("Basic/there-is-none/$meta").status_code == 404
    assert client.get(f"{basic}/$meta-add").status_code == 405


def test_the_meta_of_a_version_is_told(client: httpx.Client) -> None:
    id = f"meta-{uuid.uuid4()}"
    for code in ("one", "two"):
        body = {"resourceType": "Basic", "id": id, "code": {"text": "x"}, "meta": {"tag": [tag(code)]}}
        client.put(f"Basic/{id}", json=body)
    client.delete(f"Basic/{id}")
    for version, code in ((1, "one"), (2, "two")):
        answer = client.get(f"Basic/{id}/_history/{version}/$meta")
        assert meta(answer)["tag"] == [tag(code)]
        assert answer.headers["etag"] == f'W/"{version}"'
    assert client.get(f"Basic/{id}/_history/3/$meta").status_code == 410
    assert client.get(f"Basic/{id}/_history/9/$meta").status_code == 404


def test_changing_the_meta_of_a_version_is_not_offered(client: httpx.Client, basic: str) -> None:
    answer = client.post(f"{basic}/_history/1/$meta-add", json=parameters(tag=[tag("new")]))
    assert answer.status_code == 501
    assert "versions" in answer.json()["issue"][0]["diagnostics"]
    assert client.get(f"{basic}/_history/1/$nothing").status_code == 404
