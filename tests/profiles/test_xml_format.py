"""FHIR XML: what is read is what was written, to the last digit, and hostile documents are refused."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from profiles import lossless
from profiles.definitions import load
from profiles.lossless import ParseError
from profiles.xml_format import from_xml, to_xml

SHARED = Path(__file__).parents[2] / ".." / "shared" / "fhir"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder shared/fhir is not beside the project")


def examples() -> list[bytes]:
    if not SHARED.is_dir():
        return []
    return gzip.decompress((SHARED / "r4" / "examples.ndjson.gz").read_bytes()).splitlines()


def in_definition_order(value: Any, type_name: str) -> Any:
    """The same value with its keys in the only order that XML can carry."""
    definitions = load()
    if isinstance(value, list):
        return [in_definition_order(item, type_name) for item in value]
    if not isinstance(value, dict):
        return value
    type_name = value.get("resourceType", type_name)
    elements = definitions.type(type_name).elements

    def place(key: str) -> tuple[int, bool]:
        plain = key.removeprefix("_")
        return (elements[plain].order if plain in elements else -1, key.startswith("_"))

    ordered = {}
    for key in sorted(value, key=place):
        element = elements.get(key.removeprefix("_"))
        inner = "Element" if key.startswith("_") else element.type if element else "string"
        ordered[key] = in_definition_order(value[key], inner)
    return ordered


def patient(inner: str, root: str = 'Patient xmlns="http://hl7.org/fhir"') -> bytes:
    return f"<{root}>{inner}</{root.split()[0]}>".encode()


@needs_shared
def test_every_official_example_goes_through_xml_and_back_with_each_digit() -> None:
    lines = examples()
    assert len(lines) == 491
    for line in lines:
        resource = lossless.parse(line)
        back = from_xml(to_xml(resource))
        expected = in_definition_order(resource, resource["resourceType"])
        assert lossless.encode(back) == lossless.encode(expected), f"{resource['resourceType']}/{resource.get('id')}"


@needs_shared
def test_indented_xml_holds_the_same() -> None:
    for line in examples()[::10]:
        resource = lossless.parse(line)
        assert from_xml(to_xml(resource, pretty=True)) == resource


OF_AN_OLDER_FHIR = "myconsent-ext.xml"  # has StructureDefinition.contextType, which R4 no longer knows
R4_XML = [path for path in sorted((SHARED / "xml").glob("*.xml")) if path.name != OF_AN_OLDER_FHIR]


@needs_shared
@pytest.mark.parametrize("path", R4_XML, ids=lambda path: path.name)
def test_official_xml_goes_through_json_and_back(path: Path) -> None:
    resource = from_xml(path.read_bytes())
    through_json = lossless.parse(lossless.encode(resource))
    assert from_xml(to_xml(through_json)) == resource


@needs_shared
def test_xml_of_an_older_fhir_is_refused() -> None:
    with pytest.raises(ParseError, match=r"StructureDefinition\.contextType is not known in FHIR R4 \(line 13\)"):
        from_xml((SHARED / "xml" / OF_AN_OLDER_FHIR).read_bytes())


@needs_shared
def test_official_xml_equals_its_json_twin() -> None:
    twins = {lossless.parse(line)["id"]: lossless.parse(line) for line in examples() if b'"resourceType":"Obs' in line}
    resource = from_xml((SHARED / "xml" / "observation-decimal.xml").read_bytes())
    assert resource["component"] == twins["decimal"]["component"]


@pytest.mark.parametrize("digits", ["1", "1.0", "1.00", "1e2", "1E-24", "0.00000001", "-0.10", "123456789012345678.90"])
def test_decimals_keep_their_digits(digits: str) -> None:
    value = f'<valueQuantity><value value="{digits}"/></valueQuantity>'
    resource = from_xml(f'<Observation xmlns="http://hl7.org/fhir">{value}</Observation>'.encode())
    assert lossless.encode(resource) == (
        b'{"resourceType":"Observation","valueQuantity":{"value":%s}}' % digits.encode()
    )
    assert f'value="{digits}"'.encode() in to_xml(resource)


def test_values_get_the_types_of_their_definitions() -> None:
    resource = from_xml(
        patient('<active value="true"/><birthDate value="1970-01-01"/><multipleBirthInteger value="2"/>')
    )
    assert resource == {
        "resourceType": "Patient",
        "active": True,
        "birthDate": "1970-01-01",
        "multipleBirthInteger": 2,
    }


def test_ids_and_extensions_of_primitives_are_kept_where_they_belong() -> None:
    resource = {
        "resourceType": "Patient",
        "id": "p",
        "name": [
            {
                "id": "n1",
                "family": "du Marché",
                "_family": {"id": "f", "extension": [{"url": "http://x.org/own-prefix", "valueString": "VV"}]},
                "given": ["Bénédicte", None, "Anne"],
                "_given": [None, {"extension": [{"url": "http://x.org/absent", "valueCode": "masked"}]}, None],
            }
        ],
        "_birthDate": {"extension": [{"url": "http://x.org/time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
    }
    assert from_xml(to_xml(resource)) == resource
    assert list(from_xml(to_xml(resource))["name"][0]) == list(resource["name"][0])


def test_extensions_within_extensions_come_before_the_url() -> None:
    resource = {
        "resourceType": "Basic",
        "extension": [
            {"id": "a", "extension": [{"url": "inner", "valueDecimal": Decimal("1.50")}], "url": "http://x.org"}
        ],
        "code": {"text": "x"},
    }
    assert lossless.encode(from_xml(to_xml(resource))) == lossless.encode(resource)


def test_contained_and_nested_resources_are_wrapped() -> None:
    resource = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": {"resourceType": "Patient", "contained": [{"resourceType": "Basic", "id": "b"}]}}, {}],
    }
    del resource["entry"][1]
    xml = to_xml(resource)
    assert b"<resource><Patient><contained><Basic>" in xml
    assert from_xml(xml) == resource


def test_the_narrative_is_kept_to_the_letter() -> None:
    div = (
        '<div xmlns="http://www.w3.org/1999/xhtml">\n <p title=\'a "b"\' class="x" >1 &lt; 2 &amp; &#xA0;'
        "<br/><!-- kept --><b>王小明</b>\t</p><![CDATA[<]]></div>"
    )
    resource = {"resourceType": "Patient", "text": {"status": "generated", "div": div}}
    assert from_xml(to_xml(resource)) == resource


def test_an_empty_narrative_element_is_kept_to_the_letter() -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml" />'
    xml = patient(f'<text><status value="empty"/>{div}</text><active value="true"/>')
    assert from_xml(xml)["text"]["div"] == div


def test_a_narrative_that_leans_on_an_outer_prefix_gets_its_own_namespace() -> None:
    xml = (
        '<f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><f:text>'
        '<f:status value="generated"/><h:div><h:p class="a">x &amp; y</h:p></h:div></f:text></f:Patient>'
    )
    div = from_xml(xml.encode())["text"]["div"]
    assert div == '<div xmlns="http://www.w3.org/1999/xhtml"><p class="a">x &amp; y</p></div>'


def test_html_entities_become_numeric_because_xml_does_not_know_them() -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">a&nbsp;b &amp; c &copy;</div>'
    back = from_xml(to_xml({"resourceType": "Patient", "text": {"status": "generated", "div": div}}))
    assert back["text"]["div"] == '<div xmlns="http://www.w3.org/1999/xhtml">a&#160;b &amp; c &#169;</div>'


def test_a_broken_narrative_still_gives_well_formed_xml() -> None:
    xml = to_xml({"resourceType": "Patient", "text": {"status": "generated", "div": "<div>a <b>c</div>"}})
    assert "&lt;b&gt;c" in from_xml(xml)["text"]["div"]


@pytest.mark.parametrize("text", ["a\nb\r\nc\td", "\"<&>'", " 两端空白 ", "\N{SMILING FACE WITH SMILING EYES}"])
def test_any_text_survives_as_an_attribute(text: str) -> None:
    resource = {"resourceType": "Basic", "code": {"text": text}}
    assert from_xml(to_xml(resource)) == resource


def test_control_characters_that_xml_cannot_carry_are_replaced() -> None:
    back = from_xml(to_xml({"resourceType": "Basic", "code": {"text": "a\x00\x01b"}}))
    assert back["code"]["text"] == "a��b"


def test_comments_processing_instructions_and_schema_location_are_ignored() -> None:
    xml = b"""\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><?xml-stylesheet href="x"?><!-- c -->
    <Patient xmlns="http://hl7.org/fhir" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
     xsi:schemaLocation="http://hl7.org/fhir ../patient.xsd"><!-- c --><id value="1"/><?p?></Patient>"""
    assert from_xml(xml) == {"resourceType": "Patient", "id": "1"}


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
REFUSED = {
    "nothing": (b"", "not well-formed"),
    "not XML": (b"{}", "not well-formed"),
    "truncated": (patient('<active value="true"/>')[:-5], "not well-formed"),
    "a bomb of entities": (BOMB.encode() + patient('<id value="&b;"/>'), "no DOCTYPE"),
    "an external entity": (
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + patient('<id value="1"/>'),
        "no DOCTYPE",
    ),
    "an external DTD": (b'<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">' + patient('<id value="1"/>'), "no DOCTYPE"),
    "an undeclared entity": (patient('<id value="&nbsp;"/>'), "undefined entity"),
    "another encoding": (b'<?xml version="1.0" encoding="GB18030"?>' + patient(""), "UTF-8"),
    "broken UTF-8": (patient('<id value="').replace(b"</Patient>", b'\xff"/></Patient>'), "not well-formed"),
    "NUL": (patient('<id value="a\x00b"/>'), "not well-formed"),
    "an unknown element": (patient('<name><colour value="red"/></name>'), r"Patient\.name\[0\]\.colour .*line 1"),
    "an unknown attribute": (patient('<active value="true" foo="1"/>'), "'foo' of Patient.active"),
    "an unknown resource type": (b'<Foo xmlns="http://hl7.org/fhir"/>', "'Foo'"),
    "no namespace": (patient("", "Patient"), "namespace"),
    "an element of another namespace": (patient('<active xmlns="http://x.org" value="true"/>'), "namespace"),
    "a narrative without namespace": (patient('<text><status value="empty"/><div>x</div></text>'), "namespace"),
    "text outside of attributes": (patient("hello"), "Text in Patient"),
    "a single element twice": (patient('<active value="true"/><active value="true"/>'), "more than once"),
    "a word for a boolean": (patient('<active value="yes"/>'), "'yes' is not a boolean in Patient.active"),
    "a word for a number": (patient('<multipleBirthInteger value="two"/>'), "Patient.multipleBirthInteger"),
    "NaN": (patient('<multipleBirthInteger value="NaN"/>'), "Patient.multipleBirthInteger"),
    "an empty value": (patient('<birthDate value=""/>'), "'value' of Patient.birthDate is empty"),
    "an empty element": (patient("<name/>"), r"Patient\.name\[0\] is empty"),
    "a primitive without value": (patient("<active/>"), "neither a value nor an extension"),
    "two contained resources in one": (
        patient('<contained><Basic><id value="1"/></Basic><Basic><id value="2"/></Basic></contained>'),
        "more than one",
    ),
    "endless nesting": (patient('<extension url="x">' * 5000 + "</extension>" * 5000), "nested too deeply"),
    "endless nesting in the narrative": (
        patient(f'<text><div xmlns="http://www.w3.org/1999/xhtml">{"<p>" * 5000}{"</p>" * 5000}</div></text>'),
        "nested too deeply",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_xml_is_named_with_its_fault(case: str) -> None:
    body, message = REFUSED[case]
    with pytest.raises(ParseError, match=message):
        from_xml(body)


def test_unknown_keys_cannot_be_written() -> None:
    with pytest.raises(ValueError, match=r"Patient\.name\.colour"):
        to_xml({"resourceType": "Patient", "name": [{"colour": "red"}]})
