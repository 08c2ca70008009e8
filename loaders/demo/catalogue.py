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

# Panels of the larger laboratories, beside those above.
MORE_PANELS: tuple[tuple[str, str, tuple[Measure, ...]], ...] = (
    (
        "24326-1",
        "电解质",
        (
            _measure("2823-3", "钾", "mmol/L", 2, 3.5, 5.3),
            _measure("2951-2", "钠", "mmol/L", 0, 137, 147),
            _measure("2075-0", "氯", "mmol/L", 0, 99, 110),
            _measure("2000-8", "钙", "mmol/L", 2, 2.11, 2.52),
        ),
    ),
    (
        "24348-5",
        "甲状腺功能",
        (
            _measure("3016-3", "促甲状腺激素", "m[IU]/L", 2, 0.27, 4.2),
            _measure("14920-3", "游离甲状腺素", "pmol/L", 1, 12, 22),
            _measure("14928-6", "游离三碘甲状腺原氨酸", "pmol/L", 1, 3.1, 6.8),
        ),
    ),
    (
        "34528-0",
        "凝血功能",
        (
            _measure("5902-2", "凝血酶原时间", "s", 1, 11, 14),
            _measure("6301-6", "国际标准化比值", "{INR}", 2, 0.8, 1.2),
            _measure("3255-7", "纤维蛋白原", "g/L", 2, 2.0, 4.0),
        ),
    ),
    (
        "89577-1",
        "心肌标志物",
        (
            _measure("13969-1", "肌酸激酶同工酶", "ng/mL", 2, 0.3, 5.0),
            _measure("33762-6", "N末端B型钠尿肽原", "pg/mL", 0, 10, 125),
        ),
    ),
)
C_REACTIVE = _measure("1988-5", "C反应蛋白", "mg/L", 1, 0.5, 10)
BODY_MASS = _measure("39156-5", "体质指数", "kg/m2", 1, 18.5, 24.0)
VIRAL_LOAD = _measure("20447-9", "HIV-1病毒载量", "{copies}/mL", 0, 0, 50)
CD4 = _measure("24467-3", "CD4+T淋巴细胞计数", "/uL", 0, 404, 1612)

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
    "J01FA10": ("阿奇霉素片 0.25 g", 1),
    "A02BC01": ("奥美拉唑肠溶胶囊 20 mg", 1),
    "M01AE01": ("布洛芬缓释胶囊 0.3 g", 2),
    "A10BK01": ("达格列净片 10 mg", 1),
    "A10AE04": ("甘精胰岛素注射液 3 mL:300 U", 1),
    "B01AC04": ("氯吡格雷片 75 mg", 1),
    "H03AA01": ("左甲状腺素钠片 50 ug", 1),
    "J05AF10": ("恩替卡韦片 0.5 mg", 1),
    "J05AR13": ("多替拉韦/阿巴卡韦/拉米夫定片", 1),
    "J04AC01": ("异烟肼片 0.1 g", 3),
    "N05AH04": ("喹硫平片 0.1 g", 2),
    "N06AB06": ("舍曲林片 50 mg", 1),
    "N06DA02": ("多奈哌齐片 5 mg", 1),
    "N07BB04": ("纳曲酮片 50 mg", 1),
    "G03AA12": ("屈螺酮炔雌醇片", 1),
    "B03BB01": ("叶酸片 0.4 mg", 1),
    "J01CE08": ("苄星青霉素注射液 240万U", 1),
    "L02BG03": ("阿那曲唑片 1 mg", 1),
    "R01AD09": ("糠酸莫米松鼻喷雾剂", 1),
    "R06AE07": ("西替利嗪滴剂", 1),
    "C09AA02": ("依那普利片 10 mg", 1),
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

# Procedures: (ICD-9-CM-3 code, name, diagnosis, its name, department, days in hospital).
ICD9 = "urn:oid:2.16.156.10011.2.3.3.12"
OPERATIONS: tuple[tuple[str, str, str, str, str, int], ...] = (
    ("47.01", "腹腔镜阑尾切除术", "K35.8", "急性阑尾炎", "surgery", 5),
    ("51.23", "腹腔镜胆囊切除术", "K80.2", "胆囊结石", "surgery", 6),
    ("53.00", "单侧腹股沟疝修补术", "K40.9", "腹股沟疝", "surgery", 4),
    ("79.35", "股骨骨折切开复位内固定术", "S72.0", "股骨颈骨折", "surgery", 14),
    ("13.41", "白内障超声乳化抽吸术", "H25.9", "老年性白内障", "surgery", 2),
)


@dataclass(frozen=True, slots=True)
class Film:
    """An imaging examination: modality, body part (DICOM), name, LOINC code or '', findings, conclusion."""

    modality: str
    part: str
    name: str
    loinc: str
    findings: str
    conclusion: str


# What is filmed for a reason: by diagnosis code, '' for nothing found at a check-up.
FILMS: dict[str, tuple[Film, ...]] = {
    "": (
        Film(
            "DX", "CHEST", "胸部正侧位", "36643-5", "双肺野清晰，纹理走行自然，心影大小形态正常。", "心肺膈未见异常。"
        ),
        Film(
            "US",
            "ABDOMEN",
            "肝胆胰脾超声",
            "24558-9",
            "肝脏形态大小正常，回声均匀；胆囊壁光滑。",
            "肝胆胰脾未见明显异常。",
        ),
    ),
    "J18.9": (
        Film(
            "DX",
            "CHEST",
            "胸部正侧位",
            "36643-5",
            "右下肺见斑片状密度增高影，边缘模糊。",
            "右下肺炎症，建议治疗后复查。",
        ),
        Film(
            "CT",
            "CHEST",
            "胸部CT平扫",
            "24627-2",
            "右肺下叶见片状实变影，内见支气管充气征。",
            "右肺下叶肺炎；建议治疗后复查。",
        ),
    ),
    "J44.9": (
        Film(
            "CT",
            "CHEST",
            "胸部CT平扫",
            "24627-2",
            "双肺透亮度增高，肺纹理稀疏，见多发肺大疱。",
            "慢性支气管炎、肺气肿；双肺多发肺大疱。",
        ),
    ),
    "I63.9": (
        Film(
            "CT",
            "HEAD",
            "颅脑CT平扫",
            "30799-1",
            "左侧基底节区见斑片状低密度影，边界欠清。",
            "左侧基底节区脑梗死；脑白质脱髓鞘改变。",
        ),
        Film(
            "MR",
            "BRAIN",
            "颅脑MR平扫",
            "24590-2",
            "左侧基底节区长T1长T2信号，DWI呈高信号。",
            "左侧基底节区急性腔隙性脑梗死。",
        ),
    ),
    "I25.1": (
        Film("US", "HEART", "心脏超声", "", "左房轻度增大，左室壁运动欠协调，EF 56%。", "左房增大，左室舒张功能减低。"),
        Film(
            "CT",
            "CORONARY",
            "冠状动脉CTA",
            "",
            "前降支近段见混合斑块，管腔狭窄约50%。",
            "冠状动脉粥样硬化，前降支近段中度狭窄。",
        ),
    ),
    "K80.2": (Film("US", "ABDOMEN", "肝胆胰脾超声", "24558-9", "胆囊内见多个强回声团，后伴声影。", "胆囊多发结石。"),),
    "M51.2": (
        Film("MR", "LSPINE", "腰椎MR平扫", "", "L4/5椎间盘向后突出，硬膜囊受压。", "L4/5椎间盘突出，椎管轻度狭窄。"),
        Film("DX", "LSPINE", "腰椎正侧位", "", "腰椎生理曲度变直，椎体缘骨质增生。", "腰椎退行性变。"),
    ),
    "E04.1": (
        Film(
            "US",
            "THYROID",
            "甲状腺超声",
            "",
            "右叶见一低回声结节，约6mm×4mm，边界清。",
            "甲状腺右叶结节，TI-RADS 3类。",
        ),
    ),
    "S72.0": (Film("DX", "PELVIS", "骨盆正位", "", "右侧股骨颈骨皮质不连续，断端轻度移位。", "右侧股骨颈骨折。"),),
    "K35.8": (Film("CT", "ABDOMEN", "上腹部及盆腔CT平扫", "", "阑尾增粗，周围脂肪间隙模糊。", "急性阑尾炎。"),),
    "N18.3": (
        Film("US", "ABDOMEN", "双肾超声", "", "双肾体积略缩小，皮质回声增强。", "双肾实质回声增强，请结合肾功能。"),
    ),
    "C50.9": (
        Film(
            "MG",
            "BREAST",
            "乳腺钼靶",
            "24606-6",
            "左乳外上象限见毛刺状肿块，伴簇状钙化。",
            "左乳占位，BI-RADS 5类，建议活检。",
        ),
    ),
    "A15.0": (
        Film(
            "CT",
            "CHEST",
            "胸部CT平扫",
            "24627-2",
            "右肺上叶尖后段见斑片结节影，伴空洞形成。",
            "右肺上叶病变，考虑活动性肺结核。",
        ),
    ),
}
for _code, _same in (("J06.9", ""), ("K40.9", ""), ("H25.9", "")):
    FILMS[_code] = FILMS[_same]

# What an electrocardiogram shows: (SCP acronym, text, heart rate from, to, PR ms, QRS ms, QTc ms).
ECGS: dict[str, tuple[tuple[str, str, int, int, int, int, int], ...]] = {
    "": (
        ("NORM", "窦性心律，正常心电图", 62, 92, 150, 90, 410),
        ("SBRAD", "窦性心动过缓", 46, 57, 160, 92, 415),
        ("SARRH", "窦性心律不齐", 60, 85, 152, 88, 408),
    ),
    "heart": (
        ("STD_", "窦性心律，ST段压低（V4-V6）", 66, 92, 160, 94, 432),
        ("AFIB", "心房颤动", 74, 118, 0, 96, 428),
        ("PVC", "窦性心律，偶发室性早搏", 64, 88, 158, 98, 426),
        ("CRBBB", "窦性心律，完全性右束支传导阻滞", 62, 86, 166, 134, 440),
    ),
    "hypertension": (("LVH", "窦性心律，左心室肥厚", 64, 86, 162, 98, 428),),
}
