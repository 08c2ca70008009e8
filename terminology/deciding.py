"""The answer to validators: is this code in that value set? Valid, invalid, or nobody here can tell.

https://hl7.org/fhir/R4/terminologies.html#binding
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from terminology.compose import Composer, Membership
from terminology.displays import Names, displayed, judged
from terminology.errors import TerminologyError
from terminology.languages import NO_LANGUAGE
from terminology.registry import Terminology
from terminology.validate import systems_of
from terminology.valuesets import ValueSet


class Verdict(StrEnum):
    """The three answers. UNKNOWN: the value set, or the code system that decides, is not known here."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Result:
    """The answer about one code.

    ``reason`` says why a code is invalid or undecided (English, one sentence; '' when valid). ``display`` is the
    display to use ('' unknown). ``code`` is the issue code that fits the reason: ``code-invalid`` (not in the value
    set or the code system), ``invalid`` (the display is wrong), ``not-found`` (value set or code system unknown),
    ``not-supported``, ``too-costly``. ``warnings`` do not make the code invalid (inactive, other case, …).
    """

    verdict: Verdict
    reason: str = ""
    code: str = ""
    display: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the code is certainly in the value set."""
        return self.verdict is Verdict.VALID

    @property
    def invalid(self) -> bool:
        """Whether the code is certainly not in the value set (or its display is wrong)."""
        return self.verdict is Verdict.INVALID

    @property
    def unknown(self) -> bool:
        """Whether it cannot be decided."""
        return self.verdict is Verdict.UNKNOWN


def decide(
    terminology: Terminology,
    valueset_url: str,
    system: str | None,
    code: str,
    version: str | None = None,
    display: str | None = None,
) -> Result:
    """Whether ``code`` of ``system`` is in the value set ``valueset_url`` (canonical, perhaps with ``|version``).

    ``system`` None: an element of type ``code``, whose system the value set implies. ``version`` is that of the
    code system as the Coding has it; ``display`` is checked when given. What cannot be decided is UNKNOWN.
    """
    try:
        return _decide(terminology, valueset_url, system, code, version, display)
    except TerminologyError as error:
        return Result(Verdict.UNKNOWN, error.issue.text, error.issue.code)


def _decide(
    terminology: Terminology, url: str, system: str | None, code: str, version: str | None, display: str | None
) -> Result:
    composer = Composer(terminology, by_lists=True)
    valueset = composer.valueset(url)
    composer.check(valueset)
    # Without any system there may still be imported value sets that are not known.
    systems = [system] if system is not None else systems_of(composer, valueset) or [""]
    unclear: Result | None = None
    for one in systems:
        try:
            member = composer.member(valueset, one, code, version)
        except TerminologyError as error:
            unclear = unclear or Result(Verdict.UNKNOWN, error.issue.text, error.issue.code)
            continue
        if member is not None:
            return _member(member, code, display)
    return unclear or _outside(terminology, valueset, system, code)


def _member(member: Membership, code: str, display: str | None) -> Result:
    names = Names(member.system, member.concept, member.listed)
    shown = displayed(names, NO_LANGUAGE) or ""
    warnings: list[str] = []
    if member.concept.inactive:
        warnings.append(f"The code '{code}' is inactive")
    elif member.concept.deprecated:
        warnings.append(f"The code '{code}' is deprecated")
    if member.concept.code != code:
        warnings.append(f"The code '{code}' should be written '{member.concept.code}'")
    if display and any(value.value for _, value in names.all()):
        issue = judged(names, display, NO_LANGUAGE, "", False)
        if issue is not None and issue.severity == "error":
            return Result(Verdict.INVALID, issue.text, "invalid", shown, tuple(warnings))
        if issue is not None:
            warnings.append(issue.text)
    return Result(Verdict.VALID, display=shown, warnings=tuple(warnings))


def _outside(terminology: Terminology, valueset: ValueSet, system: str | None, code: str) -> Result:
    name = f"{system}#{code}" if system else f"'{code}'"
    reason = f"The code {name} is not in the value set {valueset.canonical}"
    if system is not None and (known := terminology.system(system)) is not None and known.find(code) is None:
        reason = (
            f"There is no code '{code}' in {known.info.canonical}, and so not in the value set {valueset.canonical}"
        )
    return Result(Verdict.INVALID, reason, "code-invalid")
