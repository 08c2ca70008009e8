"""The terminology cases of HL7, asked of the pure functions: as many as at the last count, or more."""

from __future__ import annotations

from typing import Any

import pytest

from terminology import service
from terminology.arguments import arguments_of
from terminology.base import base
from terminology.errors import TerminologyError, outcome
from terminology.registry import Terminology
from tests.terminology import ecosystem

# Cases passed, of how many: docs/terminology.md says which differ and why.
FLOOR = {
    "simple-cases": (15, 15),
    "parameters": (34, 35),
    "language": (26, 26),
    "extensions": (10, 11),
    "validation": (51, 54),
    "version": (206, 206),
    "fragment": (7, 7),
    "big": (4, 5),
    "other": (3, 3),
    "errors": (6, 7),
    "deprecated": (11, 11),
    "inactive": (12, 12),
    "case": (6, 6),
    "translate": (1, 2),
    "tho": (2, 3),
    "exclude": (8, 8),
    "default-valueset-version": (11, 12),
    "batch": (1, 2),
    "regex-bad": (2, 4),
}
KNOWN = Terminology((base(),))
RUN = {
    "validate-code": service.validate_code_in_valueset,
    "cs-validate-code": service.validate_code_in_system,
    "lookup": service.lookup,
    "translate": service.translate,
    "batch-validate": service.batch_validate_code,
}

pytestmark = pytest.mark.skipif(not ecosystem.ARCHIVE.exists(), reason="the data folder ../shared/fhir is absent")


def call(operation: str, parameters: dict[str, Any], headers: dict[str, str]) -> ecosystem.Answer:
    try:
        arguments = arguments_of(parameters, headers.get("Accept-Language"))
        if operation == "expand":
            identifier, timestamp = "urn:uuid:8acdbfdc-e9d2-11ed-a05b-0242ac120003", "2026-01-01T00:00:00Z"
            return 200, service.expand(KNOWN, arguments, identifier, timestamp, most=1000)
        return 200, RUN[operation](KNOWN, arguments)
    except TerminologyError as error:
        return error.status, outcome([error.issue])


@pytest.mark.parametrize("suite", FLOOR)
def test_a_suite_passes_as_many_cases_as_before(suite: str) -> None:
    cases = list(ecosystem.cases(suite))
    failed = {case.name: found for case in cases if (found := ecosystem.differences(case, call(*asked(case))))}
    passed, whole = FLOOR[suite]
    assert len(cases) == whole
    assert len(cases) - len(failed) >= passed, failed


def asked(case: ecosystem.Case) -> tuple[str, dict[str, Any], dict[str, str]]:
    return case.operation, case.request, case.headers


def test_the_comparison_can_fail() -> None:
    (case, *_) = ecosystem.cases("simple-cases")
    status, resource = call(*asked(case))
    assert ecosystem.differences(case, (404, resource))
    less = {**resource, "expansion": {**resource["expansion"], "contains": resource["expansion"]["contains"][1:]}}
    assert ecosystem.differences(case, (status, less))
    assert ecosystem.differences(case, (status, {**resource, "publisher2": "x"}))
