"""The made-up county: the same for the same seed, of any size, and in FHIR's and China's forms."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

from loaders.demo import bundles, county_bundle, county_resources, resident_bundle, residents
from loaders.demo.county import LEVEL
from loaders.demo.identity import IDENTITY_NUMBER, credit_code, identity_check, identity_number
from profiles import lossless
from profiles.definitions import load
from profiles.structure import Validator

CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"
WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [r for v in value.values() for r in references(v)]
    if isinstance(value, list):
        return [r for v in value for r in references(v)]
    return []


def of_type(resources: list[dict[str, Any]], type: str) -> list[dict[str, Any]]:
    return [r for r in resources if r["resourceType"] == type]


def everybody(count: int, seed: int = 1) -> list[dict[str, Any]]:
    return [r for file in residents(count, seed) for r in file]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_other_people():
    first = [lossless.encode(b) for _, b in bundles(20, seed=3)]
    assert first == [lossless.encode(b) for _, b in bundles(20, seed=3)]
    assert first != [lossless.encode(b) for _, b in bundles(20, seed=4)]


def test_a_larger_county_begins_with_the_smaller_one():
    small = list(bundles(5))
    assert small == list(islice(bundles(50), len(small)))


def test_the_check_character_is_the_one_of_the_standards_example():
    assert identity_check("11010519491231002") == "X"


def test_identity_numbers_are_well_formed_distinct_and_tell_birth_date_and_sex():
    patients = [r for r in everybody(1200) if r["resourceType"] == "Patient"]
    assert len(patients) == 1200
    found = [(p, i["value"]) for p in patients for i in p["identifier"] if i["system"] == IDENTITY_NUMBER]
    # Newborns and people with other papers have none.
    assert 1120 < len(found) < 1200 and len({number for _, number in found}) == len(found)
    for patient, number in found:
        assert re.fullmatch(r"99\d{15}[\dX]", number)
        assert identity_check(number[:17]) == number[17]
        assert number[6:14] == patient["birthDate"].replace("-", "")
        assert (int(number[16]) % 2 == 0) == (patient["gender"] == "female")


def test_serials_beyond_one_days_numbers_do_not_repeat():
    day = date(1980, 5, 1)
    assert len({identity_number(n, day, female=True) for n in range(5000)}) == 5000


def test_institution_codes_pass_the_checksum_of_the_credit_code_standard():
    for serial in (1, 17, 4096):
        code = credit_code(serial)
        total = sum(CREDIT.index(c) * w for c, w in zip(code[:17], WEIGHTS, strict=True))
        assert len(code) == 18 and CREDIT.index(code[17]) == (31 - total % 31) % 31


def test_institutions_stand_on_three_levels_each_under_an_existing_one():
    known: set[str] = set()
    levels = set()
    for organization in of_type(county_resources(1), "Organization"):
        assert all(r in known for r in references(organization))
        known.add(f"Organization/{organization['id']}")
        levels |= {c["code"] for t in organization["type"] for c in t["coding"] if c["system"] == LEVEL}
    assert levels == {"county", "township", "village", "cdc", "bureau"}


def test_every_reference_leads_to_an_earlier_resource_or_to_the_county():
    known = {e["request"]["url"] for e in county_bundle(1)["entry"]}
    for file in residents(60):
        for resource in file:
            assert [r for r in references(resource) if r not in known] == []
            known.add(f"{resource['resourceType']}/{resource['id']}")


def test_ids_are_distinct_across_residents_and_fit_fhir():
    ids = [f"{r['resourceType']}/{r['id']}" for r in everybody(200)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", i.split("/")[1]) for i in ids)


def test_nothing_happens_before_birth_or_after_the_data_sets_day():
    for file in residents(300):
        born = file[0]["birthDate"]
        for resource in file[1:]:
            for key in ("effectiveDateTime", "onsetDateTime", "occurrenceDateTime", "authoredOn"):
                if key in resource:
                    assert born <= resource[key][:10] <= "2026-11-01"


def test_as_an_emr_sends_it_a_file_is_posts_joined_by_urns():
    file = next(residents(1))
    bundle = resident_bundle(file, create=True)
    urls = {e["fullUrl"] for e in bundle["entry"]}
    assert len(urls) == len(file)
    assert all(e["request"]["method"] == "POST" and "id" not in e["resource"] for e in bundle["entry"])
    inner = [r for e in bundle["entry"] for r in references(e["resource"])]
    assert {r for r in inner if r.startswith("urn:")} <= urls
    assert any(r.startswith("urn:") for r in inner)
    assert not any(r.startswith(("Patient/", "Encounter/")) for r in inner)


def test_it_writes_files_that_sort_in_loading_order(tmp_path: Path):
    command = [sys.executable, "-m", "loaders.demo", "--residents", "3", "--out", str(tmp_path)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    assert [p.name for p in sorted(tmp_path.iterdir())] == [
        "0-county.json.gz",
        "resident-000001.json.gz",
        "resident-000002.json.gz",
        "resident-000003.json.gz",
    ]


def test_every_resource_of_the_county_is_valid():
    validator = Validator(load())
    county = [entry["resource"] for entry in county_bundle(1)["entry"]]
    created = [entry["resource"] for file in residents(40) for entry in resident_bundle(file, create=True)["entry"]]
    for resource in (*county, *everybody(40), *created):
        parsed = lossless.parse(lossless.encode(resource))
        assert validator.check(parsed) == [], resource
