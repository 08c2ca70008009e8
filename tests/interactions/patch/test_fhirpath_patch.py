"""FHIRPath Patch changes a copy of the resource as the specification says, and names what it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from fhir_server.errors import BadRequest, Unprocessable
from fhir_server.interactions.patch.fhirpath_patch import apply
from profiles.lossless import encode, parse
from profiles.xml_format import from_xml, to_xml

SUITE = Path(__file__).parents[3] / ".." / "shared" / "fhir" / "patch" / "fhir-patch-tests.xml"


def _cases() -> list[Any]:
    """Each case as (name, input, diff, output or None) in XML, cut out as text so that narratives stay as they are."""
    if not SUITE.exists():
        return []
    found = []
    for case in re.findall(r"<case (.*?)</case>", SUITE.read_text(), re.DOTALL):
        name = re.search(r'name="([^"]*)"', case)
        parts = {
            part: re.search(rf"<{part}>\s*(<.*?>)\s*</{part}>", case, re.DOTALL) for part in ("input", "diff", "output")
        }
        assert name and parts["input"] and parts["diff"]
        texts = [match[1] if match else None for match in parts.values()]
        found.append(pytest.param(*texts, id=name[1]))
    return found


@pytest.mark.skipif(not SUITE.exists(), reason="the official FHIRPath Patch suite is not here")
@pytest.mark.parametrize(("given", "diff", "output"), _cases())
def test_case_of_the_official_suite(given: str, diff: str, output: str | None) -> None:
    resource, parameters = from_xml(given.encode()), from_xml(diff.encode())
    if output is None:
        with pytest.raises(Unprocessable):
            apply(resource, parameters)
        return
    found, wanted = to_xml(apply(resource, parameters)), to_xml(from_xml(output.encode()))
    assert ElementTree.canonicalize(found) == ElementTree.canonicalize(wanted)


def operation(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    part: list[Any] = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    for name, value in parts.items():
        match value:
            case str():
                part.append({"name": name, "valueString": value})
            case int():
                part.append({"name": name, "valueInteger": value})
            case _:
                part.append({"name": name, **value})
    return {"name": "operation", "part": part}


def patched(resource: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    return apply(resource, {"resourceType": "Parameters", "parameter": list(operations)})


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p", **elements}


def test_the_resource_given_is_not_changed() -> None:
    before = patient(name=[{"family": "王"}])
    patched(
        before,
        operation("delete", "Patient.name[0]"),
        operation("add", "Patient", name="active", value={"valueBoolean": True}),
    )
    assert before == patient(name=[{"family": "王"}])


def test_new_elements_stand_where_the_specification_orders_them() -> None:
    before = patient(active=True, birthDate="1990", contact=[{"gender": "male"}])
    after = patched(
        before,
        operation("add", "Patient", name="gender", value={"valueCode": "female"}),
        operation("add", "Patient", name="meta", value={"valueMeta": {"source": "#1"}}),
        operation("add", "Patient", name="link", value={"part": [{"name": "type", "valueCode": "seealso"}]}),
        operation("add", "Patient.contact[0]", name="name", value={"valueHumanName": {"text": "a"}}),
    )
    assert list(after) == ["resourceType", "id", "meta", "active", "gender", "birthDate", "contact", "link"]
    assert list(after["contact"][0]) == ["name", "gender"]


def test_a_choice_takes_the_type_of_its_value_and_may_change_it_in_place() -> None:
    before = {
        "resourceType": "Observation",
        "status": "final",
        "valueString": "a",
        "_valueString": {"id": "x"},
        "note": [],
    }
    after = patched(before, operation("replace", "Observation.value", value={"valueQuantity": {"value": 1}}))
    assert encode(after) == b'{"resourceType":"Observation","status":"final","valueQuantity":{"value":1},"note":[]}'
    added = patched(patient(), operation("add", "Patient", name="deceased", value={"valueBoolean": False}))
    assert added["deceasedBoolean"] is False
    with pytest.raises(Unprocessable, match="does not take a Code"):
        patched(patient(), operation("add", "Patient", name="deceased", value={"valueCode": "x"}))
    with pytest.raises(Unprocessable, match="already"):
        patched(added, operation("add", "Patient", name="deceased[x]", value={"valueDateTime": "2020"}))


def test_primitives_keep_their_extensions_beside_them() -> None:
    extension = {"extension": [{"url": "http://x", "valueString": "y"}]}
    before = patient(name=[{"given": ["a", "b"], "_given": [None, extension]}])
    moved = patched(before, operation("move", "Patient.name[0].given", source=1, destination=0))
    assert moved["name"][0] == {"given": ["b", "a"], "_given": [extension, None]}
    removed = patched(before, operation("delete", "Patient.name[0].given[1]"))
    assert removed["name"][0] == {"given": ["a"]}
    inserted = patched(
        before,
        operation("insert", "Patient.name[0].given", index=0, value={"valueString": "c", "_valueString": extension}),
    )
    assert inserted["name"][0] == {"given": ["c", "a", "b"], "_given": [extension, None, extension]}
    replaced = patched(before, operation("replace", "Patient.name[0].given[1]", value="z"))
    assert replaced["name"][0] == {"given": ["a", "z"]}


def test_an_extension_can_be_added_to_a_primitive_and_deleted_again() -> None:
    value = {"valueExtension": {"url": "http://x", "valueString": "y"}}
    before = patient(birthDate="1990", name=[{"given": ["a", "b"]}])
    dated = patched(before, operation("add", "Patient.birthDate", name="extension", value=value))
    assert dated["_birthDate"] == {"extension": [{"url": "http://x", "valueString": "y"}]}
    assert list(dated) == ["resourceType", "id", "birthDate", "_birthDate", "name"]
    named = patched(before, operation("add", "Patient.name[0].given[1]", name="extension", value=value))
    assert named["name"][0]["_given"] == [None, {"extension": [{"url": "http://x", "valueString": "y"}]}]
    for after, path in ((dated, "Patient.birthDate"), (named, "Patient.name[0].given[1]")):
        assert patched(after, operation("delete", f"{path}.extension[0]")) == before


def test_deleting_the_last_part_of_an_object_deletes_the_object() -> None:
    before = patient(contact=[{"name": {"family": "x"}}, {"gender": "male"}])
    assert patched(before, operation("delete", "Patient.contact[0].name.family"))["contact"] == [{"gender": "male"}]
    assert patched(patient(name=[{"given": ["a"]}]), operation("delete", "Patient.name.given")) == patient()


def test_deleting_what_is_not_there_changes_nothing() -> None:
    assert patched(patient(), operation("delete", "Patient.birthDate")) == patient()


def test_elements_are_found_by_any_fhirpath() -> None:
    before = patient(telecom=[{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}])
    after = patched(before, operation("replace", "Patient.telecom.where(system = 'email').value", value="3"))
    assert after["telecom"][1] == {"system": "email", "value": "3"}


def test_a_list_that_is_not_there_yet_takes_an_insert_at_its_start() -> None:
    value = {"valueHumanName": {"text": "a"}}
    assert patched(patient(), operation("insert", "Patient.name", index=0, value=value))["name"] == [{"text": "a"}]
    with pytest.raises(Unprocessable):
        patched(patient(), operation("insert", "Patient.name", index=1, value=value))
    with pytest.raises(Unprocessable, match="does not repeat"):
        patched(patient(), operation("insert", "Patient.birthDate", index=0, value={"valueDate": "2020"}))


def test_anonymous_types_are_built_from_their_parts_at_any_depth() -> None:
    parts = [
        {"name": "linkId", "valueString": "1"},
        {"name": "item", "part": [{"name": "linkId", "valueString": "1.1"}, {"name": "type", "valueCode": "string"}]},
        {"name": "item", "part": [{"name": "linkId", "valueString": "1.2"}]},
        {"name": "type", "valueCode": "group"},
    ]
    before = {"resourceType": "Questionnaire", "status": "draft"}
    after = patched(before, operation("add", "Questionnaire", name="item", value={"part": parts}))
    assert encode(after["item"]) == (
        b'[{"linkId":"1","type":"group","item":[{"linkId":"1.1","type":"string"},{"linkId":"1.2"}]}]'
    )


def test_a_resource_can_be_contained_and_digits_are_kept() -> None:
    resource = parse(b'{"resourceType":"Observation","id":"o","valueQuantity":{"value":1.50}}')
    after = patched(patient(), operation("add", "Patient", name="contained", value={"resource": resource}))
    again = patched(after, operation("delete", "Patient.contained.where(id = 'o').value.where(value > 2)"))
    assert encode(again["contained"]) == b'[{"resourceType":"Observation","id":"o","valueQuantity":{"value":1.50}}]'


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (operation("add", "Patient", name="colour", value="x"), "no element 'colour'"),
        (operation("add", "Patient", name="birthDate", value={"valuePeriod": {}}), "takes a primitive"),
        (operation("add", "Patient", name="maritalStatus", value="x"), "takes an object"),
        (operation("add", "Patient.link", name="type", value="x"), "no element is there"),
        (operation("add", "Patient.name", name="text", value="x"), "2 elements"),
        (operation("replace", "Patient.birthDate", value={"valueDate": "1990"}), "no element is there"),
        (operation("replace", "Patient.name", value={"valueHumanName": {}}), "2 elements"),
        (operation("replace", "Patient", value="x"), "resource itself"),
        (operation("delete", "Patient.name"), "2 elements"),
        (operation("delete", "Patient"), "resource itself"),
        (operation("delete", "Patient.nam"), "no element 'nam'"),
        (operation("delete", "Patient.name.count()"), "computes a value"),
        (operation("delete", "'x'"), "computes a value"),
        (operation("insert", "Patient.name", index=3, value={"valueHumanName": {}}), "beyond"),
        (operation("insert", "Patient.name[0]", index=0, value={"valueHumanName": {}}), "whole list"),
        (operation("move", "Patient.name", source=0, destination=2), "beyond"),
        (operation("move", "Patient.active", source=0, destination=0), "does not repeat"),
        (operation("move", "Patient.name", source=-1, destination=0), "beyond"),
        (operation("delete", "Patient.name.select(1 + 'x')"), "does not join"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_operation_that_does_not_fit_is_refused_and_named(bad: dict[str, Any], words: str) -> None:
    before = patient(active=True, name=[{"text": "a"}, {"text": "b"}])
    with pytest.raises(Unprocessable, match=re.escape(words)) as refusal:
        patched(before, operation("delete", "Patient.gender"), bad)
    assert refusal.value.issues[0].expression == ("Parameters.parameter[1]",)


@pytest.mark.parametrize(
    "parameters",
    [
        {"resourceType": "Patient"},
        [],
        {"resourceType": "Parameters", "parameter": {}},
        {"resourceType": "Parameters", "parameter": [1]},
        {"resourceType": "Parameters", "parameter": [{"name": "x", "part": []}]},
        {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": []}]},
        {"resourceType": "Parameters", "parameter": [operation("spoil", "Patient")]},
        {"resourceType": "Parameters", "parameter": [operation("delete", "Patient..x")]},
        {"resourceType": "Parameters", "parameter": [operation("delete", "Patient.x(")]},
        {"resourceType": "Parameters", "parameter": [operation("add", "Patient", name="active")]},
        {"resourceType": "Parameters", "parameter": [operation("insert", "Patient.name", index="0", value="x")]},
        {"resourceType": "Parameters", "parameter": [operation("delete", "Patient.name", colour="x")]},
        {"resourceType": "Parameters", "parameter": [operation("add", "Patient", name="active", value={})]},
        {
            "resourceType": "Parameters",
            "parameter": [operation("add", "Patient", name="contact", value={"part": [{}]})],
        },
        {
            "resourceType": "Parameters",
            "parameter": [operation("add", "Patient", name="active", value={"valueBoolean": True, "valueCode": "x"})],
        },
    ],
    ids=lambda value: str(value)[40:120],
)
def test_parameters_that_are_no_patch_are_refused(parameters: Any) -> None:
    with pytest.raises(BadRequest):
        apply(patient(), parameters)


def test_a_path_that_would_take_forever_is_stopped() -> None:
    loop = (
        "Patient.name"
        + ".select($this | $this.given)" * 3
        + ".repeat(iif($index < 9999999, $this.toString() & 'x', {}))"
    )
    with pytest.raises(Unprocessable):
        patched(patient(name=[{"given": ["a"] * 50}]), operation("delete", loop.replace("$this.toString()", "'x'")))
