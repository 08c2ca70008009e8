"""A small alliance in a data folder, for a real server process: records, clients, accounts; and a browser for it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
from joserfc.jwk import ECKey

from consent import Access
from consent.vocabulary import ROLE
from fhir_server import app
from fhir_server.auth import accounts, clients, passwords, totp
from fhir_server.auth.client_auth import ASSERTION_TYPE, signed_assertion
from fhir_server.auth.file import AuthFile
from fhir_server.settings import Settings
from fhir_server.store.prepare import prepare

COUNTY, DOCTOR, LI, ZHANG, HIDDEN = "county-hospital", "wang", "li", "zhang", "hidden"
PASSWORD = "Kite-over-7-hills"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
BACK = "http://127.0.0.1:8000/back"
KEY = ECKey.generate_key("P-384", {"use": "sig", "alg": "ES384"}, auto_kid=True)
SCOPE = "openid fhirUser profile launch launch/patient offline_access online_access patient/*.rs user/*.cruds"

_SHARED: list[dict[str, Any]] = [
    {"resourceType": "Organization", "id": COUNTY, "active": True, "name": "县人民医院"},
    {"resourceType": "Practitioner", "id": DOCTOR, "active": True, "name": [{"family": "王", "given": ["敏"]}]},
    {
        "resourceType": "PractitionerRole",
        "id": "wang-county",
        "active": True,
        "practitioner": {"reference": f"Practitioner/{DOCTOR}"},
        "organization": {"reference": f"Organization/{COUNTY}"},
        "code": [{"coding": [{"system": ROLE, "code": "physician"}]}],
    },
]


def _patient(id: str, family: str, given: str, born: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id,
        "active": True,
        "name": [{"family": family, "given": [given]}],
        "gender": "female",
        "birthDate": born,
    }


def _observation(patient: str, number: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"{patient}-{number}",
        "status": "final",
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": "2339-0"}], "text": "葡萄糖"},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": f"2026-01-0{number}",
        "valueQuantity": {"value": 5 + number, "unit": "mmol/L"},
    }


def build(folder: Path) -> None:
    """Write records, clients and accounts to ``folder``."""
    context = app.open_context(Settings(data=folder), Access.everything("test"))
    own = [_patient(LI, "李", "娜", "1990-05-01"), _patient(ZHANG, "张", "秀英", "1955-02-03")]
    own += [_observation(patient, number) for patient in (LI, ZHANG) for number in (1, 2, 3)]

    def write(resources: list[dict[str, Any]], party: str) -> None:
        def work(transaction: Any) -> None:
            for resource in resources:
                transaction.put(prepare(resource, resource["id"], context.extractor), "PUT")

        context.store.write_now(work, replace(context.access, party=party))  # type: ignore[attr-defined]

    write(_SHARED, "")
    write(own, f"Organization/{COUNTY}")
    write([_patient(HIDDEN, "赵", "隐", "1960-01-01")], "Organization/elsewhere")
    context.store.close()
    auth_file = AuthFile.open(folder)
    _clients(auth_file)
    now, hashed = time.time(), passwords.hashed(PASSWORD)
    doctor = accounts.create(
        auth_file, "staff", DOCTOR, PASSWORD, now=now, login="wang.min", name="王敏", hashed=hashed
    )
    accounts.set_totp(auth_file, doctor.id, SECRET)
    accounts.create(auth_file, "resident", LI, PASSWORD, now=now, phone="10012345678", name="李娜", hashed=hashed)
    auth_file.close()


def _clients(auth_file: AuthFile) -> None:
    clients.add(
        auth_file,
        clients.Client(
            "laboratory",
            "检验系统",
            "key",
            (clients.CREDENTIALS,),
            "system/*.cruds",
            institution=COUNTY,
            purposes=("TREAT",),
            jwks=json.dumps({"keys": [KEY.as_dict(private=False)]}),
            introspects=True,
        ),
    )
    clients.add(
        auth_file,
        clients.Client("app", "血压日记", "public", (clients.CODE, clients.REFRESH), SCOPE, redirect_uris=(BACK,)),
    )


def system_token(base: str, **form: str) -> httpx.Response:
    """Ask for a token as the laboratory's system does."""
    known = httpx.get(f"{base}/.well-known/smart-configuration").json()
    endpoint = known["token_endpoint"]
    proof = signed_assertion("laboratory", KEY.as_dict(private=True), endpoint, 240)
    return httpx.post(
        endpoint,
        data={
            "grant_type": "client_credentials",
            "scope": "system/*.rs",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": proof,
            **form,
        },
    )


class Browser:
    """Somebody who signs in: goes from page to page, and answers each in JSON."""

    def __init__(self, login: str, **choices: str) -> None:
        self._http = httpx.Client(headers={"Accept": "application/json"}, timeout=30)
        self._answers = {
            "sign_in": {"login": login, "password": PASSWORD},
            "totp": {"code": totp.code_now(SECRET, time.time())},
            "choose_role": choices,
            "choose_patient": choices,
            "choose_person": choices,
            "approve": {"approve": "yes"},
        }
        self.steps: list[str] = []

    def visit(self, address: str, end: str = BACK) -> str:
        """Follow ``address`` to the address of the app (beginning with ``end``) to which the browser is sent."""
        for _ in range(16):
            if address.startswith(end):
                return address
            answer = self._http.get(address)
            if answer.status_code == 200:
                page = answer.json()
                self.steps.append(page["step"])
                given = {"flow": page.get("flow", ""), "csrf": page.get("csrf", ""), **self._answers[page["step"]]}
                answer = self._http.post(address, json=given)
            assert answer.status_code in (302, 303), f"{address}: {answer.status_code} {answer.text}"
            address = urljoin(address, answer.headers["location"])
        raise AssertionError(f"no end after {self.steps}")


def doctor(**choices: str) -> Browser:
    """The physician, with choices of role and patient."""
    return Browser("wang.min", institution=COUNTY, role="physician", purpose="TREAT", **choices)


def resident() -> Browser:
    """The resident."""
    return Browser("10012345678", patient=LI)


def parameters(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
