"""The terminology operations: arguments in, a resource out. Pure; HTTP, stores and clocks are the caller's.

https://hl7.org/fhir/R4/terminology-service.html. Every function raises TerminologyError for what it refuses.
``instance`` is the resource on which an operation is called, where it is called on one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terminology import expand as expansion
from terminology import lookup as looking
from terminology.answer import Rules, Validation
from terminology.arguments import COMMON, Arguments, arguments_of
from terminology.compose import Composer
from terminology.conceptmaps import NO_MATCH, ConceptMap, Match, Sought, conceptmap_of, translated
from terminology.concepts import Raw, info_of
from terminology.displays import Names, displayed
from terminology.errors import Invalid, NotKnown, TerminologyError, outcome
from terminology.registry import Terminology
from terminology.validate import validate_in_system, validate_in_valueset
from terminology.valuesets import ValueSet, valueset_of
from terminology.versions import joined

_VALUESET = frozenset({"url", "valueSet", "valueSetVersion", "context"})
_CODED = frozenset({"code", "system", "systemVersion", "version", "display", "coding", "codeableConcept"})
_STRICT = frozenset(
    {"abstract", "inferSystem", "lenient-display-validation", "valueset-membership-only", "activeOnly", "mode"}
)
LOOKUP = frozenset({"code", "system", "version", "coding", "property"}) | COMMON
VALIDATE_SYSTEM = frozenset({"url", "codeSystem"}) | _CODED | _STRICT | COMMON
VALIDATE_VALUESET = _VALUESET | _CODED | _STRICT | COMMON
SUBSUMES = frozenset({"codeA", "codeB", "system", "version", "codingA", "codingB"}) | COMMON
EXPAND = (
    _VALUESET
    | frozenset(
        {
            "filter", "offset", "count", "includeDesignations", "designation", "includeDefinition", "activeOnly",
            "excludeNested", "excludeNotForUI", "excludePostCoordinated", "exclude-system", "property",
            "contextDirection",
        }
    )
    | COMMON
)  # fmt: skip
_SOURCE = ("code", "sourceCode"), ("coding", "sourceCoding"), ("codeableConcept", "sourceCodeableConcept")
_BACK = ("targetCode",), ("targetCoding",), ("targetCodeableConcept",)
TRANSLATE = (
    frozenset(
        {
            "url", "conceptMap", "conceptMapVersion", "system", "sourceSystem", "version", "source", "sourceScope",
            "target", "targetScope", "targetsystem", "targetSystem", "dependency", "reverse",
        }
    )
    | {name for names in (*_SOURCE, *_BACK) for name in names}
    | COMMON
)  # fmt: skip


def lookup(terminology: Terminology, arguments: Arguments, instance: Raw | None = None) -> dict[str, Any]:
    """CodeSystem ``$lookup``: Parameters."""
    arguments.check(LOOKUP, "lookup")
    terminology = terminology.over(arguments.resources())
    coding = arguments.coding("coding")
    code = coding.code if coding is not None else arguments.text("code")
    system = (coding.system if coding is not None else arguments.text("system")) or (instance or {}).get("url")
    version = (coding.version if coding is not None else None) or arguments.text("version")
    if not code or not system:
        raise Invalid("$lookup needs a code and its system, or a coding", code="required")
    composer = Composer(terminology, arguments.pins(), arguments.supplements())
    found = tuple(arguments.texts("property"))
    return looking.lookup(composer, system, code, version, arguments.languages(), found)


def subsumes(terminology: Terminology, arguments: Arguments, instance: Raw | None = None) -> dict[str, Any]:
    """CodeSystem ``$subsumes``: Parameters with ``outcome``."""
    arguments.check(SUBSUMES, "subsumes")
    terminology = terminology.over(arguments.resources())
    a, b = arguments.coding("codingA"), arguments.coding("codingB")
    code_a = a.code if a is not None else arguments.text("codeA")
    code_b = b.code if b is not None else arguments.text("codeB")
    told = arguments.text("system") or (instance or {}).get("url")
    systems = {s for s in (told, a and a.system, b and b.system) if s}
    if len(systems) > 1:
        raise Invalid(f"The codes are of different systems: {', '.join(sorted(systems))}", code="not-supported")
    if not code_a or not code_b or not systems:
        raise Invalid("$subsumes needs codeA and codeB with their system, or codingA and codingB", code="required")
    version = arguments.text("version") or (a and a.version) or (b and b.version)
    composer = Composer(terminology, arguments.pins(), arguments.supplements())
    answer = looking.subsumes(composer, systems.pop(), code_a, code_b, version or None)
    return {"resourceType": "Parameters", "parameter": [{"name": "outcome", "valueCode": answer}]}


def validate_code_in_system(
    terminology: Terminology, arguments: Arguments, instance: Raw | None = None
) -> dict[str, Any]:
    """CodeSystem ``$validate-code``: Parameters with ``result``."""
    arguments.check(VALIDATE_SYSTEM, "validate-code")
    terminology = terminology.over(arguments.resources())
    given = instance or arguments.resource("codeSystem", "CodeSystem")
    if given is not None:
        terminology = terminology.over([given])
    url = (info_of(given).url if given is not None else None) or arguments.text("url")
    subject = arguments.subject(url or arguments.text("system"))
    if url is None:
        url = next((coding.system for coding in subject.codings if coding.system), None)
    if url is None:
        raise Invalid(
            "$validate-code needs the code system: url, codeSystem or the system of a coding", code="required"
        )
    composer = Composer(terminology, arguments.pins(), arguments.supplements())
    version = arguments.text("version", "systemVersion")
    answer = validate_in_system(composer, url, version, subject, _rules(arguments))
    return _validated(answer, subject.concept)


def validate_code_in_valueset(
    terminology: Terminology, arguments: Arguments, instance: Raw | None = None
) -> dict[str, Any]:
    """ValueSet ``$validate-code``: Parameters with ``result``."""
    arguments.check(VALIDATE_VALUESET, "validate-code")
    terminology = terminology.over(arguments.resources())
    subject = arguments.subject()
    valueset = _valueset(terminology, arguments, instance, "validate-code")
    composer = Composer(terminology, arguments.pins(), arguments.supplements())
    answer = validate_in_valueset(composer, valueset, subject, _rules(arguments))
    return _validated(answer, subject.concept)


def batch_validate_code(terminology: Terminology, arguments: Arguments, instance: Raw | None = None) -> dict[str, Any]:
    """Several ``$validate-code`` at once: each ``validation`` is the Parameters of one, the rest is for all."""
    terminology = terminology.over(arguments.resources())
    shared = [pair for pair in arguments.pairs if pair[0] not in ("validation", "tx-resource")]
    answers: list[dict[str, Any]] = []
    for one in arguments.all("validation"):
        try:
            own = arguments_of(one).pairs
            named = {name for name, _ in own}
            pairs = [*own, *(pair for pair in shared if pair[0] not in named)]
            call = Arguments(pairs, arguments.language_header)
            by_valueset = instance is not None or {"url", "valueSet"} & {name for name, _ in pairs}
            run = validate_code_in_valueset if by_valueset else validate_code_in_system
            answer = run(terminology, call, instance)
        except TerminologyError as error:
            answer = outcome([error.issue])
        answers.append({"name": "validation", "resource": answer})
    if not answers:
        raise Invalid("There is nothing to validate: give one 'validation' or more", code="required")
    return {"resourceType": "Parameters", "parameter": answers}


def expand(
    terminology: Terminology,
    arguments: Arguments,
    identifier: str,
    timestamp: str,
    instance: Raw | None = None,
    most: int = 10_000,
) -> dict[str, Any]:
    """ValueSet ``$expand``: the ValueSet with its expansion of at most ``most`` codes, or a page of it."""
    arguments.check(EXPAND, "expand")
    terminology = terminology.over(arguments.resources())
    valueset = _valueset(terminology, arguments, instance, "expand")
    wanted = expansion.Wanted(
        filter=arguments.text("filter") or "",
        offset=arguments.whole("offset") or 0,
        count=arguments.whole("count"),
        active=arguments.flag("activeOnly") is True,
        nested=arguments.flag("excludeNested") is not True,
        designations=arguments.flag("includeDesignations") is True or bool(arguments.texts("designation")),
        definition=arguments.flag("includeDefinition") is True,
        languages=arguments.languages(),
        properties=tuple(dict.fromkeys(arguments.texts("property"))),
        designation_filter=tuple(arguments.texts("designation")),
        told=tuple(_told(arguments)),
        most=most,
    )
    without = frozenset(arguments.texts("exclude-system"))
    composer = Composer(terminology, arguments.pins(), arguments.supplements(), without)
    return expansion.expand(composer, valueset, wanted, identifier, timestamp)


def translate(terminology: Terminology, arguments: Arguments, instance: Raw | None = None) -> dict[str, Any]:
    """ConceptMap ``$translate``: Parameters with ``result`` and matches."""
    arguments.check(TRANSLATE, "translate")
    terminology = terminology.over(arguments.resources())
    everything = terminology.maps()
    reverse = arguments.flag("reverse") is True or any(arguments.first(*names) is not None for names in _BACK)
    maps = _maps(terminology, arguments, instance, everything)
    target_system = arguments.text("targetsystem", "targetSystem")
    told = arguments.text("system", "sourceSystem")
    if arguments.first(*(name for names in _BACK for name in names)) is not None:
        told, target_system = target_system, told
    others = {name: one for one in reversed(everything) for name in (one.url, one.canonical)}
    matches: list[Match] = []
    for code, system, version in _codes(arguments, told):
        sought = Sought(
            code,
            system,
            version,
            target_system,
            arguments.text("source", "sourceScope"),
            arguments.text("target", "targetScope"),
            reverse,
            _dependencies(arguments),
        )
        matches += translated(sought, maps, others)
    return _translations(terminology, arguments, matches)


# -- arguments ----------------------------------------------------------------------------------


def _valueset(terminology: Terminology, arguments: Arguments, instance: Raw | None, operation: str) -> ValueSet:
    given = instance or arguments.resource("valueSet", "ValueSet")
    if given is not None:
        return valueset_of(given)
    url = arguments.text("url")
    if url is None:
        if arguments.text("context") is not None:
            raise Invalid("Value sets are not found by 'context' here; give 'url'", code="not-supported")
        raise Invalid(f"${operation} needs a value set: url or valueSet", code="required")
    version = arguments.text("valueSetVersion")
    found = terminology.valueset(url, version)
    if found is None:
        raise NotKnown(
            f"A definition for the value Set '{joined(url, version)}' could not be found",
            key="Unable_to_resolve_value_Set_",
        )
    return found


def _rules(arguments: Arguments) -> Rules:
    return Rules(
        languages=arguments.languages(),
        active=arguments.flag("activeOnly") is True,
        lenient_display=arguments.flag("lenient-display-validation") is True,
        membership_only=arguments.flag("valueset-membership-only") is True,
        abstract=arguments.flag("abstract") is not False,
    )


def _told(arguments: Arguments) -> list[Raw]:
    """The arguments that an expansion repeats."""
    found: list[Raw] = []
    for name in ("activeOnly", "excludeNested", "includeDefinition", "includeDesignations"):
        value = arguments.flag(name)
        if value is not None:
            found.append({"name": name, "valueBoolean": value})
    for name in ("count", "offset"):
        number = arguments.whole(name)
        if number is not None:
            found.append({"name": name, "valueInteger": number})
    if (text := arguments.text("filter")) is not None:
        found.append({"name": "filter", "valueString": text})
    for one in arguments.texts("designation"):
        found.append({"name": "designation", "valueString": one})
    languages = arguments.languages()
    if languages.text:
        found.append({"name": "displayLanguage", "valueCode": languages.text})
    return found


def _maps(
    terminology: Terminology, arguments: Arguments, instance: Raw | None, everything: list[ConceptMap]
) -> list[ConceptMap]:
    given = instance or arguments.resource("conceptMap", "ConceptMap")
    if given is not None:
        return [conceptmap_of(given)]
    url = arguments.text("url")
    if url is None:
        return everything
    found = terminology.map(url, arguments.text("conceptMapVersion"))
    if found is None:
        raise NotKnown(f"There is no ConceptMap '{joined(url, arguments.text('conceptMapVersion'))}'")
    return [found]


def _codes(arguments: Arguments, system: str | None) -> list[tuple[str, str | None, str | None]]:
    """Code, system and version of what is to be translated."""
    for codes, codings, concepts in (_SOURCE, _BACK):
        concept = arguments.first(*concepts)
        if concept is not None:
            subject = Arguments([("codeableConcept", concept)]).subject()
            return [(one.code, one.system or system, one.version) for one in subject.codings]
        for name in codings:
            coding = arguments.coding(name)
            if coding is not None:
                return [(coding.code, coding.system or system, coding.version)]
        code = arguments.text(*codes)
        if code is not None:
            return [(code, system, arguments.text("version"))]
    raise Invalid("$translate needs a code (with system), a coding or a codeableConcept", code="required")


def _dependencies(arguments: Arguments) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in arguments.all("dependency"):
        if not isinstance(one, Arguments):
            raise Invalid("A dependency has the parts 'element' and 'concept'", code="structure")
        element, concept = one.text("element", "attribute"), one.first("concept", "value")
        coding = concept.get("coding", [{}])[0] if isinstance(concept, dict) else {"code": concept}
        found[element or ""] = str(coding.get("code", ""))
    return found


# -- answers ------------------------------------------------------------------------------------


def _validated(answer: Validation, concept: Mapping[str, Any] | None) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"name": "result", "valueBoolean": answer.result}]
    if answer.message:
        parts.append({"name": "message", "valueString": answer.message})
    if answer.display:
        parts.append({"name": "display", "valueString": answer.display})
    for name, key, value in (
        ("code", "valueCode", answer.code),
        ("system", "valueUri", answer.system),
        ("version", "valueString", answer.version),
        ("normalized-code", "valueCode", answer.normalized),
        ("status", "valueCode", answer.status),
    ):
        if value:
            parts.append({"name": name, key: value})
    if concept is not None:
        parts.append({"name": "codeableConcept", "valueCodeableConcept": dict(concept)})
    if answer.inactive:
        parts.append({"name": "inactive", "valueBoolean": True})
    for name, urls in (("x-unknown-system", answer.unknown), ("x-caused-by-unknown-system", answer.caused)):
        parts += [{"name": name, "valueCanonical": url} for url in dict.fromkeys(urls)]
    if answer.issues:
        parts.append({"name": "issues", "resource": outcome(answer.issues)})
    return {"resourceType": "Parameters", "parameter": parts}


def _translations(terminology: Terminology, arguments: Arguments, matches: list[Match]) -> dict[str, Any]:
    good = [one for one in matches if one.equivalence not in NO_MATCH and one.code]
    parts: list[dict[str, Any]] = [{"name": "result", "valueBoolean": bool(good)}]
    if not matches:
        parts.append({"name": "message", "valueString": "There is no mapping for this code"})
    languages = arguments.languages()
    for one in matches:
        part: list[dict[str, Any]] = [{"name": "equivalence", "valueCode": one.equivalence}]
        if one.code:
            coding = {"system": one.system, "version": one.version, "code": one.code}
            coding["display"] = (languages and _display(terminology, one, languages)) or one.display
            part.append({"name": "concept", "valueCoding": {key: value for key, value in coding.items() if value}})
        for product in one.product:
            concept = {"system": product.get("system"), "code": product.get("value"), "display": product.get("display")}
            inner = [
                {"name": "element", "valueUri": product.get("property", "")},
                {"name": "concept", "valueCoding": {key: value for key, value in concept.items() if value}},
            ]
            part.append({"name": "product", "part": inner})
        if one.map:
            part.append({"name": "source", "valueUri": one.map})
        parts.append({"name": "match", "part": part})
    return {"resourceType": "Parameters", "parameter": parts}


def _display(terminology: Terminology, one: Match, languages: Any) -> str | None:
    system = terminology.system(one.system, one.version)
    concept = system.find(one.code) if system is not None else None
    return displayed(Names(system, concept), languages) if system is not None and concept is not None else None
