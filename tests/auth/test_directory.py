"""Roles, wards and names come from the records, as they stand at the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from consent import Access
from consent.policy import access_for
from consent.requester import Requester
from consent.vocabulary import GUARDIAN_PERSON, ROLE
from fhir_server.auth import accounts
from fhir_server.auth.directory import RecordDirectory, standing, still_stands
from fhir_server.auth.file import AuthFile
from fhir_server.records.health_code import new_code
from fhir_server.records.matching.person import HEALTH_CODE
from fhir_server.search.extract import Extractor
from fhir_server.secrets import MasterKey
from fhir_server.store.prepare import prepare
from fhir_server.store.sqlite import SqliteStore
from profiles.definitions import load
from tests.auth.people import HASHED, PASSWORD

T = TypeVar("T")
NOW = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp() * 1_000_000)
DEPARTMENT = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "dept"}]}
CODE = new_code()


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


class Place:
    """A store with one institution, and the directory on it."""

    def __init__(self, folder: Path) -> None:
        master = MasterKey.ephemeral()
        self.extractor = Extractor(load())
        self.now = NOW
        self.store = SqliteStore.open(folder, self.extractor, clock=lambda: self.now, master=master)
        self.file = AuthFile.open(folder, master)
        self.directory = RecordDirectory(
            self.store,
            self.extractor,
            lambda requester: access_for(requester, self.now),
            self.store.wards,
            lambda: self.now,
            "Asia/Shanghai",
        )
        self.put(
            {"resourceType": "Organization", "id": "county", "name": "一江县人民医院"},
            {"resourceType": "Practitioner", "id": "li", "name": [{"family": "李", "given": ["明"]}]},
        )

    def put(self, *resources: dict[str, Any], party: str = "Organization/county") -> None:
        from dataclasses import replace

        ready = [prepare(one, one["id"], self.extractor) for one in resources]
        access = replace(Access.everything("test"), party=party)
        self.store.write_now(lambda tx: [tx.put(one, "PUT") for one in ready], access)

    def role(self, id: str = "r1", kind: str = "physician", **more: Any) -> None:
        self.put(
            {
                "resourceType": "PractitionerRole",
                "id": id,
                "practitioner": {"reference": "Practitioner/li"},
                "organization": {"reference": "Organization/county"},
                "code": [{"coding": [{"system": ROLE, "code": kind}]}],
                **more,
            }
        )

    def patient(self, id: str, **more: Any) -> None:
        self.put(
            {"resourceType": "Patient", "id": id, "name": [{"text": f"居民{id}"}], "birthDate": "1980-01-01", **more}
        )

    def guardian(self, id: str, ward: str, person: str, **more: Any) -> None:
        self.put(
            {
                "resourceType": "RelatedPerson",
                "id": id,
                "patient": {"reference": f"Patient/{ward}"},
                "extension": [{"url": GUARDIAN_PERSON, "valueReference": {"reference": f"Patient/{person}"}}],
                **more,
            }
        )

    def positions(self) -> list[tuple[str, ...]]:
        found = run(self.directory.positions("li"))
        return [(one.role_id, one.role, one.institution, one.department) for one in found]

    def people(self, id: str) -> list[str]:
        return [person.id for person in run(self.directory.people(id))]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.file.close()
    made.store.close()


def test_an_active_role_is_a_position(place: Place) -> None:
    assert place.positions() == []
    place.role()
    assert place.positions() == [("r1", "physician", "county", "")]
    found = run(place.directory.positions("li"))[0]
    assert found.institution_name == "一江县人民医院"
    assert run(place.directory.name("Practitioner/li")) == "李明"


@pytest.mark.parametrize(
    "more",
    [
        {"active": False},
        {"period": {"end": "2026-11-21"}},
        {"period": {"start": "2026-11-24"}},
        {"organization": {"reference": "Organization/nowhere"}},
        {"organization": {"display": "somewhere"}},
        {"organization": {"reference": "Location/county"}},
        {"code": []},
        {"code": [{"coding": [{"system": ROLE, "code": "emperor"}]}]},
        {"code": [{"coding": [{"system": "http://elsewhere", "code": "physician"}]}]},
    ],
)
def test_what_is_no_present_role_is_no_position(place: Place, more: dict[str, Any]) -> None:
    place.role(**more)
    assert place.positions() == []


@pytest.mark.parametrize(
    "period", [{"start": "2026"}, {"end": "2026-11-22"}, {"start": "2026-11-22T20:00:00+08:00"}, {}]
)
def test_a_period_holds_in_the_county_s_own_time(place: Place, period: dict[str, str]) -> None:
    place.role(**({"period": period} if period else {}))
    assert place.positions()


def test_a_role_ends_with_the_person_and_the_institution(place: Place) -> None:
    place.role()
    place.put({"resourceType": "Organization", "id": "county", "active": False, "name": "一江县人民医院"})
    assert place.positions() == []
    place.put({"resourceType": "Organization", "id": "county", "name": "一江县人民医院"})
    place.put({"resourceType": "Practitioner", "id": "li", "active": False})
    assert place.positions() == []


def test_a_role_in_a_department_is_of_its_institution(place: Place) -> None:
    place.put(
        {
            "resourceType": "Organization",
            "id": "ward",
            "name": "心内科",
            "type": [DEPARTMENT],
            "partOf": {"reference": "Organization/county"},
        },
        {"resourceType": "Organization", "id": "lost", "name": "孤立科室", "type": [DEPARTMENT]},
        {
            "resourceType": "Organization",
            "id": "loop",
            "name": "循环",
            "type": [DEPARTMENT],
            "partOf": {"reference": "Organization/loop"},
        },
    )
    for number, organization in enumerate(("ward", "lost", "loop")):
        place.role(f"r{number}", organization={"reference": f"Organization/{organization}"})
    assert place.positions() == [("r0", "physician", "county", "ward")]


def test_another_person_s_role_is_not_one_s_own(place: Place) -> None:
    place.role(practitioner={"reference": "Practitioner/wu"})
    assert place.positions() == []


def test_a_role_that_ends_in_the_records_ends_in_the_file_of_tokens(place: Place) -> None:
    place.role("r1")
    place.role("r2", "nurse")
    account = accounts.create(place.file, "staff", "li", PASSWORD, now=0, login="doctor.li", hashed=HASHED)
    run(standing(place.file, place.directory, account))
    doctor = Requester("staff", "Practitioner/li", "app", "TREAT", (), institution="county", role="physician")
    assert run(still_stands(place.file, place.directory, account.id, doctor))
    assert len(place.file.rows("SELECT 1 FROM account_roles")) == 2
    place.role("r1", active=False)
    assert not run(still_stands(place.file, place.directory, account.id, doctor))
    assert [row["role"] for row in place.file.rows("SELECT role FROM account_roles")] == ["nurse"]
    assert not run(still_stands(place.file, place.directory, "nobody", doctor))


def test_wards_are_those_who_have_this_guardian_now(place: Place) -> None:
    place.patient("zhang")
    place.patient("child", birthDate="2020-05-05")
    place.patient("grown", birthDate="2000-05-05")
    place.patient("other", birthDate="2021-05-05")
    assert place.people("zhang") == ["zhang"]
    place.guardian("g1", "child", "zhang")
    place.guardian("g2", "grown", "zhang")
    place.guardian("g3", "other", "somebody")
    assert place.people("zhang") == ["zhang", "child"]
    place.guardian("g1", "child", "zhang", active=False)
    assert place.people("zhang") == ["zhang"]


def test_a_ward_who_comes_of_age_is_one_no_more(place: Place) -> None:
    place.patient("zhang")
    place.patient("child", birthDate="2008-11-23")
    place.guardian("g1", "child", "zhang")
    assert place.people("zhang") == ["zhang", "child"]
    place.now += 24 * 3600 * 1_000_000
    assert place.people("zhang") == ["zhang"]


@pytest.mark.parametrize("gone", [{"deceasedBoolean": True}, {"deceasedDateTime": "2026-01-01"}, {"active": False}])
def test_the_dead_and_the_inactive_sign_in_no_more(place: Place, gone: dict[str, Any]) -> None:
    place.patient("zhang", **gone)
    assert place.people("zhang") == []
    assert place.people("nobody") == []


def test_a_merged_person_is_the_one_that_was_kept(place: Place) -> None:
    place.patient("kept")
    place.patient("old", link=[{"other": {"reference": "Patient/kept"}, "type": "replaced-by"}])
    place.patient("round", link=[{"other": {"reference": "Patient/round"}, "type": "replaced-by"}])
    assert place.people("old") == ["kept"]
    assert place.people("round") == []


def test_a_resident_stands_while_the_record_and_the_guardianship_do(place: Place) -> None:
    place.patient("zhang")
    place.patient("child", birthDate="2020-05-05")
    place.guardian("g1", "child", "zhang")
    account = accounts.create(
        place.file, "resident", "zhang", PASSWORD, now=0, identity_number="99010119800101001X", hashed=HASHED
    )
    own = Requester("resident", "Patient/zhang", "app", "PATRQT", (), person="zhang", patient="zhang")
    ward = Requester("resident", "Patient/zhang", "app", "FAMRQT", (), person="zhang", patient="child")
    assert run(still_stands(place.file, place.directory, account.id, own))
    assert run(still_stands(place.file, place.directory, account.id, ward))
    place.guardian("g1", "child", "zhang", active=False)
    assert run(still_stands(place.file, place.directory, account.id, own))
    assert not run(still_stands(place.file, place.directory, account.id, ward))
    place.patient("zhang", deceasedBoolean=True)
    assert not run(still_stands(place.file, place.directory, account.id, own))


def test_staff_find_only_patients_whom_they_may_see(place: Place) -> None:
    from fhir_server.auth.scopes import parse_all

    place.patient("mine", identifier=[{"system": HEALTH_CODE, "value": CODE}])
    place.put({"resourceType": "Patient", "id": "hidden", "name": [{"text": "别院的"}]}, party="Organization/other")
    scopes = parse_all("user/Patient.rs")
    doctor = Requester(
        "staff", "Practitioner/li", "app", "TREAT", scopes, institution="county", role="physician", role_id="r1"
    )

    def found(text: str) -> str:
        person = run(place.directory.find(doctor, text))
        return "" if person is None else person.id

    for text in ("mine", "Patient/mine", CODE, f" {CODE[:4].lower()}-{CODE[4:]} "):
        assert found(text) == "mine"
    for text in ("hidden", "Patient/hidden", "nobody", "", "居民mine", "Practitioner/li", new_code(), "' OR 1=1"):
        assert found(text) == ""
