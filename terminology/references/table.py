"""The shipped table: laboratory items and vital signs with units, reference intervals, critical and absolute limits.

Facts of common practice: adult intervals after WS/T 404 and 405 where they have one (marked ``*``), else of usual
assays; critical limits differ from place to place; absolute limits are ours. What is not of a standard is marked to be
confirmed, and all of it can be changed in the ObservationDefinitions made from it.

A span is ``low..high``; ``<`` on the inner side excludes the limit itself. Before it stand sex and age in years:
``F20-49 35..100``; without age it is of adults.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

ADULT = 18.0
NEWBORN_DAYS = 28  # critical limits hold from this age on


@dataclass(frozen=True, slots=True)
class Span:
    """An interval for a sex ('' both) and an age in years (``until`` None: open); limits None where open."""

    low: float | None
    high: float | None
    low_excluded: bool = False
    high_excluded: bool = False
    sex: str = ""
    since: float = ADULT
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One measured item.

    ``loinc`` its code, ``local`` that in ``urn:yidang:lab-item`` ('' none), ``unit`` in UCUM, ``digits`` as printed,
    ``customary`` another unit in which it is often given ('' none), ``standard`` whether the reference intervals
    are those of WS/T 404 or 405, ``category`` the code of the observation category. An item without unit is
    one that is absent or present, and is to be absent.
    """

    category: str
    loinc: str
    local: str
    zh: str
    en: str
    unit: str
    digits: int
    customary: str
    reference: tuple[Span, ...]
    critical: Span | None
    absolute: Span | None
    standard: bool


# loinc | local | 中文 | English | unit | digits | customary | reference | critical | absolute
_LABORATORY = """
6690-2 | WBC | 白细胞计数* | White blood cell count | 10*9/L | 2 | 10*6/L | 3.5..9.5 | 1.5..30 | 0..500
789-8 | RBC | 红细胞计数* | Red blood cell count | 10*12/L | 2 | 10*9/L | M 4.3..5.8; F 3.8..5.1 | | 0.3..12
718-7 | HGB | 血红蛋白* | Hemoglobin | g/L | 0 | g/dL | M 130..175; F 115..150 | 50..200 | 20..260
4544-3 | HCT | 红细胞压积* | Hematocrit | % | 1 | 1 | M 40..50; F 35..45 | 15..60 | 5..80
787-2 | MCV | 平均红细胞体积* | Mean corpuscular volume | fL | 1 | | 82..100 | | 40..160
777-3 | PLT | 血小板计数* | Platelet count | 10*9/L | 0 | 10*6/L | 125..350 | 31..999 | 0..3000
751-8 | NEUT | 中性粒细胞绝对值* | Neutrophil count | 10*9/L | 2 | 10*6/L | 1.8..6.3 | 0.5.. | 0..400
731-0 | LYMPH | 淋巴细胞绝对值* | Lymphocyte count | 10*9/L | 2 | 10*6/L | 1.1..3.2 | | 0..400
1988-5 | CRP | C反应蛋白 | C-reactive protein | mg/L | 1 | mg/dL | ..<10 | | 0..1000
33959-8 | PCT | 降钙素原 | Procalcitonin | ng/mL | 3 | | ..<0.05 | | 0..1000
4537-7 | ESR | 血沉(魏氏法) | Erythrocyte sedimentation rate | mm/h | 0 | | M ..<15; F ..<20 | | 0..200
5902-2 | PT | 凝血酶原时间 | Prothrombin time | s | 1 | | 11..14 | ..30 | 5..300
6301-6 | INR | 国际标准化比值 | International normalized ratio | {INR} | 2 | | 0.8..1.2 | ..5.0 | 0.4..20
14979-9 | APTT | 活化部分凝血活酶时间 | Activated partial thromboplastin time | s | 1 | | 25..37 | ..75 | 10..400
3255-7 | FIB | 纤维蛋白原 | Fibrinogen | g/L | 2 | mg/dL | 2.0..4.0 | 1.0.. | 0.1..20
48065-7 | DDIMER | D-二聚体(FEU) | D-dimer (FEU) | mg/L{FEU} | 2 | ug/L{FEU} | ..<0.5 | | 0..200
1742-6 | ALT | 丙氨酸氨基转移酶* | Alanine aminotransferase | U/L | 0 | | M 9..50; F 7..40 | ..1000 | 0..20000
1920-8 | AST | 天门冬氨酸氨基转移酶* | Aspartate aminotransferase | U/L | 0 | | M 15..40; F 13..35 | ..1000 | 0..30000
2324-2 | GGT | γ-谷氨酰转移酶* | Gamma-glutamyl transferase | U/L | 0 | | M 10..60; F 7..45 | | 0..10000
6768-6 | ALP | 碱性磷酸酶* | Alkaline phosphatase | U/L | 0 | | M 45..125; F20-49 35..100 | | 0..10000
14631-6 | TBIL | 总胆红素* | Total bilirubin | umol/L | 1 | mg/dL | M ..26; F ..21 | ..307 | 0..1500
14629-0 | DBIL | 直接胆红素 | Direct bilirubin | umol/L | 1 | mg/dL | ..8 | | 0..1200
2885-2 | TP | 总蛋白* | Total protein | g/L | 1 | g/dL | 65..85 | | 20..150
1751-7 | ALB | 白蛋白* | Albumin | g/L | 1 | g/dL | 40..55 | 15.. | 6..80
22664-7 | UREA | 尿素* | Urea | mmol/L | 2 | mg/dL | M20-59 3.1..8.0; F20-59 2.6..7.5 | ..36 | 0.2..120
14682-9 | CREA | 肌酐* | Creatinine | umol/L | 0 | mg/dL | M20-59 57..97; F20-59 41..73 | ..650 | 5..4000
14933-6 | UA | 尿酸 | Uric acid | umol/L | 0 | mg/dL | M 208..428; F 155..357 | | 20..2000
14771-0 | GLU | 空腹血糖 | Fasting glucose | mmol/L | 1 | mg/dL | 3.9..6.1 | 2.5..22.2 | 0.3..80
14749-6 | | 葡萄糖 | Glucose | mmol/L | 1 | mg/dL | | 2.5..22.2 | 0.3..80
4548-4 | HBA1C | 糖化血红蛋白 | Hemoglobin A1c | % | 1 | mmol/mol | 4.0..6.0 | | 2..22
14647-2 | TC | 总胆固醇 | Total cholesterol | mmol/L | 2 | mg/dL | ..<5.2 | | 0.5..40
14927-8 | TG | 甘油三酯 | Triglycerides | mmol/L | 2 | mg/dL | ..<1.7 | | 0.05..120
14646-4 | HDL | 高密度脂蛋白胆固醇 | HDL cholesterol | mmol/L | 2 | mg/dL | 1.0.. | | 0.05..6
22748-8 | LDL | 低密度脂蛋白胆固醇 | LDL cholesterol | mmol/L | 2 | mg/dL | ..<3.4 | | 0.05..30
2823-3 | K | 钾* | Potassium | mmol/L | 2 | | 3.5..5.3 | 2.8..6.2 | 1..12
2951-2 | NA | 钠* | Sodium | mmol/L | 0 | | 137..147 | 120..160 | 90..210
2075-0 | CL | 氯* | Chloride | mmol/L | 0 | | 99..110 | 80..120 | 50..160
2000-8 | CA | 钙* | Calcium | mmol/L | 2 | mg/dL | 2.11..2.52 | 1.6..3.5 | 0.5..6
10839-9 | TNI | 肌钙蛋白I | Troponin I | ng/mL | 3 | ng/L | ..<0.04 | ..0.2 | 0..1000
13969-1 | CKMB | 肌酸激酶同工酶(质量) | Creatine kinase MB (mass) | ng/mL | 2 | | ..<5 | | 0..2000
33762-6 | NTPROBNP | N末端B型钠尿肽原 | NT-proBNP | pg/mL | 0 | | ..<125 | | 0..200000
3016-3 | TSH | 促甲状腺激素 | Thyrotropin | m[IU]/L | 2 | | 0.27..4.2 | | 0..500
14920-3 | FT4 | 游离甲状腺素(游离T4) | Free thyroxine | pmol/L | 1 | ng/dL | 12..22 | | 0.5..200
14928-6 | FT3 | 游离三碘甲状腺原氨酸(游离T3) | Free triiodothyronine | pmol/L | 1 | pg/mL | 3.1..6.8 | | 0.3..100
2744-1 | | 动脉血pH | Arterial blood pH | [pH] | 2 | | 7.35..7.45 | 7.20..7.60 | 6.5..8.0
2703-7 | | 动脉血氧分压 | Arterial oxygen tension | mm[Hg] | 0 | kPa | 80..100 | 45.. | 5..700
2019-8 | | 动脉血二氧化碳分压 | Arterial carbon dioxide tension | mm[Hg] | 0 | kPa | 35..45 | 20..70 | 5..200
5196-1 | HBSAG | 乙肝表面抗原 | Hepatitis B surface antigen | | | | | |
13955-0 | HCVAB | 丙肝抗体 | Hepatitis C antibody | | | | | |
56888-1 | HIVAGAB | HIV抗原抗体 | HIV antigen and antibody | | | | | |
24110-9 | TPAB | 梅毒螺旋体抗体 | Treponema pallidum antibody | | | | | |
20454-5 | UPRO | 尿蛋白 | Urine protein | | | | | |
25428-4 | UGLU | 尿糖 | Urine glucose | | | | | |
2335-8 | FOB | 便隐血 | Fecal occult blood | | | | | |
"""
_VITAL_SIGNS = """
8480-6 | | 收缩压 | Systolic blood pressure | mm[Hg] | 0 | kPa | 90..<140 | ..<180 | 40..300
8462-4 | | 舒张压 | Diastolic blood pressure | mm[Hg] | 0 | kPa | 60..<90 | ..<110 | 15..200
8867-4 | | 心率 | Heart rate | /min | 0 | | 60..100 | 35<..<200 | 10..350
9279-1 | | 呼吸频率 | Respiratory rate | /min | 0 | | 12..20 | | 2..120
8310-5 | | 体温 | Body temperature | Cel | 1 | [degF] | 36.0..<37.3 | | 24..45
59408-5 | | 血氧饱和度 | Oxygen saturation | % | 0 | 1 | 95..100 | 85.. | 20..100
8302-2 | | 身高 | Body height | cm | 1 | m | | | 25..260
29463-7 | | 体重 | Body weight | kg | 1 | g | | | 0.3..350
39156-5 | | 体质指数 | Body mass index | kg/m2 | 1 | | 18.5..<24.0 | | 7..90
"""
_ECG = """
8636-3 | | 校正QT间期 | QTc interval | ms | 0 | s | | ..<550 | 150..900
"""
_SPAN = re.compile(
    r"(?:(?P<sex>[MF])?(?P<ages>(?P<since>\d+)-(?P<until>\d+))? )?"
    r"(?P<low>[\d.]*?\d)?(?P<lx><)?\.\.(?P<hx><)?(?P<high>[\d.]+)?"
)
_SEX = {"M": "male", "F": "female"}


@cache
def items() -> tuple[Item, ...]:
    """The whole table."""
    return (
        *_items("laboratory", _LABORATORY),
        *_items("vital-signs", _VITAL_SIGNS),
        *_items("procedure", _ECG),
    )


def _items(category: str, lines: str) -> list[Item]:
    return [_item(category, [part.strip() for part in line.split("|")]) for line in lines.strip().splitlines()]


def _item(category: str, parts: list[str]) -> Item:
    loinc, local, zh, en, unit, digits, customary, reference, critical, absolute = parts
    return Item(
        category,
        loinc,
        local,
        zh.rstrip("*"),
        en,
        unit,
        int(digits or 0),
        customary,
        tuple(_span(part.strip()) for part in reference.split(";") if part.strip()),
        _span(critical, NEWBORN_DAYS / 365.25) if critical else None,
        _span(absolute, 0.0) if absolute else None,
        zh.endswith("*"),
    )


def _span(text: str, since: float = ADULT) -> Span:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no span")
    part = found.groupdict()
    return Span(
        float(part["low"]) if part["low"] else None,
        float(part["high"]) if part["high"] else None,
        bool(part["lx"]),
        bool(part["hx"]),
        _SEX.get(part["sex"] or "", ""),
        float(part["since"]) if part["since"] else since,
        float(part["until"]) + 1 if part["until"] else None,  # 49 years old until the fiftieth birthday
    )
