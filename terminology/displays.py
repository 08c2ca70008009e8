"""Displays: which name of a concept to show in a language, and whether a given one is right.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html (display, displayLanguage)
"""

from __future__ import annotations

from dataclasses import dataclass

from terminology.concepts import CodeSystem, Concept, Designation
from terminology.errors import TxIssue
from terminology.languages import Languages
from terminology.valuesets import Listed
from terminology.words import fold


@dataclass(frozen=True, slots=True)
class Names:
    """A concept with all its names: those of the code system, of supplements, and of the value set that lists it."""

    system: CodeSystem
    concept: Concept
    listed: Listed | None = None

    @property
    def main(self) -> str | None:
        """The display that counts where no language is asked for."""
        return (self.listed.display if self.listed is not None else None) or self.concept.display

    def all(self) -> list[tuple[str | None, Designation]]:
        """Every name with its language, the display first."""
        language = self.system.info.language
        found: list[tuple[str | None, Designation]] = []
        if self.listed is not None and self.listed.display:
            found.append((language, Designation(self.listed.display, language)))
        if self.concept.display:
            found.append((language, Designation(self.concept.display, language)))
        own = self.listed.designations if self.listed is not None else ()
        found += [(one.language, one) for one in (*own, *self.concept.designations)]
        return found

    @property
    def label(self) -> str:
        """``system#code``."""
        return f"{self.system.info.url}#{self.concept.code}"


def chosen(names: Names, languages: Languages) -> Designation | None:
    """The name to show; None where none is in a language that will do."""
    main = Designation(names.main, names.system.info.language) if names.main else None
    if not languages:
        return main
    best = languages.best((language, one) for language, one in names.all() if not one.withdrawn)
    if best is not None:
        return best
    # A display whose language nobody states may well be the wanted one.
    return None if languages.hard and names.system.info.language else main


def displayed(names: Names, languages: Languages) -> str | None:
    """The value of the name to show."""
    found = chosen(names, languages)
    return None if found is None else found.value


def judged(names: Names, display: str, languages: Languages, where: str, lenient: bool) -> TxIssue | None:
    """What is wrong with ``display``, or None."""
    everything = [one for one in names.all() if one[1].value]
    active = [(language, one.value) for language, one in everything if not one.withdrawn]
    right = active
    if languages:
        right = [
            (language, value) for language, value in active if language is None or languages.rank(language) is not None
        ]
    if _is_one_of(display, [value for _, value in right]):
        return None
    for _, one in everything:
        if one.withdrawn and _same(one.value, display):
            return _withdrawn(names, display, one.withdrawn, where)
    told = languages.text or "--"
    severity = "warning" if lenient else "error"
    if not right:
        return _none_fits(names, display, active, told, where, severity)
    spaced = any(_squeezed(value) == _squeezed(display) for _, value in right)
    wrong = "Wrong whitespace in Display Name" if spaced else "Wrong Display Name"
    key = f"Display_Name_{'WS_' if spaced else ''}for__should_be_one_of__instead_of"
    shown = list(dict.fromkeys(f"'{value}' ({language})" if language else f"'{value}'" for language, value in right))
    choices = f"is one of {len(shown)} choices: {_either(shown)}" if len(shown) > 1 else f"is {shown[0]}"
    text = f"{wrong} '{display}' for {names.label}. Valid display {choices} (for the language(s) '{told}')"
    return TxIssue(severity, "invalid", "invalid-display", text, where, key)


def _none_fits(
    names: Names, display: str, active: list[tuple[str | None, str]], told: str, where: str, severity: str
) -> TxIssue:
    """No name is in a language that was asked for."""
    if _is_one_of(display, [value for _, value in active]):
        text = (
            f"There are no valid display names found for the code {names.label} for language(s) '{told}'. The display"
            f" is '{display}' which is a valid display for the default language"
        )
        return TxIssue(
            "information", "invalid", "invalid-display", text, where, "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_OK"
        )
    text = (
        f"Wrong Display Name '{display}' for {names.label}. There are no valid display names found for language(s)"
        f" '{told}'. Default display is '{names.main or ''}'"
    )
    return TxIssue(severity, "invalid", "invalid-display", text, where, "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_ERR")


def _withdrawn(names: Names, display: str, status: str, where: str) -> TxIssue:
    text = (
        f"'{display}' is no longer considered a correct display for code '{names.concept.code}' (status = {status})."
        f' The correct display is one of "{names.main or ""}".'
    )
    return TxIssue("warning", "invalid", "display-comment", text, where, "INACTIVE_DISPLAY_FOUND", told=False)


def _either(shown: list[str]) -> str:
    return ", ".join(shown[:-1]) + f" or {shown[-1]}"


def _same(one: str, other: str) -> bool:
    return one == other or (one.casefold() == other.casefold())


def _is_one_of(display: str, values: list[str]) -> bool:
    return any(_same(value, display) for value in values)


def _squeezed(text: str) -> str:
    return fold("".join(text.split()))
