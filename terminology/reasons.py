"""Why a code is not in a value set, or whether that is doubtful: the issues of a validation that fails.

The wording is what terminology servers share (https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from terminology.answer import Coding, Rules, Subject, Validation, add, tell_status
from terminology.compose import Composer
from terminology.concepts import CodeSystem
from terminology.displays import Names, displayed
from terminology.errors import TxIssue
from terminology.languages import NO_LANGUAGE
from terminology.unknown import UnknownSystem, unknown_issue
from terminology.valuesets import Include, ValueSet
from terminology.versions import fits, joined


def undecided(
    composer: Composer, answer: Validation, subject: Subject, n: int, coding: Coding, error: UnknownSystem
) -> None:
    """The value set includes from a code system (or version) that is not known here."""
    issue = error.issue
    where = subject.place(n, "system")
    answer.undecided = True
    answer.issues.append(TxIssue("error", issue.code, issue.tx, issue.text, where, issue.key))
    answer.caused.append(error.system)
    pinned = composer.pins.check.get(error.include.system) or composer.pins.default.get(error.include.system)
    known = composer.terminology.system(error.include.system, coding.version or pinned)
    if coding.version and error.wanted and not fits(error.wanted, coding.version):
        mismatch(composer, answer, error.include, known, subject, n, coding.version)
    concept = known.find(coding.code) if known is not None else None
    if known is not None and concept is not None:
        answer.version = known.info.version
        answer.display = displayed(Names(known, concept, None), NO_LANGUAGE)


def refuse(
    composer: Composer, answer: Validation, valueset: ValueSet, subject: Subject, n: int, coding: Coding, rules: Rules
) -> None:
    """The code is not in the value set: is it a code at all?"""
    assert coding.system is not None
    before = len(answer.issues)
    system = None if rules.membership_only else system_of(composer, answer, subject, n, coding)
    concept = system.find(coding.code) if system is not None else None
    if system is not None:
        answer.version = system.info.version
        if concept is None:
            unknown_code(answer, system, coding.code, subject.place(n, "code"))
            if system.info.content == "fragment" and _whole(composer, valueset, system.info.url):
                answer.result = True
                return
        else:
            answer.display = displayed(Names(system, concept, None), rules.languages)
            if concept.inactive:
                add(
                    answer,
                    "error",
                    "business-rule",
                    "code-rule",
                    f"The concept '{concept.code}' is valid but is not active",
                    subject.place(n, "code"),
                    "STATUS_CODE_WARNING_CODE",
                )
                tell_status(answer, concept, subject, n)
    told = answer.issues[before:]
    del answer.issues[before:]
    outside(answer, valueset, subject, n, coding)
    answer.issues += told


def _whole(composer: Composer, valueset: ValueSet, url: str) -> bool:
    """Whether the value set includes all codes of the system."""
    return any(
        one.system == url and one.concepts is None and not one.filters and not one.valuesets for one in valueset.include
    )


def outside(answer: Validation, valueset: ValueSet, subject: Subject, n: int, coding: Coding) -> None:
    """The code is not in the value set."""
    name = f"{joined(coding.system or '', coding.version if coding.system else None)}#{coding.code}"
    if coding.display:
        name += f" ('{coding.display}')"
    text = f"The provided code '{name}' was not found in the value set '{valueset.canonical or '(unidentified)'}'"
    key, where = "None_of_the_provided_codes_are_in_the_value_set_one", subject.place(n, "code")
    if subject.form == "codeableConcept":
        add(answer, "information", "code-invalid", "this-code-not-in-vs", text, where, key, told=False)
    else:
        add(answer, "error", "code-invalid", "not-in-vs", text, where, key)


def system_of(composer: Composer, answer: Validation, subject: Subject, n: int, coding: Coding) -> CodeSystem | None:
    """The code system of the coding; where it is none, the issues that say so."""
    url, where = coding.system or "", subject.place(n, "system")
    terminology = composer.terminology
    supplement = terminology.supplement(url) if not terminology.versions(url) else None
    if supplement is not None:
        text = f"CodeSystem {supplement.info.canonical} is a supplement, so can't be used as a value in Coding.system"
        add(answer, "error", "invalid", "invalid-data", text, where, "CODESYSTEM_CS_NO_SUPPLEMENT")
        return None
    if ":" not in url:
        text = "Coding.system must be an absolute reference, not a local reference"
        add(answer, "error", "invalid", "invalid-data", text, where, "Terminology_TX_System_Relative")
    pinned = composer.pins.of_system(url, coding.version)
    found = composer.system(url, pinned)
    if found is None and coding.version and terminology.versions(url):
        answer.issues.append(unknown_issue(terminology, url, coding.version, where=where))
        answer.caused.append(joined(url, coding.version))
        return None
    if found is None:
        if terminology.valueset(url) is not None:
            text = f"The Coding references a value set, not a code system ('{url}')"
            add(answer, "error", "invalid", "invalid-data", text, where, "Terminology_TX_System_ValueSet2")
        else:
            answer.issues.append(unknown_issue(terminology, url, coding.version, where=where))
            answer.unknown.append(url)
            answer.undecided = True
        return None
    composer.used.systems[found.info.canonical] = found
    return found


def unknown_code(answer: Validation, system: CodeSystem, code: str, where: str) -> None:
    """The code system has no such code."""
    version = f" version '{system.info.version}'" if system.info.version else ""
    if system.info.content == "fragment":
        text = (
            f"Unknown Code '{code}' in the CodeSystem '{system.info.url}'{version} - note that the code system is"
            " labeled as a fragment, so the code may be valid in some other fragment"
        )
        add(answer, "warning", "code-invalid", "invalid-code", text, where, "UNKNOWN_CODE_IN_FRAGMENT", told=False)
        return
    text = f"Unknown code '{code}' in the CodeSystem '{system.info.url}'{version}"
    key = "Unknown_Code_in_Version" if version else "Unknown_Code_in"
    add(answer, "error", "code-invalid", "invalid-code", text, where, key)


def not_inferred(
    answer: Validation, valueset: ValueSet, subject: Subject, code: str, found: Sequence[str], looked: Sequence[str]
) -> None:
    """The system of a code could not be told from the value set."""
    text = f"The System URI could not be determined for the code '{code}' in the ValueSet '{valueset.canonical}'"
    key = "UNABLE_TO_INFER_CODESYSTEM"
    if not found:
        text += f": it is in none of its code systems: [{', '.join(looked)}]"
    else:
        text += f": value set expansion has multiple matches: [{', '.join(found)}]"
        key = "Unable_to_resolve_system__value_set_has_multiple_matches"
    add(answer, "error", "not-found", "cannot-infer", text, subject.place(0, "code"), key)


def mismatch(
    composer: Composer,
    answer: Validation,
    include: Include,
    system: CodeSystem | None,
    subject: Subject,
    n: int,
    given: str,
) -> None:
    """The version of the coding is another than the include means, and perhaps none at all."""
    url, wanted, where = include.system, composer.wanted(include), subject.place(n, "version")
    told = include.version or ""
    if wanted is None:
        found = system.info.version if system is not None else ""
        text = (
            f"The code system '{url}' version '{found}' for the versionless include in the ValueSet include is"
            f" different to the one in the value ('{given}')"
        )
        add(answer, "warning", "invalid", "vs-invalid", text, where, "VALUESET_VALUE_MISMATCH_DEFAULT", told=False)
    elif wanted != include.version:
        text = (
            f"The code system '{url}' version '{wanted}' resulting from the version '{told}' in the ValueSet include is"
            f" different to the one in the value ('{given}')"
        )
        add(answer, "error", "invalid", "vs-invalid", text, where, "VALUESET_VALUE_MISMATCH_CHANGED")
    else:
        text = (
            f"The code system '{url}' version '{wanted}' in the ValueSet include is different to the one in the value"
            f" ('{given}')"
        )
        add(answer, "error", "invalid", "vs-invalid", text, where, "VALUESET_VALUE_MISMATCH")
    if composer.terminology.system(url, given) is None:
        issue = unknown_issue(composer.terminology, url, given, where=subject.place(n, "system"))
        answer.issues.append(issue)
        answer.caused.append(joined(url, given))
    answer.result = answer.result and not any(i.severity == "error" for i in answer.issues)


def standing(composer: Composer, valueset: ValueSet) -> Iterable[TxIssue]:
    """What is to be said of the code systems and value sets that were used."""
    for system in composer.used.systems.values():
        for status in standing_of(system):
            yield _reference(status, "CodeSystem", system.info.canonical)
    valuesets = {valueset.canonical: valueset, **composer.used.valuesets}
    for canonical, one in valuesets.items():
        if one.standards_status in ("withdrawn", "deprecated"):
            yield _reference(one.standards_status, "ValueSet", canonical)


def standing_of(system: CodeSystem) -> list[str]:
    """What has to be said of a code system: deprecated, withdrawn, experimental or draft."""
    info = system.info
    if info.standards_status in ("withdrawn", "deprecated"):
        return [info.standards_status]
    if info.status == "retired":
        return ["deprecated"]
    if info.experimental:
        return ["experimental"]
    return ["draft"] if info.status == "draft" else []


def _reference(status: str, kind: str, canonical: str) -> TxIssue:
    text, key = f"Reference to {status} {kind} {canonical}", f"MSG_{status.upper()}"
    return TxIssue("information", "business-rule", "status-check", text, "", key, told=False)
