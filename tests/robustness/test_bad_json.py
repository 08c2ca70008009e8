"""Damaged, wrong and hostile bodies are refused with the cause and its place, and change nothing.

https://hl7.org/fhir/R4/http.html#Status-Codes, https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import json

import pytest

from tests.robustness.hostile import LIMIT, Target, observation, patient, refused, refused_or_good

DEEP = 100_000
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


NOT_JSON: dict[str, bytes] = {
    "nothing": b"",
    "blanks": b" \n",
    "null": b"null",
    "an array": b"[]",
    "a text": b'"Patient"',
    "a number": b"1",
    "an open brace": b"{",
    "no closing brace": b'{"resourceType":"Patient"',
    "a brace too many": b'{"resourceType":"Patient"}}',
    "text after the end": b'{"resourceType":"Patient"} x',
    "two values": b'{"resourceType":"Patient"}{"resourceType":"Patient"}',
    "single quotes": b"{'resourceType':'Patient'}",
    "a comma at the end": b'{"resourceType":"Patient",}',
    "a comment": b'{"resourceType":"Patient" /* x */}',
    "NaN": observation('"valueQuantity":{"value":NaN}'),
    "Infinity": observation('"valueQuantity":{"value":-Infinity}'),
    "a hexadecimal number": observation('"valueInteger":0x10'),
    "a leading zero": observation('"valueInteger":012'),
    "a leading plus": observation('"valueInteger":+1'),
    "a bare point": observation('"valueQuantity":{"value":1.}'),
    "a bare exponent": observation('"valueQuantity":{"value":1e}'),
    "an integer of 5000 digits": patient('"multipleBirthInteger":1' + "0" * 5000),
    "a key twice": b'{"resourceType":"Patient","resourceType":"Patient"}',
    "an inner key twice": patient('"name":[{"text":"a","text":"b"}]'),
    "a key twice by an escape": patient('"active":true,"\\u0061ctive":false'),
    "a line break in a text": patient('"language":"a\nb"'),
    "NUL in a text": b'{"resourceType":"Patient","language":"a\x00b"}',
    "NUL at the end": b'{"resourceType":"Patient"}\x00',
    "a byte that is no UTF-8": b'{"resourceType":"Patient","language":"\xff"}',
    "an overlong form": b'{"resourceType":"Patient","language":"\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"resourceType":"Patient","language":"\xed\xa0\x80"}',
    "cut inside a character": "{\"resourceType\":\"Patient\",\"language\":\"档".encode()[:-1],
    "UTF-16": '{"resourceType":"Patient"}'.encode("utf-16"),
    "UTF-32": '{"resourceType":"Patient"}'.encode("utf-32"),
    "GBK": '{"resourceType":"Patient","name":[{"text":"王小明"}]}'.encode("gbk"),
    "a lone high surrogate": patient('"name":[{"text":"\\ud800"}]'),
    "a lone low surrogate": patient('"name":[{"text":"\\udc00x"}]'),
    "surrogates the wrong way round": patient('"name":[{"text":"\\udc00\\ud800"}]'),
    "a bad escape": patient('"name":[{"text":"\\x41"}]'),
    "deep arrays": patient('"name":' + "[" * DEEP + "]" * DEEP),
    "deep arrays without end": b"[" * (LIMIT - 10),
    "deep objects": patient('"name":' + '{"a":' * DEEP + "1" + "}" * DEEP),
    "deep objects without end": b'{"a":' * DEEP,
}  # fmt: skip

WRONG: dict[str, tuple[bytes, str]] = {
    "an escaped NUL": (patient('"name":[{"text":"a\\u0000b"}]'), "Patient.name[0].text"),
    "a control character": (patient('"name":[{"text":"a\\u0007b"}]'), "Patient.name[0].text"),
    "an unknown element": (patient('"nmae":[{"text":"a"}]'), "Patient.nmae"),
    "an unknown inner element": (patient('"name":[{"txet":"a"}]'), "Patient.name[0].txet"),
    "__proto__": (patient('"__proto__":{"a":1}'), "Patient.__proto__"),
    "an object where an array belongs": (patient('"name":{"text":"a"}'), "Patient.name"),
    "an array where one value belongs": (patient('"gender":["male"]'), "Patient.gender"),
    "an array in an array": (patient('"name":[[{"text":"a"}]]'), "Patient.name[0]"),
    "null": (patient('"gender":null'), "Patient.gender"),
    "null in an array": (patient('"name":[null]'), "Patient.name[0]"),
    "an empty array": (patient('"name":[]'), "Patient.name"),
    "an empty object": (patient('"name":[{}]'), "Patient.name[0]"),
    "an empty text": (patient('"gender":""'), "Patient.gender"),
    "a number for a text": (patient('"name":[{"text":5}]'), "Patient.name[0].text"),
    "a text for a boolean": (patient('"active":"true"'), "Patient.active"),
    "a boolean for a text": (patient('"gender":true'), "Patient.gender"),
    "a fraction for an integer": (patient('"multipleBirthInteger":1.5'), "Patient.multipleBirth"),
    "an integer over 32 bits": (patient('"multipleBirthInteger":2147483648'), "Patient.multipleBirth"),
    "an integer of 100 digits": (patient('"multipleBirthInteger":1' + "0" * 100), "Patient.multipleBirth"),
    "an integer with exponent": (patient('"multipleBirthInteger":1e999999'), "Patient.multipleBirth"),
    "two choices at once": (patient('"deceasedBoolean":true,"deceasedDateTime":"2026"'), "Patient"),
    "a code that is none": (patient('"gender":"mann"'), "Patient.gender"),
    "a date that is none": (patient('"birthDate":"2026-02-30"'), "Patient.birthDate"),
    "a month that is none": (patient('"birthDate":"2026-13"'), "Patient.birthDate"),
    "a reference to another type": (
        patient('"generalPractitioner":[{"reference":"Device/x"}]'),
        "Patient.generalPractitioner[0]",
    ),
    "a script in the narrative": (
        patient(
            '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><script>1</script></div>"}'
        ),
        "Patient.text.div",
    ),
    "an extension without url": (patient('"extension":[{"valueString":"a"}]'), "Patient.extension[0]"),
    "an extension with value and extension": (
        patient('"extension":[{"url":"u:x","valueString":"a","extension":[{"url":"u:y","valueString":"b"}]}]'),
        "Patient.extension[0]",
    ),
    "a bad id of an element": (patient('"name":[{"id":5,"text":"a"}]'), "Patient.name[0].id"),
    "a missing element": (b'{"resourceType":"Observation","status":"final"}', "Observation"),
    "a contained resource of no type": (patient('"contained":[{"id":"a"}]'), "Patient.contained[0]"),
    "a contained resource of unknown type": (patient('"contained":[{"resourceType":"Foo"}]'), "Patient.contained[0]"),
    "bad base64": (patient('"photo":[{"data":"&&&&"}]'), "Patient.photo[0].data"),
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_no_json_object_is_refused(target: Target, name: str) -> None:
    with target.unharmed():
        refused(target.api.post("Patient", NOT_JSON[name]), 400, 422)
        refused(target.api.put("Patient/witness", NOT_JSON[name]), 400, 422)
        refused(target.api.post("Patient/$validate", NOT_JSON[name]), 400, 422)
        refused(target.api.post("", NOT_JSON[name]), 400, 422)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_element_is_named(target: Target, name: str) -> None:
    body, place = WRONG[name]
    type_ = json.loads(body)["resourceType"] if len(body) < 4000 else "Patient"
    with target.unharmed():
        issues = refused(target.api.post(type_, body), 400, 422)
    named = [expression for issue in issues for expression in issue.get("expression", [])]
    assert any(found == place or found.startswith(f"{place}.") for found in named), issues


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"resourceType":null}',
        b'{"resourceType":5}',
        b'{"resourceType":["Patient"]}',
        b'{"resourceType":"patient"}',
        b'{"resourceType":"Foo"}',
        b'{"resourceType":"DomainResource"}',
        b'{"resourceType":"HumanName"}',
        b'{"resourceType":"Observation","status":"final","code":{"text":"x"}}',
        b'{"name":[{"text":"a"}]}',
    ],
)
def test_a_body_of_another_type_is_refused(target: Target, body: bytes) -> None:
    with target.unharmed():
        refused(target.api.post("Patient", body), 400, 422)
        refused(target.api.put("Patient/other", body), 400, 422)


NUMBERS = [
    "1e999999",
    "-1e999999",
    "1e-999999",
    "1E+2147483648",
    "9" * 5000,
    "0." + "0" * 5000 + "1",
    "1e400",
    "-0",
    "-0.0",
]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda text: text[:12])
def test_a_number_beyond_all_measure_is_refused_or_kept_to_the_digit(target: Target, number: str) -> None:
    for unit in ("", ',"system":"http://unitsofmeasure.org","code":"kg"'):
        with target.unharmed(unchanged=False):
            answer = target.api.post("Observation", observation(f'"valueQuantity":{{"value":{number}{unit}}}'))
            if refused_or_good(answer):
                path = f"Observation/{answer.json['id']}"
                assert f'"value":{number}'.encode() in target.api.get(path).body
                assert f'value="{number}"'.encode() in target.api.get(path, Accept="application/fhir+xml").body
                assert target.api.get("Observation?value-quantity=gt5&_sort=value-quantity").status == 200
                assert target.api.delete(path).status == 204


def test_a_refusal_does_not_repeat_a_whole_attack(target: Target) -> None:
    long = "a" * (LIMIT // 3)
    with target.unharmed():
        refused(target.api.post("Patient", patient(f'"{long}":1')), 400, 422)
        refused(target.api.post("Patient", patient(f'"gender":"{long}"')), 400, 422)
        refused(target.api.post("Patient", patient(f'"birthDate":"{long}"')), 400, 422)
        refused(target.api.post("Patient", patient(f'"name":[{{"{long}":1}}]')), 400, 422)
        refused(target.api.post("Patient", patient(f'"{long}":1,"{long}":2')), 400, 422)
        refused(target.api.post("", {"resourceType": "Bundle", "type": long}), 400, 422)
        url = {"request": {"method": "GET", "url": long}}
        refused(target.api.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [url]}))
        refused(target.api.post("Patient/_search", f"{long}=1".encode(), **FORM), 400)
        refused(target.api.post("Patient/_search", f"birthdate={long}".encode(), **FORM), 400)


def test_a_resource_wrong_in_ten_thousand_places_gets_a_short_answer(target: Target) -> None:
    names = ",".join(f'{{"text":5,"wrong{number}":1}}' for number in range(10_000))
    with target.unharmed():
        answer = target.api.post("Patient", patient(f'"name":[{names}]'))
        refused(answer, 422)
        assert len(answer.body) < 100_000


@pytest.mark.parametrize("depth", [30, 100, 500, 2000, 20_000])
@pytest.mark.parametrize("kind", ["extension", "item", "part", "contained", "bundle"])
def test_deep_nesting_is_refused_or_can_be_read_again(target: Target, kind: str, depth: int) -> None:
    head, start, middle, end, tail = {
        "extension": ('{"resourceType":"Patient"', ',"extension":[{"url":"u:x"', ',"valueString":"x"', "}]", "}"),
        "item": (
            '{"resourceType":"Questionnaire","status":"draft"',
            ',"item":[{"linkId":"%d","type":"group"',
            "",
            "}]",
            "}",
        ),
        "part": ('{"resourceType":"Parameters"', ',"%s":[{"name":"x"', ',"valueString":"x"', "}]", "}"),
        "contained": ('{"resourceType":"Patient"', ',"contained":[{"resourceType":"Patient","id":"c"', "", "}]", "}"),
        "bundle": (
            '{"resourceType":"Bundle","type":"collection"',
            ',"entry":[{"resource":{"resourceType":"Bundle","type":"collection"',
            "",
            "}}]",
            "}",
        ),
    }[kind]
    opened = "".join(
        start % n if "%d" in start else start % ("part" if n else "parameter") if "%s" in start else start
        for n in range(depth)
    )
    body = (head + opened + middle + end * depth + tail).encode()
    assert json.loads(body) if depth < 200 else True
    type_ = head.split('"')[3]
    with target.unharmed(unchanged=False):
        answer = target.api.post(type_, body)
        if refused_or_good(answer):
            path = f"{type_}/{answer.json['id']}"
            for accept in ("application/fhir+json", "application/fhir+xml"):
                assert target.api.get(path, Accept=accept).status == 200
            assert target.api.get(f"{type_}?_id={answer.json['id']}&_summary=true").status == 200
            assert target.api.delete(path).status == 204
        refused_or_good(target.api.post(f"{type_}/$validate", body))
