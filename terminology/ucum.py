"""UCUM units in canonical form: base units and the factor to them.

https://ucum.org/ucum. Common codes are in a table; others are read with ucumvert and pint,
which are imported only then.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

SYSTEM = "http://unitsofmeasure.org"

# canonical code: code factor [offset], code factor …
_COMMON = """
kg: kg 1, g 0.001, mg 1e-6, ug 1e-9, ng 1e-12, pg 1e-15, [lb_av] 0.45359237, [oz_av] 0.028349523125
m: m 1, cm 0.01, mm 0.001, um 1e-6, km 1000, [in_i] 0.0254, [ft_i] 0.3048
m2: m2 1, cm2 1e-4, mm2 1e-6
m3: L 0.001, dL 1e-4, mL 1e-6, uL 1e-9, fL 1e-18, l 0.001, dl 1e-4, ml 1e-6, ul 1e-9, cm3 1e-6
s: s 1, ms 0.001, min 60, h 3600, d 86400, wk 604800, mo 2629800, a 31557600
s-1: /s 1, /min 0.0166666666666666667, /h 2.77777777777777778e-4, /d 1.15740740740740741e-5, Hz 1
kg.m-3: g/L 1, g/dL 10, g/mL 1000, mg/dL 0.01, mg/L 0.001, mg/mL 1, ug/mL 0.001, ug/L 1e-6, ug/dL 1e-5,\
 ng/mL 1e-6, ng/L 1e-9, ng/dL 1e-8, pg/mL 1e-9, pg/dL 1e-11
mol: mol 1, mmol 0.001, umol 1e-6, nmol 1e-9
m-3.mol: mol/L 1000, mmol/L 1, umol/L 0.001, nmol/L 1e-6, pmol/L 1e-9, mmol/dL 10, meq/L 1
m-3.mol.s-1: U/L 1.66666666666666667e-5, kU/L 0.0166666666666666667, U/mL 0.0166666666666666667,\
 mU/L 1.66666666666666667e-8, uU/mL 1.66666666666666667e-8
m-3: /L 1000, /mL 1e6, /uL 1e9, 10*3/uL 1e12, 10*6/uL 1e15, 10*9/L 1e12, 10*12/L 1e15, 10*6/L 1e9,\
 10*6/mL 1e12, 10*3/mL 1e9, {copies}/mL 1e6
m-3.[IU]: m[IU]/L 1, u[IU]/mL 1, [IU]/L 1000, [IU]/mL 1e6, k[IU]/L 1e6
kg.m-1.s-2: Pa 1, kPa 1000, bar 1e5, mm[Hg] 133.322387415, cm[H2O] 98.0665
kg.m-2: kg/m2 1, mg/m2 1e-6
m3.s-1: mL/min 1.66666666666666667e-8, mL/min/{1.73_m2} 1.66666666666666667e-8, mL/h 2.77777777777777778e-10,\
 L/min 1.66666666666666667e-5, mL/d 1.15740740740740741e-11
kg.s-1: mg/d 1.15740740740740741e-11, g/d 1.15740740740740741e-8, mg/h 2.77777777777777778e-10
m.s-1: m/s 1, mm/h 2.77777777777777778e-7
1: % 0.01, 1 1, g/g 1, mg/g 0.001, ug/g 1e-6, ug/mg 0.001, mg/kg 1e-6, g/kg 0.001, mmol/mol 0.001, 10*3 1e3, 10*6 1e6
kg.m2.s-2: J 1, kJ 1000, cal 4.184, kcal 4184
A-1.kg.m2.s-3: V 1, mV 0.001, uV 1e-6
K: K 1, Cel 1 273.15, [degF] 0.555555555555555556 255.372222222222222
"""
# Arbitrary units are commensurable with themselves only.
_ARBITRARY = re.compile(
    r"\[(?:IU|iU|arb'U|USP'U|GPL'U|MPL'U|APL'U|beth'U|anti'Xa'U|todd'U|dye'U|smgy'U|bdsk'U|ka'U|knk'U|mclg'U|tb'U"
    r"|CCID_50|TCID_50|EID_50|PFU|FFU|CFU|IR|BAU|AU|Amb'a'1'U|PNU|Lf|D'ag'U|FEU|ELU|EU|pH|hnsf'U|m/s2/Hz\^0\.5)\]"
)
# Logarithms; "pH" would be picohenry, but nobody means that.
# 10*999999999 would be computed digit by digit.
_HUGE_POWER = re.compile(r"[^\d./({][+-]?\d{3}")
_NOT_LINEAR = frozenset({"[pH]", "pH"})
_BASE = {
    "kilogram": "kg", "meter": "m", "second": "s", "mole": "mol", "kelvin": "K", "ampere": "A", "candela": "cd",
    "radian": "rad", "bit": "bit", "count": "{count}",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Canonical:
    """A unit's base units (a UCUM code) and the way there: base = value x factor + offset."""

    code: str
    factor: float
    offset: float = 0.0

    def scale(self, value: float) -> float:
        """The value in base units, to 12 digits so that 5 g and 5000 mg give the same; infinities stay."""
        return float(f"{float(value) * self.factor + self.offset:.12g}")


def _common() -> dict[str, Canonical]:
    found: dict[str, Canonical] = {}
    for line in _COMMON.strip().splitlines():
        base, _, units = line.partition(": ")
        for unit in units.split(", "):
            code, factor, *offset = unit.split()
            found[code] = Canonical(base, float(factor), float(offset[0]) if offset else 0.0)
    return found


COMMON = _common()


def canonical(code: str) -> Canonical | None:
    """The canonical form of a UCUM code.

    None for what is no linear unit: unknown codes, bare annotations (``{score}``), pH, decibels.
    """
    found = COMMON.get(code)
    return found if found is not None else computed(code)


def computed(code: str) -> Canonical | None:
    """The canonical form as ucumvert and pint compute it; None also for powers that nobody measures by."""
    return _computed(code) if len(code) <= 100 and code.isascii() and not _HUGE_POWER.search(code) else None


@lru_cache(maxsize=4096)
def _computed(code: str) -> Canonical | None:
    if code in _NOT_LINEAR or re.fullmatch(r"\{[^}]*\}", code):
        return None
    try:
        unit = _registry().from_ucum(code)
        zero, one, two = (float(_at(unit, number).magnitude) for number in (0, 1, 2))
        powers = {_BASE.get(str(name), str(name)): power for name, power in _at(unit, 1).unit_items()}
    except Exception:  # the libraries raise many kinds for codes that they cannot read
        return None
    factor = one - zero
    if not math.isclose(two - one, factor, rel_tol=1e-9) or not math.isfinite(factor) or factor == 0:
        return None
    parts = [f"{name}{power:g}" if power != 1 else name for name, power in sorted(powers.items())]
    parts += sorted(_ARBITRARY.findall(code))
    offset = float(f"{zero:.15g}")
    return Canonical(".".join(parts) or "1", float(f"{factor:.15g}"), offset)


def _at(unit: Any, number: float) -> Any:
    """``number`` of ``unit`` in base units."""
    return unit._REGISTRY.Quantity(number * unit.magnitude, unit.units).to_base_units()


@lru_cache(maxsize=1)
def _registry() -> Any:
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()


@lru_cache(maxsize=4096)
def readable(code: str) -> bool:
    """Whether the code follows UCUM's grammar with known units, linear or not."""
    if len(code) > 100 or not code.isascii():
        return False
    try:
        _parser().parse(code)
    except Exception:  # as above
        return False
    return True


@lru_cache(maxsize=1)
def _parser() -> Any:
    from ucumvert import get_ucum_parser

    return get_ucum_parser()
