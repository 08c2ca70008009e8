from __future__ import annotations

import gzip
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.search.extract import PRIMARY_DATES, Extractor
from fhir_server.search.plan import BUILT_IN
from fhir_server.search.rows import Rows
from fhir_server.search.tree import MAX_TIME, MIN_TIME
from profiles.definitions import SearchParameterDef, load
from profiles.fhirpath import compile as compile_path
from profiles.lossless import parse

SHARED = Path(__file__).parents[2] / ".." / "shared"
EXAMPLES = SHARED / "fhir" / "r4" / "examples.ndjson.gz"
ODD = Extractor(load())
HOUR = 3_600_000_000
UCUM = "http://unitsofmeasure.org"


def keyed(rows: list[Any], key: str) -> set[Any]:
    """The rows of one key without it."""
    return {row[1] if len(row) == 2 else row[1:] for row in rows if row[0] == key}


def of(extractor: Extractor, type_: str, **elements: Any) -> Rows:
    return extractor.rows({"resourceType": type_, "id": "x", **elements})


def strings(rows: Rows, key: str) -> set[str]:
    return {v for k, v, _ in rows.str if k == key}


# -- tokens ---------------------------------------------------------------------------------------


def test_a_codeable_concept_gives_every_coding_and_its_texts(extractor: Extractor) -> None:
    rows = of(
        extractor,
        "Condition",
        code={
            "coding": [{"system": "s", "code": "A"}, {"code": "b", "display": "Äpfel"}, {"system": "only"}],
            "text": "Sore throat",
        },
    )
    assert keyed(rows.tok, "code") == {("s", "A"), ("", "b"), ("only", "")}
    assert keyed(rows.str, "code:text") == {("sore throat", "Sore throat"), ("apfel", "Äpfel")}
    assert "code" in rows.present


def test_codes_are_never_folded(extractor: Extractor) -> None:
    rows = of(extractor, "Patient", identifier=[{"system": "urn:S", "value": "Ab-12 Ｃ"}])
    assert keyed(rows.tok, "identifier") == {("urn:S", "Ab-12 Ｃ")}


def test_an_identifier_is_also_found_by_its_type(extractor: Extractor) -> None:
    kind = {"coding": [{"system": "v2", "code": "MR"}], "text": "Record number"}
    rows = of(extractor, "Patient", identifier=[{"type": kind, "value": "7"}])
    assert keyed(rows.tok, "identifier:of-type") == {("v2", "MR|7")}
    assert keyed(rows.str, "identifier:text") == {("record number", "Record number")}


@pytest.mark.parametrize(("written", "code"), [(True, "true"), (False, "false")])
def test_a_boolean_is_a_token(extractor: Extractor, written: bool, code: str) -> None:
    assert keyed(of(extractor, "Patient", active=written).tok, "active") == {("", code)}


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({}, "false"),
        ({"deceasedBoolean": False}, "false"),
        ({"deceasedBoolean": True}, "true"),
        ({"deceasedDateTime": "2020"}, "true"),
    ],
)
def test_every_patient_is_deceased_or_not(extractor: Extractor, elements: dict[str, Any], code: str) -> None:
    assert keyed(of(extractor, "Patient", **elements).tok, "deceased") == {("", code)}


def test_phone_and_email_are_parts_of_telecom(extractor: Extractor) -> None:
    telecom = [{"system": "phone", "value": "1"}, {"system": "email", "value": "a@b"}, {"value": "2"}]
    rows = of(extractor, "Patient", telecom=telecom)
    assert keyed(rows.tok, "telecom") == {("phone", "1"), ("email", "a@b"), ("", "2")}
    assert keyed(rows.tok, "phone") == {("phone", "1")}
    assert keyed(rows.tok, "email") == {("email", "a@b")}


def test_tags_profiles_and_sources_are_indexed_for_every_type(extractor: Extractor) -> None:
    meta = {
        "profile": ["http://p|2.0"],
        "tag": [{"system": "t", "code": "1"}],
        "security": [{"system": "v3", "code": "R"}],
        "source": "urn:src#1",
    }
    for type_ in sorted(load().resource_types):
        rows = of(extractor, type_, meta=meta)
        assert keyed(rows.tok, "_tag") == {("t", "1")}
        assert keyed(rows.tok, "_security") == {("v3", "R")}
        assert keyed(rows.tok, "_profile") == {("", "http://p"), ("2.0", "http://p")}
        assert keyed(rows.tok, "_source") == {("", "urn:src#1")}


# -- strings and names ----------------------------------------------------------------------------


def test_a_chinese_name_is_found_in_every_written_form(extractor: Extractor) -> None:
    rows = of(extractor, "Patient", name=[{"family": "欧阳", "given": ["娜", "娜"]}])
    found = strings(rows, "name")
    assert {"欧阳", "娜", "欧阳娜娜", "欧阳 娜娜", "ouyangnana", "ou yang na na", "oynn", "ouyang nana"} <= found
    assert {"ouyang", "欧阳"} <= strings(rows, "family")
    assert {"na", "娜"} <= strings(rows, "given")


@pytest.mark.parametrize(
    ("family", "spelled"),
    [("单", "shan"), ("仇", "qiu"), ("曾", "zeng"), ("解", "xie"), ("查", "zha"), ("尉迟", "yuchi"), ("万俟", "moqi")],
)
def test_surnames_are_read_as_surnames(extractor: Extractor, family: str, spelled: str) -> None:
    rows = of(extractor, "Patient", name=[{"family": family, "given": ["明"]}])
    assert f"{spelled}ming" in strings(rows, "name")


def test_a_name_given_as_text_only_is_found_by_pinyin(extractor: Extractor) -> None:
    assert {"曾国藩", "zengguofan", "zgf"} <= strings(of(extractor, "Patient", name=[{"text": "曾国藩"}]), "name")


def test_u_with_dots_is_found_in_each_spelling(extractor: Extractor) -> None:
    found = strings(of(extractor, "Patient", name=[{"family": "吕", "given": ["布"]}]), "name")
    assert {"lvbu", "lyubu", "lubu"} <= found


def test_latin_names_are_folded_and_joined(extractor: Extractor) -> None:
    rows = of(extractor, "Patient", name=[{"family": "Müller", "given": ["José", "K."], "prefix": ["Dr."]}])
    assert {"muller", "jose", "k.", "dr.", "jose k. muller", "muller jose k."} <= strings(rows, "name")
    assert ("name", "muller", "Müller") in rows.str


def test_only_what_was_written_is_exact(extractor: Extractor) -> None:
    rows = of(extractor, "Patient", name=[{"family": "张", "given": ["三"]}])
    exact = {e for k, _, e in rows.str if k == "name" and e.isprintable()}
    assert exact == {"张", "三", "张三"}


def test_an_address_is_found_by_any_part_and_a_chinese_one_as_a_whole(extractor: Extractor) -> None:
    rows = of(
        extractor,
        "Patient",
        address=[
            {"state": "浙江省", "city": "杭州市", "district": "西湖区", "line": ["文一路1号"], "postalCode": "310000"}
        ],
    )
    assert {"浙江省", "杭州市", "文一路1号", "310000", "浙江省杭州市西湖区文一路1号"} <= strings(rows, "address")
    assert strings(rows, "address-city") == {"杭州市"}


# -- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("1970", -8 * HOUR, 365 * 24 * HOUR - 8 * HOUR),
        ("1970-01", -8 * HOUR, 31 * 24 * HOUR - 8 * HOUR),
        ("1970-01-01", -8 * HOUR, 16 * HOUR),
        ("1970-01-01T08:00:00+08:00", 0, 1_000_000),
        ("1970-01-01T00:00:00Z", 0, 1_000_000),
        ("1970-01-01T00:00:00.25Z", 250_000, 260_000),
        ("1970-01-01T00:00:00.123456789Z", 123_456, 123_457),
    ],
)
def test_a_date_is_the_interval_of_its_precision(extractor: Extractor, text: str, low: int, high: int) -> None:
    assert keyed(of(extractor, "Observation", effectiveDateTime=text).dat, "date") == {(low, high)}


def test_a_period_may_be_open(extractor: Extractor) -> None:
    for period, low, high in (
        ({"start": "1970-01-01T00:00:00Z"}, 0, MAX_TIME),
        ({"end": "1970-01-01T00:00:00Z"}, MIN_TIME, 1_000_000),
    ):
        assert keyed(of(extractor, "Encounter", period=period).dat, "date") == {(low, high)}


def test_only_the_outer_limits_of_a_timing_count(extractor: Extractor) -> None:
    timing = {"event": ["1970-01-01T00:00:00Z", "1970-01-03T00:00:00Z"]}
    rows = of(extractor, "Observation", effectiveTiming=timing)
    assert keyed(rows.dat, "date") == {(0, 48 * HOUR + 1_000_000)}


@pytest.mark.parametrize("text", ["", "20", "2020-13", "2020-02-30", "2020-1-1", "yesterday", "2020-01-01T25:00:00Z"])
def test_a_wrong_date_gives_no_row(extractor: Extractor, text: str) -> None:
    assert of(extractor, "Patient", birthDate=text).dat == []


def test_the_deployment_zone_reads_dates_without_one() -> None:
    rows = Extractor(load(), zone="Etc/UTC").rows({"resourceType": "Patient", "birthDate": "1970-01-01"})
    assert rows.dat == [("birthdate", 0, 24 * HOUR)]


# -- quantities and numbers -----------------------------------------------------------------------


def test_a_quantity_is_filed_as_given_and_in_base_units(extractor: Extractor) -> None:
    value = {"value": Decimal("5.40"), "unit": "milligram", "system": UCUM, "code": "mg"}
    rows = of(extractor, "Observation", valueQuantity=value)
    assert keyed(rows.qty, "value-quantity") == {(5.4, 5.4, UCUM, "mg"), (5.4, 5.4, "", "milligram")}
    assert keyed(rows.qty, "value-quantity:ucum") == {(5.4e-6, 5.4e-6, "ucum:canonical", "kg")}


def test_a_comparator_opens_the_range(extractor: Extractor) -> None:
    def bounds(comparator: str) -> tuple[float, float]:
        rows = of(extractor, "Observation", valueQuantity={"value": 5, "comparator": comparator})
        ((low, high, _, _),) = keyed(rows.qty, "value-quantity")
        return low, high

    assert bounds("<") == (-math.inf, math.nextafter(5, 0))
    assert bounds("<=") == (-math.inf, 5)
    assert bounds(">") == (math.nextafter(5, 6), math.inf)
    assert bounds(">=") == (5, math.inf)


def test_ranges_money_and_samples_are_quantities(extractor: Extractor) -> None:
    age = of(extractor, "Condition", onsetRange={"low": {"value": 3, "unit": "a"}})
    assert keyed(age.qty, "onset-age") == {(3, math.inf, "", "a")}
    money = of(extractor, "Invoice", totalNet={"value": Decimal("48.5"), "currency": "CNY"})
    assert keyed(money.qty, "totalnet") == {(48.5, 48.5, "urn:iso:std:iso:4217", "CNY")}
    samples = {"origin": {"value": 10}, "factor": Decimal("0.5"), "data": "2 -4 E 6", "period": 1, "dimensions": 1}
    assert keyed(of(extractor, "Observation", valueSampledData=samples).qty, "value-quantity") == {(8, 13, "", "")}


def test_numbers_have_neither_system_nor_unit(extractor: Extractor) -> None:
    rows = of(extractor, "RiskAssessment", prediction=[{"probabilityDecimal": Decimal("0.02")}])
    assert keyed(rows.qty, "probability") == {(0.02, 0.02, "", "")}


# -- references -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Patient/1", "Patient/1/_history/4", "http://localhost:8000/fhir/Patient/1"])
def test_a_reference_to_this_server_is_a_link(extractor: Extractor, text: str) -> None:
    rows = of(extractor, "Observation", subject={"reference": text})
    assert rows.ref == [("subject", "Patient", "1")]
    assert rows.patients == ["1"]
    assert {"subject", "patient"} <= rows.present


@pytest.mark.parametrize("text", ["http://elsewhere/fhir/Patient/1", "urn:uuid:8f1", "Bogus/1", "Patient/1/2"])
def test_any_other_reference_is_its_text(extractor: Extractor, text: str) -> None:
    rows = of(extractor, "Observation", subject={"reference": text})
    assert rows.ref == []
    assert keyed(rows.tok, "subject") == {("", text)}


def test_a_reference_into_the_resource_itself_is_no_link(extractor: Extractor) -> None:
    rows = of(extractor, "Observation", subject={"reference": "#p"})
    assert rows.ref == rows.tok == []


def test_patient_is_present_only_for_patients(extractor: Extractor) -> None:
    rows = of(extractor, "Observation", subject={"reference": "Group/1"})
    assert "subject" in rows.present
    assert "patient" not in rows.present
    assert rows.patients == []


def test_a_logical_reference_is_found_by_its_identifier(extractor: Extractor) -> None:
    rows = of(extractor, "Observation", subject={"identifier": {"system": "s", "value": "9"}, "type": "Patient"})
    assert keyed(rows.tok, "subject:identifier") == {("s", "9")}


def test_a_canonical_is_found_with_and_without_version(extractor: Extractor) -> None:
    rows = of(extractor, "QuestionnaireResponse", questionnaire="http://q|3")
    assert keyed(rows.tok, "questionnaire") == {("", "http://q"), ("3", "http://q")}


def test_the_first_entry_of_a_bundle_is_linked(extractor: Extractor) -> None:
    entry = [
        {"resource": {"resourceType": "Composition", "id": "c"}},
        {"resource": {"resourceType": "Patient", "id": "p"}},
    ]
    assert of(extractor, "Bundle", type="document", entry=entry).ref == [("composition", "Composition", "c")]


def test_related_artifacts_are_told_apart_by_their_type(extractor: Extractor) -> None:
    artifacts = [{"type": "depends-on", "resource": "http://a"}, {"type": "derived-from", "resource": "http://b"}]
    rows = of(extractor, "Library", relatedArtifact=artifacts)
    assert keyed(rows.tok, "depends-on") == {("", "http://a")}
    assert keyed(rows.tok, "derived-from") == {("", "http://b")}


# -- composites, places, summaries ----------------------------------------------------------------


def test_components_stand_together_element_by_element(extractor: Extractor) -> None:
    def component(code: str, number: int) -> dict[str, Any]:
        return {"code": {"coding": [{"code": code}]}, "valueQuantity": {"value": number}}

    rows = of(extractor, "Observation", component=[component("a", 1), {"code": {"text": "x"}}, component("b", 2)])
    by_element: dict[int, set[Any]] = {}
    for number, _, row in rows.elements:
        by_element.setdefault(number, set()).add(row[1:])
    assert list(by_element.values()) == [{("", "a"), (1.0, 1.0, "", "")}, {("", "b"), (2.0, 2.0, "", "")}]
    assert keyed(rows.qty, "component-value-quantity") == {(1.0, 1.0, "", ""), (2.0, 2.0, "", "")}


def test_components_at_the_root_have_no_element_rows(extractor: Extractor) -> None:
    rows = of(extractor, "Observation", code={"coding": [{"code": "a"}]}, valueQuantity={"value": 1})
    assert rows.elements == []


def test_variants_are_joined_with_the_chromosome_of_the_resource(extractor: Extractor) -> None:
    sequence = {"chromosome": {"coding": [{"code": "1"}]}, "windowStart": 5, "windowEnd": 9}
    rows = of(extractor, "MolecularSequence", referenceSeq=sequence, variant=[{"start": 6, "end": 7}])
    variants = [row for _, _, row in rows.elements if row[0].startswith("chromosome-variant")]
    assert ("chromosome-variant-coordinate$0", "", "1") in variants
    assert {row[1] for row in variants if len(row) == 5} == {6.0, 7.0}


def test_a_location_has_a_place(extractor: Extractor) -> None:
    position = {"latitude": Decimal("30.25"), "longitude": Decimal("120.17")}
    assert of(extractor, "Location", position=position).geo == [("near", 30.25, 120.17)]


def test_the_clinical_date_is_in_milliseconds_and_falls_back(extractor: Extractor) -> None:
    assert of(extractor, "Observation", effectiveInstant="1970-01-01T00:00:01Z").date == 1000
    assert of(extractor, "Condition", onsetDateTime="1970-01-01T00:00:01Z", recordedDate="1971").date == 1000
    assert of(extractor, "Condition", recordedDate="1970-01-01T00:00:02Z").date == 2000
    assert of(extractor, "Patient", birthDate="1970").date is None


def test_primary_dates_are_date_parameters(extractor: Extractor) -> None:
    for type_, codes in PRIMARY_DATES.items():
        assert {extractor.params(type_)[code].type for code in codes} == {"date"}
    assert extractor.primary_date("Observation") == "date"
    assert extractor.primary_date("Condition") is None
    assert extractor.primary_date("Patient") is None


def test_patients_of_a_resource_are_by_compartment(extractor: Extractor) -> None:
    rows = of(
        extractor,
        "Observation",
        performer=[{"reference": "Patient/2"}],
        subject={"reference": "Patient/1"},
        focus=[{"reference": "Patient/3"}],
    )
    assert rows.patients == ["1", "2"]
    assert of(extractor, "Patient", link=[{"other": {"reference": "Patient/y"}}]).patients == ["x", "y"]


# -- custom parameters ----------------------------------------------------------------------------


def custom(code: str, kind: str, expression: str, base: str = "Patient") -> SearchParameterDef:
    return SearchParameterDef(f"urn:{code}", code, code, kind, (base,), expression, (), (), "")


def test_a_custom_parameter_of_a_simple_shape_is_indexed() -> None:
    expression = "Patient.extension.where(url='urn:e').value.as(Coding)"
    own = Extractor(load(), [custom("blood", "token", expression)])
    rows = own.rows({"resourceType": "Patient", "extension": [{"url": "urn:e", "valueCoding": {"code": "A"}}]})
    assert keyed(rows.tok, "blood") == {("", "A")}
    assert own.params("Patient")["blood"].url == "urn:blood"


def test_a_custom_parameter_of_any_other_expression_is_evaluated() -> None:
    own = Extractor(load(), [custom("first", "string", "Patient.name.given.first()")])
    rows = own.rows({"resourceType": "Patient", "name": [{"given": ["Ann", "Bea"]}]})
    assert keyed(rows.str, "first") == {("ann", "Ann")}
    assert "first" in rows.present


def test_a_custom_parameter_never_replaces_an_official_one() -> None:
    own = Extractor(load(), [custom("gender", "token", "Patient.id")])
    assert own.params("Patient")["gender"].expression != "Patient.id"


# -- odd input ------------------------------------------------------------------------------------


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the shared folder with the official examples is absent")
def test_every_official_example_is_indexed(extractor: Extractor) -> None:
    with gzip.open(EXAMPLES) as lines:
        for line in lines:
            resource = parse(line)
            rows = extractor.rows(resource)
            assert_well_typed(rows)
            assert rows.present or resource["resourceType"] in ("Parameters", "Binary", "Bundle")


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the shared folder with the official examples is absent")
def test_the_closures_find_what_the_fhirpath_engine_finds(extractor: Extractor) -> None:
    """Parameter by parameter, on one example of each type: a value is there or not."""
    seen: set[str] = set()
    differ: set[tuple[str, str]] = set()
    with gzip.open(EXAMPLES) as lines:
        for line in lines:
            resource = parse(line)
            type_ = resource["resourceType"]
            if type_ in seen or len(line) > 50_000:
                continue
            seen.add(type_)
            rows = extractor.rows(resource)
            for code, indexed in extractor.indexed(type_).items():
                if indexed.kind == "composite" or code in BUILT_IN:
                    continue
                there = bool(compile_path(indexed.definition.expression).evaluate(resource))
                if there != bool(rows.present & set(indexed.present)):
                    differ.add((type_, code))
    assert len(seen) > 100
    # There an Attachment stands for a reference, and words ("daily") for a date.
    assert differ <= {("Consent", "source-reference"), ("CarePlan", "activity-date"), ("Immunization", "date")}


def test_an_expression_that_nobody_understands_is_left_out() -> None:
    own = Extractor(load(), [custom("odd", "string", "Patient.name.(")])
    assert "gender" in own.rows({"resourceType": "Patient", "gender": "male"}).present


def test_contained_resources_have_rows_of_their_own(extractor: Extractor) -> None:
    rows = of(extractor, "Observation", contained=[{"resourceType": "Patient", "id": "p", "gender": "male"}])
    ((place, kind, part),) = rows.contained
    assert (place, kind) == (0, "Patient")
    assert keyed(part.tok, "gender") == {("", "male")}


def assert_well_typed(rows: Rows) -> None:
    for table in (rows.tok, rows.str, rows.ref):
        assert all(type(x) is str for row in table for x in row)
    assert all(low < high for _, low, high in rows.dat)
    assert all(type(x) is float for row in rows.qty for x in row[1:3])


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["coding", "code", "system", "value", "reference", "start", "family", "given", "low", "text"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["Patient", "Observation", "Location", "Bundle", "MolecularSequence", "Nonsense"]),
    st.dictionaries(
        st.sampled_from(
            ["name", "identifier", "birthDate", "valueQuantity", "component", "subject", "position", "meta", "entry",
             "effectivePeriod", "effectiveTiming", "valueSampledData", "code", "variant", "referenceSeq", "deceasedX"]
        ),
        _json,
        max_size=5,
    ),
)  # fmt: skip
def test_odd_resources_never_raise(type_: str, elements: dict[str, Any]) -> None:
    assert_well_typed(ODD.rows({"resourceType": type_, **elements}))


def test_one_odd_value_does_not_lose_the_others(extractor: Extractor) -> None:
    rows = of(extractor, "Patient", name=[7, {"family": "A"}], gender="male", identifier="?")
    assert "a" in strings(rows, "family")
    assert keyed(rows.tok, "gender") == {("", "male")}


def test_resources_without_a_type_have_no_rows(extractor: Extractor) -> None:
    assert extractor.rows({}) == extractor.rows({"resourceType": ["x"]}) == Rows()
    assert json.dumps(extractor.rows({}).tok) == "[]"
