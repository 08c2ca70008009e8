"""Rules on what the public health programmes ask of a file: sections, yearly examinations, follow-ups that are overdue.

Services and intervals: 国家基本公共卫生服务规范（第三版, 2017）; documents of the file: WS/T 483.1-20-2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from profiles.quality.file import Event, File, Finding, codings_of
from terminology.conversion import LOINC

PRESSURE = ("85354-9", "8480-6")
GLUCOSE = ("14771-0", "1558-6", "4548-4", "14749-6", "2345-7")
_YEAR, _GRACE = 365, 30
_DAYS_A_MONTH = 30.4375


@dataclass(frozen=True, slots=True)
class Programme:
    """A long-term disease that is followed: ICD-10 categories, from which age, every how many days, what is measured.

    ``measures``: LOINC codes one of which each visit is to have; empty: the visit itself counts. ``grace``: days that
    a visit may be late. ``yearly``: whether a health examination a year belongs to it.
    """

    id: str
    zh: str
    en: str
    categories: tuple[str, ...]
    since_age: float
    days: int
    grace: int
    measures: tuple[str, ...] = ()
    yearly: bool = False


PROGRAMMES: tuple[Programme, ...] = (
    Programme(
        "hypertension", "高血压", "hypertension", ("I10", "I11", "I12", "I13", "I15"), 35, 90, 14, PRESSURE, True
    ),
    Programme("diabetes", "2型糖尿病", "type 2 diabetes", ("E11", "E14"), 35, 90, 14, GLUCOSE, True),
    Programme("copd", "慢阻肺", "COPD", ("J44",), 35, 90, 14),
    Programme("mental", "严重精神障碍", "severe mental disorder", ("F20", "F22", "F25", "F31"), 0, 90, 14, (), True),
    Programme("tuberculosis", "肺结核", "tuberculosis", ("A15", "A16"), 0, 30, 10),
)


def follow_up(programme: Programme) -> Callable[[File], Iterator[Finding]]:
    """The rule that the last visit of a programme is not too long ago."""

    def find(file: File) -> Iterator[Finding]:
        last = file.last_measured(programme.measures) if programme.measures else file.last_visit
        known = min((e.day for c in programme.categories for e in file.diagnoses.get(c, ()) if e.day), default=None)
        since = max((day for day in (last, known) if day is not None), default=None)  # a new diagnosis has time
        if since is None or (file.today - since).days > programme.days + programme.grace:
            late = "从未随访" if last is None else f"上次随访 {last.isoformat()}"
            english = "never followed up" if last is None else f"last followed up on {last.isoformat()}"
            yield Finding(
                "Patient", f"{programme.zh}随访超期（{late}）", f"follow-up of {programme.en} is overdue ({english})"
            )

    return find


def in_programme(programme: Programme) -> Callable[[File], bool]:
    """Whether the person is of the programme."""
    return lambda file: file.aged(programme.since_age) and file.has(*programme.categories)


def in_yearly(file: File) -> bool:
    """Whether the person is of a programme with a yearly examination."""
    return any(programme.yearly and in_programme(programme)(file) for programme in PROGRAMMES)


def no_yearly(file: File) -> Iterator[Finding]:
    """No examination within the year: pressure, weight and sugar."""
    parts = (
        ("血压", "blood pressure", PRESSURE),
        ("体重", "weight", ("29463-7", "39156-5")),
        ("血糖", "glucose", GLUCOSE),
    )
    yield from _missing(file, parts, "慢性病患者年度体检", "yearly examination")


_ELDERLY: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("血压", "blood pressure", PRESSURE),
    ("血常规", "blood count", ("58410-2", "718-7")),
    ("肝功能", "liver function", ("24325-3", "1742-6")),
    ("肾功能", "kidney function", ("24362-6", "14682-9")),
    ("空腹血糖", "fasting glucose", GLUCOSE),
    ("血脂", "lipids", ("24331-1", "14647-2")),
    ("心电图", "ECG", ("11524-6", "34534-8", "8867-4")),
)


def no_elderly(file: File) -> Iterator[Finding]:
    """Parts of the yearly examination of those from 65 on that are missing."""
    yield from _missing(file, _ELDERLY, "老年人年度体检", "yearly examination of the elderly")


def _missing(file: File, parts: tuple[tuple[str, str, tuple[str, ...]], ...], zh: str, en: str) -> Iterator[Finding]:
    since = file.today - timedelta(days=_YEAR + _GRACE)
    reported = _reported(file)
    absent = [
        (name, english)
        for name, english, codes in parts
        if max((d for d in (file.last_measured(codes), _last(reported, codes)) if d), default=date.min) < since
    ]
    if absent:
        yield Finding(
            "Patient",
            f"{zh}一年内缺：{'、'.join(name for name, _ in absent)}",
            f"{en}: missing within a year: {', '.join(english for _, english in absent)}",
        )


def _reported(file: File) -> list[tuple[str, date]]:
    """LOINC codes of reports and documents with their days."""
    found = []
    for type, element in (("DiagnosticReport", "code"), ("DocumentReference", "type"), ("Composition", "type")):
        for event in file.events_of(type):
            for coding in codings_of(event.resource.get(element)):
                if event.day is not None and event.day <= file.today and coding.get("system") == LOINC:
                    found.append((str(coding.get("code")), event.day))
    return found


def _last(reported: list[tuple[str, date]], codes: tuple[str, ...]) -> date | None:
    return max((day for code, day in reported if code in codes), default=None)


# Due visits of children in months of age, and how late one may be.
CHILD_VISITS = (1, 3, 6, 8, 12, 18, 24, 30, 36, 48, 60, 72)


def no_child_visit(file: File) -> Iterator[Finding]:
    """The last due visit of a child under seven that was not made, nor any later one."""
    born = file.born
    assert born is not None, "the rule is about those whose age is known"
    months = (file.today - born).days / _DAYS_A_MONTH
    late = [due for due in CHILD_VISITS if due + (1 if due < 36 else 3) < months]
    if not late:
        return
    due = late[-1]
    since = born + timedelta(days=(due - 1) * _DAYS_A_MONTH)
    if not any(event.day is not None and event.day >= since for event in _contacts(file)):
        yield Finding("Patient", f"{due}月龄健康检查未做", f"the examination at {due} months is missing")


def _contacts(file: File) -> list[Event]:
    """What shows that a child was examined."""
    return [*file.events_of("Encounter"), *file.measured.get("29463-7", ()), *file.measured.get("8302-2", ())]


# Doses of the national schedule by age in months: how many are to be on record at least.
_DOSES = ((2, 2), (7, 8), (12, 10), (24, 12))


def few_immunizations(file: File) -> Iterator[Finding]:
    """Fewer vaccinations on record than the programme gives by that age."""
    assert file.age is not None
    months = file.age * 12
    due = max((number for age, number in _DOSES if months >= age), default=0)
    found = len(file.of("Immunization"))
    if found == 0 and due:
        yield Finding("Immunization", "没有任何预防接种记录", "no vaccination on record")


def few_doses(file: File) -> Iterator[Finding]:
    """Some vaccinations, and fewer than the programme gives by that age."""
    assert file.age is not None
    months = file.age * 12
    due = max((number for age, number in _DOSES if months >= age), default=0)
    found = len(file.of("Immunization"))
    if 0 < found < due:
        zh = f"预防接种记录{found}剂次，按月龄应不少于{due}剂次"
        yield Finding("Immunization", zh, f"{found} doses on record, at least {due} at this age")


def pregnant(file: File) -> bool:
    """Whether a pregnancy is going on: a diagnosis of supervision or complication, younger than ten months."""
    return file.lives and file.gender != "male" and bool(_pregnancies(file))


def _pregnancies(file: File) -> list[Event]:
    found = []
    for category, events in file.diagnoses.items():
        if category in ("Z33", "Z34", "Z35") or (
            category[0] == "O" and category[1:].isdigit() and int(category[1:]) < 48
        ):
            found += [e for e in events if e.day is not None and 0 <= (file.today - e.day).days < 300]
    return found


def no_pregnancy_visit(file: File) -> Iterator[Finding]:
    """No visit of a pregnant woman for six weeks."""
    last = file.last_visit
    if last is None or (file.today - last).days > 42:
        yield Finding("Patient", "孕妇超过6周没有产前检查", "no antenatal visit for six weeks")


def visited(file: File) -> bool:
    """Whether somebody of 35 or more had a visit within the year."""
    return file.aged(35) and file.last_visit is not None and (file.today - file.last_visit).days <= _YEAR


def no_pressure(file: File) -> Iterator[Finding]:
    """No blood pressure within the year, in spite of a visit (35岁以上首诊测血压)."""
    last = file.last_measured(PRESSURE)
    if last is None or (file.today - last).days > _YEAR:
        yield Finding(
            "Observation", "35岁以上就诊一年内没有测血压", "no blood pressure within the year, in spite of a visit"
        )


def no_allergies(file: File) -> Iterator[Finding]:
    """Nothing said of allergies, not even that there are none."""
    if not file.of("AllergyIntolerance"):
        yield Finding(
            "AllergyIntolerance", "没有药物过敏史（无过敏也应记录）", "nothing said of allergies, not even 'none'"
        )


def no_blood_group(file: File) -> Iterator[Finding]:
    """No ABO group."""
    if not file.measured.get("883-9") and not file.measured.get("882-1"):
        yield Finding("Observation", "没有ABO血型", "no ABO blood group")
