"""The health code at the counter: the resident shows it, the institution scans it, and for a time sees the file.

``GET /health-code`` gives the resident (or a guardian for a ward) a signed code; ``POST /health-code/scan`` makes of
it a Consent for the scanning institution, which the resident sees and may withdraw. Handing the code over is the
separate, informed consent (PIPL 14, 23, 29) that the notice in the application tells of.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from consent.vocabulary import CARE, CONSENT_KIND, LEGAL_BASIS, ROLES
from fhir_server.audit.exchange import call_it, concerns
from fhir_server.context import Context
from fhir_server.errors import BadRequest, Conflict, Forbidden, Gone, NotFound
from fhir_server.http.desk import Answered, Asked
from fhir_server.interactions.criteria import criteria
from fhir_server.records.acting import acting, index_access
from fhir_server.records.health_code import code_of, with_code
from fhir_server.records.index import merged_into
from fhir_server.records.matching.person import HEALTH_CODE
from fhir_server.records.merge import content_of
from fhir_server.records.reach import reads_anybody, reads_person
from fhir_server.records.signed_code import Claims, Expired, Forged, Signer, picture
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Stored, Transaction

SCAN = "urn:yidang:health-code-scan"  # identifier of the Consent: the number of the code that it comes of
NOTICE = "urn:yidang:notice:health-code|2026-11"
NOTICE_TEXT = (
    "出示健康码，即同意扫码机构在有效时间内为诊疗目的查阅您的健康档案（艾滋病、精神卫生等敏感记录除外）。"
    "您可以随时在“授权管理”中查看和撤回；撤回后该机构即不能再查阅，此前的查阅记录仍然保留。"
)
_SVG = "image/svg+xml"
_HOPS = 8


@dataclass(frozen=True, slots=True)
class HealthCodeDesk:
    """The endpoints. A code is good for ``seconds``, what it opens stays open for ``hours``."""

    signer: Signer
    seconds: int = 60
    hours: int = 24

    async def show(self, asked: Asked) -> Answered:
        """``GET /health-code[?patient=ward][&format=svg]``: a fresh code of the resident, or of a ward.

        JSON with code, health_code, expires and svg; with ``format=svg`` the picture alone.
        Raises Forbidden for others than residents, NotFound for somebody not in their care.
        """
        context = asked.context
        id, by = _bearer(asked)
        server = index_access()
        stored = await context.store.write(lambda transaction: _coded(id, transaction, context), server)
        patient = content_of(stored)
        _check_living(patient)
        now = context.clock() / 1_000_000
        code = str(code_of(patient))
        signed = self.signer.sign(code, now, self.seconds, by)
        call_it("health-code")
        concerns(stored.id)
        drawn = picture(signed)
        if asked.query.get("format") == "svg":
            return Answered(drawn, content_type=_SVG)
        ends = _instant(now + self.seconds, context)
        return Answered({"code": signed, "health_code": code, "expires": ends, "svg": drawn.decode()})

    async def scan(self, asked: Asked) -> Answered:
        """``POST /health-code/scan`` {code}: opens the bearer's file to the scanning institution for a time.

        201 with patient, until and consent. Raises Forbidden for those who do not treat, BadRequest (400) for a
        forged code, Gone (410) for an expired one, Conflict (409) for one that was used.
        """
        context = asked.context
        institution = _scanning(context)
        now = context.clock() / 1_000_000
        try:
            claims = self.signer.check(asked.text("code", 2000), now)
        except Expired as error:
            raise Gone(f"健康码已过期，请重新出示 / The code cannot be used: {error}", "code", code="expired") from None
        except Forged as error:
            raise BadRequest(f"不是有效的健康码 / Not a health code: {error}", "code", code="security") from None
        call_it("scan", "health-code")
        patient, consent, until = await context.store.write(
            lambda transaction: self._opened(claims, institution, now, transaction, context), index_access()
        )
        concerns(patient.id)
        answer = {"patient": patient.id, "institution": institution, "until": until, "consent": f"Consent/{consent.id}"}
        return Answered(answer, 201)

    def _opened(
        self, claims: Claims, institution: str, now: float, transaction: Transaction, context: Context
    ) -> tuple[Stored, Stored, str]:
        """The grant, inside a write: of processes that scan one code at once, one gets it."""
        # Noted apart from the Consent, which the resident may change or delete: the code is used all the same.
        if not transaction.once(f"health-code:{claims.number}"):
            raise Conflict("此健康码已被使用，请重新出示 / This code was used already", "code", code="duplicate")
        patient = _person(claims.code, transaction, context)
        _check_living(content_of(patient))
        begins, until = _instant(now, context), _instant(now + self.hours * 3600, context)
        consent = consent_of(patient.id, institution, claims, begins, until)
        with acting(transaction, index_access(f"Patient/{patient.id}")):
            stored = transaction.put(prepare(consent, context.new_id(), context.extractor), "POST")
        return patient, stored, until


def _bearer(asked: Asked) -> tuple[str, str]:
    """The id of the Patient whose code is asked for, and of the guardian who asks for a ward ('')."""
    requester = asked.context.requester
    if requester is None or requester.kind != "resident" or not requester.person:
        raise Forbidden("健康码由居民本人出示 / A health code is shown by the resident")
    id = asked.query.get("patient", requester.person).removeprefix("Patient/")
    if not reads_person(requester, id):
        raise Forbidden("此应用无权出示健康码 / No scope of this token reads this person", "http.Authorization")
    store: Any = asked.context.store
    if id == requester.person:
        return id, ""
    if id not in store.wards(requester.person):
        raise NotFound(f"There is no Patient/{id} in your care")
    return id, requester.person


def _scanning(context: Context) -> str:
    """The id of the institution that scans, by somebody or something of it that treats."""
    requester, access = context.requester, context.access
    role = ROLES.get(access.role)
    if requester is None or requester.kind == "resident" or not requester.institution:
        raise Forbidden("Only institutions scan health codes")
    if role is None or not role.care or not access.purpose & CARE:
        raise Forbidden("Health codes are scanned by those who treat, for treatment")
    if not reads_anybody(requester):
        raise Forbidden("No scope of this token reads Patient", "http.Authorization")
    return requester.institution


def _coded(id: str, transaction: Transaction, context: Context) -> Stored:
    """The (kept) Patient with a health code: given now where the record was loaded without one."""
    stored = _followed(transaction.read("Patient", id), transaction)
    if stored is None:
        raise NotFound(f"There is no Patient/{id}")
    patient = content_of(stored)
    if code_of(patient):
        return stored
    return transaction.put(prepare(with_code(patient), stored.id, context.extractor), "PUT")


def _person(code: str, transaction: Transaction, context: Context) -> Stored:
    """The Patient of a health code, of a merged one the Patient that was kept."""
    query = criteria("Patient", [("identifier", f"{HEALTH_CODE}|{code}")], context)
    found: Sequence[Stored] = transaction.find("Patient", query, 5)
    kept = {stored.id: stored for one in found if (stored := _followed(one, transaction)) is not None}
    if len(kept) != 1:
        raise NotFound("The bearer of this code is not known here", "code")
    return next(iter(kept.values()))


def _followed(stored: Stored | None, transaction: Transaction) -> Stored | None:
    for _ in range(_HOPS):
        if stored is None or stored.body is None:
            return None
        following = merged_into(content_of(stored))
        if following is None:
            return stored
        stored = transaction.read("Patient", following)
    return None


def _check_living(patient: dict[str, Any]) -> None:
    if patient.get("deceasedBoolean") is True or patient.get("deceasedDateTime"):
        raise Gone("此人已登记死亡 / This person is registered as deceased", code="business-rule")


def _instant(seconds: float, context: Context) -> str:
    start = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC")) + timedelta(seconds=seconds)
    return start.astimezone(ZoneInfo(context.settings.zone)).isoformat(timespec="seconds")


def consent_of(patient: str, institution: str, claims: Claims, begins: str, until: str) -> dict[str, Any]:
    """The Consent that a scan makes (kind health-code, see docs/api/consent.md)."""
    person = {"reference": f"Patient/{patient}"}
    giver = {"reference": f"Patient/{claims.by or patient}"}
    digest = base64.b64encode(hashlib.sha1(NOTICE_TEXT.encode(), usedforsecurity=False).digest()).decode()
    participation = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
    reason = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
    return {
        "resourceType": "Consent",
        "extension": [{"url": LEGAL_BASIS, "valueCode": "CONSENT"}],
        "identifier": [{"system": SCAN, "value": claims.number}],
        "status": "active",
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": CONSENT_KIND, "code": "health-code", "display": "健康码授权"}]}],
        "patient": person,
        "dateTime": begins,
        "performer": [giver],
        "organization": [{"reference": f"Organization/{institution}"}],
        "sourceAttachment": {
            "contentType": "text/plain",
            "language": "zh-CN",
            "title": "健康码授权告知",
            "hash": digest,
        },
        "policy": [{"uri": NOTICE}],
        "verification": [{"verified": True, "verifiedWith": giver, "verificationDate": begins}],
        "provision": {
            "type": "permit",
            "period": {"start": begins, "end": until},
            "actor": [
                {
                    "role": {"coding": [{"system": participation, "code": "IRCP"}]},
                    "reference": {"reference": f"Organization/{institution}"},
                }
            ],
            "purpose": [{"system": reason, "code": code} for code in ("TREAT", "CAREMGT", "ETREAT")],
        },
    }
