"""The UCUM code of a Quantity's unit, also where it is only printed as laboratories in China print units.

https://ucum.org/ucum; the printed forms are facts of common reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terminology import ucum

# Forms that are no UCUM, lower case, without blanks.
_PRINTED = {
    "10^9/l": "10*9/L",
    "×10^9/l": "10*9/L",
    "x10^9/l": "10*9/L",
    "10⁹/l": "10*9/L",
    "g/l": "g/L",
    "10^12/l": "10*12/L",
    "×10^12/l": "10*12/L",
    "x10^12/l": "10*12/L",
    "10¹²/l": "10*12/L",
    "u/l": "U/L",
    "iu/l": "U/L",  # of enzymes; hormones are given in mIU
    "miu/l": "m[IU]/L",
    "uiu/ml": "u[IU]/mL",
    "μiu/ml": "u[IU]/mL",
    "µiu/ml": "u[IU]/mL",
    "mmol/l": "mmol/L",
    "umol/l": "umol/L",
    "μmol/l": "umol/L",
    "µmol/l": "umol/L",
    "pmol/l": "pmol/L",
    "nmol/l": "nmol/L",
    "mg/l": "mg/L",
    "mg/dl": "mg/dL",
    "g/dl": "g/dL",
    "ng/ml": "ng/mL",
    "pg/ml": "pg/mL",
    "ug/ml": "ug/mL",
    "μg/ml": "ug/mL",
    "fl": "fL",
    "mmhg": "mm[Hg]",
    "kpa": "kPa",
    "℃": "Cel",
    "°c": "Cel",
    "次/分": "/min",
    "次/分钟": "/min",
    "bpm": "/min",
    "秒": "s",
    "厘米": "cm",
    "公斤": "kg",
    "千克": "kg",
    "kg/m²": "kg/m2",
    "kg/m^2": "kg/m2",
    "inr": "{INR}",
    "％": "%",
}


def unit_code(quantity: Mapping[str, Any]) -> str:
    """The UCUM code of the unit, '' where the quantity has none that can be understood."""
    code, system = quantity.get("code"), quantity.get("system")
    if isinstance(code, str) and code and system in (None, "", ucum.SYSTEM):
        return code if system else _read(code) or code
    printed = quantity.get("unit")
    return _read(printed) if isinstance(printed, str) else ""


def _read(printed: str) -> str:
    text = "".join(printed.split())
    if text in ucum.COMMON:
        return text
    return _PRINTED.get(text.lower(), "") or (text if ucum.canonical(text) is not None else "")
