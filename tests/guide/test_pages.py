"""The pages of the guide at /guide: for anybody, complete, without script."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from profiles.alliance import guide
from profiles.alliance.tables import name_of
from profiles.packages import read_package


@pytest.fixture(scope="module")
def web(server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.root, timeout=30) as found:
        yield found


class _Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.tags: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.links += [str(found[name]) for name in ("href", "src") if name in found]
        self.ids |= {str(found["id"])} if "id" in found else set()
        self.inline += [name for name in found if name.startswith("on") or name == "style"]


def test_every_link_from_the_index_leads_to_a_page_and_no_page_has_script(web: httpx.Client) -> None:
    waiting, seen = ["/guide"], dict[str, _Links]()
    anchors: list[tuple[str, str]] = []
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        answer = web.get(path)
        assert answer.status_code == 200, path
        if not answer.headers["content-type"].startswith("text/html"):
            seen[path] = _Links("")
            continue
        page = seen[path] = _Links(answer.text)
        assert "script" not in page.tags
        assert page.inline == []
        assert "script-src" not in answer.headers["content-security-policy"]
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        for link in page.links:
            target, _, anchor = link.partition("#")
            assert not target or target.startswith("/guide")
            waiting.append(target or path)
            if anchor:
                anchors.append((target or path, anchor))
    assert all(anchor in seen[path].ids for path, anchor in anchors)
    pages = {f"/guide/profile/{name_of(one)}" for one in guide().profiles}
    pages |= {f"/guide/extension/{name_of(one)}" for one in guide().extensions}
    pages |= {f"/guide/value-set/{name_of(one)}" for one in guide().value_sets}
    pages |= {f"/guide/code-system/{name_of(one)}" for one in guide().code_systems}
    assert pages <= seen.keys()


def test_a_profile_page_shows_elements_rules_national_names_and_examples(web: httpx.Client) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", web.get("/guide/profile/patient").text))
    for words in (
        "urn:yidang:profile:patient",
        "identifier:identityNumber 0..1 居民身份证号 Identity number (GB 11643) yd-idno-1 Identifier",
        "DE02.01.030.00 患者身份证件号码",
        "WS/T 483.1 个人基本健康信息登记",
        "identity-type (required)",
        "身份证号校验码错误",
    ):
        assert words in text


def test_what_is_inherited_is_shown_at_the_kinds(web: httpx.Client) -> None:
    text = web.get("/guide/profile/consent-sharing").text
    assert "yd-con-permit" in text
    assert "yd-con-3" in text


def test_definitions_come_with_their_snapshot(web: httpx.Client) -> None:
    answer = web.get("/guide/profile/organization.json")
    assert answer.headers["content-type"].startswith("application/fhir+json")
    found = answer.json()
    assert found["url"] == "urn:yidang:profile:organization"
    assert len(found["snapshot"]["element"]) > len(found["differential"]["element"])


def test_the_package_is_one_that_servers_load(web: httpx.Client) -> None:
    package = read_package(web.get("/guide/package.tgz").content)
    assert package.id == "yidang.alliance#0.1.0"
    assert {one["url"] for one in package.resources} >= {one["url"] for one in guide().profiles}


def test_a_page_that_is_known_is_not_sent_again(web: httpx.Client) -> None:
    first = web.get("/guide/mapping")
    again = web.get("/guide/mapping", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert web.head("/guide/mapping").headers["content-length"] == first.headers["content-length"]


@pytest.mark.parametrize(
    "path", ["/guide/nope", "/guide/profile/nope", "/guide/profile/../../etc/passwd", "/guide/profile/%00", "/guide//x"]
)
def test_what_is_no_page_is_not_found(web: httpx.Client, path: str) -> None:
    answer = web.get(path)
    assert answer.status_code == 404


def test_only_reading_is_offered(web: httpx.Client) -> None:
    answer = web.post("/guide", content=b"x")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_validation_knows_the_guide_without_anything_installed(client: httpx.Client) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "1"}]}
    url = "Patient/$validate?profile=urn:yidang:profile:patient"
    told = client.post(url, content=json.dumps(patient)).json()
    errors = {issue["expression"][0] for issue in told["issue"] if issue["severity"] == "error"}
    assert errors == {"Patient.identifier[0]", "Patient.name", "Patient.gender"}


def test_the_capability_statement_names_the_profiles_of_each_type(client: httpx.Client) -> None:
    statement = client.get("metadata").json()
    assert statement["implementationGuide"] == ["urn:yidang:guide:alliance"]
    rest = statement["rest"][0]
    found = {one["type"]: one.get("supportedProfile", []) for one in rest["resource"]}
    assert found["Patient"] == ["urn:yidang:profile:patient"]
    assert "urn:yidang:profile:diagnostic-report-imaging" in found["DiagnosticReport"]
    assert "urn:yidang:profile:diagnostic-report" not in found["DiagnosticReport"]  # it is abstract
    assert found["Account"] == []
