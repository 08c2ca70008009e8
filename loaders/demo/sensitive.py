"""What needs special protection in a file: HIV, mental health, reproduction, genetics, dependence, abuse, adolescents'.

Labelled where an institution's system would label it (v3-ActCode in meta.security); elsewhere the codes speak.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta

from loaders.demo import catalogue, examinations, illness, laboratory, referrals
from loaders.demo.catalogue import LOINC
from loaders.demo.county import CDC, offices
from loaders.demo.draft import Draft, Visit, codeable, condition, organization, visit
from loaders.demo.laboratory import BLOOD


def _problem(
    draft: Draft,
    code: str,
    name: str,
    department: str,
    labels: tuple[str, ...],
    medicines: tuple[str, ...] = (),
    visits: int = 3,
) -> list[Visit]:
    """A disease found and followed at the county hospital, everything labelled; the visits."""
    seen: list[Visit] = []
    days = sorted(draft.day(10, 900) for _ in range(visits))
    reason = ""
    for day in days:
        here = visit(draft, draft.hospital, day, name, department=department, labels=labels)
        seen.append(here)
        reason = reason or condition(draft, here, code, name, day)
        for medicine in medicines:
            illness.prescribe(draft, here, medicine, reason, 28)
    return seen


def _reason(draft: Draft, code: str) -> str:
    """The Condition of that code."""
    for _, resource in draft.written:
        if resource["resourceType"] == "Condition" and resource["code"]["coding"][0]["code"] == code:
            return f"Condition/{resource['id']}"
    raise LookupError(f"no Condition {code}")


def _hiv(draft: Draft) -> None:
    labels = ("HIV",)
    seen = _problem(draft, "B24", "人类免疫缺陷病毒病", "infection", labels, ("J05AR13",), 4)
    found_by = laboratory.presence(draft, seen[0], "56888-1", "HIV抗原抗体", True, labels)
    referrals.report(draft, seen[0], "艾滋病", [_reason(draft, "B24"), found_by])
    for here in seen:
        found = [
            laboratory.measured(draft, here, "laboratory", item, labels=labels)
            for item in (catalogue.CD4, catalogue.VIRAL_LOAD)
        ]
        laboratory.report(draft, here, "11502-2", "HIV随访检验报告", found, labels)
    # Disease control keeps its own case file.
    draft.add(
        f"Organization/{CDC}",
        "plan",
        {
            "resourceType": "CarePlan",
            "status": "active",
            "intent": "plan",
            "title": "抗病毒治疗随访管理",
            "subject": draft.subject,
            "period": {"start": seen[0].time.date().isoformat()},
            "author": organization(offices()[0]),
            "activity": [{"detail": {"status": "in-progress", "description": "每半年检测病毒载量"}}],
        },
        labels,
    )


def _mental(draft: Draft) -> None:
    labels = ("PSY",)
    grave = draft.random.random() < 0.3
    code, name, drug = ("F20.9", "精神分裂症", "N05AH04") if grave else ("F32.9", "抑郁发作", "N06AB06")
    seen = _problem(draft, code, name, "mind", labels, (drug,), 3)
    text = "心理治疗记录：会谈五十分钟。来访者谈及家庭关系与睡眠，治疗师评估自杀风险低。本记录不宜出示给患者本人。"
    draft.record(
        seen[-1],
        "doc",
        {
            "resourceType": "DocumentReference",
            "status": "current",
            "type": {"text": "心理治疗记录"},
            "subject": draft.subject,
            "date": seen[-1].later(hours=1),
            "author": [{"reference": f"Practitioner/{seen[-1].practitioner}"}],
            "custodian": organization(seen[-1].place),
            "content": [
                {
                    "attachment": {
                        "contentType": "text/plain; charset=utf-8",
                        "data": b64encode(text.encode()).decode(),
                        "title": "心理治疗记录",
                    }
                }
            ],
        },
        ("PSY", "NOPAT"),
    )


def _pregnancy(draft: Draft) -> None:
    labels = ("SEX",)
    for weeks, day in ((12, 130), (22, 60), (30, 6)):
        when = draft.person.last - timedelta(days=day)
        here = visit(draft, draft.hospital, when, f"产前检查 孕{weeks}周", department="obstetrics", labels=labels)
        if weeks == 12:
            reason = condition(draft, here, "Z34.9", "正常妊娠监督", when - timedelta(days=80))
            illness.prescribe(draft, here, "B03BB01", reason, 28)
            laboratory.presence(draft, here, "5196-1", "乙肝表面抗原", False)
        laboratory.panel(draft, here, BLOOD)
    if draft.random.random() < 0.4 or draft.person.number == 7:
        earlier = draft.day(700, 1000)
        here = visit(draft, draft.hospital, earlier, "人工流产术后", department="obstetrics", labels=labels)
        condition(draft, here, "O04.9", "医疗性流产", earlier, lasting=False)


def _adolescent(draft: Draft) -> None:
    labels = ("ADOL", "SEX")
    here = visit(draft, draft.hospital, draft.day(20, 120), "青春期咨询", department="obstetrics", labels=labels)
    reason = condition(draft, here, "Z30.0", "避孕咨询", here.time.date(), lasting=False)
    illness.prescribe(draft, here, "G03AA12", reason, 28)


def _adolescent_mind(draft: Draft) -> None:
    labels = ("ADOL", "PSY")
    for day in (70, 20):
        when = draft.person.last - timedelta(days=day)
        here = visit(draft, draft.hospital, when, "青少年心理门诊", department="mind", labels=labels)
        if day == 70:
            condition(draft, here, "F41.9", "焦虑障碍", when - timedelta(days=60))


def _alcohol(draft: Draft) -> None:
    seen = _problem(draft, "F10.2", "酒精依赖综合征", "mind", ("ETH",), ("N07BB04",), 2)
    laboratory.panel(draft, seen[-1], laboratory.LIVER)


def _syphilis(draft: Draft) -> None:
    seen = _problem(draft, "A53.0", "潜伏梅毒", "infection", ("STD",), ("J01CE08",), 2)
    found_by = laboratory.presence(draft, seen[0], "24110-9", "梅毒螺旋体抗体", True, ("STD",))
    referrals.report(draft, seen[0], "梅毒", [_reason(draft, "A53.0"), found_by])


def _tuberculosis(draft: Draft) -> None:
    # Notifiable, not withheld: no label.
    seen = _problem(draft, "A15.0", "肺结核（痰涂片阳性）", "infection", (), ("J04AC01",), 3)
    shown_by = examinations.film(draft, seen[0], "A15.0")
    referrals.report(draft, seen[0], "肺结核", [_reason(draft, "A15.0"), shown_by])


def _gene(draft: Draft) -> None:
    labels = ("GDIS",)
    here = visit(draft, draft.hospital, draft.day(60, 600), "遗传咨询", department="obstetrics", labels=labels)
    condition(draft, here, "D56.3", "地中海贫血基因携带者", here.time.date())
    laboratory.observation(
        draft,
        here,
        "laboratory",
        codeable(LOINC, "35474-6", "HBA1基因检测"),
        {"valueCodeableConcept": {"text": "--SEA/αα"}},
        labels,
    )


def _abuse(draft: Draft) -> None:
    labels = ("SDV",)
    here = visit(draft, draft.hospital, draft.day(30, 300), "外伤", department="emergency", kind="EMER", labels=labels)
    condition(draft, here, "T74.1", "躯体虐待", here.time.date(), lasting=False)
    examinations.film(draft, here, "")


_STEPS: dict[str, Callable[[Draft], None]] = {
    "hiv": _hiv,
    "mental": _mental,
    "pregnancy": _pregnancy,
    "adolescent": _adolescent,
    "adolescent-mind": _adolescent_mind,
    "alcohol": _alcohol,
    "syphilis": _syphilis,
    "tuberculosis": _tuberculosis,
    "gene": _gene,
    "abuse": _abuse,
}


def protected(draft: Draft) -> None:
    """What the person's traits bring of this kind."""
    for trait, step in _STEPS.items():
        if draft.has(trait):
            step(draft)
