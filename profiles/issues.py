"""Issue: one finding about a resource or a request, as it stands in an OperationOutcome.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue.

    ``code`` is an IssueType (``invalid``, ``structure``, ``required``, ``value``,
    ``not-found``, ``conflict`` …); ``expression`` holds FHIRPaths of the elements
    concerned (or a header or query parameter, e.g. ``http.If-Match``).
    """

    code: str
    diagnostics: str
    expression: tuple[str, ...] = ()
    severity: str = "error"


def operation_outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """The OperationOutcome resource of these issues, in their order."""
    out: list[dict[str, Any]] = []
    for issue in issues:
        entry: dict[str, Any] = {"severity": issue.severity, "code": issue.code, "diagnostics": issue.diagnostics}
        if issue.expression:
            entry["expression"] = list(issue.expression)
        out.append(entry)
    return {"resourceType": "OperationOutcome", "issue": out}
