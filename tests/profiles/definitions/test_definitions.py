"""What the compiled R4 definitions say, checked against the specification's own pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import zstandard

from profiles.definitions import ElementDef, load
from profiles.definitions.build import DATA, compile_tables
from terminology.base.source import from_folder

SHARED = Path(__file__).parents[3] / ".." / "shared" / "fhir" / "r4"
R4 = load()


def element(type_name: str, key: str) -> ElementDef:
    return R4.type(type_name).elements[key]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the R4 source bundles are not beside this checkout")
def test_committed_tables_are_those_of_the_source() -> None:
    for name, table in compile_tables(from_folder(SHARED)).items():
        committed = zstandard.decompress((DATA / f"{name}.json.zst").read_bytes())
        assert committed == msgspec.json.encode(table), name


def test_counts_are_those_of_the_specification() -> None:
    assert len(R4.resource_types) == 146
    assert len(R4.search_parameters) == 1375
    assert len(R4.operations) == 46
    assert sorted(R4.compartments) == ["Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"]
    assert len(R4.primitives) == 20


def test_abstract_types_are_known_but_not_resource_types() -> None:
    assert R4.type("DomainResource").abstract
    assert "DomainResource" not in R4.resource_types


def test_an_unknown_type_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        R4.type("Patinet")


def test_elements_stand_in_the_order_of_the_specification_with_inherited_ones_first() -> None:
    keys = list(R4.type("Patient").elements)
    assert keys[:11] == [
        "id",
        "meta",
        "implicitRules",
        "language",
        "text",
        "contained",
        "extension",
        "modifierExtension",
        "identifier",
        "active",
        "name",
    ]
    orders = [e.order for e in R4.type("Patient").elements.values()]
    assert orders == sorted(orders)


def test_a_choice_has_one_key_for_each_of_its_types() -> None:
    choices = [e for e in R4.type("Observation").elements.values() if e.name == "value"]
    assert [e.key for e in choices][:3] == ["valueQuantity", "valueCodeableConcept", "valueString"]
    assert len(choices) == 11
    assert all(e.choice and e.max == 1 for e in choices)
    assert len({e.order for e in choices}) == 1
    assert element("Extension", "valueBase64Binary").type == "base64Binary"


def test_backbones_are_types_named_by_their_path() -> None:
    assert element("Patient", "contact").type == "Patient.contact"
    assert R4.type("Patient.contact").kind == "backbone"
    assert "modifierExtension" in R4.type("Patient.contact").elements
    assert R4.type("Timing.repeat").elements["when"].is_list


def test_content_references_lead_to_the_type_that_they_repeat() -> None:
    assert element("Observation.component", "referenceRange").type == "Observation.referenceRange"
    assert element("Questionnaire.item", "item").type == "Questionnaire.item"


def test_every_element_type_is_a_known_type() -> None:
    for name in R4.type_names:
        for e in R4.type(name).elements.values():
            assert R4.type(e.type) is not None
            assert e.primitive == (e.type in R4.primitives)


def test_cardinality_summary_and_modifier_flags() -> None:
    status = element("Observation", "status")
    assert (status.min, status.max, status.is_list) == (1, 1, False)
    assert status.summary and status.modifier
    assert element("Patient", "name").max is None and element("Patient", "name").is_list
    assert not element("Patient", "contact").summary


def test_bindings_and_reference_targets() -> None:
    gender = element("Patient", "gender").binding
    assert gender is not None
    strength, valueset = gender
    assert (strength, valueset) == ("required", "http://hl7.org/fhir/ValueSet/administrative-gender")
    assert element("Observation", "performer").targets == (
        "Practitioner",
        "PractitionerRole",
        "Organization",
        "CareTeam",
        "Patient",
        "RelatedPerson",
    )
    assert element("Observation", "focus").targets == ()
    assert element("Observation", "valueString").binding is None


def test_xml_attributes_are_marked() -> None:
    assert element("Extension", "url").xml_attr
    assert element("HumanName", "id").xml_attr
    assert not element("Patient", "id").xml_attr


def test_ids_of_resources_are_of_type_id_and_those_of_elements_strings() -> None:
    assert element("Patient", "id").type == "id"
    assert element("Patient.contact", "id").type == "string"


def test_search_parameters_of_a_type_include_those_of_its_base_types() -> None:
    params = R4.search_params("Patient")
    assert {"_id", "_lastUpdated", "_text", "name", "birthdate", "phonetic", "general-practitioner"} <= params.keys()
    assert "_text" not in R4.search_params("Binary")
    assert params["general-practitioner"].target == ("Practitioner", "Organization", "PractitionerRole")


def test_composite_parameters_name_their_components() -> None:
    parts = R4.search_params("Observation")["code-value-quantity"].components
    assert [expression for _, expression in parts] == ["code", "value.as(Quantity)"]


def test_compartments_give_the_linking_parameters() -> None:
    assert R4.compartments["Patient"]["Observation"] == ("subject", "performer")
    assert "Organization" not in R4.compartments["Patient"]


def test_required_codes_can_be_enumerated_from_hl7_systems_only() -> None:
    gender = R4.codes("http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1")
    assert gender == frozenset(("male", "female", "other", "unknown"))
    assert R4.codes("http://hl7.org/fhir/ValueSet/mimetypes") is None
    nested = R4.codes("http://hl7.org/fhir/ValueSet/issue-type")
    assert nested is not None and {"invalid", "structure", "not-found"} <= nested
    clinical = R4.codings("http://hl7.org/fhir/ValueSet/condition-clinical")
    assert clinical is not None
    assert "active" in clinical["http://terminology.hl7.org/CodeSystem/condition-clinical"]


def test_operations_say_where_they_are_called() -> None:
    everything = next(o for o in R4.operations if o.url.endswith("/Patient-everything"))
    assert (everything.code, everything.system, everything.type, everything.instance) == (
        "everything",
        False,
        True,
        True,
    )
    assert everything.resource == ("Patient",)


def test_invariants_are_own_and_inherited() -> None:
    keys = {i.key: i.path for i in R4.invariants("Observation")}
    assert keys["obs-7"] == "Observation"
    assert keys["obs-3"] == "Observation.referenceRange"
    assert "dom-2" in keys
    assert {i.key for i in R4.invariants("Age")} >= {"ele-1", "qty-3", "age-1"}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_loading_takes_well_under_a_second_and_150_megabytes() -> None:
    script = (
        "import re, time; t = time.perf_counter()\n"
        "from profiles.definitions import load; load(); seconds = time.perf_counter() - t\n"
        "d = load(); [d.type(n) for n in d.type_names]; d.search_params('Patient'); d.invariants('Patient')\n"
        "print(seconds, re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert float(out[0]) < 1.0
    assert int(out[1]) < 150 * 1024
