"""The tour of the demonstration: shell lines, to be run in order, that show consent at work."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from consent.vocabulary import LEGAL_BASIS, RECORD_CLASS
from loaders.demo import institutions, resident_file
from loaders.demo.consents import NOTICE, NOTICE_HASH, NOTICE_VERSION

HERO = 1
CONSENT = "urn:yidang:tour"  # system of the identifier by which the tour finds its own Consent again
_FHIR = "-H 'Content-Type: application/fhir+json'"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what it shows (Chinese, English), and the command."""

    zh: str
    en: str
    command: str


def consent_file(out: Path) -> Path:
    """Where the tour's Consent is, beside the demonstration's file."""
    return out.with_name(f"{out.stem}-consent.json")


def write_consent(out: Path, seed: int) -> None:
    """Write the Consent that the tour's resident gives."""
    patient = resident_file(HERO, seed, institutions()).person.id
    made = consent(patient, stranger(seed), "identity", "laboratory")
    consent_file(out).write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", "utf-8")


def consent(patient: str, institution: str, *classes: str) -> dict[str, object]:
    """The Consent that the resident of the tour gives: some record classes, to one institution."""
    return {
        "resourceType": "Consent",
        "status": "active",
        "extension": [{"url": LEGAL_BASIS, "valueCode": "CONSENT"}],
        "identifier": [{"system": CONSENT, "value": patient}],
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": "urn:yidang:consent-kind", "code": "record-class"}]}],
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": "2026-11-02",
        "performer": [{"reference": f"Patient/{patient}"}],
        "policy": [{"uri": f"{NOTICE}|{NOTICE_VERSION}"}],
        "sourceAttachment": {"title": "健康档案共享告知书", "hash": NOTICE_HASH},
        "provision": {
            "type": "permit",
            "actor": [
                {
                    "role": {
                        "coding": [
                            {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}
                        ]
                    },
                    "reference": {"reference": f"Organization/{institution}"},
                }
            ],
            "class": [{"system": RECORD_CLASS, "code": code} for code in classes],
        },
    }


def stranger(seed: int) -> str:
    """A township hospital that has nothing in the file of the tour's resident."""
    places = institutions()
    writers = resident_file(HERO, seed, places).parts()
    return next(p.id for p in places if p.level == "township" and f"Organization/{p.id}" not in writers)


def lines(base: str, out: Path, seed: int, command: str) -> list[Line]:
    """The lines; ``base`` is the FHIR base, ``out`` the demonstration's file, ``command`` how yidang is called."""
    patient = resident_file(HERO, seed, institutions()).person.id
    other = stranger(seed)
    token = f"{command} token --demo {quote(str(out))}"
    seen = f"curl '{base}/Observation?patient={patient}&_summary=count' -H \"Authorization: Bearer $EMR\""
    withdrawal = '[{"op":"replace","path":"/status","value":"inactive"}]'
    mine = '-H "Authorization: Bearer $RESIDENT"'
    return [
        Line("没有令牌，什么也看不到", "without a token, nothing", f"curl '{base}/Patient/{patient}'"),
        Line(
            f"另一家卫生院（{other}）的电子病历系统取得令牌",
            "the EMR of another institution gets a token",
            f"EMR=$({token} --client emr-{other})",
        ),
        Line("它看不到这位居民的任何检验", "it sees nothing of this resident", seen),
        Line("居民登录", "the resident signs in", f"RESIDENT=$({token} --resident {patient})"),
        Line(
            "居民看到自己的全部记录",
            "the resident sees the whole file",
            f"curl '{base}/Observation?patient={patient}&_summary=count' {mine}",
        ),
        Line(
            "居民同意该卫生院查阅检验",
            "the resident consents to laboratory results",
            f"curl {base}/Consent {_FHIR} {mine} -d @{quote(str(consent_file(out)))}",
        ),
        Line("现在它看得到检验", "now the EMR sees those", seen),
        Line(
            "但看不到没有同意的处方",
            "but no prescriptions, which were not consented to",
            f"curl '{base}/MedicationRequest?patient={patient}&_summary=count' -H \"Authorization: Bearer $EMR\"",
        ),
        Line(
            "居民撤回",
            "the resident withdraws",
            f"curl -X PATCH '{base}/Consent?identifier={CONSENT}|{patient}'"
            f" -H 'Content-Type: application/json-patch+json' {mine} -d '{withdrawal}'",
        ),
        Line("它又什么都看不到了", "and the EMR sees nothing again", seen),
        Line(
            "居民查看谁看过自己的档案",
            "the resident reads who looked",
            f"curl '{base}/AuditEvent?patient={patient}&_count=5&_pretty=true' {mine}",
        ),
    ]


def text(base: str, out: Path, seed: int, command: str) -> str:
    """The lines as they are printed."""
    parts = ["", "在另一个终端里依次运行（sh 或 bash）/ In another terminal, in this order:", ""]
    for line in lines(base, out, seed, command):
        parts += [f"  # {line.zh} / {line.en}", f"  {line.command}", ""]
    return "\n".join(parts)
