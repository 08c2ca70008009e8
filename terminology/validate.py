"""Is this code in that value set, or code system? With every reason why not, and what is doubtful about it.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html, https://hl7.org/fhir/R4/codesystem-operation-validate-code.html;
the wording of issues is what terminology servers share (https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from terminology.answer import Coding, Rules, Subject, Validation, add, tell_status
from terminology.compose import Composer, Membership
from terminology.concepts import CodeSystem
from terminology.displays import Names, displayed, judged
from terminology.errors import Invalid, NotKnown, TxIssue
from terminology.languages import NO_LANGUAGE, languages
from terminology.reasons import mismatch, not_inferred, outside, refuse, standing, system_of, undecided, unknown_code
from terminology.unknown import SupplementMissing, UnknownSystem, version_refused
from terminology.valuesets import Include, ValueSet
from terminology.versions import fits


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
        system = system_of(composer, answer, subject, n, Coding(coding.code, url, version or coding.version))
        if system is not None:
            concept = system.find(coding.code)
            answer.version = system.info.version
            if concept is None:
                unknown_code(answer, system, coding.code, subject.place(n, "code"))
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
            outside(answer, valueset, subject, n, coding)
            add(
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
            outside(answer, valueset, subject, n, coding)
            looked = found or systems_of(composer, valueset)
            not_inferred(answer, valueset, subject, coding.code, found, looked)
            return answer
        coding = Coding(coding.code, found[0], coding.version, coding.display)
        answer.system = found[0]
    assert coding.system is not None
    try:
        member = composer.member(valueset, coding.system, coding.code, coding.version)
    except SupplementMissing:
        raise
    except UnknownSystem as error:
        undecided(composer, answer, subject, n, coding, error)
        return answer
    except NotKnown as error:
        answer.issues.append(error.issue)
        answer.undecided = True
        return answer
    if member is None or (rules.active and member.concept.inactive):
        refuse(composer, answer, valueset, subject, n, coding, rules)
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
    tell_status(answer, concept, subject, n)
    if concept.code != coding.code:
        answer.normalized = concept.code
        add(
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
        add(
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
        add(answer, "error", "business-rule", "code-rule", text, subject.place(n, "code"), "ABSTRACT_CODE_NOT_ALLOWED")
        answer.result = False
    if coding.display and not rules.membership_only:
        issue = judged(names, coding.display, rules.languages, subject.place(n, "display"), rules.lenient_display)
        if issue is not None:
            answer.issues.append(issue)
            answer.result = answer.result and issue.severity != "error"


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
        mismatch(composer, answer, include, system, subject, n, given)
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
        add(answer, "error", "exception", "version-error", text, where, "VALUESET_VERSION_CHECK")
        answer.result = False


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
        answer.issues += standing(composer, valueset)
    return answer
