"""Rules of single data types that their definitions say in words only.

https://hl7.org/fhir/R4/datatypes.html
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from profiles.conformance.code_forms import LOINC, SNOMED
from profiles.conformance.run import Check
from profiles.conformance.texts import check_empty_narrative, check_ids, check_markup, check_narrative_links
from profiles.fhirpath.model import Node

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_URI_SYSTEM = "urn:ietf:rfc:3986"
_VALUE_SETS = ("http://hl7.org/fhir/ValueSet/", "http://terminology.hl7.org/ValueSet/")


def _coding(node: Node, check: Check) -> None:
    value = node.value
    if value.__class__ is not dict:
        return
    system, code = value.get("system"), value.get("code")
    if not isinstance(system, str):
        return
    if not _SCHEME.fullmatch(system):
        check.add("invalid", f"the system of a coding is an absolute URI, not '{system}'", f"{node.path}.system")
    elif system.startswith(_VALUE_SETS):
        check.add(
            "invalid", f"the system of a coding is a code system, not a value set ({system})", f"{node.path}.system"
        )
    elif isinstance(code, str):
        display = value.get("display")
        verdict = check.bindings.lookup(
            system, code, str(value.get("version", "")), display if isinstance(display, str) else ""
        )
        if verdict.invalid:
            wrong_display = verdict.reason.startswith("display")
            at = f"{node.path}.display" if wrong_display else f"{node.path}.code"
            check.add(
                "invalid" if wrong_display else "code-invalid",
                verdict.reason,
                at,
                check.options.displays if wrong_display else _severity(system, check),
            )


def _severity(system: str, check: Check) -> str:
    """Of a wrong code: an error where the system is HL7's own or of a guide."""
    return check.options.in_words if system in (SNOMED, LOINC) else "error"


def _quantity(node: Node, check: Check) -> None:
    value = node.value
    if value.__class__ is not dict:
        return
    system, code = value.get("system"), value.get("code")
    if isinstance(system, str) and isinstance(code, str):
        verdict = check.bindings.lookup(system, code)
        if verdict.invalid:
            check.add("code-invalid", verdict.reason, f"{node.path}.code", check.options.in_words)


def _identifier(node: Node, check: Check) -> None:
    value = node.value
    if value.__class__ is not dict:
        return
    text = value.get("value")
    if value.get("system") == _URI_SYSTEM and isinstance(text, str) and not _SCHEME.fullmatch(text):
        check.add(
            "code-invalid",
            f"an identifier of the system {_URI_SYSTEM} has an absolute URI as value, not '{text}'",
            node,
            check.options.in_words,
        )


def _attachment(node: Node, check: Check) -> None:
    value = node.value
    if value.__class__ is not dict:
        return
    data, size = value.get("data"), value.get("size")
    if isinstance(data, str) and isinstance(size, int | Decimal):
        try:
            real = len(b64decode("".join(data.split()), validate=True))
        except (Base64Error, ValueError):
            return
        if real != size:
            check.add("structure", f"the attachment says that it has {size} bytes, but has {real}", node)


SPECIAL: dict[str, tuple[Callable[[Node, Check], Any], ...]] = {
    "Coding": (_coding,),
    "Quantity": (_quantity,),
    "Identifier": (_identifier,),
    "Attachment": (_attachment,),
    "Narrative": (check_narrative_links, check_empty_narrative),
    "Resource": (check_markup, check_ids),
}
