"""What a token's scopes let its holder read in one person's file: what acts in the record beside FHIR keeps to them.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

from __future__ import annotations

from consent import Requester, Scope
from consent.classes import usual_classes

_READING = "rs"


def in_file(requester: Requester, patient: str) -> tuple[Scope, ...]:
    """The reading scopes that reach the file of ``patient`` (an id), as scopes to that file alone; none for no right.

    Scopes of the context patient reach the file of the launch only. Those to what is nobody's are left out.
    """
    found: dict[Scope, None] = {}
    for scope in requester.scopes:
        letters = "".join(letter for letter in _READING if letter in scope.letters)
        theirs = scope.context != "patient" or requester.patient in ("", patient)
        if letters and theirs and (scope.type == "*" or usual_classes(scope.type)):
            found[Scope("patient", scope.type, letters, scope.query)] = None
    return tuple(found)


def reads_person(requester: Requester, patient: str) -> bool:
    """Whether a scope lets the holder read who ``patient`` is, whatever the file holds."""
    scopes = in_file(requester, patient)
    return any(scope.type in ("*", "Patient") and "r" in scope.letters and not scope.query for scope in scopes)


def reads_anybody(requester: Requester) -> bool:
    """Whether a scope lets the holder read persons without naming one: of the context user or system."""
    return any(
        scope.type in ("*", "Patient") and "r" in scope.letters and not scope.query and scope.context != "patient"
        for scope in requester.scopes
    )
