"""Validation asks the terminology that is served about what comes with no profile."""

from __future__ import annotations

from fhir_server.terminology import base_terminology
from profiles.conformance import Codes, ProfileSet
from terminology.alliance import alliance
from terminology.memory import MemorySystem
from terminology.registry import Resources, Terminology

ITEMS = "urn:yidang:ValueSet:lab-items"
SYSTEM = "urn:yidang:lab-item"
BINDINGS = Codes((), base_terminology())


def some_item() -> tuple[str, str]:
    (system,) = alliance().systems(SYSTEM)
    assert isinstance(system, MemorySystem)
    code = next(iter(system.codes([0])))
    concept = system.find(code)
    assert concept is not None and concept.display
    return code, concept.display


def test_the_lists_of_the_alliance_decide_what_profiles_do_not_know() -> None:
    code, _ = some_item()
    assert Codes().validate(ITEMS, SYSTEM, code).outcome == "unknown"
    assert BINDINGS.validate(ITEMS, SYSTEM, code).valid
    assert BINDINGS.validate(ITEMS, SYSTEM, "no-such-item").invalid
    assert BINDINGS.validate("urn:nobody:knows", SYSTEM, code).outcome == "unknown"


def test_codes_and_their_displays_are_looked_up() -> None:
    code, display = some_item()
    assert BINDINGS.lookup(SYSTEM, code, display=display).valid
    assert BINDINGS.lookup(SYSTEM, "no-such-item").invalid
    wrong = BINDINGS.lookup(SYSTEM, code, display="别的名称")
    assert wrong.invalid and wrong.reason.startswith("display")
    assert BINDINGS.lookup("urn:nobody:knows", "x").outcome == "unknown"


def test_what_comes_with_the_profiles_counts_first() -> None:
    own = {"resourceType": "CodeSystem", "url": SYSTEM, "content": "complete", "concept": [{"code": "mine"}]}
    bindings = Codes([own], base_terminology())
    assert bindings.lookup(SYSTEM, "mine").valid
    assert bindings.lookup(SYSTEM, some_item()[0]).invalid


def test_a_binding_is_judged_by_a_list_that_was_loaded() -> None:
    loaded = {
        "resourceType": "CodeSystem",
        "url": "urn:example:icd",
        "status": "active",
        "content": "complete",
        "concept": [{"code": "I10.x00x002", "display": "高血压病"}],
    }
    valueset = {
        "resourceType": "ValueSet",
        "url": "urn:example:diagnoses",
        "status": "active",
        "compose": {"include": [{"system": "urn:example:icd"}]},
    }
    served = Terminology((Resources([loaded, valueset]), *base_terminology().layers))
    profile = {
        "resourceType": "StructureDefinition",
        "url": "urn:example:condition",
        "name": "C",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Condition",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Condition",
        "derivation": "constraint",
        "differential": {
            "element": [
                {
                    "id": "Condition.code",
                    "path": "Condition.code",
                    "min": 1,
                    "binding": {"strength": "required", "valueSet": "urn:example:diagnoses"},
                }
            ]
        },
    }
    profiles = ProfileSet.load([profile], lambda: served)

    def errors(code: str) -> list[str]:
        condition = {
            "resourceType": "Condition",
            "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": "urn:example:icd", "code": code}]},
        }
        issues = profiles.check(condition, ["urn:example:condition"])
        return [issue.diagnostics for issue in issues if issue.severity == "error"]

    assert errors("I10.x00x002") == []
    assert any("urn:example:diagnoses" in text for text in errors("I10.x00x003"))
