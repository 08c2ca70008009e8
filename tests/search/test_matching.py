"""Searches over a small world, from the URL's parameters to the resources found, judged by the oracle."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.search.compartment import compartment_node
from fhir_server.search.extract import Extractor
from fhir_server.search.parse import parse
from fhir_server.search.text import full_text
from fhir_server.search.times import interval_reader
from fhir_server.search.tree import Prefix, Query
from profiles.definitions import load

from .oracle import World, date_matches, evaluate, quantity_matches

EXTRACTOR = Extractor(load())
UCUM = "http://unitsofmeasure.org"
NOW = 1_700_000_000_000_000


def concept(code: str, system: str = "s", text: str | None = None) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}], **({"text": text} if text else {})}


def amount(value: str, unit: str) -> dict[str, Any]:
    return {"value": Decimal(value), "system": UCUM, "code": unit, "unit": unit}


def link(reference: str) -> dict[str, Any]:
    return {"reference": reference}


RESOURCES: list[dict[str, Any]] = [
    {
        "resourceType": "Patient",
        "id": "zhang",
        "name": [{"family": "张", "given": ["三丰"]}],
        "birthDate": "1950-06-01",
        "gender": "male",
        "identifier": [{"system": "id", "value": "1"}],
        "managingOrganization": link("Organization/clinic"),
        "text": {"div": "<div>高血压 follow-up</div>"},
    },
    {
        "resourceType": "Patient",
        "id": "jones",
        "name": [{"family": "Jönes", "given": ["Ann"]}],
        "birthDate": "1980",
        "gender": "female",
        "deceasedBoolean": True,
    },
    {"resourceType": "Patient", "id": "empty"},
    {"resourceType": "Organization", "id": "clinic", "name": "镇卫生院", "partOf": link("Organization/county")},
    {"resourceType": "Organization", "id": "county", "name": "County Hospital"},
    {"resourceType": "Group", "id": "group", "type": "person", "member": [{"entity": link("Patient/zhang")}]},
    {
        "resourceType": "Observation",
        "id": "glucose",
        "status": "final",
        "code": concept("glu", text="Glucose in blood"),
        "subject": link("Patient/zhang"),
        "effectiveDateTime": "2024-03-05T10:00:00+08:00",
        "valueQuantity": amount("99.5", "mg/dL"),
    },
    {
        "resourceType": "Observation",
        "id": "pressure",
        "status": "preliminary",
        "code": concept("bp"),
        "subject": link("Patient/jones"),
        "performer": [link("Patient/zhang")],
        "effectivePeriod": {"start": "2024-03-01", "end": "2024-03-31"},
        "component": [
            {"code": concept("sys"), "valueQuantity": amount("150", "mm[Hg]")},
            {"code": concept("dia"), "valueQuantity": amount("90", "mm[Hg]")},
        ],
    },
    {
        "resourceType": "Observation",
        "id": "herd",
        "status": "final",
        "code": concept("glu"),
        "subject": link("Group/group"),
        "valueQuantity": {"value": 5, "comparator": ">", "unit": "g/L", "system": UCUM, "code": "g/L"},
    },
    {"resourceType": "List", "id": "watch", "entry": [{"item": link("Patient/jones")}]},
    {
        "resourceType": "AuditEvent",
        "id": "audit",
        "agent": [{"who": {"identifier": {"value": "dr"}}}],
        "entity": [{"what": link("Observation/glucose")}],
    },
    {"resourceType": "ValueSet", "id": "vs", "url": "http://a/b/c", "version": "1"},
    {"resourceType": "Location", "id": "hangzhou", "position": {"latitude": 30.25, "longitude": 120.17}},
]  # fmt: skip

WORLD = World(
    {(r["resourceType"], r["id"]): EXTRACTOR.rows(r) for r in RESOURCES},
    {(r["resourceType"], r["id"]): full_text(r) for r in RESOURCES},
    {(r["resourceType"], r["id"]): NOW for r in RESOURCES},
)


def found(type_: str, *pairs: tuple[str, str]) -> set[str]:
    request = parse((type_,), pairs, EXTRACTOR, now=NOW)
    return {id_ for _, id_ in evaluate(request.query, WORLD)}


@pytest.mark.parametrize(
    ("type_", "query", "ids"),
    [
        ("Patient", "", "zhang jones empty"),
        ("Patient", "name=张三", "zhang"),
        ("Patient", "name=张 三丰", "zhang"),
        ("Patient", "name=zhangsan", "zhang"),
        ("Patient", "name=zsf", "zhang"),
        ("Patient", "name=JONES", "jones"),
        ("Patient", "name:exact=JONES", ""),
        ("Patient", "name:exact=Jönes", "jones"),
        ("Patient", "name:exact=zsf", ""),
        ("Patient", "name:contains=三", "zhang"),
        ("Patient", "gender:not=male", "jones empty"),
        ("Patient", "gender:missing=true", "empty"),
        ("Patient", "deceased=false", "zhang empty"),
        ("Patient", "birthdate=1980", "jones"),
        ("Patient", "birthdate=1980-01-01", ""),
        ("Patient", "birthdate=ge1980-01-01", "jones"),
        ("Patient", "birthdate=lt1980", "zhang"),
        ("Patient", "birthdate=ne1980", "zhang"),
        ("Patient", "identifier=id|", "zhang"),
        ("Patient", "organization.name=镇", "zhang"),
        ("Patient", "organization.partof.name=county", "zhang"),
        ("Patient", "_has:Observation:patient:code=glu", "zhang"),
        ("Patient", "_has:Observation:performer:code=bp", "zhang"),
        ("Patient", "_has:Observation:patient:_has:AuditEvent:entity:type:missing=true", "zhang"),
        ("Patient", "_has:Group:member:_id=group", "zhang"),
        ("Patient", "_list=watch", "jones"),
        ("Patient", "_text=血压", "zhang"),
        ("Patient", "_content=follow 高", "zhang"),
        ("Patient", "_lastUpdated=gt2020", "zhang jones empty"),
        ("Patient", '_filter=family eq "jones" or identifier eq id|1', "zhang jones"),
        ("Patient", "_filter=gender ne male", "jones"),
        ("Patient", "_filter=organization.name ew 院", "zhang"),
        ("Observation", "patient=zhang", "glucose"),
        ("Observation", "subject=Group/group", "herd"),
        ("Observation", "patient:missing=true", "herd"),
        ("Observation", "subject.name=zhang", "glucose"),
        ("Observation", "code=s|glu", "glucose herd"),
        ("Observation", "code:text=glucose", "glucose"),
        ("Observation", "combo-code=sys,glu", "pressure glucose herd"),
        ("Observation", "component-code:missing=true", "glucose herd"),
        ("Observation", "status=http://hl7.org/fhir/observation-status|final", "glucose herd"),
        ("Observation", "date=2024-03", "glucose pressure"),
        ("Observation", "date=2024-03-05", "glucose"),
        ("Observation", "date=ap2024-03-05", "glucose pressure"),
        ("Observation", "date=sa2024-03-02", "glucose"),
        ("Observation", f"value-quantity=0.995|{UCUM}|g/L", "glucose"),
        ("Observation", f"value-quantity=lt1.1|{UCUM}|g/L", "glucose"),
        ("Observation", f"value-quantity=gt600|{UCUM}|mg/dL", "herd"),
        ("Observation", "value-quantity=99.5", "glucose"),
        ("Observation", "value-quantity=99.5||mg/dL", "glucose"),
        ("Observation", "value-quantity=99.5||g", ""),
        ("Observation", "code-value-quantity=glu$lt100", "glucose herd"),
        ("Observation", "component-code-value-quantity=sys$gt140", "pressure"),
        ("Observation", "component-code-value-quantity=dia$gt140", ""),
        ("Observation", f"combo-code-value-quantity=s|sys$gt0.1|{UCUM}|bar", "pressure"),
        ("Observation", "combo-code-value-quantity=glu$99.5", "glucose"),
        ("Observation", "combo-code-value-quantity:missing=true", ""),
        ("AuditEvent", "agent:identifier=dr", "audit"),
        ("AuditEvent", "entity:Observation.patient.name=张", "audit"),
        ("ValueSet", "url:below=http://a/b", "vs"),
        ("ValueSet", "url:above=http://a/b/c/d", "vs"),
        ("Location", "near=30.2|120.1|10|km", "hangzhou"),
        ("Location", "near=30.2|121.1|10|km", ""),
    ],
)
def test_a_search_finds(type_: str, query: str, ids: str) -> None:
    name, _, value = query.partition("=")
    assert found(type_, *([(name, value)] if query else [])) == set(ids.split())


def test_a_compartment_holds_what_refers_to_the_patient() -> None:
    node = compartment_node(load(), "Patient", "zhang", "Observation")
    assert evaluate(Query((("Observation", node),)), WORLD) == {("Observation", "glucose"), ("Observation", "pressure")}
    own = compartment_node(load(), "Patient", "zhang", "Patient")
    assert evaluate(Query((("Patient", own),)), WORLD) == {("Patient", "zhang")}


# -- properties: extraction, parsing and comparison agree with a direct reading of the values -----

_days = st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 1, 1))
_written = _days.flatmap(lambda day: st.sampled_from([day.isoformat(), day.isoformat()[:7], day.isoformat()[:4]]))


@settings(max_examples=150, deadline=None)
@given(_written, _written, st.sampled_from(list(Prefix)))
def test_dates_compare_as_intervals(stored: str, asked: str, prefix: Prefix) -> None:
    rows = EXTRACTOR.rows({"resourceType": "Patient", "id": "p", "birthDate": stored})
    query = parse(("Patient",), [("birthdate", f"{prefix}{asked}")], EXTRACTOR, now=NOW).query
    read = interval_reader()
    one, other = read(stored), read(asked)
    assert one is not None
    assert other is not None
    (low, high), (a, b) = one, other
    if prefix is Prefix.AP:
        slack = max(a - NOW, NOW - b, 0) // 10
        a, b = a - slack, b + slack
    assert (evaluate(query, {("Patient", "p"): rows}) != set()) is date_matches(prefix, low, high, a, b)


@settings(max_examples=150, deadline=None)
@given(
    st.decimals(min_value=-1000, max_value=1000, places=2),
    st.integers(-10, 10),
    st.sampled_from([("g", Decimal(1)), ("mg", Decimal("0.001")), ("kg", Decimal(1000)), ("ug", Decimal("0.000001"))]),
    st.sampled_from(["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]),
)
def test_amounts_compare_across_units(value: Decimal, off: int, unit: tuple[str, Decimal], prefix: str) -> None:
    """What is stored in grams is asked for in another unit, near and at the border."""
    name, grams = unit
    asked = value / grams + off * Decimal("0.5")
    observation = {"resourceType": "Observation", "id": "o", "valueQuantity": amount(str(value), "g")}
    query = parse(("Observation",), [("value-quantity", f"{prefix}{asked:f}|{UCUM}|{name}")], EXTRACTOR, now=NOW).query
    exponent = asked.as_tuple().exponent
    assert isinstance(exponent, int)
    half = Decimal(5).scaleb(min(exponent, 0) - 1)
    ours = value / grams
    wanted = quantity_matches(Prefix(prefix), *map(float, (ours, ours, asked, asked - half, asked + half)))
    assert (evaluate(query, {("Observation", "o"): EXTRACTOR.rows(observation)}) != set()) is wanted


_han = st.text(alphabet="张王李赵单曾欧阳明华丽强小大", min_size=1, max_size=2)


@settings(max_examples=60, deadline=None)
@given(_han, _han)
def test_a_name_is_found_by_each_of_its_forms(family: str, forename: str) -> None:
    rows = EXTRACTOR.rows({"resourceType": "Patient", "id": "p", "name": [{"family": family, "given": [forename]}]})
    for asked in (family, forename, family + forename, f"{family} {forename}"):
        query = parse(("Patient",), [("name", asked)], EXTRACTOR, now=NOW).query
        assert evaluate(query, {("Patient", "p"): rows})


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=12), st.text(max_size=6))
def test_tokens_are_found_exactly_whatever_their_characters(value: str, system: str) -> None:
    rows = EXTRACTOR.rows({"resourceType": "Patient", "id": "p", "identifier": [{"system": system, "value": value}]})
    escaped = "".join("\\" + c if c in "\\,|$" else c for c in value)
    named = "".join("\\" + c if c in "\\,|$" else c for c in system)
    for asked in (escaped, f"{named}|{escaped}"):
        query = parse(("Patient",), [("identifier", asked)], EXTRACTOR, now=NOW).query
        assert evaluate(query, {("Patient", "p"): rows})
    other = parse(("Patient",), [("identifier", escaped + "x")], EXTRACTOR, now=NOW).query
    assert not evaluate(other, {("Patient", "p"): rows})
