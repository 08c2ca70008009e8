"""Expressions written to do harm are refused in time, with a FhirPathError and nothing worse."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from random import Random
from time import monotonic
from typing import Any

import pytest

from profiles.fhirpath import Environment, FhirPathError, TooCostlyError, compile
from profiles.fhirpath.functions import FUNCTIONS
from profiles.fhirpath.operators import BINARY

PATIENT = {
    "resourceType": "Patient",
    "name": [{"given": [f"g{n}" for n in range(40)], "family": "王"} for _ in range(40)],
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "(" * 20_000,
        "-" * 20_000 + "1",
        "{" * 500,
        "a." * 10_000,
        "a[" * 5_000,
        "f(" * 5_000,
        "name.where(" * 2_000 + "true" + ")" * 2_000,
        "1" + "-1" * 10_000,
        "1" + "=1" * 10_000,
        "x" * 40_000,
        "9" * 30_000,
        "'" + "x" * 30_000,
        "'\\",
        "/*" * 10_000,
        "@" + "9" * 1_000,
        "@2020-13",
        "@2021-02-29",
        "@T25",
        "`",
        "%",
        "$that",
        "name.nothing()",
        "name.where()",
        "name.where(true, true)",
        "name is Nothing",
        "name.ofType('x')",
        "1 2",
        "a b",
        "name..given",
        "\x00",
        "名字",
    ],
    ids=lambda text: f"{text[:16]!r} of {len(text)}",
)
def test_text_that_is_no_expression_is_refused(text: str) -> None:
    started = monotonic()
    with pytest.raises(FhirPathError):
        compile(text)
    assert monotonic() - started < 2


LOOPS = [
    "repeat(iif($this is Patient, 1, $this + 1))",
    "repeat(iif($this is Patient, 'x', $this & 'x'))",
    "1.repeat($this + 1).count()",
    "name.given.select(%resource.name.given.select(%resource.name.given.select(%resource.name.given)))",
    "name.given.all(%resource.name.given.all(%resource.name.given.all(%resource.name.given.all(true))))",
    "name.given.aggregate($total.combine($total).combine($this))",
    "name.given.aggregate($total & $total, 'xxxxxxxx')",
    "name.given.aggregate($total.replace('x', 'xxxxxxxx'), 'x')",
    "name.given.aggregate($total.encode('hex'), 'x')",
    "name.given.select(%resource.descendants().distinct().count())",
    "name.given.where(%resource.descendants() ~ %resource.descendants())",
    "name.given.select(%resource.descendants().sort().count())",
    "name.given.select((%resource | %resource.name).isDistinct())",
    "name.given.aggregate($total.split('').join('xx'), 'xx')",
]


@pytest.mark.parametrize("text", LOOPS)
def test_an_evaluation_without_end_is_stopped(text: str) -> None:
    started = monotonic()
    with pytest.raises(FhirPathError):
        compile(text).evaluate(PATIENT, environment=Environment(max_seconds=0.5))
    assert monotonic() - started < 3


@pytest.mark.parametrize(
    "text",
    [
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.matches('^(a+)+$')",
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.matchesFull('(a|a)*')",
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.matches('(.*)*(.*)*(.*)*x')",
    ],
)
def test_patterns_that_explode_elsewhere_are_matched_in_linear_time(text: str) -> None:
    started = monotonic()
    assert compile(text).evaluate(PATIENT) == [False]
    assert monotonic() - started < 1


LONG = "''" + "".join(f".replace('', '{'a' * 30}')" for _ in range(3))


@pytest.mark.parametrize(
    "text",
    [
        "'aaa'.replaceMatches('(a+)+$', 'b')",
        "'aaa'.replaceMatches('(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)b', 'b')",
        "'aaa'.replaceMatches('" + "a?" * 30 + "a{30}', 'b')",
        f"{LONG}.replaceMatches('a*a*a*b', 'b')",
        f"{LONG}.replaceMatches('a', '{'b' * 999}')",
        f"{LONG}.matches('\\\\w{{1,1000}}!')",
        "'a'.matches('(a{1,1000}){1,1000}')",
        "'a'.matches('(?=a)')",
        "'aa'.matches('(a)\\\\1')",
        "'a'.matches('(')",
        "'a'.matches('" + "(" * 4_000 + "')",
        "'a'.matches('" + "a" * 5_000 + "')",
        "'a'.replaceMatches('a', '$3')",
    ],
    ids=lambda text: text[:60],
)
def test_patterns_that_could_take_long_are_refused(text: str) -> None:
    started = monotonic()
    with pytest.raises(FhirPathError):
        compile(text).evaluate(PATIENT)
    assert monotonic() - started < 2


@pytest.mark.parametrize(
    "text",
    [
        "999999999.power(999999999)",
        "2147483647 + 1",
        "-2147483647 - 2",
        "2147483647 * 2147483647",
        "999999999.exp()",
        "10.exp().exp().exp().exp()",
        "0.ln()",
        "0.log(10)",
        "(-1).sqrt()",
        "1 / 0",
        "1 mod 0",
        "@9999-12-31 + 1 day",
        "@2020 + 999999999999999999 years",
        "@T10:00 + 99999999999999999999999999999 hours",
        "@0001-01-01 - 1 month",
    ],
)
def test_arithmetic_that_overflows_gives_nothing(text: str) -> None:
    assert compile(text).evaluate(PATIENT) == []


HUGE = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1e999999999"), "unit": "g"}}


@pytest.mark.parametrize(
    "text",
    ["value.value + 1", "value.value * value.value", "value.value.truncate()", "value.value.round(3)",
     "value.value.sqrt()", "value.value.toString().length() < 99", "value.value mod 3", "value.value div 3",
     "value.value.lowBoundary()", "value = value", "value ~ value", "value < 3 'g'", "value * 3 'g'",
     "(value.value | 1).count()", "value.value ~ 1.0", "value.value.toInteger()", "value.value.exp()",
     "value.value = 1", "value.toString()", "-value.value"],
)  # fmt: skip
def test_a_number_with_a_monstrous_exponent_does_no_harm(text: str) -> None:
    started = monotonic()
    with suppress(FhirPathError):
        compile(text).evaluate(HUGE)
    assert monotonic() - started < 1


def test_a_resource_nested_too_deeply_is_refused() -> None:
    deep: dict[str, Any] = {"resourceType": "Patient"}
    inner = deep
    for _ in range(5_000):
        inner["extension"] = [{"url": "x"}]
        inner = inner["extension"][0]
    assert compile("descendants().count()").evaluate(deep) == [10_000]
    with pytest.raises(FhirPathError):
        compile("%resource | %resource.extension").evaluate(deep)


def test_resources_that_are_no_fhir_are_walked_without_harm() -> None:
    odd: dict[str, Any] = {
        "resourceType": "Patient",
        "name": "x",
        "birthDate": [1, None, {"a": True}],
        "_active": 3,
        "telecom": [None, 1, [{"value": "y"}]],
        "contact": {"name": {"family": "z"}},
        "_birthDate": "q",
        "colour": {"depth": 1},
    }
    for text in ("name.given", "birthDate + 1 day", "active.extension", "telecom.value", "descendants().count()",
                 "birthDate.extension", "telecom.rank > 1", "contact.name.family", "colour.depth"):  # fmt: skip
        with suppress(FhirPathError):
            compile(text).evaluate(odd)
            compile(text).locate(odd)
    assert compile("contact.name.family").evaluate(odd) == ["z"]


def test_the_limits_of_one_evaluation_are_the_callers() -> None:
    many = compile("name.select(%resource.name.given).count()")
    with pytest.raises(TooCostlyError):
        many.evaluate(PATIENT, environment=Environment(max_steps=10_000))
    assert many.evaluate(PATIENT) == [40 * 1600]


ATOMS = ["$this", "$index", "{}", "1", "-1", "2.50", "'a'", "'1'", "true", "@2020-02-29", "@2020", "@T10:30", "3 'mg'",
         "@2020-01-01T10:00Z", "2 days", "1 year", "name", "id", "given", "extension", "children()", "descendants()",
         "value.value", "%resource", "Patient", "now()", "'(a+)+'", "'base64'", "birthDate"]  # fmt: skip
OPERATORS = [*BINARY, "and", "or", "implies", "|"]


def _random_expression(choose: Random, depth: int) -> str:
    def inner() -> str:
        return _random_expression(choose, depth - 1)

    kind = choose.random() if depth else 0.0
    if kind < 0.2:
        return choose.choice(ATOMS)
    if kind < 0.6:
        name, function = choose.choice(list(FUNCTIONS.items()))
        args = ", ".join(inner() for _ in range(choose.randint(function.least, min(function.most, 3))))
        return f"{inner()}.{name}({args})"
    if kind < 0.7:
        return f"({inner()} {choose.choice(['is', 'as'])} {choose.choice(['string', 'Quantity', 'System.Date'])})"
    return f"({inner()} {choose.choice(OPERATORS)} {inner()})"


@pytest.mark.parametrize("seed", range(20))
def test_random_expressions_give_values_or_a_fhirpath_error(seed: int) -> None:
    choose = Random(seed)
    limits = Environment(max_seconds=0.2)
    for _ in range(50):
        text = _random_expression(choose, choose.randint(1, 5))
        for resource in (HUGE, {**PATIENT, "birthDate": "1990-01"}):
            with suppress(FhirPathError):
                assert None not in compile(text).evaluate(resource, environment=limits)
