"""Single answers of a QuestionnaireResponse against their question: type, options, limits, lengths.

https://hl7.org/fhir/R4/questionnaire.html, and its extensions https://hl7.org/fhir/R4/questionnaire-profiles.html
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from profiles.conformance import values
from profiles.conformance.run import Check
from profiles.definitions import load
from profiles.fhirpath import FhirPathError, patterns, quantity

_BASE = "http://hl7.org/fhir/StructureDefinition/"
_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
# Type of question: the values that an answer to it may have.
_TYPES = {
    "boolean": ("Boolean",),
    "decimal": ("Decimal",),
    "integer": ("Integer",),
    "date": ("Date",),
    "dateTime": ("DateTime",),
    "time": ("Time",),
    "string": ("String",),
    "text": ("String",),
    "url": ("Uri",),
    "choice": ("Coding",),
    "open-choice": ("Coding", "String"),
    "attachment": ("Attachment",),
    "reference": ("Reference",),
    "quantity": ("Quantity",),
}
# Questions with options may have answers of the options' types.
_OPTIONS = ("Integer", "Date", "Time", "String", "Coding", "Reference")

Item = dict[str, Any]


def extension_value(item: Item, url: str) -> Any:
    """The value of the first extension with this url; None if there is none."""
    return next(extension_values(item, url), None)


def extension_values(item: Item, url: str) -> Iterator[Any]:
    """The values of the extensions with this url."""
    for extension in item.get("extension", ()):
        if isinstance(extension, dict) and extension.get("url") == url:
            yield from (value for key, value in extension.items() if key.startswith("value"))


def value_of(holder: Item) -> tuple[str, Any]:
    """The type (as in ``valueCoding``) and value of an answer or option; ("", None) where it has none."""
    for key, value in holder.items():
        if key.startswith("value"):
            return key[5:], value
    return "", None


def same_answer(option: Item, answer: Any) -> bool:
    """Whether an answer is this option."""
    if not isinstance(answer, dict):
        return False
    kind, wanted = value_of(option)
    other, value = value_of(answer)
    if kind != other:
        return False
    if kind == "Coding" and isinstance(wanted, dict) and isinstance(value, dict):
        return wanted.get("code") == value.get("code") and wanted.get("system") == value.get("system")
    if kind == "Reference" and isinstance(wanted, dict) and isinstance(value, dict):
        return wanted.get("reference") == value.get("reference")
    return values.fixed(wanted)(value)


def check_answer(question: Item, questionnaire: Item, answer: Item, at: str, check: Check) -> None:
    """Note what is wrong with one answer; ``at`` is its FHIRPath."""
    kind, value = value_of(answer)
    if not kind:
        return
    asked = str(question.get("type"))
    allowed = _TYPES.get(asked, ())
    options = [o for o in question.get("answerOption", ()) if isinstance(o, dict)]
    if asked in ("choice", "open-choice") and options:
        allowed = (*allowed, *{k for o in options if (k := value_of(o)[0]) in _OPTIONS})
    if kind not in allowed:
        check.add("invariant", f"an answer to a question of type {asked} is no {kind}", at)
        return
    is_free = asked == "open-choice" and kind == "String"
    if options and not is_free and not any(same_answer(option, answer) for option in options):
        check.add("invariant", f"{values.shown(_brief(value))} is not among the answers offered", at)
    valueset = question.get("answerValueSet")
    if isinstance(valueset, str) and not is_free:
        _check_value_set(valueset, kind, value, at, check)
    for test in _TESTS.get(kind, ()):
        test(question, value, at, check)


def _brief(value: Any) -> Any:
    return f"{value.get('system', '')}#{value['code']}" if isinstance(value, dict) and "code" in value else value


def _check_value_set(valueset: str, kind: str, value: Any, at: str, check: Check) -> None:
    if kind == "Coding" and isinstance(value, dict) and isinstance(value.get("code"), str):
        verdict = check.bindings.validate(valueset, str(value.get("system", "")), value["code"])
    elif kind == "String" and isinstance(value, str):
        verdict = check.bindings.validate(valueset, None, value)
    else:
        return
    if verdict.invalid:
        check.add("code-invalid", verdict.reason, at)


def _check_text(question: Item, value: Any, at: str, check: Check) -> None:
    if not isinstance(value, str):
        return
    least, most = extension_value(question, _BASE + "minLength"), question.get("maxLength")
    if isinstance(least, int | Decimal) and len(value) < least:
        check.add("invariant", f"the answer has {len(value)} characters; at least {least} are needed", at)
    if isinstance(most, int | Decimal) and len(value) > most:
        check.add("invariant", f"the answer has {len(value)} characters; at most {most} are allowed", at)
    regex = extension_value(question, _BASE + "regex")
    if isinstance(regex, str):
        try:
            fits = patterns.matched(regex, value)
        except FhirPathError:
            return
        if not fits:
            check.add("invariant", f"the answer has not the form {regex}", at)


def _check_limits(question: Item, value: Any, at: str, check: Check) -> None:
    for url, key, words in ((_BASE + "minValue", "minValue", "least"), (_BASE + "maxValue", "maxValue", "most")):
        for extension in question.get("extension", ()):
            if not isinstance(extension, dict) or extension.get("url") != url:
                continue
            kind, bound = value_of(extension)
            order = values.limit(key + kind, bound)(value)
            if order is not None and (order < 0 if words == "least" else order > 0):
                check.add("invariant", f"the answer {values.shown(value)} is not at {words} {values.shown(bound)}", at)


def _check_places(question: Item, value: Any, at: str, check: Check) -> None:
    most = extension_value(question, _BASE + "maxDecimalPlaces")
    if isinstance(value, Decimal) and isinstance(most, int | Decimal):
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and -exponent > most:
            check.add("invariant", f"the answer {value} has more than {most} decimal places", at)


def _check_attachment(question: Item, value: Any, at: str, check: Check) -> None:
    if not isinstance(value, dict):
        return
    kinds = [str(k) for k in extension_values(question, _BASE + "mimeType")]
    if kinds and value.get("contentType") not in kinds:
        check.add("required", f"the attachment is {value.get('contentType')}, allowed is {', '.join(kinds)}", at)
    most, size = extension_value(question, _BASE + "maxSize"), value.get("size")
    if isinstance(most, int | Decimal) and isinstance(size, int | Decimal) and size > most:
        check.add("required", f"the attachment has {size} bytes, allowed are {most}", at)


def _check_reference(question: Item, value: Any, at: str, check: Check) -> None:
    reference = value.get("reference") if isinstance(value, dict) else None
    if not isinstance(reference, str) or reference.startswith(("#", "urn:")):
        return
    parts = reference.partition("?")[0].partition("/_history/")[0].split("/")
    name = parts[-2] if len(parts) > 1 else ""
    allowed = [str(v) for v in extension_values(question, _BASE + "questionnaire-referenceResource")]
    if name not in load().resource_types:
        check.add("invariant", f"'{name}' in {reference} is no resource type", at)
    elif allowed and name not in allowed:
        check.add("invariant", f"the answer refers to a {name}, allowed are {', '.join(allowed)}", at)


def _check_quantity(question: Item, value: Any, at: str, check: Check) -> None:
    if not isinstance(value, dict):
        return
    options = [v for v in extension_values(question, _BASE + "questionnaire-unitOption") if isinstance(v, dict)]
    mine = (value.get("system"), value.get("code"))
    if options and mine not in [(o.get("system"), o.get("code")) for o in options]:
        check.add("invariant", f"the unit {value.get('code')} is not among those offered", at)
    valueset = extension_value(question, _BASE + "questionnaire-unitValueSet")
    if isinstance(valueset, str):
        known = isinstance(mine[1], str)
        verdict = check.bindings.validate(valueset, str(mine[0]), str(mine[1])) if known else None
        if verdict is None or verdict.invalid:
            check.add("invariant", f"the unit {value.get('unit')} is not in the value set {valueset}", at)
    for url, least in ((_SDC + "minQuantity", True), (_SDC + "maxQuantity", False)):
        bound = extension_value(question, url)
        if isinstance(bound, dict):
            _check_quantity_limit(value, bound, least, at, check)


def _check_quantity_limit(value: Item, bound: Item, least: bool, at: str, check: Check) -> None:
    ours, theirs = values.as_quantity(value), values.as_quantity(bound)
    order = None if ours is None or theirs is None else quantity.compare(ours, theirs)
    words = "least" if least else "most"
    if order is None:
        check.add("invariant", f"the unit of the answer cannot be compared with that of the {words} value", at)
    elif order < 0 if least else order > 0:
        check.add("invariant", f"the answer is not at {words} {bound.get('value')} {bound.get('unit', '')}", at)


_TESTS: dict[str, tuple[Any, ...]] = {
    "String": (_check_text,),
    "Uri": (_check_text,),
    "Integer": (_check_limits,),
    "Decimal": (_check_limits, _check_places),
    "Date": (_check_limits,),
    "DateTime": (_check_limits,),
    "Time": (_check_limits,),
    "Attachment": (_check_attachment,),
    "Reference": (_check_reference,),
    "Quantity": (_check_limits, _check_quantity),
}
