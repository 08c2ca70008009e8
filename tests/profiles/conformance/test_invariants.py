"""The 237 invariants of R4: each is evaluated where it stands, or proven by the structural validation."""

from __future__ import annotations

import pytest

from profiles.conformance import ProfileSet
from profiles.conformance.base import BaseRules
from profiles.conformance.invariants import PROVEN, Invariant, needed_keys
from profiles.definitions import load
from profiles.fhirpath.parser import parse
from tests.profiles.conformance.build import URL, element, profile

R4 = load()


def test_every_invariant_of_r4_is_evaluated_or_proven() -> None:
    rules = BaseRules(R4, ProfileSet.load())
    stated = {i.key for name in R4.type_names if "." not in name for i in R4.invariants(name)}
    evaluated = {key for name in R4.type_names for key in rules.keys(name)}
    assert len(stated) == 237
    assert stated - evaluated - PROVEN == set()


def test_every_invariant_of_r4_can_be_compiled() -> None:
    for name in R4.type_names:
        for stated in R4.invariants(name) if "." not in name else ():
            made = Invariant({"key": stated.key, "severity": stated.severity, "expression": stated.expression}, "")
            assert not made._fault, stated.key


@pytest.mark.parametrize(
    ("expression", "keys"),
    [
        ("contact.exists() implies gender.exists()", ("_contact", "contact")),
        ("contained.empty() or id.exists()", ("_contained", "contained")),
        ("link.all(url.exists())", ("_link", "link")),
        ("(a.exists() or b.exists()) implies c.exists()", ("_a", "_b", "a", "b")),
        ("name.exists()", ()),
        ("value.exists() implies x.exists()", ()),  # a choice: its key is valueString or another
        ("contact.count() > 1 implies gender.exists()", ()),
    ],
)
def test_what_an_invariant_cannot_fail_without(expression: str, keys: tuple[str, ...]) -> None:
    assert needed_keys(parse(expression)) == keys


@pytest.mark.parametrize(
    ("expression", "readable"),
    [("name.exists()", True), ("value is String", True), ("name.exists(", False), ("name.nofunction()", False)],
)
def test_a_constraint_that_cannot_be_read_is_an_error_of_its_profile(expression: str, readable: bool) -> None:
    stated = {"key": "x-1", "severity": "error", "human": "x", "expression": expression}
    elements = [element("Patient"), element("Patient.name", constraint=[stated])]
    given = profile("Patient", *elements, snapshot={"element": elements})
    found = [i for i in ProfileSet.load().check(given) if "x-1" in i.diagnostics]
    place = "StructureDefinition.differential.element[1].constraint[0].expression"
    assert [(i.severity, i.expression) for i in found] == ([] if readable else [("error", (place,))])
    used = ProfileSet.load([given]).beyond_structure({"resourceType": "Patient", "name": [{"text": "王"}]}, [URL])
    told = [i.severity for i in used if "cannot be checked" in i.diagnostics]
    assert told == ([] if readable else ["warning"])
