"""The answer to validators: ``terminology.bindings.Bindings`` over a terminology.

https://hl7.org/fhir/R4/terminologies.html#binding
"""

from __future__ import annotations

from collections.abc import Callable

from terminology.bindings import Result, Verdict
from terminology.compose import Composer, Membership
from terminology.concepts import CodeSystem
from terminology.displays import Names, displayed, judged
from terminology.errors import TerminologyError
from terminology.languages import NO_LANGUAGE
from terminology.registry import Terminology
from terminology.validate import systems_of
from terminology.valuesets import ValueSet

_MOST = 50_000  # answers that are remembered
_Key = tuple[str, str | None, str, str | None, str | None]


class Deciding:
    """Decides whether codes are in value sets. ``terminology`` gives what is known of codes now.

    Answers are remembered as long as that stays the same.
    """

    def __init__(self, terminology: Callable[[], Terminology]) -> None:
        self._terminology = terminology
        self._of: Terminology | None = None
        self._known: dict[_Key, Result] = {}

    def validate(
        self,
        valueset_url: str,
        system: str | None,
        code: str,
        version: str | None = None,
        display: str | None = None,
    ) -> Result:
        """Whether ``code`` of ``system`` is in the value set; see ``Bindings``."""
        terminology = self._terminology()
        if terminology is not self._of or len(self._known) > _MOST:
            self._of, self._known = terminology, {}
        key = valueset_url, system, code, version, display
        found = self._known.get(key)
        if found is None:
            try:
                found = _decide(terminology, valueset_url, system, code, version, display)
            except TerminologyError as error:
                found = Result(Verdict.UNKNOWN, error.issue.text, error.issue.code)
            self._known[key] = found
        return found


def _decide(
    terminology: Terminology, url: str, system: str | None, code: str, version: str | None, display: str | None
) -> Result:
    composer = Composer(terminology)
    valueset = composer.valueset(url)
    composer.check(valueset)
    systems = [system] if system is not None else systems_of(composer, valueset)
    unclear: Result | None = None
    for one in systems:
        try:
            member = composer.member(valueset, one, code, version)
        except TerminologyError as error:
            unclear = unclear or Result(Verdict.UNKNOWN, error.issue.text, error.issue.code)
            continue
        if member is not None:
            return _member(member, code, display)
        if _partial(terminology.system(one, version), code):
            reason = f"The code '{code}' is not in the part of {one} that is known here"
            unclear = unclear or Result(Verdict.UNKNOWN, reason, "not-found")
    return unclear or _outside(terminology, valueset, system, code)


def _partial(system: CodeSystem | None, code: str) -> bool:
    """Whether the code may be one of a code system that is known in part only."""
    return system is not None and system.info.content in ("fragment", "example") and system.find(code) is None


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
