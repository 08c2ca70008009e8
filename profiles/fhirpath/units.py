"""UCUM units as exact factors over base dimensions: enough of UCUM for the quantities of clinical records.

https://ucum.org/ucum; a unit that is not known here compares only with itself.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

Dimensions = tuple[tuple[str, int], ...]


class Unit(NamedTuple):
    """``value * factor + offset`` in base units; ``dimensions`` are (base, exponent), sorted."""

    factor: Fraction
    dimensions: Dimensions
    offset: Fraction = Fraction(0)


_PREFIXES = {
    "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
    "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
}  # fmt: skip
# Atom: (factor, expression in other atoms); an empty expression makes a base of its own.
_METRIC: dict[str, tuple[str, str]] = {
    "m": ("1", ""), "s": ("1", ""), "g": ("1", ""), "rad": ("1", ""), "K": ("1", ""), "C": ("1", ""), "cd": ("1", ""),
    "mol": ("1", ""), "eq": ("1", "mol"), "osm": ("1", "mol"), "kat": ("1", "mol/s"), "U": ("1", "umol/min"),
    "[IU]": ("1", ""), "[iU]": ("1", "[IU]"), "[arb'U]": ("1", ""), "[CFU]": ("1", ""), "[Amb'a'1'U]": ("1", ""),
    "L": ("1", "dm3"), "l": ("1", "dm3"), "t": ("1000", "kg"), "ar": ("100", "m2"), "bit": ("1", ""),
    "By": ("8", "bit"),
    "Hz": ("1", "s-1"), "N": ("1", "kg.m/s2"), "Pa": ("1", "N/m2"), "J": ("1", "N.m"), "W": ("1", "J/s"),
    "A": ("1", "C/s"), "V": ("1", "J/C"), "F": ("1", "C/V"), "Ohm": ("1", "V/A"), "S": ("1", "A/V"), "Wb": ("1", "V.s"),
    "T": ("1", "Wb/m2"), "H": ("1", "Wb/A"), "lm": ("1", "cd"), "lx": ("1", "lm/m2"), "Bq": ("1", "s-1"),
    "Gy": ("1", "J/kg"), "Sv": ("1", "J/kg"), "Ci": ("37000000000", "Bq"), "bar": ("100000", "Pa"),
    "eV": ("1.602176634e-19", "J"), "cal": ("4.184", "J"), "[Cal]": ("4184", "J"), "m[Hg]": ("133322", "Pa"),
    "m[H2O]": ("9806.65", "Pa"), "g%": ("1", "g/dL"), "dyn": ("1", "g.cm/s2"), "P": ("1", "dyn.s/cm2"), "u": ("1", ""),
}  # fmt: skip
_PLAIN: dict[str, tuple[str, str]] = {
    "min": ("60", "s"), "h": ("60", "min"), "d": ("24", "h"), "wk": ("7", "d"), "a": ("365.25", "d"),
    "mo": ("30.4375", "d"), "%": ("0.01", "1"), "[ppth]": ("0.001", "1"), "[ppm]": ("0.000001", "1"),
    "[ppb]": ("0.000000001", "1"), "10*": ("10", "1"), "10^": ("10", "1"), "[pi]": ("3.14159265358979324", "1"),
    "[in_i]": ("2.54", "cm"), "[ft_i]": ("12", "[in_i]"), "[yd_i]": ("3", "[ft_i]"), "[mi_i]": ("5280", "[ft_i]"),
    "[lb_av]": ("453.59237", "g"), "[oz_av]": ("28.349523125", "g"), "[stone_av]": ("14", "[lb_av]"),
    "[gr]": ("64.79891", "mg"), "[gal_us]": ("3.785411784", "L"), "[qt_us]": ("0.946352946", "L"),
    "[pt_us]": ("0.473176473", "L"), "[foz_us]": ("29.5735295625", "mL"), "[cup_us]": ("16", "[tbs_us]"),
    "[tbs_us]": ("0.5", "[foz_us]"), "[tsp_us]": ("1", "[tbs_us]/3"), "[in_i'Hg]": ("3386.38", "Pa"),
    "atm": ("101325", "Pa"), "[psi]": ("6894.757293168", "Pa"), "deg": ("0.01745329251994329577", "rad"),
    "[drp]": ("0.05", "mL"), "[pH]": ("1", ""), "[degRe]": ("1", ""), "[hnsf'U]": ("1", ""), "[diop]": ("1", "m-1"),
    "[sft_i]": ("144", "[in_i]2"), "[Ch]": ("1", "mm/3"), "[MET]": ("3.5", "mL/min/kg"),
}  # fmt: skip
_SPECIAL = {
    "Cel": Unit(Fraction(1), (("K", 1),), Fraction("273.15")),
    "[degF]": Unit(Fraction(5, 9), (("K", 1),), Fraction("459.67") * 5 / 9),
}
_PART = re.compile(r"([./]?)((?:\[[^\]]*\]|10[*^]|[A-Za-z%'_])+|\d+)?(-?\+?\d+)?(\{[^}]*\})?")
_MAX_LENGTH = 64
_MAX_EXPONENT = 32


def unit(code: str) -> Unit | None:
    """The unit of a UCUM code; None if it is not known (or not UCUM)."""
    return _SPECIAL.get(code) or _parsed(code) if 0 < len(code) <= _MAX_LENGTH else None


@lru_cache(maxsize=1024)
def _parsed(code: str) -> Unit | None:
    factor, powers = Fraction(1), dict[str, int]()
    at = 0
    while at < len(code):
        match = _PART.match(code, at)
        if match is None or match.end() == at or (at > 0 and not match[1] and match[2]):
            return None
        if (match[1] == "." and at == 0) or not (match[2] or match[4]):
            return None
        part = _term(match[2], match[3])
        if part is None:
            return None
        sign = -1 if match[1] == "/" else 1
        factor *= part.factor**sign
        for base, power in part.dimensions:
            powers[base] = powers.get(base, 0) + sign * power
        at = match.end()
    return Unit(factor, tuple(sorted((base, power) for base, power in powers.items() if power)))


def _term(symbol: str | None, exponent: str | None) -> Unit | None:
    if symbol is None or symbol == "1":
        return Unit(Fraction(1), ())
    if symbol.isdigit():
        return Unit(Fraction(int(symbol)), ()) if int(symbol) else None
    atom = _atom(symbol)
    power = int(exponent) if exponent else 1
    if atom is None or abs(power) > _MAX_EXPONENT:
        return None
    return Unit(atom.factor**power, tuple((base, each * power) for base, each in atom.dimensions))


@lru_cache(maxsize=1024)
def _atom(symbol: str) -> Unit | None:
    found = _METRIC.get(symbol) or _PLAIN.get(symbol)
    if found is not None:
        factor, meaning = found
        inner = unit(meaning) if meaning else Unit(Fraction(1), ((symbol, 1),))
        return None if inner is None else Unit(Fraction(factor) * inner.factor, inner.dimensions)
    for length in (2, 1):
        prefix, rest = symbol[:length], symbol[length:]
        if prefix in _PREFIXES and rest in _METRIC:
            inner = _atom(rest)
            if inner is not None:
                return Unit(Fraction(10) ** _PREFIXES[prefix] * inner.factor, inner.dimensions)
    return None


def base_code(dimensions: Dimensions) -> str:
    """The UCUM code of these base dimensions, e.g. ``g.m-1`` ("1" for none)."""
    return ".".join(base + (str(power) if power != 1 else "") for base, power in dimensions) or "1"
