"""What validation asks of terminology, answered by the terminology that is served.

What the profiles in force bring along counts first (``profiles.conformance.codes``); for the rest the stored, loaded
and alliance lists are asked. https://hl7.org/fhir/R4/terminologies.html#binding
"""

from __future__ import annotations

from collections.abc import Callable

from profiles.conformance import Bindings, Verdict
from terminology.deciding import Deciding
from terminology.displays import Names, judged
from terminology.errors import TerminologyError
from terminology.languages import NO_LANGUAGE
from terminology.registry import Terminology


class ServedBindings:
    """``own`` first, then what ``terminology`` gives now; see ``profiles.conformance.Bindings``."""

    def __init__(self, own: Bindings, terminology: Callable[[], Terminology]) -> None:
        self._own = own
        self._terminology = terminology
        self._deciding = Deciding(terminology)

    def validate(self, valueset: str, system: str | None, code: str, version: str = "", display: str = "") -> Verdict:
        """Whether the code is in the value set."""
        verdict = self._own.validate(valueset, system, code, version, display)
        if verdict.outcome != "unknown":
            return verdict
        result = self._deciding.validate(valueset, system, code, version or None)
        if result.unknown:
            return verdict
        return Verdict("valid" if result.valid else "invalid", result.reason)

    def lookup(self, system: str, code: str, version: str = "", display: str = "") -> Verdict:
        """Whether the code system has the code, and (where given) this display for it."""
        verdict = self._own.lookup(system, code, version, display)
        if verdict.outcome != "unknown":
            return verdict
        try:
            known = self._terminology().system(system, version or None)
            concept = None if known is None else known.find(code)
        except TerminologyError:
            return verdict
        if known is None or (concept is None and known.info.content != "complete"):
            return verdict
        if concept is None:
            return Verdict("invalid", f"the code system {system} has no code '{code}'")
        names = Names(known, concept)
        wrong = judged(names, display, NO_LANGUAGE, "", False) if display and names.main else None
        if wrong is not None and wrong.severity == "error":
            shown = f"display '{display}' is not that of {system}#{concept.code}, which is '{names.main}'"
            return Verdict("invalid", shown)
        return Verdict("valid")
