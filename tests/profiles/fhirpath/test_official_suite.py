"""The official FHIRPath suite for R4 agrees with us, but for the exceptions listed here with their reasons."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from profiles import lossless
from profiles.fhirpath import FhirPathError, compile
from profiles.fhirpath.model import Node
from profiles.fhirpath.values import system, text_of

SUITE = Path(__file__).parents[3] / ".." / "shared" / "fhir" / "fhirpath"
pytestmark = pytest.mark.skipif(not SUITE.exists(), reason="the official FHIRPath suite is not here")

_HOUR = "reads a time known to the hour as known to the minute; 08 may mean 08:59:59.999, as the specification says"
EXCEPTIONS = {
    "testPlusDate19": "drops 0.1 's'; the specification drops fractions only of units above seconds",
    "HighBoundaryDateTimeMillisecond1": _HOUR,
    "HighBoundaryDateTimeMillisecond3": _HOUR,
}


def _cases() -> Iterator[Any]:
    if not SUITE.exists():
        return
    for group in ElementTree.parse(SUITE / "tests-fhir-r4.xml").getroot().iter("group"):
        for case in group.iter("test"):
            name = f"{group.get('name')}/{case.get('name')}"
            reason = EXCEPTIONS.get(str(case.get("name")))
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            yield pytest.param(case, id=name, marks=marks)


@cache
def _input(name: str | None) -> Any:
    file = (name or "patient-example.xml").replace(".xml", ".json")
    return lossless.parse((SUITE / "input" / file).read_bytes())


def _shown(type_name: str, item: Any) -> tuple[str, str | None]:
    if isinstance(item, Node) and isinstance(item.value, dict):
        return type_name.lower(), text_of(system(item))
    text = text_of(item.value if isinstance(item, Node) else item)
    return type_name.lower(), None if text is None else text.removesuffix("T")


def _expected(output: ElementTree.Element) -> tuple[str | None, str]:
    kind = output.get("type")
    text = (output.text or "").removeprefix("@").removeprefix("T" if (output.text or "").startswith("@T") else "")
    return (kind.lower() if kind else None), text


@pytest.mark.parametrize("case", list(_cases()))
def test_case_of_the_official_suite(case: ElementTree.Element) -> None:
    expression = case.find("expression")
    assert expression is not None
    text = expression.text or ""
    resource = _input(case.get("inputfile"))
    if expression.get("invalid"):
        # What must be refused on sight of the types is refused in strict mode.
        with pytest.raises(FhirPathError):
            compile(text, strict=True).typed(resource)
        return
    found = compile(text).typed(resource)
    if case.get("predicate") == "true":
        assert found
        return
    wanted = [_expected(output) for output in case.findall("output")]
    shown = [_shown(type_name, item) for type_name, item in found]
    assert len(shown) == len(wanted), shown
    if case.get("ordered") == "false":
        shown.sort()
        wanted.sort()
    for (kind, value), (wanted_kind, wanted_value) in zip(shown, wanted, strict=True):
        assert value == wanted_value
        assert wanted_kind in (None, kind)
