"""What is asked of a validation, and its answer as it grows: the codes, the rules, the issues.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from terminology.concepts import Concept
from terminology.errors import TxIssue
from terminology.languages import NO_LANGUAGE, Languages

NO_CODE = (
    "Unable to find code to validate (looked for coding | codeableConcept | code+system | code+inferSystem in "
    "parameters"
)


@dataclass(frozen=True, slots=True)
class Coding:
    """A code to be validated, as it was given."""

    code: str
    system: str | None = None
    version: str | None = None
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be validated.

    ``form``: ``code``, ``coding`` or ``codeableConcept`` (then ``concept`` is the whole). ``infer``: a code without
    system is of the one by which the value set has it.
    """

    codings: tuple[Coding, ...]
    form: str = "code"
    concept: Mapping[str, Any] | None = None
    infer: bool = False

    def place(self, n: int, element: str) -> str:
        """The FHIRPath of an element of coding ``n`` ('' the coding itself)."""
        root = {"code": "", "coding": "Coding"}.get(self.form, f"CodeableConcept.coding[{n}]")
        if not element or not root:
            return element or root or "code"
        return f"{root}.{element}"


@dataclass(frozen=True, slots=True)
class Rules:
    """How strictly: languages of displays, only active codes, wrong displays as warnings, membership and nothing else,
    whether a code may be abstract."""

    languages: Languages = NO_LANGUAGE
    active: bool = False
    lenient_display: bool = False
    membership_only: bool = False
    abstract: bool = True


@dataclass(slots=True)
class Validation:
    """The answer. ``unknown`` are code systems that are not known here, ``caused`` those among them that decided."""

    result: bool = False
    issues: list[TxIssue] = field(default_factory=list)
    code: str | None = None
    system: str | None = None
    version: str | None = None
    display: str | None = None
    normalized: str | None = None
    inactive: bool = False
    status: str = ""
    unknown: list[str] = field(default_factory=list)
    caused: list[str] = field(default_factory=list)
    undecided: bool = False

    @property
    def message(self) -> str:
        """What has to be told, in one line."""
        told = {issue.text for issue in self.issues if issue.told}
        return "; ".join(sorted(told))


def add(
    answer: Validation, severity: str, code: str, tx: str, text: str, where: str, key: str, *, told: bool = True
) -> None:
    """Put an issue to the answer; ``told``: it belongs to the message."""
    answer.issues.append(TxIssue(severity, code, tx, text, where, key, told))


def tell_status(answer: Validation, concept: Concept, subject: Subject, n: int) -> None:
    """What is to be said of a concept that is inactive or deprecated."""
    if concept.inactive:
        answer.inactive = True
        answer.status = concept.status
        status = f"{concept.status} and inactive" if concept.status not in ("", "inactive") else "inactive"
        add(
            answer,
            "warning",
            "business-rule",
            "code-comment",
            f"The concept '{concept.code}' has a status of {status} and its use should be reviewed",
            subject.place(n, "") if subject.form != "code" else "code",
            "INACTIVE_CONCEPT_FOUND",
        )
    elif concept.deprecated:
        answer.status = concept.status
        add(
            answer,
            "warning",
            "business-rule",
            "code-comment",
            f"The concept '{concept.code}' is {concept.status} and its use should be reviewed",
            subject.place(n, "") if subject.form != "code" else "code",
            "DEPRECATED_CONCEPT_FOUND",
        )
