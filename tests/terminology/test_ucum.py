from __future__ import annotations

import math
import subprocess
import sys

import pytest

from terminology import ucum


@pytest.mark.parametrize("code", sorted(ucum.COMMON))
def test_the_table_of_common_units_agrees_with_the_library(code: str) -> None:
    table, library = ucum.COMMON[code], ucum.computed(code)
    assert library is not None
    assert table.code == library.code
    assert math.isclose(table.factor, library.factor, rel_tol=1e-12)
    assert math.isclose(table.offset, library.offset, rel_tol=1e-12)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((5.4, "g"), (5400, "mg")),
        ((37.0, "Cel"), (98.6, "[degF]")),
        ((1, "kat/L"), (6e7, "U/L")),
        ((120, "mm[Hg]"), (159.986864898, "mbar")),
        ((2, "[IU]/mL"), (2000, "[IU]/L")),
        ((70, "kg"), (154.323583529, "[lb_av]")),
        ((140, "mmol/L"), (140, "meq/L")),
        ((1, "ng/mL"), (1, "ug/L")),
    ],
)
def test_equal_amounts_have_equal_canonical_values(left: tuple[float, str], right: tuple[float, str]) -> None:
    (a, unit), (b, other) = left, right
    one, two = ucum.canonical(unit), ucum.canonical(other)
    assert one is not None and two is not None
    assert one.code == two.code
    assert math.isclose(one.scale(a), two.scale(b), rel_tol=1e-9)


def test_units_of_different_kinds_are_not_comparable() -> None:
    found = [ucum.canonical(code) for code in ("mg/dL", "mmol/L", "[IU]/L", "10*9/L", "kg", "U/L")]
    assert len({unit.code for unit in found if unit is not None}) == 6


@pytest.mark.parametrize("code", ["{score}", "{INR}", "[pH]", "nonsense", "", "dB", "mg/", "(((", "x" * 500, "毫克"])
def test_what_is_no_linear_unit_has_no_canonical_form(code: str) -> None:
    assert ucum.canonical(code) is None


@pytest.mark.parametrize(
    "code", ["10*999999999", "10^999999999", "m999999999", "10*-999999999", "10*999", "/10*999999999"]
)
def test_powers_beyond_measure_are_refused_at_once(code: str) -> None:
    assert ucum.canonical(code) is None


def test_products_beyond_measure_have_no_canonical_form() -> None:
    assert ucum.canonical(".".join(["10*99"] * 14)) is None
    assert ucum.canonical("10*50") is not None


def test_infinities_stay_infinite() -> None:
    unit = ucum.canonical("mg")
    assert unit is not None
    assert unit.scale(-math.inf) == -math.inf


def test_common_units_do_not_load_the_library() -> None:
    program = "import sys; from terminology import ucum; ucum.canonical('mg/dL'); print('pint' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
