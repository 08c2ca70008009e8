"""An audit entry in plain Chinese (and the words it is made of), for the resident who reads who looked.

Told are the institution, the person and role, the time, the purpose, what kinds of things were seen, and the right by
which they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from consent.grant import KINDS as GRANT_KINDS
from consent.vocabulary import ROLES, RecordClass
from fhir_server.audit.event import SUCCESS, Event, Part
from fhir_server.audit.kinds import ACTIONS, kind_of

CLASSES: dict[RecordClass, tuple[str, str]] = {
    RecordClass.SHARED: ("公共信息", "shared"),
    RecordClass.IDENTITY: ("身份信息", "identity"),
    RecordClass.ALLERGY: ("过敏史", "allergies"),
    RecordClass.PROBLEM: ("诊断与健康问题", "problems"),
    RecordClass.MEDICATION: ("用药", "medication"),
    RecordClass.IMMUNIZATION: ("预防接种", "immunizations"),
    RecordClass.VITAL_SIGNS: ("体征", "vital signs"),
    RecordClass.LABORATORY: ("检验", "laboratory"),
    RecordClass.IMAGING: ("影像检查", "imaging"),
    RecordClass.ECG: ("心电", "ECG"),
    RecordClass.PATHOLOGY: ("病理", "pathology"),
    RecordClass.ENCOUNTER: ("就诊", "encounters"),
    RecordClass.PROCEDURE: ("手术与操作", "procedures"),
    RecordClass.DOCUMENT: ("文书", "documents"),
    RecordClass.CARE_PLAN: ("健康管理计划", "care plans"),
    RecordClass.ORDER: ("申请与医嘱", "orders"),
    RecordClass.SURVEY: ("问卷与生活史", "surveys"),
    RecordClass.CONSENT: ("授权同意", "consents"),
    RecordClass.FINANCIAL: ("费用", "financial"),
    RecordClass.OTHER: ("其他", "other"),
}
PURPOSES: dict[str, tuple[str, str]] = {
    "TREAT": ("诊疗", "treatment"),
    "ETREAT": ("急诊救治", "emergency treatment"),
    "BTG": ("紧急访问", "break the glass"),
    "CAREMGT": ("健康管理", "care management"),
    "PUBHLTH": ("公共卫生", "public health"),
    "HOPERAT": ("机构管理", "healthcare operations"),
    "PATRQT": ("本人查阅", "patient requested"),
    "HPAYMT": ("费用结算", "healthcare payment"),
    "HRESCH": ("医学研究", "healthcare research"),
    "RECOG": ("结果互认", "recognition of results"),
    "REFER": ("转诊", "referral"),
    "CONSULT": ("会诊", "consultation"),
    "FAMRQT": ("监护人查阅", "guardian requested"),
}
GROUNDS: dict[str, tuple[str, str]] = {
    "consent": ("居民的授权同意", "consent"),
    "health-code": ("居民出示健康码", "health code presented"),
    "referral": ("转诊", "referral"),
    "consultation": ("会诊", "consultation"),
    "diagnosis": ("诊断申请", "request for diagnosis"),
    "family-doctor": ("家庭医生签约", "family doctor contract"),
    "registration": ("在该机构建档", "registered there"),
    "break-glass": ("紧急情况", "emergency"),
    "statutory-report": ("法定报告", "statutory reporting"),
    "guardian": ("监护关系", "guardianship"),
    "approval": ("经批准", "approval"),
    "own": ("本机构产生的记录", "the institution's own records"),
    "self": ("本人", "the person"),
    "identity": ("主索引管理职责", "stewardship of the person index"),
    "shared": ("公共信息", "public information"),
    "grant": ("有效授权（可查询依据）", "a grant in force (see $explain-access)"),
}
Names = Callable[[str], str]
"""The name of an Organization, Practitioner or Device by its reference, '' where it is not known."""


def legal_bases(bases: Iterable[str]) -> list[str]:
    """The legal bases (PIPL art. 13) of kinds of grants, each once."""
    return list(dict.fromkeys(GRANT_KINDS.get(kind, "CONSENT") for kind in bases))


def classes_of(part: Part) -> list[RecordClass]:
    """The record classes of what a part shows, each once, in their order."""
    bits = 0
    for item in part.items:
        bits |= item.record_class
    return [one for one in RecordClass if one & bits and one is not RecordClass.SHARED]


def actor(event: Event, names: Names) -> str:
    """Institution, role and name of who acted, as a reader may know them."""
    who = event.who
    if who.kind == "resident":
        return "居民（或其监护人）"
    if who.kind == "local":
        return "服务器本机维护"
    if not who.kind:
        return "未登录的访问者"
    institution = names(f"Organization/{who.institution}") if who.institution else ""
    role = ROLES[who.role].zh if who.role in ROLES else who.role
    name = who.name or names(who.subject)
    return " ".join(word for word in (institution or who.institution, role, name) if word)


@lru_cache(maxsize=4096)
def _minute(minute: int, zone: str) -> str:
    return datetime.fromtimestamp(minute * 60, ZoneInfo(zone)).strftime("%Y年%m月%d日 %H:%M")


def sentence(event: Event, part: Part, names: Names, zone: str) -> str:
    """The entry in one Chinese sentence or two."""
    kind = kind_of(event.code)
    did = ACTIONS[part.action][0] if kind.action == "E" and part.action in ACTIONS else kind.zh
    text = f"{_minute(event.time // 60_000_000, zone)}，{actor(event, names)}"
    if event.who.purpose in PURPOSES:
        text += f"为“{PURPOSES[event.who.purpose][0]}”"
    text += did
    seen = [CLASSES[one][0] for one in classes_of(part)]
    if seen:
        text += "：" + "、".join(seen)
    text += "。"
    if event.bases:
        grounds = [GROUNDS[kind][0] if kind in GROUNDS else kind for kind in event.bases]
        text += f"依据：{'、'.join(dict.fromkeys(grounds))}。"
    if event.outcome != SUCCESS and event.code != "denied":
        text += "未成功。"
    return text
