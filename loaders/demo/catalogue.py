"""What the demonstration county's people have, take and are measured for: small tables of plain facts.

Codes are a handful of LOINC, ICD-10, ATC and UCUM codes used as data (notices in docs/dependencies.md);
reference ranges follow WS/T 404 and 405 where those have one.
"""

from __future__ import annotations

from dataclasses import dataclass

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ICD10 = "urn:oid:2.16.156.10011.2.3.3.11"
ATC = "http://www.whocc.no/atc"


@dataclass(frozen=True, slots=True)
class Measure:
    """One measured item: LOINC code, Chinese name, UCUM unit, decimals shown, and the reference ranges.

    ``male`` and ``female`` are (low, high) of healthy adults; ``spread`` is how far values
    may lie outside, as a share of the range's width.
    """

    code: str
    name: str
    unit: str
    digits: int
    male: tuple[float, float]
    female: tuple[float, float]
    spread: float = 0.25


def _measure(code: str, name: str, unit: str, digits: int, low: float, high: float, spread: float = 0.25) -> Measure:
    return Measure(code, name, unit, digits, (low, high), (low, high), spread)


HEIGHT = Measure("8302-2", "身高", "cm", 1, (162, 180), (150, 168))
WEIGHT = Measure("29463-7", "体重", "kg", 1, (56, 82), (46, 70))
HEART_RATE = _measure("8867-4", "心率", "/min", 0, 60, 95)
TEMPERATURE = _measure("8310-5", "体温", "Cel", 1, 36.1, 37.2, 0.8)
RESPIRATION = _measure("9279-1", "呼吸频率", "/min", 0, 14, 20)
OXYGEN = _measure("59408-5", "血氧饱和度", "%", 0, 95, 99, 0.1)
SYSTOLIC = _measure("8480-6", "收缩压", "mm[Hg]", 0, 100, 135)
DIASTOLIC = _measure("8462-4", "舒张压", "mm[Hg]", 0, 62, 86)
PRESSURE_PANEL = ("85354-9", "血压")
VITALS = (HEART_RATE, TEMPERATURE, RESPIRATION, OXYGEN)

# Laboratory panels: (LOINC report type, name, items).
PANELS: tuple[tuple[str, str, tuple[Measure, ...]], ...] = (
    (
        "58410-2",
        "血常规",
        (
            _measure("6690-2", "白细胞计数", "10*9/L", 1, 3.5, 9.5),
            Measure("789-8", "红细胞计数", "10*12/L", 2, (4.3, 5.8), (3.8, 5.1)),
            Measure("718-7", "血红蛋白", "g/L", 0, (130, 175), (115, 150)),
            _measure("777-3", "血小板计数", "10*9/L", 0, 125, 350),
        ),
    ),
    (
        "24325-3",
        "肝功能",
        (
            Measure("1742-6", "丙氨酸氨基转移酶", "U/L", 0, (9, 50), (7, 40)),
            Measure("1920-8", "天门冬氨酸氨基转移酶", "U/L", 0, (15, 40), (13, 35)),
            _measure("1751-7", "白蛋白", "g/L", 1, 40, 55),
        ),
    ),
    (
        "24362-6",
        "肾功能",
        (
            Measure("14682-9", "肌酐", "umol/L", 0, (57, 97), (41, 73)),
            Measure("22664-7", "尿素", "mmol/L", 2, (3.1, 8.0), (2.6, 7.5)),
            Measure("14933-6", "尿酸", "umol/L", 0, (208, 428), (155, 357)),
        ),
    ),
    (
        "24331-1",
        "血脂",
        (
            _measure("14647-2", "总胆固醇", "mmol/L", 2, 3.0, 5.2, 0.5),
            _measure("14927-8", "甘油三酯", "mmol/L", 2, 0.5, 1.7, 0.8),
            _measure("22748-8", "低密度脂蛋白胆固醇", "mmol/L", 2, 1.6, 3.4, 0.5),
        ),
    ),
    (
        "55399-0",
        "血糖",
        (
            _measure("14771-0", "空腹血糖", "mmol/L", 1, 3.9, 6.1, 0.4),
            _measure("4548-4", "糖化血红蛋白", "%", 1, 4.0, 6.0, 0.4),
        ),
    ),
)

GLUCOSE_CODES = frozenset({"14771-0", "4548-4"})


@dataclass(frozen=True, slots=True)
class Disease:
    """A long-term or passing disease: ICD-10 code, name, usual medicines, and from which age it is met.

    ``share`` is the part of those old enough that have it (long-term) or that a visit
    is for it (passing, relative weight).
    """

    code: str
    name: str
    medicines: tuple[str, ...]
    age: int
    share: float


LONG_TERM = (
    Disease("I10", "原发性高血压", ("C08CA01", "C09CA03"), 35, 0.28),
    Disease("E11.9", "2型糖尿病", ("A10BA02", "A10BF01"), 35, 0.12),
    Disease("E78.5", "高脂血症", ("C10AA05",), 35, 0.14),
    Disease("I25.1", "冠状动脉粥样硬化性心脏病", ("B01AC06", "C07AB02"), 50, 0.09),
    Disease("J44.9", "慢性阻塞性肺疾病", ("R03AC02",), 50, 0.08),
    Disease("I63.9", "脑梗死", ("B01AC06",), 55, 0.05),
    Disease("K29.5", "慢性胃炎", ("A02BC01",), 25, 0.08),
    Disease("M51.2", "腰椎间盘突出", ("M01AE01",), 30, 0.07),
    Disease("J45.9", "支气管哮喘", ("R03AC02",), 5, 0.02),
)

PASSING = (
    Disease("J06.9", "急性上呼吸道感染", ("J01CA04",), 0, 10),
    Disease("J18.9", "肺炎", ("J01MA12",), 18, 1),
    Disease("N39.0", "泌尿道感染", ("J01MA12",), 18, 1.5),
    Disease("K80.2", "胆囊结石", ("M01AE01",), 25, 0.8),
    Disease("D50.9", "缺铁性贫血", (), 12, 0.6),
)

# Medicines by ATC code: name with form and strength, doses a day.
MEDICINES: dict[str, tuple[str, int]] = {
    "C08CA01": ("氨氯地平片 5 mg", 1),
    "C09CA03": ("缬沙坦胶囊 80 mg", 1),
    "C07AB02": ("美托洛尔缓释片 47.5 mg", 1),
    "B01AC06": ("阿司匹林肠溶片 100 mg", 1),
    "C10AA05": ("阿托伐他汀片 20 mg", 1),
    "A10BA02": ("二甲双胍片 0.5 g", 2),
    "A10BF01": ("阿卡波糖片 50 mg", 3),
    "J01CA04": ("阿莫西林胶囊 0.25 g", 3),
    "J01MA12": ("左氧氟沙星片 0.5 g", 1),
    "A02BC01": ("奥美拉唑肠溶胶囊 20 mg", 1),
    "M01AE01": ("布洛芬缓释胶囊 0.3 g", 2),
    "R03AC02": ("沙丁胺醇气雾剂 100 ug", 3),
}

# Vaccines: (own short code, name, age in months when given). The last is given to the old every year.
VACCINES: tuple[tuple[str, str, int], ...] = (
    ("HepB", "乙肝疫苗", 0),
    ("BCG", "卡介苗", 0),
    ("IPV", "脊灰灭活疫苗", 2),
    ("DTaP", "百白破疫苗", 3),
    ("MMR", "麻腮风疫苗", 8),
    ("JE", "乙脑减毒活疫苗", 8),
    ("HepA", "甲肝减毒活疫苗", 18),
)
INFLUENZA = ("IIV", "流感灭活疫苗")

# Allergies: (substance, category, reaction).
ALLERGIES: tuple[tuple[str, str, str], ...] = (
    ("青霉素", "medication", "皮疹"),
    ("头孢类药物", "medication", "荨麻疹"),
    ("磺胺类药物", "medication", "皮疹"),
    ("花生", "food", "口唇肿胀"),
    ("海鲜", "food", "荨麻疹"),
    ("尘螨", "environment", "鼻炎"),
)
