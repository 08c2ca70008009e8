"""The examples of the alliance's guide: what passes has no error, what fails has the errors that it names."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from consent.check import KINDS, check
from loaders.demo import county_resources, residents
from profiles.alliance import Example, Failing, examples, guide, resources
from profiles.alliance.build import PROFILE
from profiles.alliance.choose import profile_of
from profiles.conformance import ProfileSet
from profiles.lossless import encode, parse

PROFILES = ProfileSet.load(resources())
ABSTRACT = {one["url"] for one in guide().profiles if one["abstract"]}
FAILING = [(one.profile, fail) for one in examples().values() for fail in one.fails]


def errors(resource: dict[str, Any], name: str) -> list[tuple[str, str]]:
    found = PROFILES.check(parse(encode(resource)), [PROFILE + name])
    wrong = {(issue.expression[0], issue.diagnostics) for issue in found if issue.severity in ("error", "fatal")}
    return sorted(wrong)


def test_every_profile_has_examples_that_pass_and_that_fail() -> None:
    wanted = {one["url"] for one in guide().profiles} - ABSTRACT
    assert {PROFILE + name for name in examples()} == wanted
    assert all(one.fails for one in examples().values())


@pytest.mark.parametrize("example", examples().values(), ids=lambda one: one.profile)
def test_a_passing_example_has_no_errors_and_claims_its_profile(example: Example) -> None:
    assert errors(example.resource, example.profile) == []
    assert example.resource["meta"]["profile"] == [PROFILE + example.profile]


@pytest.mark.parametrize(("name", "fail"), FAILING, ids=lambda one: one if isinstance(one, str) else one.why)
def test_a_failing_example_has_the_errors_that_it_names(name: str, fail: Failing) -> None:
    found = errors(fail.resource, name)
    assert len(found) == len(fail.errors), found
    for element, words in fail.errors:
        assert any(path == element and words in text for path, text in found), found


@pytest.mark.parametrize("name", [f"consent-{kind}" for kind in KINDS])
def test_profiles_and_access_agree_on_consents(name: str) -> None:
    """What a profile refuses of a Consent, access refuses too (docs/api/consent.md)."""
    example = examples()[name]
    assert check(example.resource) == []
    for fail in example.fails:
        assert check(fail.resource), fail.why


def test_a_consent_can_always_be_withdrawn() -> None:
    for kind in KINDS:
        withdrawn = copy.deepcopy(examples()[f"consent-{kind}"].resource)
        withdrawn |= {"status": "inactive", "provision": {"type": "permit"}}
        del withdrawn["policy"]
        assert all("yd-con" not in text for _, text in errors(withdrawn, f"consent-{kind}")), kind


@pytest.mark.parametrize("number", ["11010519491231002X", "990101198109170036"])
def test_right_identity_numbers_are_taken(number: str) -> None:
    assert errors(_patient(number), "patient") == []


@pytest.mark.parametrize(
    "number",
    [
        "110105194912310021",  # check character
        "11010519491231002x",  # a small x
        "110105491231002",  # the old form of fifteen
        "1101051949123100２X",  # full-width digit
        "11010519491231002X ",
        "",
    ],
)
def test_wrong_identity_numbers_are_refused(number: str) -> None:
    assert errors(_patient(number), "patient")


def test_a_number_that_contradicts_sex_and_birth_is_pointed_out() -> None:
    patient = _patient("11010519491231002X") | {"birthDate": "1950-01-01", "gender": "male"}
    found = PROFILES.check(parse(encode(patient)), [PROFILE + "patient"])
    told = {issue.diagnostics.split(" ")[0] for issue in found if issue.severity == "warning"}
    assert {"yd-pat-1", "yd-pat-2"} <= told


def _patient(number: str) -> dict[str, Any]:
    patient = copy.deepcopy(examples()["patient"].resource)
    patient["identifier"][0]["value"] = number
    return patient


@pytest.mark.parametrize("code", ["91350100M000100Y43", "12990101000000019T", "000000019", "12345678X"])
def test_institution_codes_are_checked(code: str) -> None:
    right = code in ("91350100M000100Y43", "12990101000000019T", _organisation_code("00000001"))
    organization = copy.deepcopy(examples()["organization"].resource)
    organization["identifier"][0]["value"] = code
    assert (errors(organization, "organization") == []) is right


def _organisation_code(digits: str) -> str:
    rest = 11 - sum(int(d) * w for d, w in zip(digits, (3, 7, 9, 10, 5, 8, 4, 2), strict=True)) % 11
    return digits + {10: "X", 11: "0"}.get(rest, str(rest))


def test_the_demonstration_satisfies_the_guide() -> None:
    """The county and twenty residents, at places of their own in it: children, the old, what is protected."""
    written = [*county_resources(1), *(one for file in residents(20) for one in file)]
    wrong, judged = [], set()
    for resource in written:
        url = profile_of(resource)
        if url is None:
            continue
        judged.add(url)
        wrong += [(resource["id"], *error) for error in errors(resource, url.removeprefix(PROFILE))]
    assert wrong == []
    assert len(judged) >= 25
