"""The terminology of R4: the committed data are what the build makes, and nothing of others is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from terminology.base import base, build
from terminology.base.source import from_folder
from terminology.compose import Composer
from terminology.errors import NotKnown
from terminology.registry import Terminology

SOURCE = Path(__file__).parents[3] / "shared" / "fhir" / "r4"
KNOWN = Terminology((base(),))


@pytest.mark.skipif(not SOURCE.exists(), reason="the data folder ../shared/fhir is absent")
def test_the_committed_data_are_what_the_build_makes_from_the_source() -> None:
    for name, content in build.compile_data(from_folder(SOURCE)).items():
        assert content == (build.DATA / name).read_bytes(), f"{name} differs: run python -m terminology.base.build"


def test_the_data_stay_small() -> None:
    assert sum(path.stat().st_size for path in build.DATA.iterdir()) < 700_000


def test_code_systems_have_hierarchies_and_value_sets_their_codes() -> None:
    reasons = KNOWN.system("http://terminology.hl7.org/CodeSystem/v3-ActReason")
    assert reasons is not None
    treat = reasons.find("TREAT")
    assert treat is not None
    assert "ETREAT" in reasons.codes(sorted(reasons.descendants(treat.ordinal)))
    genders = KNOWN.valueset("http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1")
    assert genders is not None
    (part,) = Composer(KNOWN).members(genders)
    assert part.system.codes(part.places) == ["male", "female", "other", "unknown"]
    assert KNOWN.valueset("http://hl7.org/fhir/ValueSet/administrative-gender|9") is None


@pytest.mark.parametrize("name", ["languages", "icd-10", "units-of-time", "vaccine-code"])
def test_codes_of_others_are_not_shipped(name: str) -> None:
    valueset = KNOWN.valueset(f"http://hl7.org/fhir/ValueSet/{name}")
    assert valueset is not None
    with pytest.raises(NotKnown):
        Composer(KNOWN).members(valueset)


def test_only_own_systems_are_in_it() -> None:
    own = ("http://hl7.org/fhir/", "http://terminology.hl7.org/")
    assert all(url.startswith(own) and "/sid/" not in url for url in base().system_urls())
    assert len(list(base().system_urls())) > 1_000
