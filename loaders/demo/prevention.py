"""Public health services of a resident: vaccines, child health visits, check-ups, family doctor, care plan."""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, timedelta
from decimal import Decimal

from consent.vocabulary import TEAM_KIND
from loaders.demo import catalogue, examinations, laboratory
from loaders.demo.catalogue import LOINC
from loaders.demo.county import practitioners_of
from loaders.demo.draft import Draft, Resource, codeable, organization, physician, visit
from loaders.demo.laboratory import BLOOD, KIDNEY, LIPIDS, LIVER, SUGAR
from loaders.demo.people import TODAY

# Height (cm) and weight (kg) of children by age in months, as usual.
_MONTHS = (0, 3, 6, 12, 24, 36, 48, 60, 72, 96, 120, 144, 168, 200)
_HEIGHTS = (50, 61, 67, 76, 88, 96, 103, 110, 116, 128, 139, 151, 160, 166)
_WEIGHTS = (3.3, 6.2, 7.8, 9.6, 12.2, 14.4, 16.4, 18.4, 20.7, 25.8, 32.5, 40, 48, 54)
_VISITS = (1, 3, 6, 8, 12, 18, 24, 30, 36, 48, 60, 72)  # months of the child health visits


def birth(draft: Draft) -> None:
    """Of infants: the birth at the county hospital, with weight and length."""
    if draft.person.age >= 1:
        return
    born = draft.person.born
    seen = visit(draft, draft.hospital, born, "出生", department="obstetrics", kind="IMP", days=3)
    for measure, low, high in ((catalogue.WEIGHT, 2.7, 4.0), (catalogue.HEIGHT, 47.5, 52.5)):
        value = Decimal(f"{draft.random.uniform(low, high):.1f}")
        rest = {"valueQuantity": laboratory.quantity(value, measure.unit)}
        laboratory.observation(draft, seen, "vital-signs", codeable(LOINC, measure.code, measure.name), rest)


def vaccines(draft: Draft) -> None:
    """The programme's vaccines of children, influenza of the old; given at the township hospital."""
    person = draft.person
    given: list[tuple[str, str, date]] = []
    if person.age < 14:
        given = [(c, n, person.born + timedelta(days=int(m * 30.5))) for c, n, m in catalogue.VACCINES]
    elif person.age >= 60 and draft.random.random() < 0.4:
        given = [(*catalogue.INFLUENZA, date(year, 10, draft.random.randint(8, 28))) for year in (2024, 2025)]
    for number, (code, name, day) in enumerate(given, 1):
        if day <= person.last:
            draft.add(
                f"Organization/{draft.township.id}",
                "imm",
                {
                    "resourceType": "Immunization",
                    "status": "completed",
                    "vaccineCode": codeable("urn:yidang:vaccine", code, name),
                    "patient": draft.subject,
                    "occurrenceDateTime": day.isoformat(),
                    "primarySource": True,
                    "lotNumber": f"YD{day:%Y%m}{number:02d}",
                    "performer": [{"actor": organization(draft.township)}],
                },
            )


def _usual(curve: tuple[float, ...], months: float) -> float:
    at = min(bisect_right(_MONTHS, months), len(_MONTHS) - 1)
    low, high = _MONTHS[at - 1], _MONTHS[at]
    return curve[at - 1] + (curve[at] - curve[at - 1]) * min((months - low) / (high - low), 1.0)


def child_health(draft: Draft) -> None:
    """The last visits of the child health programme, with growth."""
    born = draft.person.born
    months = (TODAY - born).days / 30.44
    if months > 190:
        return
    due = [m for m in _VISITS if m < months] or [0]
    if months > 84:
        due = [int(months) - 14, int(months) - 2]  # at school, once a year
    size = draft.random.uniform(0.93, 1.07)
    for month in due[-3:]:
        day = min(born + timedelta(days=int(month * 30.5) + draft.random.randint(0, 9)), draft.person.last)
        seen = visit(draft, draft.township, day, "儿童健康检查")
        for measure, curve in ((catalogue.HEIGHT, _HEIGHTS), (catalogue.WEIGHT, _WEIGHTS)):
            value = Decimal(f"{_usual(curve, month) * size * draft.random.uniform(0.99, 1.01):.1f}")
            rest = {"valueQuantity": laboratory.quantity(value, measure.unit)}
            laboratory.observation(draft, seen, "vital-signs", codeable(LOINC, measure.code, measure.name), rest)


_QUESTIONS = (
    ("进餐", "1"),
    ("梳洗", "2"),
    ("穿衣", "3"),
    ("如厕", "4"),
    ("活动", "5"),
)


def _self_care(draft: Draft, encounter: str, day: str) -> None:
    points = [draft.random.choices((0, 1, 3), (8, 2, 2 if draft.has("dementia") else 0))[0] for _ in _QUESTIONS]
    items: list[Resource] = [
        {"linkId": link, "text": text, "answer": [{"valueInteger": point}]}
        for (text, link), point in zip(_QUESTIONS, points, strict=True)
    ]
    items.append({"linkId": "total", "text": "总分", "answer": [{"valueInteger": sum(points)}]})
    draft.add(
        f"Organization/{draft.township.id}",
        "qst",
        {
            "resourceType": "QuestionnaireResponse",
            "questionnaire": "urn:yidang:questionnaire:elderly-self-care",
            "status": "completed",
            "subject": draft.subject,
            "encounter": {"reference": encounter},
            "authored": day,
            "source": draft.subject,
            "item": items,
        },
    )


def checkups(draft: Draft) -> None:
    """The yearly check-up of the old at the township hospital; a short one in the village for other adults."""
    age = draft.person.age
    if age < 18:
        return
    if age < 65:
        seen = visit(draft, draft.clinic, draft.day(30, 400), "健康体检")
        laboratory.body(draft, seen)
        laboratory.blood_pressure(draft, seen)
        _smoking(draft, seen.encounter, seen.time.isoformat())
        return
    for year in (2025, 2026)[draft.random.randint(0, 1) :]:
        day = date(year, draft.random.randint(3, 9), draft.random.randint(1, 28))
        if day > draft.person.last:
            continue
        seen = visit(draft, draft.township, day, "老年人健康体检")
        laboratory.body(draft, seen)
        laboratory.vitals(draft, seen, 2)
        for panel in draft.random.sample((BLOOD, LIVER, KIDNEY, SUGAR, LIPIDS), 2):
            laboratory.panel(draft, seen, panel)
        if draft.random.random() < 0.35:
            examinations.film(draft, seen, "")
        if draft.random.random() < 0.35:
            examinations.electrocardiogram(draft, seen)
        _self_care(draft, seen.encounter, seen.time.isoformat())


def _smoking(draft: Draft, encounter: str, when: str) -> None:
    smokes = not draft.person.female and draft.random.random() < 0.45
    draft.add(
        f"Organization/{draft.clinic.id}",
        "obs",
        {
            "resourceType": "Observation",
            "status": "final",
            "category": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                            "code": "social-history",
                            "display": "Social History",
                        }
                    ]
                }
            ],
            "code": codeable(LOINC, "72166-2", "吸烟状况"),
            "subject": draft.subject,
            "encounter": {"reference": encounter},
            "effectiveDateTime": when,
            "performer": [organization(draft.clinic)],
            "valueCodeableConcept": {"text": "吸烟" if smokes else "从不吸烟"},
        },
    )


def team_id(draft: Draft) -> str:
    """The reference of the person's family-doctor team, '' when there is no contract."""
    return next((f"CareTeam/{r['id']}" for _, r in draft.written if r["resourceType"] == "CareTeam"), "")


def family_doctor(draft: Draft) -> None:
    """The family-doctor contract: the team of township and village, and what is planned for the chronically ill."""
    chronic = draft.has("hypertension", "diabetes", "heart", "lungs")
    if not ((chronic and draft.random.random() < 0.7) or (draft.person.age >= 65 and draft.random.random() < 0.6)):
        return
    if draft.person.died:
        return
    start = date(2026, draft.random.randint(1, 8), 1)
    leader = physician(draft, draft.township)
    members = [f"Practitioner/{leader}", f"Practitioner/{practitioners_of(draft.clinic)[0]}"]
    members += [f"Organization/{draft.township.id}", f"Organization/{draft.clinic.id}"]
    period = {"start": start.isoformat(), "end": start.replace(year=start.year + 3).isoformat()}
    township = f"Organization/{draft.township.id}"
    team = draft.add(
        township,
        "team",
        {
            "resourceType": "CareTeam",
            "status": "active",
            "category": [{"coding": [{"system": TEAM_KIND, "code": "family-doctor", "display": "家庭医生团队"}]}],
            "name": f"{draft.township.township}家庭医生团队",
            "subject": draft.subject,
            "period": period,
            "participant": [{"member": {"reference": member}} for member in members],
            "managingOrganization": [organization(draft.township)],
        },
    )
    if chronic:
        name = "高血压" if draft.has("hypertension") else "糖尿病" if draft.has("diabetes") else "慢性病"
        draft.add(
            township,
            "plan",
            {
                "resourceType": "CarePlan",
                "status": "active",
                "intent": "plan",
                "title": f"{name}分级管理计划",
                "description": "每季度随访一次，监测血压、血糖，低盐饮食，适量运动。",
                "subject": draft.subject,
                "period": {"start": period["start"]},
                "author": organization(draft.township),
                "careTeam": [{"reference": team}],
                "activity": [{"detail": {"status": "in-progress", "description": f"{name}面对面随访，每年不少于4次"}}],
            },
        )
