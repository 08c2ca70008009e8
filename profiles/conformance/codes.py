"""What validation asks of codes, answered by a terminology (``terminology.registry``).

https://hl7.org/fhir/R4/terminologies.html#binding. It answers "unknown" where a code system is not at hand
(SNOMED CT, LOINC …), but for codes that have not even the form of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from profiles.conformance.bindings import VALID, Verdict
from profiles.conformance.code_forms import has_form
from terminology.base import base
from terminology.concepts import CodeSystem, Concept
from terminology.deciding import decide
from terminology.displays import Names
from terminology.registry import Terminology

_USUAL_LENGTH = 300  # longer codes and displays are not kept: they would only fill the memory
_KEPT = 16_384
# Of these grammars a code that does not follow them is certainly wrong; others have codes that are not read here.
_STRICT = frozenset({"urn:ietf:bcp:13", "urn:ietf:bcp:47"})
# What code meets in CodeSystems and ValueSets that are not built as they should be.
_MALFORMED = (TypeError, AttributeError, KeyError, ValueError, RecursionError)

Resource = dict[str, Any]


@cache
def r4_terminology() -> Terminology:
    """The code systems and value sets of R4."""
    return Terminology((base(),))


class Codes:
    """The code systems and value sets of ``resources``, and beneath them those of ``terminology`` (default: R4's).

    What the resources define counts alone: other versions of it are hidden. Of equal ones the last counts.
    Answers as ``Bindings`` does, and remembers its answers.
    """

    def __init__(self, resources: Iterable[Resource] = (), terminology: Terminology | None = None) -> None:
        given = [one for one in resources if one.get("resourceType") in ("CodeSystem", "ValueSet")]
        beneath = r4_terminology() if terminology is None else terminology
        self._asked = _Asked(beneath.replaced(given[::-1]))
        self._decided = lru_cache(maxsize=_KEPT)(self._asked.decide)
        self._looked_up = lru_cache(maxsize=_KEPT)(self._asked.look_up)

    def has(self, valueset: str) -> bool:
        """See ``Bindings.has``."""
        try:
            return self._asked.terminology.valueset(self._asked.known(valueset)) is not None
        except _MALFORMED:
            return False

    def validate(self, valueset: str, system: str | None, code: str, version: str = "", display: str = "") -> Verdict:
        """See ``Bindings.validate``."""
        usual = len(code) + len(system or "") + len(version) <= _USUAL_LENGTH
        return (self._decided if usual else self._asked.decide)(valueset, system, code, version)

    def lookup(self, system: str, code: str, version: str = "", display: str = "") -> Verdict:
        """See ``Bindings.lookup``."""
        usual = len(system) + len(code) + len(version) + len(display) <= _USUAL_LENGTH
        return (self._looked_up if usual else self._asked.look_up)(system, code, version, display)


class _Asked:
    """A terminology asked anew each time. It does not know who remembers its answers: so both go when unused."""

    def __init__(self, terminology: Terminology) -> None:
        self.terminology = terminology

    def known(self, valueset: str) -> str:
        """The canonical URL, without its version where only another is known.

        R4 names value sets by its own version that have another (``v3-NullFlavor|4.0.1``, which is of 2018).
        """
        url, bar, _ = valueset.partition("|")
        return url if bar and self.terminology.valueset(valueset) is None else valueset

    def decide(self, valueset: str, system: str | None, code: str, version: str) -> Verdict:
        try:
            result = decide(self.terminology, self.known(valueset), system, code, version or None)
        except _MALFORMED:
            return Verdict("unknown", f"the value set {valueset} is not built as it should be")
        if result.valid:
            return VALID
        if result.unknown and (system is None or has_form(system, code) is not False):
            return Verdict("unknown", f"the value set {valueset} cannot be decided here: {result.reason}")
        shown = f"'{code}'" if system is None else f"{system}#{code}"
        return Verdict("invalid", f"{shown} is not in the value set {valueset}")

    def look_up(self, system: str, code: str, version: str, display: str) -> Verdict:
        if has_form(system, code) is False:
            return Verdict("invalid", f"'{code}' has not the form of a code of {system}")
        try:
            known = self.terminology.system(system, version or None)
            if known is None:
                return self._without(system)
            if known.info.supplements:
                return _supplement(system)
            return _judged(known, code, display)
        except _MALFORMED:
            return Verdict("unknown", f"the code system {system} is not built as it should be")

    def _without(self, system: str) -> Verdict:
        if self.terminology.supplement(system) is not None:
            return _supplement(system)
        return Verdict("unknown", f"the code system {system} is not known here")


def _supplement(system: str) -> Verdict:
    return Verdict("invalid", f"{system} is a supplement, and no code system that a code may be of")


def _judged(system: CodeSystem, code: str, display: str) -> Verdict:
    url = system.info.url
    if not system.listed and url not in _STRICT:
        return Verdict("unknown", f"the codes of {url} are not listed here")
    concept = system.find(code)
    if concept is not None:
        return _named(system, concept, display) if display else VALID
    if system.whole:
        return Verdict("invalid", f"the code system {url} has no code '{code}'")
    return Verdict("unknown", f"the code '{code}' is not among those known of {url}")


def _named(system: CodeSystem, concept: Concept, display: str) -> Verdict:
    """Whether this is one of the names of the concept, in whichever language, case and spacing."""
    names = Names(system, concept)
    if not names.main or _plain(display) in {_plain(one.value) for _, one in names.all()}:
        return VALID
    shown = f"{system.info.url}#{concept.code}"
    return Verdict("invalid", f"display '{display}' is not that of {shown}, which is '{names.main}'")


def _plain(display: str) -> str:
    return " ".join(display.casefold().split())
