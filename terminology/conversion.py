"""Quantities from one UCUM unit to another, also between mass and amount of substance where the substance is known.

https://ucum.org/ucum. Mass and substance concentration of an analyte differ by its molar mass; which analyte it is,
the LOINC code says. Molar masses: PubChem (https://pubchem.ncbi.nlm.nih.gov), compounds by number below.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from terminology import ucum

LOINC = "http://loinc.org"


class NotConvertible(ValueError):
    """There is no way from the one unit to the other; the text says why."""


@dataclass(frozen=True, slots=True)
class Analyte:
    """A substance that laboratories give both as mass and as amount.

    ``molar_mass`` in g/mol of what the mass stands for (for urea nitrogen: of the nitrogen in one mole of urea);
    ``source`` is where that figure is from. ``substance`` and ``mass`` are the LOINC codes of the same measurement
    (same specimen and timing) as amount and as mass concentration.
    """

    zh: str
    en: str
    molar_mass: float
    source: str
    substance: tuple[str, ...]
    mass: tuple[str, ...]


ANALYTES: tuple[Analyte, ...] = (
    Analyte("空腹血糖", "Fasting glucose", 180.156, "PubChem CID 5793", ("14771-0",), ("1558-6",)),
    Analyte("葡萄糖", "Glucose", 180.156, "PubChem CID 5793", ("14749-6", "15074-8"), ("2345-7", "2339-0")),
    Analyte("肌酐", "Creatinine", 113.12, "PubChem CID 588", ("14682-9",), ("2160-0",)),
    Analyte("尿素", "Urea", 60.056, "PubChem CID 1176", ("22664-7",), ("3091-6",)),
    Analyte("尿素氮", "Urea nitrogen", 28.014, "N2 in urea, PubChem CID 947", ("22664-7",), ("3094-0",)),
    Analyte("尿酸", "Urate", 168.11, "PubChem CID 1175", ("14933-6",), ("3084-1",)),
    Analyte("总胆固醇", "Cholesterol", 386.7, "PubChem CID 5997", ("14647-2",), ("2093-3",)),
    Analyte("高密度脂蛋白胆固醇", "HDL cholesterol", 386.7, "PubChem CID 5997", ("14646-4",), ("2085-9",)),
    Analyte(
        "低密度脂蛋白胆固醇",
        "LDL cholesterol",
        386.7,
        "PubChem CID 5997",
        ("22748-8",),
        ("2089-1", "13457-7", "18262-6"),
    ),
    Analyte("甘油三酯", "Triglycerides (as triolein)", 885.4, "PubChem CID 5497163", ("14927-8",), ("2571-8",)),
    Analyte("总胆红素", "Total bilirubin", 584.7, "PubChem CID 5280352", ("14631-6",), ("1975-2",)),
    Analyte("直接胆红素", "Direct bilirubin", 584.7, "PubChem CID 5280352", ("14629-0",), ("1968-7",)),
    Analyte("钙", "Calcium", 40.08, "PubChem CID 5460341", ("2000-8",), ("17861-6",)),
    Analyte("血红蛋白", "Hemoglobin (as monomer)", 16114.5, "ICSH, the iron-bearing monomer", ("59260-0",), ("718-7",)),
    Analyte("游离甲状腺素", "Free thyroxine", 776.87, "PubChem CID 5819", ("14920-3",), ("3024-7",)),
    Analyte("游离三碘甲状腺原氨酸", "Free triiodothyronine", 650.97, "PubChem CID 5920", ("14928-6",), ("3051-0",)),
)
_BY_CODE = {code: one for one in reversed(ANALYTES) for code in (*one.substance, *one.mass)}
_SAME = {code: one.substance[0] for one in ANALYTES for code in one.mass}
_MASS, _AMOUNT = "kg.m-3", "m-3.mol"
# Glycated haemoglobin: NGSP (%) = 0.09148 x IFCC (mmol/mol) + 2.152. https://ngsp.org/ifcc.asp
_GLYCATED = frozenset({"4548-4", "59261-8"})
_NGSP_FACTOR, _NGSP_OFFSET = 0.09148, 2.152
_ANNOTATION = re.compile(r"\{([^{}]*)\}")
# Annotations that say which molecule the mass is of; two different ones are two measurements.
_TELLING = frozenset({"FEU", "DDU"})


def analyte(loinc: str) -> Analyte | None:
    """The analyte that a LOINC code measures, where it is given as mass and as amount."""
    return _BY_CODE.get(loinc)


def as_amount(loinc: str) -> str:
    """The LOINC code of the same measurement as amount of substance; the code itself where there is none."""
    return _SAME.get(loinc, loinc)


def convert(value: float, unit: str, to: str, loinc: str = "") -> float:
    """``value`` in ``unit`` expressed in ``to`` (UCUM codes), to 12 digits.

    ``loinc``: what is measured; needed between mass and amount of substance. Raises NotConvertible.
    """
    if unit == to:
        return float(value)
    if loinc in _GLYCATED and {unit, to} == {"%", "mmol/mol"}:
        found = value * _NGSP_FACTOR + _NGSP_OFFSET if to == "%" else (value - _NGSP_OFFSET) / _NGSP_FACTOR
        return _rounded(found)
    if _molecule(unit) != _molecule(to):
        raise NotConvertible(f"'{unit}' and '{to}' are of different molecules")
    source, target = ucum.canonical(_plain(unit)), ucum.canonical(_plain(to))
    for code, found_unit in ((unit, source), (to, target)):
        if found_unit is None:
            raise NotConvertible(f"'{code}' is no linear UCUM unit")
    assert source is not None and target is not None
    base = float(value) * source.factor + source.offset
    if source.code != target.code:
        base *= _across(source.code, target.code, unit, to, loinc)
    return _rounded((base - target.offset) / target.factor)


def convertible(unit: str, to: str, loinc: str = "") -> bool:
    """Whether there is a way from the one unit to the other."""
    try:
        convert(1.0, unit, to, loinc)
    except NotConvertible:
        return False
    return True


def _across(source: str, target: str, unit: str, to: str, loinc: str) -> float:
    """The factor from mass to amount per volume (base units), or back."""
    known = _BY_CODE.get(loinc) if {source, target} == {_MASS, _AMOUNT} else None
    if known is None:
        raise NotConvertible(f"'{unit}' and '{to}' measure different things")
    kilograms = known.molar_mass / 1000  # of a mole
    return 1 / kilograms if source == _MASS else kilograms


def _molecule(unit: str) -> frozenset[str]:
    return frozenset(_ANNOTATION.findall(unit)) & _TELLING if "{" in unit else frozenset()


def _plain(unit: str) -> str:
    """A bare annotation (``{INR}``) is the number one; in a unit annotations change nothing."""
    return "1" if _ANNOTATION.fullmatch(unit) else unit


def _rounded(value: float) -> float:
    return float(f"{value:.12g}") if math.isfinite(value) else value
