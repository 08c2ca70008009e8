"""Diseases of a resident: how each is found, followed at three levels, treated; passing ones and operations."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import date, timedelta

from loaders.demo import catalogue, examinations, laboratory, referrals
from loaders.demo.catalogue import ICD9, LOINC, MEDICINES, OPERATIONS
from loaders.demo.county import Institution
from loaders.demo.draft import Draft, Visit, codeable, condition, organization, prescription, recent, visit
from loaders.demo.laboratory import BLOOD, ELECTROLYTES, HEART, KIDNEY, LIPIDS, LIVER, SUGAR, THYROID


@dataclass(frozen=True, slots=True)
class Chronic:
    """A long-term disease: the trait that brings it, ICD-10 code, name, department, medicines, panels, examinations."""

    trait: str
    code: str
    name: str
    department: str
    medicines: tuple[str, ...]
    panels: tuple[str, ...]
    film: bool = False
    ecg: bool = False


CHRONIC: tuple[Chronic, ...] = (
    Chronic("hypertension", "I10", "原发性高血压", "internal", ("C08CA01", "C09CA03"), (KIDNEY, LIPIDS), ecg=True),
    Chronic("diabetes", "E11.9", "2型糖尿病", "internal", ("A10BA02", "A10BK01", "A10BF01"), (SUGAR, KIDNEY, LIPIDS)),
    Chronic(
        "heart",
        "I25.1",
        "冠状动脉粥样硬化性心脏病",
        "internal",
        ("B01AC06", "C10AA05", "C07AB02"),
        (LIPIDS, HEART),
        film=True,
        ecg=True,
    ),
    Chronic("kidney", "N18.3", "慢性肾脏病3期", "internal", ("C09CA03",), (KIDNEY, BLOOD, ELECTROLYTES), film=True),
    Chronic("lungs", "J44.9", "慢性阻塞性肺疾病", "internal", ("R03AC02",), (BLOOD,), film=True),
    Chronic("stroke", "I63.9", "脑梗死", "internal", ("B01AC04", "C10AA05"), (LIPIDS,), film=True),
    Chronic("thyroid", "E03.9", "甲状腺功能减退症", "internal", ("H03AA01",), (THYROID,)),
    Chronic("dementia", "F03", "老年期痴呆", "mind", ("N06DA02",), (BLOOD,)),
    Chronic("asthma", "J45.9", "支气管哮喘", "paediatrics", ("R03AC02",), (BLOOD,)),
    Chronic("hepatitis", "B18.1", "慢性乙型病毒性肝炎", "infection", ("J05AF10",), (LIVER,)),
)


@dataclass(frozen=True, slots=True)
class _Passing:
    code: str
    name: str
    medicines: tuple[str, ...]
    ages: tuple[int, int]
    weight: float
    fever: bool = False


_PASSING: tuple[_Passing, ...] = (
    _Passing("J06.9", "急性上呼吸道感染", ("J01CA04",), (0, 120), 10, fever=True),
    _Passing("A09", "急性胃肠炎", (), (1, 120), 3),
    _Passing("J18.9", "肺炎", ("J01CA04",), (1, 120), 1.2, fever=True),
    _Passing("N39.0", "泌尿道感染", ("J01MA12",), (18, 120), 1.4),
    _Passing("K29.5", "慢性胃炎", ("A02BC01",), (25, 120), 1.6),
    _Passing("M51.2", "腰椎间盘突出", ("M01AE01",), (30, 120), 1.4),
    _Passing("D50.9", "缺铁性贫血", (), (12, 60), 0.6),
    _Passing("J30.4", "变应性鼻炎", ("R01AD09", "R06AE07"), (6, 60), 1.2),
    _Passing("B08.4", "手足口病", (), (1, 6), 2, fever=True),
    _Passing("E04.1", "甲状腺结节", (), (30, 70), 0.6),
)


_NOTIFIABLE = frozenset({"B18.1", "B08.4"})  # what is reported to disease control, of those above


def _place(draft: Draft, grave: float = 0.0) -> Institution:
    """Where one goes: minor things to the village, the graver ones further up."""
    if draft.random.random() < 0.07:
        return draft.elsewhere
    roll = draft.random.random() + grave
    return draft.clinic if roll < 0.4 else draft.township if roll < 0.75 else draft.hospital


def prescribe(draft: Draft, seen: Visit, code: str, reason: str, days: int = 14) -> None:
    """A prescription from the catalogue, of something else where the person is allergic to it."""
    if code == "J01CA04" and draft.allergy == "青霉素":
        code = "J01FA10"
    name, times = MEDICINES[code]
    prescription(draft, seen, code, name, times, reason, days=days, going_on=days >= 28 and recent(seen))


def long_term(draft: Draft) -> None:
    """The long-term diseases: a finding visit with work-up each, then follow-up at three levels."""
    if draft.has("hypertension", "diabetes") and draft.random.random() < 0.3 and not draft.has("hero"):
        # Every third is not well controlled.
        draft.traits.add("uncontrolled")
    found = [c for c in CHRONIC if draft.has(c.trait)]
    problems = {c.code: _finding(draft, c) for c in found}
    for _ in range(2 + len(found) + draft.random.randint(0, 2) if found else 0):
        _follow_up(draft, draft.random.choice(found), problems)
    if draft.has("hero"):
        for place in (draft.hospital, draft.township):  # what the tour of the demonstration shows
            seen = visit(draft, place, draft.day(20, 60), "2型糖尿病复诊", department="internal")
            laboratory.panel(draft, seen, SUGAR)
            prescribe(draft, seen, "A10BA02", problems["E11.9"], 28)


def _finding(draft: Draft, disease: Chronic) -> str:
    place = draft.hospital if draft.random.random() < 0.55 else draft.township
    seen = visit(draft, place, draft.day(700, 1090), disease.name, department=disease.department)
    onset = seen.time.date() - timedelta(days=draft.random.randint(0, 1500))
    problem = condition(draft, seen, disease.code, disease.name, onset)
    laboratory.vitals(draft, seen, 2)
    for panel in disease.panels:
        laboratory.panel(draft, seen, panel)
    if disease.film:
        examinations.film(draft, seen, disease.code)
    if disease.ecg:
        examinations.electrocardiogram(draft, seen)
    if disease.code in _NOTIFIABLE:
        referrals.report(draft, seen, disease.name, [problem])
    for code in disease.medicines:
        prescribe(draft, seen, code, problem, 28)
    return problem


def _follow_up(draft: Draft, disease: Chronic, problems: dict[str, str]) -> None:
    place = _place(draft)
    seen = visit(draft, place, draft.day(8, 690), f"{disease.name}随访", department=disease.department)
    laboratory.vitals(draft, seen, 1)
    if disease.trait == "diabetes" and place.level == "village":
        glucose = laboratory.PANELS[SUGAR][1][0]
        laboratory.measured(draft, seen, "laboratory", glucose)
    elif place.level != "village":
        laboratory.panel(draft, seen, draft.random.choice(disease.panels))
    prescribe(draft, seen, draft.random.choice(disease.medicines), problems[disease.code], 28)


def passing(draft: Draft) -> None:
    """Colds and the like, as many as are usual at that age."""
    most = 3 if draft.person.age < 10 else 2
    for _ in range(draft.random.randint(0 if len(draft.written) > 30 else 1, most)):
        day = draft.day(3, 1000)
        age = draft.age_on(day)
        possible = [p for p in _PASSING if p.ages[0] <= age <= p.ages[1]]
        if not possible or (day - draft.person.born).days < 40:
            continue
        disease = draft.random.choices(possible, [p.weight for p in possible])[0]
        _episode(draft, disease, day)


def _episode(draft: Draft, disease: _Passing, day: date) -> None:
    place = _place(draft, 0.45 if disease.code == "J18.9" else 0.0)
    child = draft.age_on(day) < 14
    seen = visit(draft, place, day, disease.name, department="paediatrics" if child else "internal")
    problem = condition(draft, seen, disease.code, disease.name, day - timedelta(days=2), lasting=False)
    laboratory.vitals(draft, seen, 2, fever=disease.fever)
    if disease.medicines:
        prescribe(draft, seen, draft.random.choice(disease.medicines), problem, 5)
    if disease.code in _NOTIFIABLE and place.level != "village":
        referrals.report(draft, seen, disease.name, [problem])
    if place.level == "village":
        return
    if disease.fever or disease.code in ("D50.9", "N39.0"):
        shifts = {"6690-2": 0.6} if disease.fever else {"718-7": -1.0} if disease.code == "D50.9" else {}
        laboratory.panel(draft, seen, BLOOD, shifts)
    if disease.fever:
        laboratory.measured(draft, seen, "laboratory", catalogue.C_REACTIVE, 2.0)
    if disease.code in ("J18.9", "M51.2", "E04.1"):
        examinations.film(draft, seen, disease.code)


# From which age on, of which sex an operation is met, in the order of catalogue.OPERATIONS.
_OPERATED = ((12, None, 0.02), (35, None, 0.03), (50, False, 0.03), (70, None, 0.04), (66, None, 0.06))


def operated(draft: Draft) -> None:
    """A stay at the county hospital for an operation, with report, pathology and discharge summary."""
    for (low, of_women, share), operation in zip(_OPERATED, OPERATIONS, strict=True):
        hit = draft.random.random() < share
        if hit and draft.person.age >= low and of_women in (None, draft.person.female):
            _operation(draft, *operation)
            return
    if draft.has("cancer"):
        _cancer(draft)


def _operation(draft: Draft, code: str, name: str, diagnosis: str, called: str, department: str, days: int) -> None:
    day = draft.day(30, 900)
    stay = visit(draft, draft.hospital, day, called, department=department, kind="IMP", days=days)
    problem = condition(draft, stay, diagnosis, called, day - timedelta(days=1), lasting=False)
    laboratory.panel(draft, stay, BLOOD)
    laboratory.panel(draft, stay, laboratory.CLOTTING)
    examinations.film(draft, stay, diagnosis)
    _procedure(draft, stay, code, name, problem)
    if diagnosis == "K35.8":
        examinations.pathology(draft, stay, "阑尾", "急性化脓性阑尾炎。")
    if diagnosis == "K80.2":
        examinations.pathology(draft, stay, "胆囊", "慢性胆囊炎，胆囊结石。")
    discharge(draft, stay, called, name, days)


def _procedure(draft: Draft, seen: Visit, code: str, name: str, problem: str) -> str:
    return draft.record(
        seen,
        "pro",
        {
            "resourceType": "Procedure",
            "status": "completed",
            "code": codeable(ICD9, code, name),
            "subject": draft.subject,
            "encounter": {"reference": seen.encounter},
            "performedDateTime": seen.later(days=1),
            "performer": [{"actor": {"reference": f"Practitioner/{seen.practitioner}"}}],
            "reasonReference": [{"reference": problem}],
        },
    )


def _cancer(draft: Draft) -> None:
    woman = draft.person.female
    code, name = ("C50.9", "乳腺恶性肿瘤") if woman else ("C16.9", "胃恶性肿瘤")
    day = draft.day(150, 500)
    referral = referrals.up(draft, day - timedelta(days=4), name + "可疑")
    stay = visit(draft, draft.hospital, day, name, department="surgery", kind="IMP", days=12, based_on=referral)
    problem = condition(draft, stay, code, name, day)
    examinations.film(draft, stay, code)
    laboratory.panel(draft, stay, BLOOD)
    organ = ("左乳肿物", "左乳浸润性导管癌，ER(+)，PR(+)，HER2(-)。") if woman else ("胃窦肿物", "胃窦中分化腺癌。")
    examinations.pathology(draft, stay, *organ)
    operation = ("85.43", "左乳改良根治术") if woman else ("43.7", "远端胃切除术")
    _procedure(draft, stay, *operation, problem)
    if woman:
        prescribe(draft, stay, "L02BG03", problem, 28)
    discharge(draft, stay, name, operation[1], 12)


def discharge(
    draft: Draft, stay: Visit, diagnosis: str, treatment: str, days: int, labels: tuple[str, ...] = ()
) -> str:
    """A discharge summary: DocumentReference and the Binary with its text, which is as protected as it."""
    text = (
        f"出院小结\n姓名：{draft.person.name.text}\n入院诊断：{diagnosis}\n诊疗经过：入院后完善检查，行{treatment}，"
        f"住院{days}天，恢复可。\n出院医嘱：按时服药，一周后门诊复查，不适随诊。\n"
    ).encode()
    serial = draft.counts.get("bin", 0) + 1
    document = draft.record(
        stay,
        "doc",
        {
            "resourceType": "DocumentReference",
            "status": "current",
            "type": codeable(LOINC, "18842-5", "出院小结"),
            "subject": draft.subject,
            "date": stay.later(days=days),
            "author": [{"reference": f"Practitioner/{stay.practitioner}"}],
            "custodian": organization(stay.place),
            "description": f"{diagnosis}出院小结",
            "content": [
                {
                    "attachment": {
                        "contentType": "text/plain; charset=utf-8",
                        "language": "zh-CN",
                        "url": f"Binary/bin-{draft.person.number:06d}-{serial}",
                        "size": len(text),
                        "title": "出院小结",
                        "creation": stay.later(days=days),
                    }
                }
            ],
            "context": {"encounter": [{"reference": stay.encounter}]},
        },
        labels,
    )
    draft.record(
        stay,
        "bin",
        {
            "resourceType": "Binary",
            "contentType": "text/plain; charset=utf-8",
            "securityContext": {"reference": document},
            "data": b64encode(text).decode(),
        },
        labels,
    )
    return document
