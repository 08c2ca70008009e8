"""The table of rules: what each is called, how much it weighs, whom it is about, and the function that finds.

Weights and severities are defaults of this product; a rule is passed or failed, whatever the number of its findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from profiles.quality import events, identity, programmes, values
from profiles.quality.file import File, Finding

# Dimension → Chinese and English.
DIMENSIONS = {
    "completeness": ("完整性", "completeness"),
    "plausibility": ("合理性", "plausibility"),
    "uniqueness": ("唯一性", "uniqueness"),
    "coding": ("编码规范性", "coding"),
    "timeliness": ("及时性", "timeliness"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``severity``: error, warning, information; ``about``: whether a file is judged by it."""

    id: str
    dimension: str
    severity: str
    weight: int
    zh: str
    en: str
    find: Callable[[File], Iterator[Finding]]
    about: Callable[[File], bool]


def _known(file: File) -> bool:
    """Files whose Patient is open."""
    return bool(file.patient)


def _living(file: File) -> bool:
    return file.lives


def _any(file: File) -> bool:
    return True


def _having(*types: str) -> Callable[[File], bool]:
    """Files with a resource of one of these types."""
    return lambda file: any(file.of(type) for type in types)


def _has_events(file: File) -> bool:
    return bool(file.events)


def _numbered(file: File) -> bool:
    return bool(file.patient and file.numbers)


def _aged(low: float, high: float = 200) -> Callable[[File], bool]:
    return lambda file: file.aged(low, high)


_C, _P, _U, _K, _T = DIMENSIONS  # the examination of those of 65 is due before they are 66
_E, _W, _I = "error", "warning", "information"
_CODED = _having(
    "Condition",
    "Observation",
    "AllergyIntolerance",
    "Procedure",
    "MedicationRequest",
    "Immunization",
    "DiagnosticReport",
)
_RESULTS = _having("Observation")

RULES: tuple[Rule, ...] = (
    Rule(
        "identity-number-missing", _C, _E, 10, "缺身份证件号码", "identity number missing", identity.no_number, _known
    ),
    Rule(
        "identity-number-wrong",
        _P,
        _E,
        10,
        "身份证件号码有误",
        "identity number wrong",
        identity.wrong_number,
        _numbered,
    ),
    Rule(
        "identity-number-differs",
        _P,
        _E,
        8,
        "身份证号与出生日期或性别不符",
        "identity number differs from birth date or sex",
        identity.differing_number,
        _numbered,
    ),
    Rule("name-missing", _C, _E, 8, "缺姓名", "name missing", identity.no_name, _known),
    Rule("name-placeholder", _P, _W, 4, "姓名为占位词", "name is a placeholder", identity.placeholder, _known),
    Rule("gender-missing", _C, _E, 5, "缺性别", "sex missing", identity.no_gender, _known),
    Rule("birth-date-missing", _C, _E, 8, "缺出生日期", "birth date missing", identity.no_birth, _known),
    Rule("birth-date-imprecise", _C, _W, 2, "出生日期不完整", "birth date imprecise", identity.imprecise_birth, _known),
    Rule("birth-date-future", _P, _E, 10, "出生日期在将来", "birth date in the future", identity.future_birth, _known),
    Rule("too-old", _P, _W, 5, "年龄超常", "older than anybody", identity.too_old, _living),
    Rule("death-before-birth", _P, _E, 10, "死亡早于出生", "death before birth", identity.death_before_birth, _known),
    Rule("death-future", _P, _E, 8, "死亡日期在将来", "death in the future", identity.future_death, _known),
    Rule("phone-missing", _C, _W, 4, "缺联系电话", "telephone missing", identity.no_phone, _living),
    Rule("phone-wrong", _P, _W, 3, "电话号码格式不对", "telephone number wrong", identity.wrong_phone, _living),
    Rule("address-missing", _C, _W, 4, "缺现住址", "address missing", identity.no_address, _living),
    Rule("address-vague", _C, _I, 2, "住址不详细", "address vague", identity.vague_address, _living),
    Rule("file-number-missing", _C, _W, 4, "缺健康档案编号", "file number missing", identity.no_file_number, _known),
    Rule("file-number-wrong", _P, _W, 3, "健康档案编号有误", "file number wrong", identity.wrong_file_number, _known),
    Rule("institution-missing", _C, _W, 2, "缺管理机构", "institution missing", identity.no_institution, _living),
    Rule("doctor-missing", _C, _I, 1, "缺责任医生", "responsible doctor missing", identity.no_doctor, _living),
    Rule("ethnic-group-missing", _C, _I, 1, "缺民族", "ethnic group missing", identity.no_ethnic_group, _living),
    Rule("guardian-missing", _C, _E, 5, "未成年人缺监护人", "guardian missing", identity.no_guardian, _aged(0, 18)),
    Rule("allergies-missing", _C, _W, 3, "缺过敏史", "allergies not stated", programmes.no_allergies, _living),
    Rule("blood-group-missing", _C, _I, 1, "缺血型", "blood group missing", programmes.no_blood_group, _living),
    Rule("report-empty", _C, _W, 3, "报告无内容", "report empty", events.empty_report, _having("DiagnosticReport")),
    Rule("undated", _C, _W, 2, "记录缺日期", "records without date", events.undated, _has_events),
    Rule("future", _P, _E, 5, "日期在将来", "records in the future", events.future, _has_events),
    Rule("before-birth", _P, _E, 6, "日期早于出生", "records before birth", events.before_birth, _has_events),
    Rule("after-death", _P, _E, 8, "日期晚于死亡", "records after death", events.after_death, _has_events),
    Rule("period-reversed", _P, _E, 4, "起止时间颠倒", "periods reversed", events.reversed_period, _has_events),
    Rule("value-implausible", _P, _E, 6, "数值不可能", "values impossible", values.implausible, _RESULTS),
    Rule("unit-mistaken", _P, _E, 6, "单位疑误", "units mistaken", values.mistaken_unit, _RESULTS),
    Rule("unit-missing", _P, _W, 4, "单位缺失或不符", "units missing or of another kind", values.no_unit, _RESULTS),
    Rule("flag-wrong", _P, _W, 3, "高低标志不符", "flags contradict", values.wrong_flag, _RESULTS),
    Rule(
        "pressure-reversed", _P, _E, 4, "收缩压不高于舒张压", "pressures reversed", values.reversed_pressure, _RESULTS
    ),
    Rule("height-unsteady", _P, _W, 2, "身高前后不一", "heights differ", values.unsteady_height, _RESULTS),
    Rule("body-mass-wrong", _P, _W, 2, "体质指数不符", "body mass index wrong", values.wrong_body_mass, _RESULTS),
    Rule(
        "sex-contradicted",
        _P,
        _E,
        6,
        "诊断与性别不符",
        "diagnosis of the other sex",
        values.wrong_sex,
        _having("Condition"),
    ),
    Rule("code-missing", _K, _W, 3, "缺编码", "codes missing", values.no_code, _CODED),
    Rule("system-missing", _K, _W, 2, "编码缺编码系统", "codes without system", values.no_system, _CODED),
    Rule("display-missing", _K, _I, 1, "编码缺名称", "codes without name", values.no_words, _CODED),
    *(
        Rule(f"duplicate-{type.lower()}", _U, severity, weight, zh, en, events.duplicates(type, key), _having(type))
        for (type, key), (severity, weight, zh, en) in zip(
            events.DUPLICATES.items(),
            (
                (_W, 3, "检验检查结果重复", "duplicate observations"),
                (_W, 2, "诊断重复", "duplicate conditions"),
                (_W, 2, "就诊记录重复", "duplicate encounters"),
                (_W, 3, "接种记录重复", "duplicate vaccinations"),
                (_W, 2, "处方重复", "duplicate prescriptions"),
            ),
            strict=True,
        )
    ),
    Rule(
        "result-unfinished",
        _T,
        _W,
        2,
        "结果未审核发布",
        "results never final",
        events.unfinished,
        _having("Observation", "DiagnosticReport"),
    ),
    Rule(
        "encounter-open", _T, _W, 2, "就诊未结束", "encounters never ended", events.open_encounter, _having("Encounter")
    ),
    *(
        Rule(
            f"{one.id}-follow-up",
            _T,
            _W,
            5,
            f"{one.zh}随访超期",
            f"follow-up of {one.en} overdue",
            programmes.follow_up(one),
            programmes.in_programme(one),
        )
        for one in programmes.PROGRAMMES
    ),
    Rule(
        "chronic-examination",
        _T,
        _W,
        3,
        "慢性病患者缺年度体检",
        "yearly examination missing",
        programmes.no_yearly,
        programmes.in_yearly,
    ),
    Rule(
        "elderly-examination",
        _T,
        _W,
        4,
        "老年人缺年度体检",
        "examination of the elderly missing",
        programmes.no_elderly,
        _aged(66),
    ),
    Rule(
        "child-visit",
        _T,
        _W,
        4,
        "儿童健康检查超期",
        "examination of the child overdue",
        programmes.no_child_visit,
        _aged(0, 7),
    ),
    Rule(
        "immunizations-missing",
        _C,
        _W,
        4,
        "儿童缺接种记录",
        "vaccinations missing",
        programmes.few_immunizations,
        _aged(2 / 12, 7),
    ),
    Rule(
        "immunizations-few",
        _T,
        _I,
        2,
        "儿童接种剂次不足",
        "too few vaccinations",
        programmes.few_doses,
        _aged(2 / 12, 7),
    ),
    Rule(
        "pregnancy-visit",
        _T,
        _W,
        5,
        "孕产妇产前检查超期",
        "antenatal visit overdue",
        programmes.no_pregnancy_visit,
        programmes.pregnant,
    ),
    Rule(
        "pressure-yearly",
        _T,
        _I,
        2,
        "35岁以上未测血压",
        "pressure not measured",
        programmes.no_pressure,
        programmes.visited,
    ),
)
BY_ID = {rule.id: rule for rule in RULES}
