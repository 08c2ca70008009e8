"""What can be wrong: issues with the codes of terminology servers, and the refusals that carry them.

https://hl7.org/fhir/R4/terminology-service.html, codes of ``details``:
https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/CodeSystem-tx-issue-type.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

TX_ISSUE_TYPE = "http://hl7.org/fhir/tools/CodeSystem/tx-issue-type"
MESSAGE_ID = "http://hl7.org/fhir/StructureDefinition/operationoutcome-message-id"


@dataclass(frozen=True, slots=True)
class TxIssue:
    """One finding. ``code`` is an IssueType, ``tx`` a code of tx-issue-type ('' none), ``where`` a FHIRPath.

    ``told``: whether its text belongs to the ``message`` of a validation. ``key`` is the message's id as terminology
    servers share it.
    """

    severity: str
    code: str
    tx: str
    text: str
    where: str = ""
    key: str = ""
    told: bool = True
    diagnostics: str = ""

    def resource(self) -> dict[str, Any]:
        """As OperationOutcome.issue."""
        out: dict[str, Any] = {}
        if self.key:
            out["extension"] = [{"url": MESSAGE_ID, "valueString": self.key}]
        out |= {"severity": self.severity, "code": self.code}
        coding = {"coding": [{"system": TX_ISSUE_TYPE, "code": self.tx}]} if self.tx else {}
        out["details"] = {**coding, "text": self.text}
        if self.diagnostics:
            out["diagnostics"] = self.diagnostics
        if self.where:
            out |= {"location": [self.where], "expression": [self.where]}
        return out


def outcome(issues: Iterable[TxIssue]) -> dict[str, Any]:
    """The OperationOutcome of these issues."""
    return {"resourceType": "OperationOutcome", "issue": [issue.resource() for issue in issues]}


class TerminologyError(Exception):
    """A refusal. ``status`` is the HTTP status that fits it."""

    status = 422
    code = "processing"
    tx = ""

    def __init__(
        self, text: str, *, tx: str = "", where: str = "", key: str = "", code: str = "", diagnostics: str = ""
    ):
        super().__init__(text)
        self.issue = TxIssue("error", code or self.code, tx or self.tx, text, where, key, diagnostics=diagnostics)


class NotKnown(TerminologyError):
    """A code, code system, value set, concept map or supplement that is not known here."""

    status, code, tx = 404, "not-found", "not-found"


class Invalid(TerminologyError):
    """The request, or a resource that it needs, makes no sense."""

    status, code = 400, "invalid"


class BadDefinition(TerminologyError):
    """A value set that cannot be evaluated: circular, a filter without value, a regular expression that is none."""

    status, code, tx = 422, "invalid", "vs-invalid"


class Unsupported(TerminologyError):
    """Understood, and not offered: e.g. a filter operator on a system that cannot answer it."""

    status, code = 422, "not-supported"


class TooCostly(TerminologyError):
    """The expansion has more codes than may be listed; page it, or filter."""

    status, code = 422, "too-costly"


class VersionRefused(TerminologyError):
    """A code system's version is not the one that ``check-system-version`` asks for."""

    status, code, tx = 422, "exception", "version-error"
