"""Conformance resources themselves: StructureDefinition, SearchParameter, CodeSystem, ValueSet.

https://hl7.org/fhir/R4/conformance-module.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from profiles.conformance.code_forms import SNOMED, has_form, is_expression_constraint
from profiles.conformance.invariants import expression_of
from profiles.conformance.run import Check
from profiles.conformance.snapshot import STRUCTURE, SnapshotError, generate
from profiles.definitions import load
from profiles.fhirpath import FhirPathError, compile
from profiles.fhirpath.model import Node

if TYPE_CHECKING:
    from profiles.conformance.profile_set import ProfileSet

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_PROPERTIES = "http://hl7.org/fhir/concept-properties#"
# Types of the properties that FHIR defines: https://hl7.org/fhir/R4/codesystem-concept-properties.html
_KNOWN = {
    "inactive": "boolean",
    "deprecated": "dateTime",
    "deprecationDate": "dateTime",
    "retirementDate": "dateTime",
    "notSelectable": "boolean",
    "parent": "code",
    "child": "code",
    "status": "code",
}
_PARAMETER = "http://hl7.org/fhir/tools/StructureDefinition/valueset-parameter"
_EXPRESSION = "http://hl7.org/fhir/StructureDefinition/cqf-expression"
_VARIABLE = re.compile(r"%`?([A-Za-z][\w-]*)`?")
_BOOLEAN = ("notSelectable", "inactive")


def _check_constraints(node: Node, check: Check) -> None:
    """The expression of a constraint can be read: https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.constraint

    One that a snapshot repeats from its differential is told of once.
    """
    told: set[str] = set()
    for part in ("differential", "snapshot"):
        holder = node.content.get(part)
        elements = holder.get("element") if isinstance(holder, dict) else None
        for place, element in enumerate(elements if isinstance(elements, list) else ()):
            constraints = element.get("constraint") if isinstance(element, dict) else None
            for number, constraint in enumerate(constraints if isinstance(constraints, list) else ()):
                text = constraint.get("expression") if isinstance(constraint, dict) else None
                if not isinstance(text, str) or text in told:
                    continue
                try:
                    compile(expression_of(constraint))
                except FhirPathError as error:
                    told.add(text)
                    at = f"{node.path}.{part}.element[{place}].constraint[{number}].expression"
                    check.add("invalid", f"the expression of {constraint.get('key')} cannot be read: {error}", at)


def check_structure_definition(node: Node, check: Check, profiles: ProfileSet) -> None:
    """A profile can be applied to its base, and its type profiles are of the types they are for."""
    definition = node.content
    _check_constraints(node, check)
    base, own, derivation = (definition.get(key) for key in ("baseDefinition", "type", "derivation"))
    if derivation == "specialization":
        known = profiles.definition(STRUCTURE + str(own))
        if "/" not in str(own) and known is None:
            check.add(
                "invalid", f"the type '{own}' is none of FHIR's: others have an absolute URL", f"{node.path}.type"
            )
    if derivation == "specialization" and isinstance(base, str):
        above = profiles.definition(base)
        if above is not None and above.get("type") == own:
            check.add("not-found", f"the type '{own}' is that of the base, which is specialised", node)
    if isinstance(base, str) and base.partition("|")[0] == definition.get("url"):
        check.add("business-rule", "the StructureDefinition is based on itself", f"{node.path}.baseDefinition")
    elif derivation == "constraint" and isinstance(base, str) and "differential" in definition:
        _check_differential(node, check, profiles)


def _check_differential(node: Node, check: Check, profiles: ProfileSet) -> None:
    definition = node.content
    base = str(definition.get("baseDefinition"))
    above = profiles.definition(base)
    if above is None:
        check.add("not-found", f"the base {base} is not known here", f"{node.path}.baseDefinition", "warning")
        return
    if above.get("type") != definition.get("type") and above.get("type") is not None:
        check.add("invalid", f"a constraint has the type of its base, {above.get('type')}", f"{node.path}.type")
        return
    try:
        generate(definition, profiles.tree)
    except SnapshotError as error:
        check.add("exception", f"the differential does not fit its base: {error}", f"{node.path}.differential")
    except (KeyError, TypeError, AttributeError, ValueError):
        check.add("exception", "the differential is malformed", f"{node.path}.differential")
    _check_fixed_again(node, above, check, profiles)
    elements = definition["differential"].get("element", ()) if isinstance(definition["differential"], dict) else ()
    for place, element in enumerate(elements):
        for kind in element.get("type", ()) if isinstance(element, dict) else ():
            for url in kind.get("profile", ()) if isinstance(kind, dict) else ():
                _check_type_profile(str(url), kind, f"{node.path}.differential.element[{place}]", check, profiles)


def _check_type_profile(url: str, kind: dict[str, Any], path: str, check: Check, profiles: ProfileSet) -> None:
    found = profiles.definition(url)
    if found is None or "/" in str(kind.get("code", "")):
        return
    own, code = str(found.get("type")), str(kind.get("code"))
    if own not in _lineage(code) and not ({"Resource", "DomainResource"} & {code}):
        check.add("exception", f"the profile {url} is for {found.get('type')}, not for {kind.get('code')}", path)


def _lineage(name: str) -> set[str]:
    out: set[str] = set()
    at: str | None = name
    while at:
        out.add(at)
        try:
            at = load().type(at).base
        except KeyError:
            return out
    return out


def _check_fixed_again(node: Node, above: dict[str, Any], check: Check, profiles: ProfileSet) -> None:
    """A value that the base fixes is not fixed to another: the url of an extension based on an extension."""
    if above.get("type") != "Extension" or above.get("derivation") != "constraint":
        return
    url = profiles.tree(str(above["url"])).children.get("url")
    fixed = None if url is None else url.facts.get("fixedUri")
    if fixed and fixed != node.content.get("url"):
        check.add("value", f"the base fixes Extension.url to {fixed}", node)


def check_search_parameter(node: Node, check: Check) -> None:
    """A SearchParameter derived from another has its type, and bases among its bases."""
    content = node.content
    if content.get("type") == "composite" and len(content.get("component") or ()) < 2:
        check.add("business-rule", "a composite has two components or more", node)
    derived = content.get("derivedFrom")
    known = next((p for p in load().search_parameters if p.url == derived), None)
    if known is None:
        return
    if content.get("type") != known.type:
        check.add("business-rule", f"{derived} is of type {known.type}, not {content.get('type')}", node)
    for base in content.get("base", ()):
        if base not in known.base and not (_lineage(str(base)) & set(known.base)):
            check.add("business-rule", f"{derived} is not for {base}", node)


def check_capabilities(node: Node, check: Check) -> None:
    """The search parameters named are of the types that their definitions say."""
    types = _parameter_types()
    for at, rest in enumerate(node.content.get("rest") or ()):
        for place, resource in enumerate((rest.get("resource") or ()) if isinstance(rest, dict) else ()):
            for index, parameter in enumerate(
                (resource.get("searchParam") or ()) if isinstance(resource, dict) else ()
            ):
                wanted = types.get(str(parameter.get("definition")).partition("|")[0])
                if wanted is not None and parameter.get("type") != wanted:
                    path = f"{node.path}.rest[{at}].resource[{place}].searchParam[{index}]"
                    check.add("invalid", f"the parameter is of type {wanted}, not {parameter.get('type')}", path)


@cache
def _parameter_types() -> dict[str, str]:
    return {parameter.url: parameter.type for parameter in load().search_parameters}


def check_code_system(node: Node, check: Check) -> None:
    """The count of concepts, the properties, and what a supplement says of itself."""
    content = node.content
    concepts = list(_concepts(content.get("concept")))
    kind = content.get("content")
    if kind == "not-present" and concepts:
        check.add("invalid", "the code system says that it has no content, and has concepts", f"{node.path}.concept")
    count = content.get("count")
    if kind == "complete" and isinstance(count, int) and count != len(concepts):
        check.add("invalid", f"the code system has {len(concepts)} concepts, not {count}", f"{node.path}.count")
    if "supplements" in content and kind != "supplement":
        check.add("business-rule", "the content of a supplement is 'supplement'", f"{node.path}.content")
    _check_properties(node, check)


def _check_properties(node: Node, check: Check) -> None:
    codes: set[str] = set()
    uris: set[str] = set()
    for place, one in enumerate(node.content.get("property") or ()):
        if not isinstance(one, dict):
            continue
        at, code, uri = f"{node.path}.property[{place}]", str(one.get("code")), one.get("uri")
        if code in codes:
            check.add("business-rule", f"there is another property '{code}'", at)
        codes.add(code)
        if isinstance(uri, str):
            if uri in uris:
                check.add("business-rule", f"there is another property {uri}", at)
            uris.add(uri)
            wanted = _KNOWN.get(uri.removeprefix(_PROPERTIES)) if uri.startswith(_PROPERTIES) else None
            if wanted is not None and one.get("type") not in (wanted, None):
                check.add("business-rule", f"the property {uri} is of type {wanted}, not {one.get('type')}", at)


def _concepts(concepts: Any) -> Iterator[dict[str, Any]]:
    for concept in concepts if isinstance(concepts, list) else ():
        if isinstance(concept, dict):
            yield concept
            yield from _concepts(concept.get("concept"))


def check_value_set(node: Node, check: Check) -> None:
    """Systems are absolute, and what is listed or filtered by is in the code system, where that is known."""
    compose = node.content.get("compose")
    if not isinstance(compose, dict):
        return
    for part in ("include", "exclude"):
        for place, include in enumerate(compose.get(part) or ()):
            if isinstance(include, dict):
                _check_include(include, _parameters(node), f"{node.path}.compose.{part}[{place}]", check)


def _parameters(node: Node) -> frozenset[str]:
    """The names of the parameters that a value set declares."""
    found = [e for e in node.content.get("extension") or () if isinstance(e, dict) and e.get("url") == _PARAMETER]
    parts = [p for e in found for p in e.get("extension") or () if isinstance(p, dict) and p.get("url") == "name"]
    return frozenset(str(value) for part in parts for key, value in part.items() if key.startswith("value"))


def _check_value_expression(condition: dict[str, Any], parameters: frozenset[str], path: str, check: Check) -> None:
    """The expression that a filter has for its value is FHIRPath over the declared parameters."""
    beside = condition.get("_value")
    for extension in beside.get("extension") or () if isinstance(beside, dict) else ():
        told = extension.get("valueExpression") if isinstance(extension, dict) else None
        if not isinstance(told, dict) or extension.get("url") != _EXPRESSION:
            continue
        text = str(told.get("expression", ""))
        if told.get("language") != "text/fhirpath":
            check.add("invalid", f"the language of the expression is text/fhirpath, not {told.get('language')}", path)
            continue
        try:
            compile(text)
        except FhirPathError as error:
            check.add("exception", f"'{text}' is no FHIRPath: {error}", path)
            continue
        for name in _VARIABLE.findall(text):
            if name not in parameters:
                check.add("exception", f"the expression names %{name}, which is no parameter", path)


def _check_include(include: dict[str, Any], parameters: frozenset[str], path: str, check: Check) -> None:
    system = include.get("system")
    if not isinstance(system, str):
        return
    if not _ABSOLUTE.fullmatch(system):
        check.add(
            "invalid", f"the system of a value set is an absolute URI, not '{system}'", path, check.options.in_words
        )
        return
    for place, concept in enumerate(include.get("concept") or ()):
        code = concept.get("code") if isinstance(concept, dict) else None
        if isinstance(code, str):
            verdict = check.bindings.lookup(system, code)
            if verdict.invalid:
                check.add("business-rule", verdict.reason, f"{path}.concept[{place}]")
    for place, condition in enumerate(include.get("filter") or ()):
        if isinstance(condition, dict):
            _check_value_expression(condition, parameters, f"{path}.filter[{place}]", check)
            _check_filter(condition, system, f"{path}.filter[{place}]", check)


def _check_filter(condition: dict[str, Any], include_system: str, path: str, check: Check) -> None:
    name, value = condition.get("property"), condition.get("value")
    if include_system == SNOMED and name == "constraint" and is_expression_constraint(str(value)) is False:
        check.add("invalid", f"'{value}' is no expression constraint", path)
    if name == "concept" and isinstance(value, str) and has_form(include_system, value) is False:
        check.add("invalid", f"'{value}' has not the form of a code of {include_system}", path)
    if isinstance(value, str) and name in _BOOLEAN and condition.get("op") == "=" and value not in ("true", "false"):
        check.add("invalid", f"the property {name} is true or false, not '{value}'", path)


def check_canonical_url(node: Node, check: Check) -> None:
    """The url by which a definition is known is absolute."""
    url = node.content.get("url")
    if isinstance(url, str) and not _ABSOLUTE.fullmatch(url):
        check.add(
            "invalid", f"the url of a definition is absolute, not '{url}'", f"{node.path}.url", check.options.in_words
        )
