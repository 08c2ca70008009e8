"""A small county behind the real application, asked with real tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from consent import Access
from consent.requester import Requester, Scope
from fhir_server import app
from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import issue
from fhir_server.http.shell import Application
from fhir_server.settings import Settings
from fhir_server.store.prepare import prepare
from tests.leaks.http import Answer, Server

EVERYTHING = (Scope("user", "*", "cruds"),)
ORGANIZATIONS = {"county": "县人民医院", "township": "河口镇卫生院"}


def staff(name: str, institution: str, role: str, purpose: str = "TREAT") -> Requester:
    return Requester(
        "staff",
        f"Practitioner/{name}",
        f"emr-{institution}",
        purpose,
        EVERYTHING,
        institution=institution,
        role=role,
        name=name,
        token=f"token-of-{name}",
    )


def system(institution: str) -> Requester:
    scopes = (Scope("system", "*", "cruds"),)
    return Requester(
        "system",
        f"Device/emr-{institution}",
        f"emr-{institution}",
        "TREAT",
        scopes,
        institution=institution,
        role="system",
        name=f"{institution} EMR",
    )


def resident(patient: str) -> Requester:
    scopes = (Scope("patient", "*", "rs"),)
    return Requester("resident", f"Patient/{patient}", "app", "PATRQT", scopes, person=patient, name="不应出现的姓名")


class County:
    """``ask(requester, method, path, body)``; ``zhang`` and ``li`` are ids of Patients."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings = Settings(data=folder, base_url="http://yidang.test/fhir", page_size=10, **settings)
        self._tokens: dict[Requester, str] = {}
        self._prepare()
        self.auth = AuthFile.open(folder)
        self.server = Server(Application(self.settings, lambda: app._start(self.settings)))
        self.zhang = self.file_of("county", "张三")
        self.li = self.file_of("county", "李四")

    def _prepare(self) -> None:
        context = app.open_context(self.settings, Access.everything("test"))
        resources: list[dict[str, Any]] = [
            {"resourceType": "Organization", "id": id, "name": name} for id, name in ORGANIZATIONS.items()
        ]
        resources.append({"resourceType": "Practitioner", "id": "wang", "name": [{"text": "王医生"}]})

        def work(transaction: Any) -> None:
            for resource in resources:
                transaction.put(prepare(resource, resource["id"], context.extractor), "PUT")

        context.store.write_now(work, context.access)  # type: ignore[attr-defined]
        context.store.close()

    def file_of(self, institution: str, name: str) -> str:
        patient = {"resourceType": "Patient", "name": [{"text": name}], "birthDate": "1970-01-01"}
        return self.create(system(institution), patient)

    def create(self, requester: Requester, resource: dict[str, Any]) -> str:
        answer = self.ask(requester, "POST", resource["resourceType"], resource)
        assert answer.status == 201, answer.body
        return answer.headers["location"].split("/")[-3]

    def observation(self, patient: str, institution: str = "county", **more: Any) -> str:
        resource = {
            "resourceType": "Observation",
            "status": "final",
            "category": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                            "code": "laboratory",
                        }
                    ]
                }
            ],
            "code": {"coding": [{"system": "http://loinc.org", "code": "2345-7"}]},
            "subject": {"reference": f"Patient/{patient}"},
            "effectiveDateTime": "2026-01-05",
            **more,
        }
        return self.create(system(institution), resource)

    def ask(
        self,
        requester: Requester | None,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        token = ""
        if requester is not None:
            if requester not in self._tokens:
                self._tokens[requester] = issue(self.auth, requester, 3600)
            token = self._tokens[requester]
        return self.server.ask(method, path, token, body, headers)

    def log(self, requester: Requester, query: str = "") -> list[dict[str, Any]]:
        answer = self.ask(requester, "GET", f"AuditEvent?{query}")
        assert answer.status == 200, answer.body
        return [entry["resource"] for entry in answer.json.get("entry", ())]

    def close(self) -> None:
        self.server.close()
        self.auth.close()
