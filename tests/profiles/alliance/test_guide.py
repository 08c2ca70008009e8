"""The alliance's guide: its definitions are valid, and its words are those that the project uses."""

from __future__ import annotations

from typing import Any

import pytest

from consent.check import KINDS
from consent.compile import REQUEST_KIND, RESERVED
from consent.vocabulary import (
    CONSENT_KIND,
    OWN_PURPOSES,
    PURPOSE,
    RECORD_CLASS,
    ROLE,
    ROLES,
    STEWARDSHIP,
    TASK_KIND,
    TEAM_KIND,
    Purpose,
    RecordClass,
)
from consent.words import CLASSES
from fhir_server.records.break_glass import REASON, REASONS
from loaders.demo.county import LEVEL
from profiles.alliance import guide, resources
from profiles.alliance.build import PROFILE
from profiles.conformance import ProfileSet


@pytest.fixture(scope="module")
def profiles() -> ProfileSet:
    return ProfileSet.load(resources())


def codes(system: str) -> dict[str, str]:
    found = next(one for one in guide().code_systems if one["url"] == system)
    return {concept["code"]: concept["display"] for concept in found["concept"]}


def test_every_definition_is_valid(profiles: ProfileSet) -> None:
    wrong = [
        (one["url"], issue.diagnostics)
        for one in resources()
        for issue in profiles.check(one)
        if issue.severity in ("error", "fatal")
    ]
    assert wrong == []


def test_every_profile_and_extension_has_a_snapshot(profiles: ProfileSet) -> None:
    for url in profiles.urls():
        assert profiles.snapshot(url)["snapshot"]["element"]
        assert profiles.rule(url) is not None


def test_urls_and_ids_are_the_definitions_own() -> None:
    found = [(one["resourceType"], one["id"]) for one in resources()]
    assert len(set(found)) == len(found)
    urls = [one["url"] for one in resources()]
    assert len(set(urls)) == len(urls)
    assert all(url.startswith(("urn:yidang:", "urn:oid:2.16.156.10011.")) for url in urls)


def test_titles_are_chinese_first() -> None:
    for one in (*guide().profiles, *guide().extensions, *guide().value_sets, *guide().code_systems):
        assert "一" <= one["title"][0] <= "鿿" or one["title"].startswith(("ABO", "Rh")), one["url"]


def test_bindings_name_value_sets_that_exist() -> None:
    known = {one["url"] for one in guide().value_sets}
    for one in (*guide().profiles, *guide().extensions):
        for element in one["differential"]["element"]:
            bound = element.get("binding", {}).get("valueSet", "")
            assert not bound.startswith("urn:") or bound in known, element["id"]


def test_every_element_of_a_profile_has_its_names() -> None:
    for url, rows in guide().rows.items():
        for row in rows:
            technical = {"slice", "fixedUri", "patternCodeableConcept"} & row.keys()
            assert ("zh" in row and "en" in row) or technical or row["card"] in ("0..0", "1..1"), (url, row["id"])


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (ROLE, {role.code: role.zh for role in ROLES.values()}),
        (CONSENT_KIND, {kind.code: kind.zh for kind in KINDS.values()}),
        (RECORD_CLASS, {str(bit.name).lower().replace("_", "-"): CLASSES[bit][0] for bit in RecordClass}),
        (REASON, REASONS),
    ],
)
def test_code_systems_say_what_the_code_says(system: str, words: dict[str, str]) -> None:
    assert codes(system) == words


def test_kinds_of_task_request_and_team_are_those_of_the_code() -> None:
    assert RESERVED | STEWARDSHIP | {"referral", "consultation", "diagnosis"} <= codes(TASK_KIND).keys()
    assert codes(REQUEST_KIND).keys() == {"referral", "consultation", "diagnosis"}
    assert "family-doctor" in codes(TEAM_KIND)
    assert {"county", "township", "village", "cdc", "bureau"} <= codes(LEVEL).keys()


def test_each_kind_of_consent_and_task_has_a_profile() -> None:
    urls = {one["url"] for one in guide().profiles}
    assert {f"{PROFILE}consent-{kind}" for kind in KINDS} <= urls
    assert {f"{PROFILE}task-{kind}" for kind in codes(TASK_KIND)} <= urls


def test_purposes_are_those_that_access_knows(profiles: ProfileSet) -> None:
    for name in Purpose.__members__:
        system = PURPOSE if name in OWN_PURPOSES else "http://terminology.hl7.org/CodeSystem/v3-ActReason"
        assert profiles.bindings.validate("urn:yidang:value-set:purpose", system, name).valid, name


def test_the_ethnic_groups_are_fifty_six_and_two() -> None:
    found = codes("urn:oid:2.16.156.10011.2.3.3.3")
    assert len(found) == 58
    assert (found["01"], found["31"], found["56"]) == ("汉族", "达斡尔族", "基诺族")


def test_the_guide_names_its_parts() -> None:
    named: list[Any] = guide().implementation_guide["definition"]["resource"]
    assert len(named) == len(resources()) - 1
