"""Expressions give JSON values, know where these stand, and ask the caller for what they cannot know."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from profiles.fhirpath import Environment, FhirPathError, Location, compile
from profiles.lossless import parse

UCUM = "http://unitsofmeasure.org"
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "contained": [{"resourceType": "Organization", "id": "o", "name": "县医院"}],
    "name": [
        {"family": "王", "given": ["小", "明"], "_given": [None, {"extension": [{"url": "u", "valueCode": "c"}]}]}
    ],
    "_gender": {"extension": [{"url": "why", "valueString": "unknown"}]},
    "birthDate": "1990-02-28",
    "_birthDate": {"id": "b", "extension": [{"url": "time", "valueDateTime": "1990-02-28T10:00:00+08:00"}]},
    "deceasedBoolean": False,
    "managingOrganization": {"reference": "#o"},
    "generalPractitioner": [{"reference": "Practitioner/1"}, {"reference": "https://x.org/fhir/Organization/2"}],
}


def values(text: str, resource: dict[str, Any] = PATIENT, **more: Any) -> list[Any]:
    return compile(text).evaluate(resource, **more)


def test_an_expression_is_compiled_once() -> None:
    assert compile("Patient.name") is compile("Patient.name")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient.name.given", ["小", "明"]),
        ("name.given[1].extension('u').value", ["c"]),
        ("deceased", [False]),
        ("deceased is boolean", [True]),
        ("(deceased as dateTime).exists()", [False]),
        ("gender", []),
        ("gender.exists()", [True]),
        ("gender.hasValue()", [False]),
        ("gender.extension.value", ["unknown"]),
        ("birthDate.id", ["b"]),
        ("birthDate.getValue() is System.Date", [True]),
        ("birthDate.extension('time').value.toString()", ["1990-02-28T10:00:00+08:00"]),
        ("birthDate + 1 year", ["1991-02-28"]),
        ("@2024-01-31 + 1 month", ["2024-02-29"]),
        ("@2024-02-29 - 1 year", ["2023-02-28"]),
        ("@2024 + 18 months", ["2025"]),
        ("@2024-05 - 40 days", ["2024-04"]),
        ("@T23:30 + 45 minutes", ["00:15"]),
        ("@2024-12-31T23:59:59.5Z + 1 second", ["2025-01-01T00:00:00.5Z"]),
        ("DomainResource.contained.ofType(Organization).name", ["县医院"]),
        ("managingOrganization.resolve().name", ["县医院"]),
        ("generalPractitioner.where(resolve() is Practitioner).reference", ["Practitioner/1"]),
        ("Observation.status", []),
        ("name.select(family & given.first())", ["王小"]),
        ("37.0 'Cel' = 98.6 '[degF]'", [True]),
        ("1 'mmol/L' < 1 'mol/L'", [True]),
        ("1 'mg' = 1 'mL'", []),
        ("1 'km' + 20 'm'", [{"value": Decimal("1.02"), "unit": "km", "system": UCUM, "code": "km"}]),
        ("name.given.sort()", ["小", "明"]),
        ("'马克'.length()", [2]),
        ("type().name", ["Patient"]),
        ("%resource.id & '/' & %context.id & '/' & %rootResource.id", ["p/p/p"]),
        ("contained.select(%rootResource.id)", ["p"]),
        ("'a' in ('a' | 'b') and ('a' | 'b') contains 'b'", [True]),
        ("gender.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')", []),
        ("'male'.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')", [True]),
        ("conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')", [True]),
        ("getResourceKey()", ["Patient/p"]),
        ("coalesce(gender.getValue(), deceased)", [False]),
    ],
)  # fmt: skip
def test_values_of_an_expression(text: str, expected: list[Any]) -> None:
    assert values(text) == expected


def test_decimals_keep_their_digits() -> None:
    resource = parse(b'{"resourceType":"Observation","valueQuantity":{"value":1.50,"unit":"g"}}')
    assert [str(value) for value in values("Observation.value.value", resource)] == ["1.50"]
    assert [str(value) for value in values("value.value + 0.250", resource)] == ["1.750"]


def test_paths_of_names_alone_give_what_the_full_evaluation_gives() -> None:
    for text in ("Patient.name.given", "name", "id", "Patient", "deceased", "birthDate", "gender", "Patient.colour"):
        assert values(text) == values(f"({text}).where(true)")


def test_locations_name_container_key_and_index() -> None:
    (location,) = compile("name.given.where($this = '明')").locate(PATIENT)
    assert (location.key, location.index, location.path) == ("given", 1, "Patient.name[0].given[1]")
    assert location.container is PATIENT["name"][0]
    assert (location.type, location.parent_type, location.value) == ("string", "HumanName", "明")
    (choice,) = compile("Patient.deceased").locate(PATIENT)
    assert (choice.key, choice.name, choice.path) == ("deceasedBoolean", "deceased", "Patient.deceased")
    (inside,) = compile("birthDate.extension.value").locate(PATIENT)
    assert inside.container is PATIENT["_birthDate"]["extension"][0]
    assert inside.path == "Patient.birthDate.extension[0].value"
    (whole,) = compile("Patient").locate(PATIENT)
    assert whole.container is None and whole.path == "Patient"


def test_locations_are_found_through_any_expression_that_points_at_elements() -> None:
    texts = ["name.first().given.last()", "iif(id = 'p', name, contact)", "descendants().where($this = '明')",
             "name.given | name.family", "(contained as Organization).name", "repeat(name).given.skip(1)"]  # fmt: skip
    for text in texts:
        for location in compile(text).locate(PATIENT):
            held = (location.container or {})[location.key]
            assert (held if location.index is None else held[location.index]) == location.value


@pytest.mark.parametrize("text", ["1", "name.count()", "generalPractitioner.resolve()"])
def test_what_points_at_no_element_of_the_resource_has_no_location(text: str) -> None:
    with pytest.raises(FhirPathError):
        compile(text).locate(PATIENT)


def test_an_element_is_evaluated_where_it_stands_or_by_its_type() -> None:
    (name,) = compile("Patient.name").locate(PATIENT)
    assert isinstance(name, Location)
    assert compile("given.first() & %resource.id").evaluate(name) == ["小p"]
    assert compile("family").evaluate({"family": "李"}, type_name="HumanName") == ["李"]
    assert compile("value.unit").evaluate({"valueQuantity": {"unit": "g"}}, type_name="Observation.component") == ["g"]


def test_the_caller_answers_what_the_resource_cannot() -> None:
    asked: list[Any] = []

    def resolve(reference: str) -> dict[str, Any] | None:
        asked.append(reference)
        return {"resourceType": "Practitioner", "gender": "female"} if reference == "Practitioner/1" else None

    def member_of(value: Any, valueset: str) -> bool | None:
        return None if valueset == "unknown" else value == "王"

    environment = Environment(
        variables={"limit": 3, "other": {"resourceType": "Patient", "birthDate": "2000"}, "none": None},
        member_of=member_of,
        conforms_to=lambda value, profile: profile == "yes",
        trace=lambda name, found: asked.append((name, found)),
        now=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
    )

    def ask(text: str) -> list[Any]:
        return values(text, environment=environment, resolve=resolve)

    assert ask("generalPractitioner.resolve().gender") == ["female"]
    assert ask("%limit + 1") == [4]
    assert ask("%other.birthDate < birthDate") == [False]
    assert ask("%none") == []
    assert ask("name.family.memberOf('x')") == [True]
    assert ask("name.family.memberOf('unknown')") == []
    assert ask("conformsTo('yes') and conformsTo('no').not()") == [True]
    assert ask("name.family.trace('t', length())") == ["王"]
    assert ask("today()") == ["2024-05-06"] and ask("now()") == ["2024-05-06T07:08:09.000Z"]
    assert asked == ["Practitioner/1", "https://x.org/fhir/Organization/2", ("t", [1])]


def test_references_inside_a_bundle_are_resolved_there() -> None:
    entries = [
        {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "id": "a", "gender": "male"}},
        {"resource": {"resourceType": "Observation", "subject": {"reference": "urn:uuid:1"}}},
        {"resource": {"resourceType": "Observation", "subject": {"reference": "Patient/a"}}},
    ]
    bundle = {"resourceType": "Bundle", "entry": entries}
    assert values("entry.resource.ofType(Observation).subject.resolve().gender", bundle) == ["male", "male"]


def test_conditions_are_true_false_or_unknown() -> None:
    assert compile("name.exists()").holds(PATIENT) is True
    assert compile("name.empty()").holds(PATIENT) is False
    assert compile("active").holds(PATIENT) is None
    assert compile("name").holds(PATIENT) is True
    with pytest.raises(FhirPathError):
        compile("name.given").holds(PATIENT)


@pytest.mark.parametrize(
    "text",
    ["name.nothing", "Observation.status", "(deceased as Period).begin", "children().first()", "deceasedBoolean",
     "name.given.as(string)"],
)  # fmt: skip
def test_strict_expressions_refuse_what_the_definitions_do_not_have(text: str) -> None:
    compile(text).evaluate(PATIENT)
    with pytest.raises(FhirPathError):
        compile(text, strict=True).items(PATIENT)


def test_errors_tell_where_reading_failed() -> None:
    with pytest.raises(FhirPathError, match="at character 12") as error:
        compile("name.where(")
    assert error.value.position == 11
