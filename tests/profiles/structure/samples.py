"""Small right resources that use every construct the structural rules speak of."""

from __future__ import annotations

from typing import Any

from profiles.lossless import parse

DIV = '<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><p>Zhang San</p></div>'

PATIENT = f"""{{
  "resourceType": "Patient", "id": "p-1",
  "meta": {{"versionId": "1", "lastUpdated": "2026-01-02T03:04:05.678+08:00", "profile": ["http://example.org/p|1"]}},
  "text": {{"status": "generated", "div": "{DIV}"}},
  "contained": [{{"resourceType": "Organization", "id": "o1", "name": "First People's Hospital"}}],
  "extension": [{{"url": "http://example.org/ethnicity", "valueCodeableConcept": {{"text": "Han"}}}}],
  "identifier": [{{"system": "urn:oid:2.16.156.1", "value": "330106199001011234",
                  "assigner": {{"display": "Police"}}}}],
  "active": true,
  "name": [{{"use": "official", "text": "张三", "family": "张", "given": ["三", null],
            "_given": [null, {{"extension": [{{"url": "http://example.org/x", "valueString": "y"}}]}}]}}],
  "gender": "male", "birthDate": "1990-02-28",
  "_birthDate": {{"extension": [{{"url": "http://example.org/t", "valueDateTime": "1990-02-28T10:00:00+08:00"}}]}},
  "deceasedBoolean": false, "multipleBirthInteger": 2,
  "address": [{{"city": "Hangzhou", "line": ["1 Road"]}}],
  "contact": [{{"name": {{"family": "Li", "given": ["Si"]}}, "gender": "female"}}],
  "communication": [{{"language": {{"coding": [{{"system": "urn:ietf:bcp:47", "code": "zh-CN"}}]}}}}],
  "managingOrganization": {{"reference": "#o1"}},
  "link": [{{"other": {{"reference": "Patient/p-2"}}, "type": "seealso"}}]
}}"""

OBSERVATION = """{
  "resourceType": "Observation", "id": "obs", "status": "final",
  "category": [{"coding": [
    {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
  "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
  "subject": {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},
  "performer": [{"reference": "Practitioner?identifier=a|b"}],
  "effectiveDateTime": "2026-01-02", "issued": "2026-01-02T03:04:05Z",
  "valueQuantity": {"value": 1.00, "comparator": "<", "unit": "g/dL"},
  "referenceRange": [{"low": {"value": 0.5}, "text": "normal"}],
  "component": [{"code": {"text": "a"}, "valueString": "b"}]
}"""

CONDITION = """{
  "resourceType": "Condition", "id": "c",
  "clinicalStatus": {"coding": [
    {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
  "subject": {"reference": "https://example.org/fhir/Patient/1/_history/2"},
  "onsetAge": {"value": 40}, "note": [{"authorString": "me", "time": "2026-01-02T03:04:05+08:00", "text": "fine"}]
}"""

BUNDLE = f"""{{
  "resourceType": "Bundle", "type": "transaction", "total": 0,
  "entry": [
    {{"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "resource": {PATIENT},
     "request": {{"method": "POST", "url": "Patient"}}}},
    {{"resource": {OBSERVATION}, "request": {{"method": "PUT", "url": "Observation/obs"}}}}
  ]
}}"""

PARAMETERS = f"""{{
  "resourceType": "Parameters",
  "parameter": [
    {{"name": "a", "resource": {CONDITION}}},
    {{"name": "b", "part": [{{"name": "c", "valueDecimal": 1.50}}, {{"name": "d", "resource": {PATIENT}}}]}}
  ]
}}"""

QUESTIONNAIRE = """{
  "resourceType": "Questionnaire", "id": "q", "status": "active", "url": "http://example.org/q",
  "item": [{"linkId": "1", "type": "group", "required": true, "maxLength": 5,
            "item": [{"linkId": "1.1", "type": "choice", "answerOption": [{"valueInteger": 1}]}]}]
}"""

COMPOSITION = f"""{{
  "resourceType": "Composition", "id": "d", "status": "final", "type": {{"text": "summary"}}, "date": "2026-01",
  "author": [{{"display": "Dr. Wang"}}], "title": "Summary",
  "section": [{{"title": "a", "section": [{{"title": "b", "text": {{"status": "generated", "div": "{DIV}"}}}}]}}]
}}"""

BINARY = '{"resourceType": "Binary", "contentType": "text/plain", "data": "SGVsbG8="}'

ALL = {
    name: text
    for name, text in globals().items()
    if name in ("PATIENT", "OBSERVATION", "CONDITION", "BUNDLE", "PARAMETERS", "QUESTIONNAIRE", "COMPOSITION", "BINARY")
}


def sample(name: str) -> dict[str, Any]:
    """A fresh copy of the sample of this name."""
    found: dict[str, Any] = parse(ALL[name].encode())
    return found
