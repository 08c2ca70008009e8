"""``yidang user``: accounts are given, locked and shown without a password or a name on the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from consent.vocabulary import ROLE
from fhir_server.auth import accounts, sign_in, totp
from fhir_server.auth.file import AuthFile

Yidang = Callable[..., int]
PASSWORD = "Kite-over-7-hills"
NUMBER = "99010119800101001X"
RECORDS = [
    {"resourceType": "Organization", "id": "county", "name": "一江县人民医院"},
    {"resourceType": "Practitioner", "id": "li", "name": [{"text": "李明"}]},
    {
        "resourceType": "PractitionerRole",
        "id": "r1",
        "practitioner": {"reference": "Practitioner/li"},
        "organization": {"reference": "Organization/county"},
        "code": [{"coding": [{"system": ROLE, "code": "physician"}]}],
    },
    {
        "resourceType": "Patient",
        "id": "zhang",
        "name": [{"text": "张秀英"}],
        "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": NUMBER}],
        "telecom": [{"system": "phone", "value": "10012345678"}],
        "birthDate": "1980-01-01",
    },
]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the records above."""
    from fhir_server.cli import main

    folder = tmp_path_factory.mktemp("user")
    entry = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}} for one in RECORDS
    ]
    file = folder / "records.json"
    file.write_text(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entry}, ensure_ascii=False))
    assert main(["load", "--data", str(folder / "data"), str(file)]) == 0
    return folder / "data"


@pytest.fixture
def data(loaded: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(loaded, tmp_path / "data"))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """What comes on standard input."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_staff_and_residents_get_accounts(
    data: Path, yidang: Yidang, typed: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    typed(f"{PASSWORD}\n")
    assert yidang("user", "add", "Practitioner/li", "--login", "doctor.li", "--data", data) == 0
    typed(f"{PASSWORD}\n")
    assert yidang("user", "add", "Patient/zhang", "--phone", "--keep-password", "--data", data) == 0
    file = AuthFile.open(data)
    try:
        doctor = accounts.known_as(file, "doctor.li")
        assert doctor is not None
        assert (doctor.kind, doctor.subject, doctor.name, doctor.must_change) == ("staff", "li", "李明", True)
        for login in (NUMBER, "10012345678"):
            found = sign_in.check_password(file, login, PASSWORD, "10.0.0.1", 1.8e9)
            assert isinstance(found, accounts.Account)
            assert (found.kind, found.subject, found.must_change) == ("resident", "zhang", False)
    finally:
        file.close()
    capsys.readouterr()
    assert yidang("user", "list", "--data", data) == 0
    told = capsys.readouterr().out
    assert "doctor.li" in told
    assert "Patient/zhang" in told
    for secret in ("张秀英", "李明", NUMBER, "10012345678", PASSWORD):
        assert secret not in told
    assert yidang("user", "role", "doctor.li", "--data", data) == 0
    assert "PractitionerRole/r1 physician 医师 · Organization/county 一江县人民医院" in capsys.readouterr().out
    # What was done is in the audit chain.
    assert yidang("audit", "verify", "--data", data) == 0


@pytest.mark.parametrize(
    ("arguments", "password", "words"),
    [
        (("add", "Practitioner/li"), PASSWORD, "needs a --login"),
        (("add", "Practitioner/nobody", "--login", "nobody"), PASSWORD, "no Practitioner/nobody in the records"),
        (("add", "Organization/county", "--login", "county"), PASSWORD, "an account is of"),
        (("add", "Practitioner/li", "--login", "doctor.li"), "short", "at least 8"),
        (("add", "Practitioner/li", "--login", "doctor.li"), "", "at least 8"),
        (("add", "Practitioner/li", "--login", "doctor.li", "--expires", "soon"), PASSWORD, "soon"),
        (("lock", "nobody"), "", "no account of nobody"),
        (("unlock", "Patient/zhang"), "", "no account of"),
        (("reset-password", "nobody"), PASSWORD, "no account of"),
        (("totp", "nobody", "--new"), "", "no account of"),
        (("role", "nobody"), "", "no account of"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    data: Path,
    yidang: Yidang,
    typed: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    password: str,
    words: str,
) -> None:
    typed(password)
    assert yidang("user", *arguments, "--data", data) == 1
    error = capsys.readouterr().err
    assert error.startswith("yidang user: ")
    assert words in error


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path, yidang: Yidang) -> None:
    assert yidang("user", "list", "--data", tmp_path / "nothing") == 1
    assert not (tmp_path / "nothing").exists()


def test_a_password_is_no_argument(data: Path, yidang: Yidang) -> None:
    assert yidang("user", "add", "Practitioner/li", "--login", "a.li", "--password", PASSWORD, "--data", data) == 2


def test_an_account_is_locked_unlocked_reset_and_given_a_second_factor(
    data: Path, yidang: Yidang, typed: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    typed(PASSWORD)
    assert yidang("user", "add", "Practitioner/li", "--login", "doctor.li", "--keep-password", "--data", data) == 0
    assert yidang("user", "lock", "doctor.li", "--data", data) == 0
    capsys.readouterr()
    yidang("user", "list", "--data", data)
    assert "locked" in capsys.readouterr().out
    assert yidang("user", "unlock", "Practitioner/li", "--data", data) == 0
    typed("Other-kite-8")
    assert yidang("user", "reset-password", "doctor.li", "--data", data) == 0
    capsys.readouterr()
    assert yidang("user", "totp", "doctor.li", "--new", "--data", data) == 0
    told = capsys.readouterr().out
    secret = told.split()[4]
    file = AuthFile.open(data)
    try:
        account = sign_in.check_password(file, "doctor.li", "Other-kite-8", "10.0.0.1", 1.8e9)
        assert isinstance(account, accounts.Account)
        assert (account.must_change, account.totp) == (True, True)
        assert sign_in.check_code(file, account, totp.code_now(secret, 1.8e9), 1.8e9) == "otp"
    finally:
        file.close()
    assert yidang("user", "totp", "doctor.li", "--remove", "--data", data) == 0
    typed("")
    assert yidang("user", "role", "doctor.li", "--data", data) == 0
