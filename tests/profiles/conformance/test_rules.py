"""What profiles demand, and what is said where a resource does not satisfy it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from profiles.conformance import Options, ProfileSet
from profiles.issues import Issue
from terminology.base import base
from terminology.registry import from_resources
from tests.profiles.conformance.build import BASE, URL, element, extension, profile

LOINC = "http://loinc.org"
PATIENT: dict[str, Any] = {"resourceType": "Patient"}
OBSERVATION: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


def errors(
    resource: dict[str, Any], *definitions: dict[str, Any], urls: tuple[str, ...] = (URL,), **options: Any
) -> list[Issue]:
    found = ProfileSet.load(definitions).check(resource, urls, Options(best_practice="information", **options))
    return [issue for issue in found if issue.severity == "error"]


def places(found: list[Issue]) -> list[str]:
    return [issue.expression[0] for issue in found]


def test_cardinality() -> None:
    rule = profile("Patient", element("Patient.name", min=1, max="2"), element("Patient.photo", max="0"))
    name = {"text": "a"}
    assert not errors({**PATIENT, "name": [name]}, rule)
    assert places(errors(PATIENT, rule)) == ["Patient.name"]
    assert places(errors({**PATIENT, "name": [name] * 3, "photo": [{"url": "http://x"}]}, rule)) == [
        "Patient.name",
        "Patient.photo",
    ]


def test_the_text_names_the_profile_and_the_code_says_what_kind_it_is() -> None:
    found = errors(PATIENT, profile("Patient", element("Patient.name", min=1)))
    assert [(i.code, URL in i.diagnostics) for i in found] == [("required", True)]


def test_cardinality_within_a_data_type() -> None:
    rule = profile("Patient", element("Patient.name.family", min=1))
    assert not errors({**PATIENT, "name": [{"family": "王"}]}, rule)
    assert places(errors({**PATIENT, "name": [{"family": "王"}, {"text": "b"}]}, rule)) == ["Patient.name[1].family"]


def test_fixed_values_are_exact_and_patterns_are_at_least() -> None:
    concept = {"coding": [{"system": LOINC, "code": "1"}]}
    fixed = profile("Observation", element("Observation.code", fixedCodeableConcept=concept))
    pattern = profile("Observation", element("Observation.code", patternCodeableConcept=concept))
    more = {"coding": [{"system": LOINC, "code": "1", "display": "one"}], "text": "one"}
    assert not errors({**OBSERVATION, "code": concept}, fixed)
    assert places(errors({**OBSERVATION, "code": more}, fixed)) == ["Observation.code"]
    assert not errors({**OBSERVATION, "code": more}, pattern)
    assert places(errors(OBSERVATION, pattern)) == ["Observation.code"]


@pytest.mark.parametrize(
    ("facts", "good", "bad"),
    [
        ({"maxLength": 3}, "abc", "abcd"),
        ({"fixedString": "abc"}, "abc", "abd"),
    ],
)
def test_texts(facts: dict[str, Any], good: str, bad: str) -> None:
    rule = profile("Patient", element("Patient.name.text", **facts))
    assert not errors({**PATIENT, "name": [{"text": good}]}, rule)
    assert errors({**PATIENT, "name": [{"text": bad}]}, rule)


def test_limits_of_dates_numbers_and_quantities_also_in_other_units() -> None:
    born = profile("Patient", element("Patient.birthDate", minValueDate="1900-01-01", maxValueDate="2020-12-31"))
    assert not errors({**PATIENT, "birthDate": "1950-02-03"}, born)
    assert errors({**PATIENT, "birthDate": "1850"}, born)
    assert errors({**PATIENT, "birthDate": "2021-01-01"}, born)
    metre = {"value": 3, "system": "http://unitsofmeasure.org", "code": "m"}
    most = profile("Observation", element("Observation.value[x]", type=[{"code": "Quantity"}], maxValueQuantity=metre))
    for value, code, count in ((3, "m", 0), (4, "m", 1), (299, "cm", 0), (301, "cm", 1), (5, "kg", 0)):
        quantity = {"value": value, "system": "http://unitsofmeasure.org", "code": code}
        assert len(errors({**OBSERVATION, "valueQuantity": quantity}, most)) == count, (value, code)


def test_types_of_a_choice() -> None:
    rule = profile("Observation", element("Observation.value[x]", type=[{"code": "Quantity"}, {"code": "string"}]))
    assert not errors({**OBSERVATION, "valueString": "a"}, rule)
    assert places(errors({**OBSERVATION, "valueInteger": 1}, rule)) == ["Observation.value"]


def slicing(kind: str, path: str, rules: str = "open", ordered: bool = False) -> dict[str, Any]:
    return {"discriminator": [{"type": kind, "path": path}], "rules": rules, "ordered": ordered}


def telecom(*, rules: str = "open", ordered: bool = False) -> dict[str, Any]:
    return profile(
        "Patient",
        element("Patient.telecom", slicing=slicing("value", "system", rules, ordered)),
        element("Patient.telecom", "phone", min=1, max="1"),
        element("Patient.telecom.system", fixedCode="phone"),
        element("Patient.telecom", "email", max="1"),
        element("Patient.telecom.system", fixedCode="email"),
        element("Patient.telecom.use", min=1),
    )


def contact(*systems: str) -> dict[str, Any]:
    return {**PATIENT, "telecom": [{"system": s, "value": "1", "use": "home"} for s in systems]}


def test_slices_by_value_are_counted_and_checked() -> None:
    assert not errors(contact("phone", "email", "fax"), telecom())
    assert places(errors(contact("email"), telecom())) == ["Patient.telecom"]
    assert places(errors(contact("phone", "phone"), telecom())) == ["Patient.telecom"]
    no_use = {**PATIENT, "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}]}
    assert places(errors(no_use, telecom())) == ["Patient.telecom[1].use"]


def test_closed_and_ordered_slicing() -> None:
    assert places(errors(contact("phone", "fax"), telecom(rules="closed"))) == ["Patient.telecom[1]"]
    assert not errors(contact("phone", "email"), telecom(ordered=True))
    assert places(errors(contact("email", "phone"), telecom(ordered=True))) == ["Patient.telecom[1]"]
    assert not errors(contact("phone", "fax"), telecom(rules="openAtEnd"))
    assert places(errors(contact("fax", "phone"), telecom(rules="openAtEnd"))) == ["Patient.telecom[1]"]


def test_slices_by_pattern_of_a_concept_below() -> None:
    systolic = {"coding": [{"system": LOINC, "code": "8480-6"}]}
    rule = profile(
        "Observation",
        element("Observation.component", slicing=slicing("pattern", "code")),
        element("Observation.component", "systolic", min=1, max="1"),
        element("Observation.component.code", patternCodeableConcept=systolic),
        element("Observation.component.value[x]", min=1, type=[{"code": "Quantity"}]),
    )
    part = {"code": {**systolic, "text": "收缩压"}, "valueQuantity": {"value": 120}}
    other = {"code": {"text": "other"}, "valueString": "a"}
    assert not errors({**OBSERVATION, "component": [other, part]}, rule)
    assert places(errors({**OBSERVATION, "component": [other]}, rule)) == ["Observation.component"]
    wrong = {**part, "valueString": "120"}
    del wrong["valueQuantity"]
    assert places(errors({**OBSERVATION, "component": [wrong]}, rule)) == ["Observation.component[0].value"]


def test_slices_by_type_of_a_choice() -> None:
    rule = profile(
        "Observation",
        element("Observation.value[x]", slicing=slicing("type", "$this")),
        element("Observation.value[x]", "valueQuantity", type=[{"code": "Quantity"}]),
        element("Observation.value[x].unit", min=1),
    )
    assert not errors({**OBSERVATION, "valueString": "a"}, rule)
    assert not errors({**OBSERVATION, "valueQuantity": {"value": 1, "unit": "g"}}, rule)
    assert places(errors({**OBSERVATION, "valueQuantity": {"value": 1}}, rule)) == ["Observation.value.unit"]


def test_the_short_path_of_a_choice_leaves_only_that_type() -> None:
    rule = profile("Observation", element("Observation.valueQuantity", min=1))
    assert not errors({**OBSERVATION, "valueQuantity": {"value": 1}}, rule)
    assert "Observation.value" in places(errors({**OBSERVATION, "valueString": "a"}, rule))


def test_slices_by_existence() -> None:
    rule = profile(
        "Patient",
        element("Patient.name", slicing=slicing("exists", "period")),
        element("Patient.name", "former"),
        element("Patient.name.period", min=1),
        element("Patient.name.use", min=1),
        element("Patient.name", "present", min=1),
        element("Patient.name.period", max="0"),
    )
    good = {**PATIENT, "name": [{"text": "a"}, {"text": "b", "use": "old", "period": {"end": "2020"}}]}
    assert not errors(good, rule)
    assert places(errors({**PATIENT, "name": [{"text": "b", "period": {"end": "2020"}}]}, rule)) == [
        "Patient.name[0].use",
        "Patient.name",
    ]


def test_slices_by_profile_and_by_the_type_of_what_is_referred_to() -> None:
    practitioner = profile(
        "Practitioner", element("Practitioner.name", min=1), url="http://test.example/StructureDefinition/named"
    )
    rule = profile(
        "Observation",
        element("Observation.performer", slicing=slicing("profile", "resolve()")),
        element("Observation.performer", "named", min=1),
        url=URL,
    )
    rule["differential"]["element"][1]["type"] = [{"code": "Reference", "targetProfile": [practitioner["url"]]}]
    inner = {"resourceType": "Practitioner", "id": "p", "name": [{"text": "李"}]}
    resource = {**OBSERVATION, "contained": [inner], "performer": [{"reference": "#p"}]}
    assert not errors(resource, rule, practitioner)
    nameless = {**resource, "contained": [{"resourceType": "Practitioner", "id": "p"}]}
    assert places(errors(nameless, rule, practitioner)) == ["Observation.performer"]
    typed = profile(
        "Observation",
        element("Observation.performer", slicing=slicing("type", "resolve()", "closed")),
        element("Observation.performer", "who", type=[{"code": "Reference", "targetProfile": [BASE + "Practitioner"]}]),
    )
    assert not errors({**OBSERVATION, "performer": [{"reference": "Practitioner/1"}]}, typed)
    assert places(errors({**OBSERVATION, "performer": [{"reference": "Organization/1"}]}, typed)) == [
        "Observation.performer[0]"
    ]


def test_slices_of_a_slice() -> None:
    rule = profile(
        "Patient",
        element("Patient.telecom", slicing=slicing("value", "system")),
        element("Patient.telecom", "phone", slicing=slicing("value", "use")),
        element("Patient.telecom.system", fixedCode="phone"),
        element("Patient.telecom", "phone/home", min=1, max="1"),
        element("Patient.telecom.use", fixedCode="home"),
    )
    assert not errors({**PATIENT, "telecom": [{"system": "phone", "use": "home", "value": "1"}]}, rule)
    assert errors({**PATIENT, "telecom": [{"system": "phone", "use": "work", "value": "1"}]}, rule)


ORIGIN = "http://test.example/StructureDefinition/origin"


def test_extensions_have_the_value_that_their_definition_says() -> None:
    definition = extension(ORIGIN)
    assert not errors({**PATIENT, "extension": [{"url": ORIGIN, "valueString": "a"}]}, definition, urls=())
    found = errors({**PATIENT, "extension": [{"url": ORIGIN, "valueInteger": 1}]}, definition, urls=())
    assert places(found) == ["Patient.extension[0].value"]


def test_extensions_stand_where_their_definition_says() -> None:
    here = {"url": ORIGIN, "valueString": "a"}
    on_name = {**PATIENT, "name": [{"text": "a", "extension": [here]}]}
    assert places(errors(on_name, extension(ORIGIN), urls=())) == ["Patient.name[0].extension[0]"]
    assert not errors(on_name, extension(ORIGIN, ("HumanName",)), urls=())
    assert not errors(on_name, extension(ORIGIN, ("Patient.name",)), urls=())
    on_day = {**PATIENT, "birthDate": "1950", "_birthDate": {"extension": [here]}}
    assert places(errors(on_day, extension(ORIGIN), urls=())) == ["Patient.birthDate.extension[0]"]
    assert not errors(on_day, extension(ORIGIN, ("Patient.birthDate",)), urls=())


def test_complex_extensions_have_the_parts_that_are_defined() -> None:
    definition = extension(
        ORIGIN,
        ("Patient",),
        element("Extension.extension", slicing={**slicing("value", "url")}),
        element("Extension.extension", "place", min=1, max="1"),
        element("Extension.extension.url", fixedUri="place"),
        element("Extension.extension.value[x]", min=1, type=[{"code": "string"}]),
        element("Extension.value[x]", max="0"),
    )
    place = {"url": "place", "valueString": "a"}
    assert not errors({**PATIENT, "extension": [{"url": ORIGIN, "extension": [place]}]}, definition, urls=())
    other = {"url": ORIGIN, "extension": [{"url": "other", "valueString": "a"}]}
    found = errors({**PATIENT, "extension": [other]}, definition, urls=(), in_words="error")
    assert "Patient.extension[0].extension[0]" in places(found)
    assert "Patient.extension[0].extension" in places(found)


def test_an_unknown_extension_is_as_severe_as_is_asked_and_a_modifier_always_an_error() -> None:
    strange = [{"url": "http://test.example/unknown", "valueString": "a"}]
    assert not errors({**PATIENT, "extension": strange}, urls=())
    assert errors({**PATIENT, "extension": strange}, urls=(), unknown_extensions="error")
    assert places(errors({**PATIENT, "modifierExtension": strange}, urls=())) == ["Patient.modifierExtension[0]"]


def test_a_profile_may_demand_an_extension() -> None:
    rule = profile(
        "Patient",
        element("Patient.extension", slicing=slicing("value", "url")),
        element("Patient.extension", "origin", min=1, type=[{"code": "Extension", "profile": [ORIGIN]}]),
    )
    assert places(errors(PATIENT, rule, extension(ORIGIN))) == ["Patient.extension"]
    assert not errors({**PATIENT, "extension": [{"url": ORIGIN, "valueString": "a"}]}, rule, extension(ORIGIN))


def test_references_lead_to_the_types_and_profiles_named() -> None:
    named = profile("Patient", element("Patient.name", min=1), url="http://test.example/StructureDefinition/named")
    to_type = profile(
        "Observation",
        element("Observation.subject", type=[{"code": "Reference", "targetProfile": [BASE + "Patient"]}]),
    )
    assert not errors({**OBSERVATION, "subject": {"reference": "Patient/1"}}, to_type)
    assert places(errors({**OBSERVATION, "subject": {"reference": "Group/1"}}, to_type)) == ["Observation.subject"]
    to_profile = profile(
        "Observation", element("Observation.subject", type=[{"code": "Reference", "targetProfile": [named["url"]]}])
    )
    resource = {**OBSERVATION, "subject": {"reference": "Patient/1"}}
    people = {"Patient/1": {"resourceType": "Patient", "id": "1"}}
    assert not errors(resource, to_profile, named)
    assert places(errors(resource, to_profile, named, resolve=people.get)) == ["Observation.subject"]
    people["Patient/1"]["name"] = [{"text": "a"}]
    assert not errors(resource, to_profile, named, resolve=people.get)


def test_references_within_a_bundle_are_followed() -> None:
    named = profile("Patient", element("Patient.name", min=1), url="http://test.example/StructureDefinition/named")
    rule = profile(
        "Observation", element("Observation.subject", type=[{"code": "Reference", "targetProfile": [named["url"]]}])
    )
    patient = {"resourceType": "Patient"}
    person = "urn:uuid:aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
    claimed = {**OBSERVATION, "meta": {"profile": [URL]}, "subject": {"reference": person}}
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": person, "resource": patient},
            {"fullUrl": "urn:uuid:bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb", "resource": claimed},
        ],
    }
    assert places(errors(bundle, rule, named, urls=())) == ["Bundle.entry[1].resource.subject"]
    patient["name"] = [{"text": "a"}]  # type: ignore[assignment]
    assert not errors(bundle, rule, named, urls=())


def constraint(expression: str, **facts: Any) -> list[dict[str, Any]]:
    return [{"key": "t-1", "severity": "error", "human": "must hold", "expression": expression, **facts}]


def test_invariants_of_a_profile() -> None:
    rule = profile("Patient", element("Patient", constraint=constraint("name.exists() or identifier.exists()")))
    assert not errors({**PATIENT, "name": [{"text": "a"}]}, rule)
    found = errors(PATIENT, rule)
    assert [(i.code, i.expression) for i in found] == [("invariant", ("Patient",))]
    assert "t-1" in found[0].diagnostics and "must hold" in found[0].diagnostics
    inner = profile(
        "Patient", element("Patient.contact", constraint=constraint("name.exists() implies telecom.exists()"))
    )
    assert not errors({**PATIENT, "contact": [{"telecom": [{"value": "1", "system": "phone"}]}]}, inner)
    assert places(errors({**PATIENT, "contact": [{"name": {"text": "a"}}]}, inner)) == ["Patient.contact[0]"]


def test_an_invariant_that_cannot_be_evaluated_is_told_and_refuses_nothing() -> None:
    rule = profile("Patient", element("Patient", constraint=constraint("nonsense(")))
    found = ProfileSet.load([rule]).check(PATIENT, [URL])
    assert {"not-supported"} <= {issue.code for issue in found}
    assert not [issue for issue in found if issue.severity == "error"]


def test_best_practice_is_a_warning() -> None:
    found = ProfileSet.load().check(PATIENT)
    assert [(issue.severity, issue.code) for issue in found] == [("warning", "invariant")]
    assert "dom-6" in found[0].diagnostics


@pytest.mark.parametrize(
    ("resource", "key"),
    [
        ({**PATIENT, "contact": [{"gender": "male"}]}, "pat-1"),
        ({**OBSERVATION, "valueString": "a", "dataAbsentReason": {"text": "b"}}, "obs-6"),
        ({**PATIENT, "telecom": [{"value": "1"}]}, "cpt-2"),
        ({**PATIENT, "name": [{"text": "a", "period": {"start": "2021-02-01", "end": "2020-01-01"}}]}, "per-1"),
        ({**OBSERVATION, "valueQuantity": {"value": 1, "code": "g"}}, "qty-3"),
        ({**OBSERVATION, "referenceRange": [{"type": {"text": "a"}}]}, "obs-3"),
        ({"resourceType": "Bundle", "type": "collection", "total": 1}, "bdl-1"),
    ],
)
def test_the_invariants_of_r4(resource: dict[str, Any], key: str) -> None:
    assert [i.diagnostics.partition(":")[0] for i in errors(resource, urls=())] == [key]


def valueset(url: str, *codes: str) -> dict[str, Any]:
    include = {"system": "http://test.example/cs", "concept": [{"code": code} for code in codes]}
    return {"resourceType": "ValueSet", "url": url, "status": "active", "compose": {"include": [include]}}


@pytest.mark.parametrize(("strength", "severity"), [("required", "error"), ("extensible", "warning")])
def test_bindings(strength: str, severity: str) -> None:
    codes = valueset("http://test.example/vs", "a", "b")
    bound = {"strength": strength, "valueSet": codes["url"]}
    rule = profile("Observation", element("Observation.code", binding=bound))
    good = {
        "coding": [{"system": "http://other.example", "code": "x"}, {"system": "http://test.example/cs", "code": "a"}]
    }
    bad = {"coding": [{"system": "http://test.example/cs", "code": "c"}]}
    profiles = ProfileSet.load([rule, codes])
    assert "code-invalid" not in {i.code for i in profiles.check({**OBSERVATION, "code": good}, [URL])}
    found = [i for i in profiles.check({**OBSERVATION, "code": bad}, [URL]) if i.code == "code-invalid"]
    assert [(i.severity, i.expression) for i in found] == [(severity, ("Observation.code",))]


def test_another_terminology_can_be_asked() -> None:
    rule = profile(
        "Observation",
        element("Observation.code", binding={"strength": "required", "valueSet": "http://test.example/v"}),
    )
    listed = {"resourceType": "ValueSet", "url": "http://test.example/v", "compose": {"include": [
        {"system": LOINC, "concept": [{"code": "8867-4"}]}]}}  # fmt: skip
    now = [from_resources([], base())]
    profiles = ProfileSet.load([rule], lambda: now[0])
    coded = {**OBSERVATION, "code": {"coding": [{"system": LOINC, "code": "8310-5"}]}}

    def wrong() -> list[str]:
        return [i.diagnostics for i in profiles.check(coded, [URL]) if i.code == "code-invalid"]

    assert wrong() == []
    now[0] = from_resources([listed], base())  # a change changes the answer
    assert wrong() == [f"Observation.code ({URL}): {LOINC}#8310-5 is not in the value set http://test.example/v"]


def test_profiles_are_claimed_at_any_place() -> None:
    rule = profile("Patient", element("Patient.name", min=1))
    claimed = {**PATIENT, "meta": {"profile": [URL]}}
    assert places(errors(claimed, rule, urls=())) == ["Patient.name"]
    assert not errors(claimed, rule, urls=(), claims=False)
    entry = {"fullUrl": "urn:uuid:aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "resource": claimed}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [entry]}
    assert places(errors(bundle, rule, urls=())) == ["Bundle.entry[0].resource.name"]


def test_an_unknown_profile_is_an_error_where_it_is_asked_for_and_a_warning_where_it_is_claimed() -> None:
    assert [i.code for i in errors(PATIENT, urls=("http://test.example/none",))] == ["not-found"]
    assert not errors({**PATIENT, "meta": {"profile": ["http://test.example/none"]}}, urls=())


def test_a_profile_for_another_type_is_an_error() -> None:
    assert [i.code for i in errors(OBSERVATION, profile("Patient"))] == ["structure"]


def test_a_profile_on_a_profile_demands_both() -> None:
    lower = profile("Patient", element("Patient.name", min=1), url="http://test.example/lower")
    upper = profile("Patient", element("Patient.gender", min=1), base=lower["url"])
    assert sorted(places(errors(PATIENT, lower, upper))) == ["Patient.gender", "Patient.name"]


def test_profiles_that_refer_to_each_other_come_to_an_end() -> None:
    rule = profile(
        "Patient",
        element("Patient.link.other", type=[{"code": "Reference", "targetProfile": [URL]}]),
        element("Patient.active", fixedBoolean=True),
    )
    one = {**PATIENT, "id": "1", "active": True, "link": [{"type": "seealso", "other": {"reference": "Patient/2"}}]}
    two = {**PATIENT, "id": "2", "active": True, "link": [{"type": "seealso", "other": {"reference": "Patient/1"}}]}
    people = {"Patient/1": one, "Patient/2": two}
    assert not errors(one, rule, resolve=people.get)
    two["active"] = False
    assert places(errors(one, rule, resolve=people.get)) == ["Patient.link[0].other"]


def test_a_broken_profile_is_told_and_not_raised() -> None:
    rule = profile("Patient", element("Patient.nothing", min=1))
    assert [i.code for i in errors(PATIENT, rule)] == ["exception"]
    circle = profile("Patient", base=URL)
    assert [i.code for i in errors(PATIENT, circle)] == ["exception"]


def test_a_resource_of_wrong_structure_gets_its_findings_all_the_same() -> None:
    rule = profile("Patient", element("Patient.name.family", min=1))
    for broken in ({"name": "a"}, {"name": [1]}, {"extension": {"url": 1}}, {"meta": 1}, {"contained": [1]}):
        assert errors({**PATIENT, **broken}, rule)


VITAL = {"coding": [{"system": LOINC, "code": "8867-4"}]}


def test_vital_signs_are_held_against_their_profile() -> None:
    found = ProfileSet.load().check({**OBSERVATION, "code": VITAL}, (), Options(in_words="error"))
    assert any("heartrate" in issue.diagnostics and issue.severity == "error" for issue in found)
    usual = ProfileSet.load().check({**OBSERVATION, "code": VITAL})
    assert not [issue for issue in usual if issue.severity == "error"]


def test_threads_that_ask_for_the_same_profile_at_once_all_get_it() -> None:
    lower = profile("Patient", element("Patient.name", min=1), url="http://test.example/lower")
    upper = profile("Patient", element("Patient.gender", min=1), base=lower["url"])
    for _ in range(20):
        profiles = ProfileSet.load([lower, upper])
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(profiles.check, [PATIENT] * 16, [[URL]] * 16))
        assert {len(issues) for issues in found} == {3}  # two errors, and that there is no narrative
