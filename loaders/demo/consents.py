"""What residents consent to and refuse: every kind of Consent of the alliance, spread over the county.

The forms are those that consent.check accepts (docs/api/consent.md); each says in Chinese what it means.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from consent.provisions import CLASS_CODES
from consent.vocabulary import (
    ACT_CODE,
    ACT_REASON,
    CONSENT_KIND,
    LEGAL_BASIS,
    OWN_PURPOSES,
    PURPOSE,
    RECORD_CLASS,
)
from consent.words import CLASSES
from loaders.demo import identity
from loaders.demo.county import ALLIANCE, COUNTY, Institution
from loaders.demo.draft import ZONE, Draft, Resource
from loaders.demo.people import TODAY, Person
from loaders.demo.prevention import team_id
from loaders.demo.registration import related_id

NOTICE = "urn:yidang:notice:sharing"
NOTICE_VERSION = "2025-10"
NOTICE_TEXT = (
    f"{COUNTY}紧密型县域医共体健康档案共享告知书（2025年10月版）。处理者：{COUNTY}人民医院及您选定的机构。"
    "目的：为您诊疗、健康管理和检查检验结果互认。您可随时在同一页面撤回同意，撤回不影响就诊。"
)
NOTICE_HASH = b64encode(hashlib.sha1(NOTICE_TEXT.encode(), usedforsecurity=False).digest()).decode()
_ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_KINDS = {
    "sharing": "医共体内共享",
    "institution": "按机构共享",
    "care-team": "按团队共享",
    "record-class": "按记录类别共享",
    "sensitive": "敏感信息单独同意",
    "data-period": "按资料时间共享",
    "document": "单份文档共享",
    "refusal": "拒绝共享",
    "guardian": "监护人同意",
}
_CLASSES = {
    "allergy": "过敏",
    "problem": "诊断",
    "medication": "用药",
    "immunization": "预防接种",
    "vital-signs": "生命体征",
    "laboratory": "检验",
    "imaging": "影像",
    "ecg": "心电",
    "document": "文书",
    "encounter": "就诊",
    "identity": "身份信息",
}
_LABELS = {
    "HIV": "艾滋病",
    "PSY": "精神卫生",
    "SEX": "生殖健康",
    "GDIS": "遗传",
    "ETH": "物质使用",
    "STD": "性病",
    "SDV": "家庭暴力",
    "ADOL": "青少年保密诊疗",
}
_PURPOSES = ("TREAT", "CAREMGT", "RECOG")


def _recipients(*references: str) -> list[Resource]:
    role = {"coding": [{"system": _PARTICIPATION, "code": "IRCP", "display": "information recipient"}]}
    return [{"role": role, "reference": {"reference": reference}} for reference in references]


def _permit(*recipients: str, **rest: Any) -> Resource:
    purposes = [{"system": PURPOSE if p in OWN_PURPOSES else ACT_REASON, "code": p} for p in _PURPOSES]
    return {
        "type": "permit",
        "actor": _recipients(*recipients),
        "action": [{"coding": [{"system": _ACTION, "code": "access"}]}],
        "purpose": purposes,
        **rest,
    }


def _classes(*codes: str) -> list[Resource]:
    return [{"system": RECORD_CLASS, "code": code, "display": CLASSES[CLASS_CODES[code]][0]} for code in codes]


def _labels(*codes: str) -> list[Resource]:
    return [{"system": ACT_CODE, "code": code} for code in codes]


def _consent(
    draft: Draft,
    kind: str,
    provision: Resource,
    summary: str,
    *,
    guardian: Person | None = None,
    paper: Institution | None = None,
    withdrawn: bool = False,
) -> str:
    """File one Consent: given by the resident's own hand, by a guardian's, or on paper at an institution."""
    given = min(date(2025, 11, 3) + timedelta(days=draft.random.randint(0, 355)), draft.person.last)
    # Who is fourteen consents itself from that birthday on.
    born = draft.person.born
    alone = born + timedelta(days=1) if guardian else born + timedelta(days=14 * 366)
    given = min(max(given, alone), draft.person.last)
    moment = datetime.combine(given, time(draft.random.randint(8, 17), 30), ZONE).isoformat()
    performer = f"Patient/{draft.person.id}"
    custodian = f"Organization/{paper.id}" if paper else performer
    if guardian is not None:
        performer = f"RelatedPerson/{related_id(draft.person, guardian)}"
        custodian = custodian if paper else f"Patient/{guardian.id}"
    if provision["type"] == "permit" and "period" not in provision:
        provision = {**provision, "period": {"start": given.isoformat(), "end": f"{given.year + 5}-12-31"}}
    number = f"C{draft.person.number:06d}{draft.counts.get('consent', 0):02d}"
    reference = draft.add(
        custodian,
        "consent",
        {
            "resourceType": "Consent",
            "text": {
                "status": "additional",
                "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{summary}</p></div>',
            },
            "extension": [{"url": LEGAL_BASIS, "valueCode": "CONSENT"}],
            "identifier": [{"system": identity.CONSENT_NUMBER, "value": number}],
            "status": "inactive" if withdrawn else "active",
            "scope": {
                "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
            },
            "category": [
                {"coding": [{"system": "http://loinc.org", "code": "59284-0", "display": "Patient Consent"}]},
                {"coding": [{"system": CONSENT_KIND, "code": kind, "display": _KINDS[kind]}]},
            ],
            "patient": draft.subject,
            "dateTime": moment,
            "performer": [{"reference": performer}],
            "organization": [{"reference": f"Organization/{draft.hospital.id}", "display": draft.hospital.name}],
            "sourceAttachment": {
                "contentType": "text/plain; charset=utf-8",
                "language": "zh-CN",
                "title": "健康档案共享告知书",
                "url": f"{NOTICE}:{NOTICE_VERSION}",
                "hash": NOTICE_HASH,
            },
            "policy": [{"uri": f"{NOTICE}|{NOTICE_VERSION}"}],
            "verification": [{"verified": True, "verifiedWith": {"reference": performer}, "verificationDate": moment}],
            "provision": provision,
        },
    )
    draft.summaries.append((reference.partition("/")[2], summary))
    return reference


# -- kinds ------------------------------------------------------------------------------------------

_ALL = f"Organization/{ALLIANCE}"


def _org(place: Institution) -> str:
    return f"Organization/{place.id}"


def sharing(draft: Draft, **how: Any) -> None:
    """Everything that is not specially protected, to all members of the alliance."""
    _consent(draft, "sharing", _permit(_ALL), "同意医共体各成员单位查阅本人档案（敏感信息除外）", **how)


def sharing_except(draft: Draft) -> None:
    """As ``sharing``, but not to one clinic."""
    other = draft.clinic
    exception = {"type": "deny", "actor": _recipients(_org(other))}
    provision = {**_permit(_ALL), "provision": [exception]}
    _consent(draft, "sharing", provision, f"同意医共体各成员单位查阅本人档案，但{other.name}除外")


def institution(draft: Draft, **how: Any) -> None:
    """To the county hospital and the township's, by name."""
    places = (draft.hospital, draft.township)
    names = "、".join(p.name for p in places)
    _consent(draft, "institution", _permit(*map(_org, places)), f"同意{names}查阅本人档案（敏感信息除外）", **how)


def department(draft: Draft) -> None:
    """Some classes to the alliance, and everything to one department of the county hospital."""
    record_class(draft)
    text = f"同意{draft.hospital.name}精神心理科查阅本人档案（敏感信息除外）"
    _consent(draft, "institution", _permit(f"{_org(draft.hospital)}-mind"), text)


def care_team(draft: Draft) -> None:
    """To the family-doctor team; to the township hospital where there is none."""
    team = team_id(draft)
    if not team:
        institution(draft)
        return
    _consent(draft, "care-team", _permit(team), "同意本人的家庭医生团队查阅各机构的档案（敏感信息除外）")


def record_class(draft: Draft) -> None:
    """Some classes only, to the alliance."""
    sets = (
        ("identity", "laboratory", "imaging", "ecg"),
        ("identity", "allergy", "problem", "medication"),
        ("laboratory", "medication", "vital-signs"),
    )
    codes = sets[draft.person.number % len(sets)]
    names = "、".join(_CLASSES[code] for code in codes)
    provision = _permit(_ALL, **{"class": _classes(*codes)})
    _consent(draft, "record-class", provision, f"同意医共体各成员单位查阅本人的{names}记录")


def _own_labels(draft: Draft) -> list[str]:
    found = {
        coding["code"]
        for _, resource in draft.written
        for coding in resource.get("meta", {}).get("security", ())
        if coding["system"] == ACT_CODE and coding["code"] in _LABELS
    }
    return sorted(found)


def sensitive(draft: Draft) -> None:
    """What is specially protected, named, to the township hospital; and the rest to the alliance."""
    sharing(draft)
    labels = _own_labels(draft)
    if labels:
        names = "、".join(_LABELS[label] for label in labels)
        provision = _permit(_org(draft.township), securityLabel=_labels(*labels))
        text = f"单独同意{draft.township.name}查阅本人的敏感信息：{names}"
        _consent(draft, "sensitive", provision, text)


def data_period(draft: Draft) -> None:
    """What is from the last years, to the alliance."""
    start = TODAY - timedelta(days=draft.random.choice((365, 548, 730)))
    provision = _permit(_ALL, dataPeriod={"start": start.isoformat()})
    _consent(draft, "data-period", provision, f"同意医共体各成员单位查阅本人{start.isoformat()}以后的记录")


def document(draft: Draft) -> None:
    """One report, to the township hospital that the person seldom goes to."""
    wanted = ("DocumentReference", "DiagnosticReport", "Encounter")
    found = [(c, r) for type in wanted for c, r in draft.written if r["resourceType"] == type and "meta" not in r]
    if not found:
        return
    reference = f"{found[0][1]['resourceType']}/{found[0][1]['id']}"
    data = [{"meaning": "instance", "reference": {"reference": reference}}]
    provision = _permit(_org(draft.elsewhere), data=data)
    _consent(draft, "document", provision, f"同意{draft.elsewhere.name}查阅本人的一份记录（{reference}）")


def refusal(draft: Draft) -> None:
    """Nobody in the alliance; even what a contract would open."""
    provision = {"type": "deny", "actor": _recipients(_ALL)}
    _consent(draft, "refusal", provision, "拒绝医共体其他机构查阅本人档案")


def refusal_but_one(draft: Draft) -> None:
    """Nobody at all but the township hospital."""
    _consent(draft, "refusal", {"type": "deny"}, "拒绝任何其他机构查阅本人档案")
    text = f"仅同意{draft.township.name}查阅本人档案"
    _consent(draft, "institution", _permit(_org(draft.township)), text, paper=draft.township)


def refusal_of_protected(draft: Draft) -> None:
    """Shared with the alliance, but what is specially protected with nobody, whatever others may say."""
    sharing(draft)
    labels = _own_labels(draft) or ["PSY"]
    names = "、".join(_LABELS[label] for label in labels)
    provision = {"type": "deny", "securityLabel": _labels(*labels)}
    _consent(draft, "refusal", provision, f"拒绝任何其他机构查阅本人的{names}信息")


def withdrawn(draft: Draft) -> None:
    """Shared once, and withdrawn."""
    _consent(draft, "sharing", _permit(_ALL), "曾同意医共体内共享，已撤回", withdrawn=True)


def on_paper(draft: Draft) -> None:
    """As ``sharing``, signed on paper at the township hospital and entered there."""
    sharing(draft, paper=draft.township)


def _none(draft: Draft) -> None:
    """Said nothing yet."""


def guardian(draft: Draft, who: Person) -> None:
    """A guardian's consent for a ward."""
    if draft.person.age < 2:
        codes = ("identity", "immunization", "allergy", "vital-signs")
        provision = _permit(_ALL, **{"class": _classes(*codes)})
        text = "监护人同意医共体各成员单位查阅被监护人的身份信息、预防接种、过敏和生命体征记录"
    else:
        provision = _permit(_ALL)
        text = "监护人同意医共体各成员单位查阅被监护人的档案（敏感信息除外）"
    _consent(draft, "guardian", provision, text, guardian=who)


# The first residents have a kind each; the others draw.
_FIRST: dict[int, Callable[[Draft], None]] = {
    1: _none,
    2: sharing,
    3: institution,
    5: sharing_except,
    7: sensitive,
    8: record_class,
    10: sensitive,
    11: refusal_of_protected,
    12: department,
    13: data_period,
    14: document,
    15: withdrawn,
    16: refusal,
    17: on_paper,
    18: document,
    19: sensitive,
    20: refusal_but_one,
}
_DRAWN: tuple[tuple[Callable[[Draft], None], float], ...] = (
    (_none, 14),
    (sharing, 28),
    (on_paper, 8),
    (institution, 10),
    (care_team, 8),
    (record_class, 9),
    (sensitive, 4),
    (data_period, 5),
    (document, 3),
    (sharing_except, 3),
    (department, 1),
    (refusal, 3),
    (refusal_but_one, 2),
    (refusal_of_protected, 1),
    (withdrawn, 4),
)


def given(draft: Draft, guardians: list[Person]) -> None:
    """File what the person, or a guardian for it, has decided."""
    number = draft.person.number
    choice = draft.random.choices([kind for kind, _ in _DRAWN], [share for _, share in _DRAWN])[0]
    if draft.person.age < 14 or (guardians and draft.person.age >= 18):
        # A child does not consent alone, nor does an adult without capacity.
        if guardians and (number in _GUARDED or draft.random.random() < 0.7):
            guardian(draft, guardians[0])
        return
    if draft.random.random() < 0.4 and _own_labels(draft):
        choice = sensitive
    (_FIRST.get(number) or choice)(draft)
    if number == 5:
        care_team(draft)


_GUARDED = frozenset({4, 6, 9})
