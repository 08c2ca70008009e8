"""``yidang demo``: the alliance in a folder with clients and accounts, the same for the same seed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from fhir_server.auth import clients, passwords, sign_in
from fhir_server.auth.accounts import Account
from fhir_server.auth.file import AuthFile
from fhir_server.auth.totp import code_now
from fhir_server.demonstration import secrets_of
from fhir_server.demonstration.entrance import all_clients
from fhir_server.records.health_code import code_of, read_code
from profiles.alliance import resources
from profiles.lossless import parse

Demo = dict[str, Any]
SMALL = 24


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small alliance; its file is ``demo.json`` in it."""
    from fhir_server.cli import main

    data = tmp_path_factory.mktemp("alliance") / "data"
    assert main(["demo", "--data", str(data), "--residents", str(SMALL), "--quiet"]) == 0
    return data


def told(data: Path) -> Demo:
    found: Demo = json.loads((data / "demo.json").read_text("utf-8"))
    return found


def test_the_file_has_the_form_that_others_rely_on(built: Path):
    demo = told(built)
    forms = {
        "institutions": {"id", "name", "level"},
        "clients": {"client_id", "institution", "scope", "jwk"},
        "staff": {"login", "password", "totp_secret", "practitioner", "institution", "roles"},
        "residents": {"patient", "name", "identity_number", "login", "password", "guardian_of", "records"},
        "consents": {"id", "patient", "summary"},
    }
    for name, keys in forms.items():
        assert demo[name] and all(keys <= entry.keys() for entry in demo[name]), name
    assert demo["base"] == "http://127.0.0.1:8080/fhir"
    assert len(demo["residents"]) == SMALL
    assert {i["level"] for i in demo["institutions"]} == {"county", "township", "village", "cdc", "bureau"}
    assert (built / "demo.json").stat().st_mode & 0o077 == 0


def test_the_counts_of_the_file_are_those_of_the_custodians_in_the_records(built: Path, versions: Callable):
    found: Counter[tuple[str, str]] = Counter()
    for stored in versions(built):
        if stored.patient and stored.custodian.startswith("Organization/"):
            found[stored.patient, stored.custodian.removeprefix("Organization/")] += 1
    expected = {
        (resident["patient"], institution): count
        for resident in told(built)["residents"]
        for institution, count in resident["records"].items()
    }
    assert found == expected


def test_residents_write_their_own_consents_and_guardians_those_of_their_wards(built: Path, versions: Callable):
    keepers = {stored.id: (stored.patient, stored.custodian) for stored in versions(built) if stored.type == "Consent"}
    assert keepers["consent-000002-1"] == ("resident-000002", "Patient/resident-000002")
    assert keepers["consent-000004-1"] == ("resident-000004", "Patient/resident-000001")
    assert set(keepers) == {entry["id"] for entry in told(built)["consents"]}


def test_the_county_is_in_nobodys_file(built: Path, versions: Callable):
    nobodys = {stored.type for stored in versions(built) if not stored.patient}
    guide = {one["resourceType"] for one in resources()}
    shipped = guide | {"Measure", "ObservationDefinition", "ValueSet"}
    assert nobodys - shipped == {"Organization", "OrganizationAffiliation", "Practitioner", "PractitionerRole"}
    assert shipped <= nobodys


def test_each_resident_has_a_health_code(built: Path, versions: Callable):
    codes = [code_of(parse(stored.body)) for stored in versions(built) if stored.type == "Patient"]
    assert len(set(codes)) == SMALL and all(code and read_code(code) for code in codes)


def test_the_same_seed_gives_the_same_file_and_another_seed_other_keys(built: Path, tmp_path: Path, yidang: Callable):
    arguments = ("--residents", SMALL, "--quiet", "--jobs", 2)
    assert yidang("demo", "--data", tmp_path / "same", *arguments) == 0
    assert (tmp_path / "same" / "demo.json").read_bytes() == (built / "demo.json").read_bytes()
    assert yidang("demo", "--data", tmp_path / "other", *arguments, "--seed", 2) == 0
    first, second = told(built), told(tmp_path / "other")
    assert first["clients"][0]["jwk"]["d"] != second["clients"][0]["jwk"]["d"]
    assert first["staff"][0]["password"] != second["staff"][0]["password"]
    assert first["residents"][0]["name"] != second["residents"][0]["name"]


def test_built_again_it_changes_nothing_and_adds_what_is_missing(tmp_path: Path, yidang: Callable, versions: Callable):
    data = tmp_path / "data"
    assert yidang("demo", "--data", data, "--residents", 3, "--quiet") == 0
    before = len(versions(data))
    assert yidang("demo", "--data", data, "--residents", 3, "--quiet") == 0
    assert len(versions(data)) == before
    assert yidang("demo", "--data", data, "--residents", 4, "--quiet") == 0
    after = versions(data)
    assert len(after) > before and all(stored.version == 1 for stored in after)
    assert len(told(data)["residents"]) == 4


def test_the_folder_of_another_seed_is_refused(built: Path, yidang: Callable, capsys: pytest.CaptureFixture[str]):
    assert yidang("demo", "--data", built, "--residents", SMALL, "--seed", 9, "--quiet") == 1
    assert "seed 1" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [("--residents", 0), ("--residents", 100_001), ("--jobs", 0)])
def test_sizes_that_are_none_are_refused(tmp_path: Path, yidang: Callable, wrong: tuple[str, int]):
    assert yidang("demo", "--data", tmp_path, *wrong) == 2


def test_it_warns_and_prints_a_tour(tmp_path: Path, yidang: Callable, capsys: pytest.CaptureFixture[str]):
    assert yidang("demo", "--data", tmp_path / "d", "--residents", 2, "--out", tmp_path / "x" / "in.json") == 0
    printed = capsys.readouterr()
    assert "Demonstration only" in printed.err
    assert printed.out.count("curl ") == 9 and "in.json" in printed.out
    assert (tmp_path / "x" / "in.json").is_file() and (tmp_path / "x" / "in-consent.json").is_file()


def test_each_treating_institution_has_a_system_and_the_keys_fit(built: Path):
    demo = told(built)
    auth_file = AuthFile.open(built)
    try:
        treating = [i["id"] for i in demo["institutions"] if i["level"] in ("county", "township", "village")]
        known = {client["client_id"]: client for client in demo["clients"]}
        for institution in treating:
            entry = known[f"emr-{institution}"]
            client = clients.find(auth_file, entry["client_id"])
            assert client is not None and client.institution == institution and client.scope == "system/*.cruds"
            public = json.loads(client.jwks)["keys"][0]
            private = ECKey.import_key(entry["jwk"])
            assert private.as_dict(private=False)["x"] == public["x"]
        assert known["lab-county-hospital"]["institution"] == "county-hospital"
        assert known["staff-app"]["jwk"] is None and "http://127.0.0.1/" in known["staff-app"]["redirect_uris"]
        assert len(demo["clients"]) == len(list(all_clients(1)))
    finally:
        auth_file.close()


def test_staff_sign_in_with_password_and_code_and_residents_by_number_or_telephone(built: Path):
    demo, now = told(built), 1_800_000_000.0
    auth_file = AuthFile.open(built)
    try:
        for entry in demo["staff"][:3]:
            found = sign_in.check_password(auth_file, entry["login"], entry["password"], "127.0.0.1", now)
            assert isinstance(found, Account) and found.totp and found.subject == entry["practitioner"]
            assert sign_in.check_code(auth_file, found, code_now(entry["totp_secret"], now), now) == "otp"
        resident = demo["residents"][0]
        for typed in (resident["login"], resident["identity_number"]):
            found = sign_in.check_password(auth_file, typed, resident["password"], "127.0.0.1", now)
            assert isinstance(found, Account) and found.subject == resident["patient"]
        wrong = sign_in.check_password(auth_file, resident["login"], "Yd00000-00000", "127.0.0.1", now)
        assert not isinstance(wrong, Account)
    finally:
        auth_file.close()


def test_children_the_dead_and_those_without_capacity_have_no_account_but_guardians(built: Path):
    residents = {entry["patient"]: entry for entry in told(built)["residents"]}
    assert [residents[f"resident-00000{n}"]["login"] for n in (4, 6, 9)] == [None] * 3
    assert residents["resident-000017"]["login"] is None  # dead
    assert residents["resident-000003"]["login"] == "resident-000003"  # sixteen
    assert residents["resident-000001"]["guardian_of"] == ["resident-000003", "resident-000004", "resident-000006"]
    assert residents["resident-000009"]["guardians"] == ["resident-000007", "resident-000008"]
    everyone = {ward for entry in residents.values() for ward in entry["guardian_of"]}
    assert everyone <= set(residents)


def test_newborns_and_people_without_papers_have_no_identity_number_or_that_of_their_document(built: Path):
    numbers = {entry["patient"]: entry["identity_number"] for entry in told(built)["residents"]}
    assert numbers["resident-000014"].startswith("E")  # a passport
    assert numbers["resident-000015"].startswith("H")  # a permit of Hong Kong
    assert len(numbers["resident-000001"]) == 18


def test_derived_passwords_are_such_as_the_rules_accept():
    for n in range(2000):
        word = secrets_of.password(1, f"resident-{n:06d}", ("resident", f"{n:06d}"))
        assert passwords.weaknesses(word) == []


def test_files_beside_the_alliance_become_the_county_hospitals(tmp_path: Path, yidang: Callable, versions: Callable):
    beside = tmp_path / "more.ndjson"
    beside.write_text('{"resourceType":"Patient","id":"guest","birthDate":"1970-01-01"}\n')
    assert yidang("demo", "--data", tmp_path / "d", "--residents", 1, "--quiet", beside) == 0
    guest = next(stored for stored in versions(tmp_path / "d") if stored.id == "guest")
    assert guest.custodian == "Organization/county-hospital"


def test_it_serves_what_it_built(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fhir_server.cli", "demo", "--data", str(tmp_path / "d"), "--residents", "1"]
    with subprocess.Popen([*command, "--port", str(port), "--serve"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert any(line.startswith("serving ") for line in process.stdout)
            base = told(tmp_path / "d")["base"]
            found = httpx.get(f"{base}/.well-known/smart-configuration", timeout=60).json()
            assert found["token_endpoint"].startswith(f"http://127.0.0.1:{port}/")
            assert httpx.get(f"{base}/Patient", timeout=60).status_code == 401
        finally:
            process.terminate()
    assert process.returncode == 0
