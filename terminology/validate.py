"""Is this code in that value set, or code system? With every reason why not, and what is doubtful about it.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html, https://hl7.org/fhir/R4/codesystem-operation-validate-code.html;
the wording of issues is what terminology servers share (https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from terminology.compose import (
    Composer,
    Membership,
    SupplementMissing,
    UnknownSystem,
    unknown_issue,
    version_refused,
)
from terminology.concepts import CodeSystem, Concept
from terminology.displays import Names, displayed, judged
from terminology.errors import Invalid, NotKnown, TxIssue
from terminology.languages import NO_LANGUAGE, Languages, languages
from terminology.valuesets import Include, ValueSet
from terminology.versions import fits, joined

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


def validate_in_valueset(composer: Composer, valueset: ValueSet, subject: Subject, rules: Rules) -> Validation:
    """Whether the subject is in the value set.

    Raises TerminologyError where the value set itself cannot be evaluated.
    """
    composer.check(valueset)
    composer.require(valueset)
    rules = _told_by(valueset, rules)
    answers: list[Validation] = []
    for n, coding in enumerate(subject.codings):
        answers.append(_one(composer, valueset, subject, n, coding, rules))
    if subject.form != "codeableConcept":
        return _finished(answers[0], composer, valueset)
    return _finished(_together(answers, valueset), composer, valueset)


def validate_in_system(composer: Composer, url: str, version: str | None, subject: Subject, rules: Rules) -> Validation:
    """Whether the subject is in the code system."""
    answers: list[Validation] = []
    for n, coding in enumerate(subject.codings):
        if coding.system is not None and coding.system != url:
            raise Invalid(f"The code is of {coding.system}, not of {url}", where=subject.place(n, "system"))
        answer = Validation(code=coding.code, system=url)
        system = _system_of(composer, answer, subject, n, Coding(coding.code, url, version or coding.version))
        if system is not None:
            concept = system.find(coding.code)
            answer.version = system.info.version
            if concept is None:
                _unknown_code(answer, system, coding.code, subject.place(n, "code"))
                answer.result = system.info.content == "fragment"
            else:
                _accept(answer, Membership(system, concept), subject, n, coding, rules, None)
        answers.append(answer)
    if subject.form != "codeableConcept":
        return answers[0]
    best = next((a for a in answers if a.result), answers[0])
    best.issues = [issue for answer in answers for issue in answer.issues]
    best.result = any(a.result for a in answers) and not any(i.severity == "error" for i in best.issues)
    return best


def _told_by(valueset: ValueSet, rules: Rules) -> Rules:
    """The rules with the languages that the value set fixes, where the request does not say any."""
    if rules.languages:
        return rules
    told = valueset.parameters.get("displayLanguage") or valueset.resource.get("language")
    try:
        found = languages(told)
    except ValueError:
        return rules
    return replace(rules, languages=found)


def _one(composer: Composer, valueset: ValueSet, subject: Subject, n: int, coding: Coding, rules: Rules) -> Validation:
    answer = Validation(code=coding.code, system=coding.system)
    if coding.system is None:
        if not subject.infer:
            _outside(answer, valueset, subject, n, coding)
            _add(
                answer,
                "warning",
                "invalid",
                "invalid-data",
                "Coding has no system. A code with no system has no defined meaning, and it cannot be validated."
                " A system should be provided",
                subject.place(n, ""),
                "Coding_has_no_system__cannot_validate",
            )
            return answer
        found = _inferred(composer, valueset, coding.code, rules)
        if len(found) != 1:
            _outside(answer, valueset, subject, n, coding)
            looked = found or systems_of(composer, valueset)
            _not_inferred(answer, valueset, subject, coding.code, found, looked)
            return answer
        coding = Coding(coding.code, found[0], coding.version, coding.display)
        answer.system = found[0]
    assert coding.system is not None
    try:
        member = composer.member(valueset, coding.system, coding.code, coding.version)
    except SupplementMissing:
        raise
    except UnknownSystem as error:
        _undecided(composer, answer, subject, n, coding, error)
        return answer
    except NotKnown as error:
        answer.issues.append(error.issue)
        answer.undecided = True
        return answer
    if member is None or (rules.active and member.concept.inactive):
        _refuse(composer, answer, valueset, subject, n, coding, rules)
        return answer
    answer.version = member.system.info.version
    _accept(answer, member, subject, n, coding, rules, valueset)
    if member.include is not None:
        _check_version(composer, answer, member.include, member.system, subject, n, coding)
    return answer


def _inferred(composer: Composer, valueset: ValueSet, code: str, rules: Rules) -> list[str]:
    """The code systems by which the value set has the code."""
    found = [url for url in systems_of(composer, valueset) if _has(composer, valueset, url, code)]
    return sorted(dict.fromkeys(found))


def _has(composer: Composer, valueset: ValueSet, url: str, code: str) -> bool:
    try:
        return composer.member(valueset, url, code) is not None
    except SupplementMissing:
        raise
    except NotKnown:
        return False


def systems_of(composer: Composer, valueset: ValueSet) -> list[str]:
    """The code systems from which the value set, or one that it imports, includes codes."""
    found: dict[str, None] = {}
    waiting, seen = [valueset], {id(valueset)}
    while waiting:
        one = waiting.pop()
        for include in one.include:
            if include.system:
                found[include.system] = None
            for canonical in include.valuesets:
                try:
                    other = composer.valueset(canonical, one)
                except NotKnown:
                    continue
                if id(other) not in seen:
                    seen.add(id(other))
                    waiting.append(other)
        if not one.include:
            found.update((entry.system, None) for entry in one.expansion or ())
    return list(found)


# -- a member -----------------------------------------------------------------------------------


def _accept(
    answer: Validation,
    member: Membership,
    subject: Subject,
    n: int,
    coding: Coding,
    rules: Rules,
    valueset: ValueSet | None,
) -> None:
    """The code is in: its display, its status, and what is doubtful."""
    concept, system = member.concept, member.system
    answer.result = True
    names = Names(system, concept, member.listed)
    answer.display = displayed(names, rules.languages)
    _tell_status(answer, concept, subject, n)
    if concept.code != coding.code:
        answer.normalized = concept.code
        _add(
            answer,
            "information",
            "business-rule",
            "code-rule",
            f"The code '{coding.code}' differs from the correct code '{concept.code}' by case. Although the code system"
            f" '{system.info.canonical}' is case insensitive, implementers are strongly encouraged to use the correct"
            " case anyway",
            subject.place(n, "code"),
            "CODE_CASE_DIFFERENCE",
            told=False,
        )
    listed = member.listed
    if listed is not None and listed.status in ("deprecated", "withdrawn") and valueset is not None:
        _add(
            answer,
            "warning",
            "business-rule",
            "code-comment",
            f"The presence of the concept '{concept.code}' in the system '{system.info.url}' in the value set"
            f" {valueset.canonical} is marked with a status of {listed.status} and its use should be reviewed",
            subject.place(n, "code"),
            "CONCEPT_DEPRECATED_IN_VALUESET",
            told=False,
        )
    if concept.abstract and not rules.abstract:
        text = f"The concept '{concept.code}' is abstract, and must not be chosen here"
        _add(answer, "error", "business-rule", "code-rule", text, subject.place(n, "code"), "ABSTRACT_CODE_NOT_ALLOWED")
        answer.result = False
    if coding.display and not rules.membership_only:
        issue = judged(names, coding.display, rules.languages, subject.place(n, "display"), rules.lenient_display)
        if issue is not None:
            answer.issues.append(issue)
            answer.result = answer.result and issue.severity != "error"


def _tell_status(answer: Validation, concept: Concept, subject: Subject, n: int) -> None:
    if concept.inactive:
        answer.inactive = True
        answer.status = concept.status
        status = f"{concept.status} and inactive" if concept.status not in ("", "inactive") else "inactive"
        _add(
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
        _add(
            answer,
            "warning",
            "business-rule",
            "code-comment",
            f"The concept '{concept.code}' is {concept.status} and its use should be reviewed",
            subject.place(n, "") if subject.form != "code" else "code",
            "DEPRECATED_CONCEPT_FOUND",
        )


def _check_version(
    composer: Composer,
    answer: Validation,
    include: Include,
    system: CodeSystem,
    subject: Subject,
    n: int,
    coding: Coding,
) -> None:
    """Whether the version of the coding is one that the include means, and one that may be used at all."""
    url, given = include.system, coding.version
    wanted = composer.wanted(include)
    if given and not fits(given, system.info.version) and not (wanted and fits(wanted, given)):
        _mismatch(composer, answer, include, system, subject, n, given)
    elif given and wanted and given != system.info.version:
        better = composer.system(url, given)
        if better is not None and (concept := better.find(coding.code)) is not None:
            answer.version = better.info.version
            answer.display = displayed(Names(better, concept, None), NO_LANGUAGE)
            system = better
    needed = composer.refused(system)
    if needed is not None:
        text = version_refused(system, needed)
        where = subject.place(n, "version")
        _add(answer, "error", "exception", "version-error", text, where, "VALUESET_VERSION_CHECK")
        answer.result = False


def _mismatch(
    composer: Composer,
    answer: Validation,
    include: Include,
    system: CodeSystem | None,
    subject: Subject,
    n: int,
    given: str,
) -> None:
    url, wanted, where = include.system, composer.wanted(include), subject.place(n, "version")
    told = include.version or ""
    if wanted is None:
        found = system.info.version if system is not None else ""
        text = (
            f"The code system '{url}' version '{found}' for the versionless include in the ValueSet include is"
            f" different to the one in the value ('{given}')"
        )
        _add(answer, "warning", "invalid", "vs-invalid", text, where, "VALUESET_VALUE_MISMATCH_DEFAULT", told=False)
    elif wanted != include.version:
        text = (
            f"The code system '{url}' version '{wanted}' resulting from the version '{told}' in the ValueSet include is"
            f" different to the one in the value ('{given}')"
        )
        _add(answer, "error", "invalid", "vs-invalid", text, where, "VALUESET_VALUE_MISMATCH_CHANGED")
    else:
        text = (
            f"The code system '{url}' version '{wanted}' in the ValueSet include is different to the one in the value"
            f" ('{given}')"
        )
        _add(answer, "error", "invalid", "vs-invalid", text, where, "VALUESET_VALUE_MISMATCH")
    if composer.terminology.system(url, given) is None:
        issue = unknown_issue(composer.terminology, url, given, where=subject.place(n, "system"))
        answer.issues.append(issue)
        answer.caused.append(joined(url, given))
    answer.result = answer.result and not any(i.severity == "error" for i in answer.issues)


# -- no member ----------------------------------------------------------------------------------


def _undecided(
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
        _mismatch(composer, answer, error.include, known, subject, n, coding.version)
    concept = known.find(coding.code) if known is not None else None
    if known is not None and concept is not None:
        answer.version = known.info.version
        answer.display = displayed(Names(known, concept, None), NO_LANGUAGE)


def _refuse(
    composer: Composer, answer: Validation, valueset: ValueSet, subject: Subject, n: int, coding: Coding, rules: Rules
) -> None:
    """The code is not in the value set: is it a code at all?"""
    assert coding.system is not None
    before = len(answer.issues)
    system = None if rules.membership_only else _system_of(composer, answer, subject, n, coding)
    concept = system.find(coding.code) if system is not None else None
    if system is not None:
        answer.version = system.info.version
        if concept is None:
            _unknown_code(answer, system, coding.code, subject.place(n, "code"))
            if system.info.content == "fragment" and _whole(composer, valueset, system.info.url):
                answer.result = True
                return
        else:
            answer.display = displayed(Names(system, concept, None), rules.languages)
            if concept.inactive:
                _add(
                    answer,
                    "error",
                    "business-rule",
                    "code-rule",
                    f"The concept '{concept.code}' is valid but is not active",
                    subject.place(n, "code"),
                    "STATUS_CODE_WARNING_CODE",
                )
                _tell_status(answer, concept, subject, n)
    told = answer.issues[before:]
    del answer.issues[before:]
    _outside(answer, valueset, subject, n, coding)
    answer.issues += told


def _whole(composer: Composer, valueset: ValueSet, url: str) -> bool:
    """Whether the value set includes all codes of the system."""
    return any(
        one.system == url and one.concepts is None and not one.filters and not one.valuesets for one in valueset.include
    )


def _outside(answer: Validation, valueset: ValueSet, subject: Subject, n: int, coding: Coding) -> None:
    name = f"{joined(coding.system or '', coding.version if coding.system else None)}#{coding.code}"
    if coding.display:
        name += f" ('{coding.display}')"
    text = f"The provided code '{name}' was not found in the value set '{valueset.canonical or '(unidentified)'}'"
    key, where = "None_of_the_provided_codes_are_in_the_value_set_one", subject.place(n, "code")
    if subject.form == "codeableConcept":
        _add(answer, "information", "code-invalid", "this-code-not-in-vs", text, where, key, told=False)
    else:
        _add(answer, "error", "code-invalid", "not-in-vs", text, where, key)


def _system_of(composer: Composer, answer: Validation, subject: Subject, n: int, coding: Coding) -> CodeSystem | None:
    """The code system of the coding; where it is none, the issues that say so."""
    url, where = coding.system or "", subject.place(n, "system")
    terminology = composer.terminology
    supplement = terminology.supplement(url) if not terminology.versions(url) else None
    if supplement is not None:
        text = f"CodeSystem {supplement.info.canonical} is a supplement, so can't be used as a value in Coding.system"
        _add(answer, "error", "invalid", "invalid-data", text, where, "CODESYSTEM_CS_NO_SUPPLEMENT")
        return None
    if ":" not in url:
        text = "Coding.system must be an absolute reference, not a local reference"
        _add(answer, "error", "invalid", "invalid-data", text, where, "Terminology_TX_System_Relative")
    pinned = composer.pins.of_system(url, coding.version)
    found = composer.system(url, pinned)
    if found is None and coding.version and terminology.versions(url):
        answer.issues.append(unknown_issue(terminology, url, coding.version, where=where))
        answer.caused.append(joined(url, coding.version))
        return None
    if found is None:
        if terminology.valueset(url) is not None:
            text = f"The Coding references a value set, not a code system ('{url}')"
            _add(answer, "error", "invalid", "invalid-data", text, where, "Terminology_TX_System_ValueSet2")
        else:
            answer.issues.append(unknown_issue(terminology, url, coding.version, where=where))
            answer.unknown.append(url)
            answer.undecided = True
        return None
    composer.used.systems[found.info.canonical] = found
    return found


def _unknown_code(answer: Validation, system: CodeSystem, code: str, where: str) -> None:
    version = f" version '{system.info.version}'" if system.info.version else ""
    if system.info.content == "fragment":
        text = (
            f"Unknown Code '{code}' in the CodeSystem '{system.info.url}'{version} - note that the code system is"
            " labeled as a fragment, so the code may be valid in some other fragment"
        )
        _add(answer, "warning", "code-invalid", "invalid-code", text, where, "UNKNOWN_CODE_IN_FRAGMENT", told=False)
        return
    text = f"Unknown code '{code}' in the CodeSystem '{system.info.url}'{version}"
    key = "Unknown_Code_in_Version" if version else "Unknown_Code_in"
    _add(answer, "error", "code-invalid", "invalid-code", text, where, key)


def _not_inferred(
    answer: Validation, valueset: ValueSet, subject: Subject, code: str, found: Sequence[str], looked: Sequence[str]
) -> None:
    text = f"The System URI could not be determined for the code '{code}' in the ValueSet '{valueset.canonical}'"
    key = "UNABLE_TO_INFER_CODESYSTEM"
    if not found:
        text += f": it is in none of its code systems: [{', '.join(looked)}]"
    else:
        text += f": value set expansion has multiple matches: [{', '.join(found)}]"
        key = "Unable_to_resolve_system__value_set_has_multiple_matches"
    _add(answer, "error", "not-found", "cannot-infer", text, subject.place(0, "code"), key)


# -- the whole ----------------------------------------------------------------------------------


def _together(answers: Sequence[Validation], valueset: ValueSet) -> Validation:
    """The answer about a CodeableConcept: one coding has to be in, and none may be wrong."""
    inside = [a for a in answers if a.display is not None or a.result or a.version is not None]
    best = next((a for a in answers if a.result), None)
    best = best or next((a for a in inside if not _out(a) and not a.undecided), None)
    whole = Validation(undecided=any(a.undecided for a in answers))
    if best is not None:
        whole.code, whole.system, whole.version, whole.display = best.code, best.system, best.version, best.display
        whole.normalized, whole.inactive, whole.status = best.normalized, best.inactive, best.status
    whole.issues = [issue for a in answers for issue in a.issues]
    whole.unknown = [url for a in answers for url in a.unknown]
    whole.caused = [url for a in answers for url in a.caused]
    broken = any(i.key == "Unable_to_resolve_value_Set_" for i in whole.issues)
    if best is None and not broken and not whole.caused:
        text = f"No valid coding was found for the value set '{valueset.canonical or '(unidentified)'}'"
        issue = TxIssue("error", "code-invalid", "not-in-vs", text, "", "TX_GENERAL_CC_ERROR_MESSAGE")
        whole.issues.insert(0, issue)
    whole.issues = list(dict.fromkeys(whole.issues))
    whole.result = best is not None and not any(issue.severity == "error" for issue in whole.issues)
    return whole


def _out(answer: Validation) -> bool:
    return any(issue.tx == "this-code-not-in-vs" for issue in answer.issues)


def _finished(answer: Validation, composer: Composer, valueset: ValueSet) -> Validation:
    """With what is to be said of the code systems and value sets that were used."""
    if answer.result:
        answer.issues += _standing(composer, valueset)
    return answer


def _standing(composer: Composer, valueset: ValueSet) -> Iterable[TxIssue]:
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


def _add(
    answer: Validation, severity: str, code: str, tx: str, text: str, where: str, key: str, *, told: bool = True
) -> None:
    answer.issues.append(TxIssue(severity, code, tx, text, where, key, told))
