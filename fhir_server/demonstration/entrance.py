"""Who may get into the demonstration alliance: clients and accounts registered, and described for outside programs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from fhir_server.auth import accounts, clients
from fhir_server.auth.clients import CODE, CREDENTIALS, REFRESH, Client
from fhir_server.auth.file import AuthFile
from fhir_server.demonstration import secrets_of
from loaders.demo import File, institutions, offices
from loaders.demo.county import Institution
from loaders.demo.identity import phone
from loaders.demo.people import BLOCK, Person, block, person
from loaders.demo.staff import POSTED, Post, posts

Entry = dict[str, Any]

WARNING = (
    "仅供演示：其中的密钥和密码由种子推导，任何人都能算出。切勿用于真实人员的数据。/ "
    "Demonstration only: keys and passwords follow from the seed. Never use them with the data of real people."
)
STAFF_APP, RESIDENT_APP = "staff-app", "resident-app"
_SYSTEM_PURPOSES = ("TREAT", "CAREMGT", "ETREAT", "RECOG", "REFER", "CONSULT")
_ALLOWED = "system/Patient.rs system/Encounter.rs system/ServiceRequest.rs system/Task.rus"
_LABORATORY = f"{_ALLOWED} system/Specimen.cruds system/Observation.cruds system/DiagnosticReport.cruds"
_IMAGING = (
    f"{_ALLOWED} system/ImagingStudy.cruds system/Observation.cruds system/DiagnosticReport.cruds"
    " system/DocumentReference.cruds"
)
_SIGNING_IN = "openid fhirUser profile offline_access online_access launch/patient"
_REDIRECTS = tuple(
    f"http://{host}{port}/{path}"
    for host in ("localhost", "127.0.0.1")
    for port in ("", ":3000", ":8000", ":8080", ":8765", ":9000")
    for path in ("", "callback")
)
_CONSENTS_ITSELF = 14


def _key_client(seed: int, id: str, name: str, place: Institution, scope: str) -> tuple[Client, Entry]:
    private = secrets_of.private_jwk(seed, id)
    client = Client(
        id=id,
        name=name,
        kind="key",
        grants=(CREDENTIALS,),
        scope=scope,
        institution=place.id,
        purposes=_SYSTEM_PURPOSES,
        jwks=json.dumps({"keys": [secrets_of.public_jwk(private)]}),
    )
    return client, {"jwk": private}


def _app(id: str, name: str, scope: str) -> tuple[Client, Entry]:
    client = Client(id=id, name=name, kind="public", grants=(CODE, REFRESH), scope=scope, redirect_uris=_REDIRECTS)
    return client, {"jwk": None, "redirect_uris": list(_REDIRECTS)}


def all_clients(seed: int) -> Iterator[tuple[Client, Entry]]:
    """Each client with what an outside program is told beside its id, institution and scope."""
    for place in institutions():
        yield _key_client(seed, f"emr-{place.id}", f"{place.name}电子病历系统", place, "system/*.cruds")
        if place.level != "village":
            yield _key_client(seed, f"lab-{place.id}", f"{place.name}检验系统", place, _LABORATORY)
            yield _key_client(seed, f"pacs-{place.id}", f"{place.name}影像心电系统", place, _IMAGING)
    staff = f"{_SIGNING_IN} launch launch/encounter user/*.cruds patient/*.cruds"
    yield _app(STAFF_APP, "医护工作站（演示）", staff)
    yield _app(RESIDENT_APP, "居民健康档案（演示）", f"{_SIGNING_IN} patient/*.rs patient/Consent.cruds user/*.rs")


def all_posts() -> Iterator[Post]:
    """All members of staff."""
    for place in (*institutions(), *offices()):
        yield from posts(place.id, place.level)


def has_account(one: Person) -> bool:
    """Whether a resident has an account: the living who can consent themselves; guardians act for the others."""
    without_capacity = bool(one.guardians) and one.age >= 18
    return one.died is None and one.age >= _CONSENTS_ITSELF and not without_capacity


def wards_of(one: Person, count: int, seed: int, clinics: int) -> list[str]:
    """Ids of the Patients (among the first ``count``) whose guardian the person is."""
    neighbours = block((one.number - 1) // BLOCK, seed, clinics)
    return [ward.id for ward in neighbours if one.number in ward.guardians and ward.number <= count]


def identity_number(patient: Entry) -> str | None:
    """The number of the person's identity document, None without papers."""
    first: Entry = patient["identifier"][0]
    return None if first.get("use") != "official" else str(first["value"])


class Doorkeeper:
    """Registers clients and accounts in ``auth_file`` and gathers what the file for outside programs says."""

    def __init__(self, auth_file: AuthFile, seed: int, count: int) -> None:
        self._file, self._seed, self._count = auth_file, seed, count
        self._clinics = sum(place.level == "village" for place in institutions())
        self._now = time.time()
        self.consents: list[Entry] = []

    def clients(self) -> list[Entry]:
        """Register the clients; their entries."""
        found = []
        known = {client.id for client in clients.listed(self._file)}
        for client, more in all_clients(self._seed):
            if client.id not in known:
                clients.add(self._file, client)
            entry: Entry = {"client_id": client.id, "institution": client.institution or None, "scope": client.scope}
            found.append({**entry, "name": client.name, "kind": client.kind, **more})
        return found

    def staff(self, names: dict[str, str]) -> list[Entry]:
        """Give the staff accounts; their entries. ``names``: by Practitioner id."""
        found = []
        also = dict(POSTED)
        for post in all_posts():
            login = post.id.lower()
            secret = secrets_of.totp_secret(self._seed, login)
            word = self._account("staff", post.id, login, names.get(post.id, ""), secret=secret)
            entry: Entry = {"login": login, "password": word, "totp_secret": secret, "practitioner": post.id}
            entry |= {"institution": post.institution, "roles": list(post.roles), "name": names.get(post.id, "")}
            if post.id in also:
                entry["also"] = [{"institution": also[post.id], "roles": list(post.roles)}]
            found.append(entry)
        return found

    def residents(self, files: Iterable[File]) -> Iterator[Entry]:
        """Give the residents accounts; their entries, one at a time."""
        for file in files:
            one, patient = file.person, file.written[0][1]
            number = identity_number(patient)
            login = f"{one.id}" if has_account(one) else None
            word = None
            if login:
                own_phone = phone(one.phone) if one.phone == one.number else ""
                word = self._account("resident", one.id, login, one.name.text, number or "", own_phone)
            self.consents += [{"id": id, "patient": one.id, "summary": text} for id, text in file.consents]
            yield {
                "patient": one.id,
                "name": one.name.text,
                "identity_number": number,
                "birth_date": one.born.isoformat(),
                "login": login,
                "password": word,
                "guardian_of": wards_of(one, self._count, self._seed, self._clinics),
                "guardians": [person(n, self._seed, self._clinics).id for n in one.guardians],
                "records": {
                    custodian.partition("/")[2]: len(resources)
                    for custodian, resources in file.parts().items()
                    if custodian.startswith("Organization/")
                },
            }

    def _account(
        self,
        kind: accounts.Kind,
        subject: str,
        login: str,
        name: str,
        identity_number: str = "",
        phone: str = "",
        secret: str = "",
    ) -> str:
        """Make the account unless it is there; its password."""
        personal = (login, identity_number, identity_number[6:14], phone, name)
        word = secrets_of.password(self._seed, login, personal)
        reference = f"{'Practitioner' if kind == 'staff' else 'Patient'}/{subject}"
        if accounts.of_subject(self._file, reference) is not None:
            return word
        made = accounts.create(
            self._file,
            kind,
            subject,
            word,
            now=self._now,
            login=login,
            identity_number=identity_number,
            phone=phone,
            name=name,
            hashed=secrets_of.hashed(word),
        )
        if secret:
            accounts.set_totp(self._file, made.id, secret)
        return word


def institution_entries() -> list[Entry]:
    """The institutions for the file."""
    return [{"id": p.id, "name": p.name, "level": p.level} for p in (*institutions(), *offices())]
