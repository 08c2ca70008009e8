"""Sensitive content is found wherever in a resource it stands, and however it is written."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.labels import CLASS_OF_TYPE, TEXTS, sensitivity_of
from consent.sensitive import code_bits, words_bits
from consent.vocabulary import RecordClass, Sensitivity
from profiles.definitions import load

HIV, NONE = Sensitivity.HIV, Sensitivity(0)
ICD = "http://hl7.org/fhir/sid/icd-10"
TABLE = json.loads((files("consent") / "data" / "sensitivity.json").read_text("utf-8"))
WORDS = [
    (word, Sensitivity[name])
    for group in (TABLE["words"], TABLE["abbreviations"])
    for name, words in group.items()
    if name != "exempt"
    for word in words
]
UNSEEN = ["\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\ufe0f", "\u0336", "\u202e"]

# Texts that are numbers, addresses, people's names, paths: they tell nothing of the content.
TECHNICAL = (
    "address altId authorString carrierHRF cigar city color contextLinkId copyright citation country data datasetId"
    " defaultValueMarkdown dependent deviceIdentifier district distinctIdentifier error etag expression family"
    " fixedMarkdown genomeBuild given header id identityCertificate ifMatch ifNoneExist ifNoneMatch imprint line"
    " linkId location lotNumber map max modelNumber mustSupport network observedAllele observedSeq partNumber path"
    " patternMarkdown performerLinkId postalCode preAuthRef prefix proxyIdentityCertificate readsetId reasonLinkId"
    " reference referenceAllele referenceSeqString relation requesterLinkId searchParam serialNumber shape sliceName"
    " software sourceIdentityCertificate state status subscriberId suffix tester type unit value variantsetId version"
    " xpath"
)

PLACES: dict[str, dict[str, Any]] = {
    "the value of an observation": {"resourceType": "Observation", "valueString": "HIV抗体阳性"},
    "a note": {"resourceType": "Observation", "note": [{"text": "HIV抗体阳性"}]},
    "an interpretation": {"resourceType": "Observation", "interpretation": [{"text": "HIV阳性"}]},
    "a method": {"resourceType": "Observation", "method": {"text": "HIV免疫印迹"}},
    "a member": {"resourceType": "Observation", "hasMember": [{"reference": "Observation/x", "display": "HIV抗体"}]},
    "a conclusion": {"resourceType": "DiagnosticReport", "conclusion": "HIV抗体阳性"},
    "a result": {"resourceType": "DiagnosticReport", "result": [{"display": "HIV抗体"}]},
    "the title of an attachment": {"resourceType": "DiagnosticReport", "presentedForm": [{"title": "HIV抗体报告"}]},
    "the description of a document": {"resourceType": "DocumentReference", "description": "艾滋病确证报告"},
    "the title of a document": {
        "resourceType": "DocumentReference",
        "content": [{"attachment": {"title": "艾滋病确证报告"}}],
    },
    "the diagnosis of a visit": {"resourceType": "Encounter", "diagnosis": [{"condition": {"display": "艾滋病"}}]},
    "an answer": {
        "resourceType": "QuestionnaireResponse",
        "item": [{"linkId": "1", "answer": [{"valueCoding": {"system": ICD, "code": "B20"}}]}],
    },
    "an answer within an answer": {
        "resourceType": "QuestionnaireResponse",
        "item": [{"answer": [{"valueBoolean": True, "item": [{"answer": [{"valueString": "艾滋病"}]}]}]}],
    },
    "a medicine": {"resourceType": "MedicationRequest", "medicationReference": {"display": "抗HIV药"}},
    "a narrative": {"resourceType": "Condition", "text": {"status": "generated", "div": "<div>艾滋病</div>"}},
    "an extension": {"resourceType": "Flag", "extension": [{"url": "x", "valueCodeableConcept": {"text": "艾滋"}}]},
    "an extension of a primitive": {"resourceType": "Flag", "_status": {"extension": [{"valueString": "HIV"}]}},
    "the title of a plan": {"resourceType": "CarePlan", "title": "艾滋病随访"},
    "an activity": {"resourceType": "CarePlan", "activity": [{"detail": {"description": "艾滋病随访"}}]},
    "a Task": {"resourceType": "Task", "description": "艾滋病转诊"},
    "an instruction": {"resourceType": "ServiceRequest", "patientInstruction": "HIV检测前须知"},
    "an appointment": {"resourceType": "Appointment", "description": "艾滋病门诊"},
    "a message": {"resourceType": "Communication", "payload": [{"contentString": "HIV"}]},
    "what is contained": {"resourceType": "Task", "contained": [{"resourceType": "Flag", "code": {"text": "HIV"}}]},
    "an entry of a document": {
        "resourceType": "Bundle",
        "entry": [{"resource": {"resourceType": "Condition", "code": {"text": "艾滋病"}}}],
    },
    "the code of a Consent": {"resourceType": "Consent", "provision": {"code": [{"coding": [{"code": "B20"}]}]}},
    "a list of texts": {"resourceType": "Contract", "alias": ["协议", "艾滋病"]},
}


@pytest.mark.parametrize("place", PLACES)
def test_sensitive_content_is_found_in(place: str) -> None:
    assert sensitivity_of(PLACES[place]) == HIV


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Patient", "name": [{"text": "艾滋"}], "address": [{"text": "戒毒所路1号"}]},
        {"resourceType": "Patient", "managingOrganization": {"display": "县精神病医院"}},
        {"resourceType": "Observation", "identifier": [{"value": "HIV-1"}], "subject": {"display": "艾滋"}},
        {"resourceType": "Task", "id": "HIV", "focus": {"reference": "Condition/HIV"}},
        {
            "resourceType": "Task",  # else no privacy officer could review it
            "code": {"coding": [{"system": "urn:yidang:task-kind", "code": "break-glass-review"}]},
            "description": "自杀，抢救",
        },
    ],
)
def test_names_addresses_and_numbers_hide_nobody(resource: dict[str, Any]) -> None:
    assert sensitivity_of(resource) == NONE


def test_every_text_of_the_specification_is_looked_at_or_is_none() -> None:
    definitions = load()
    technical = set(TECHNICAL.split())
    shared = {type for type, kind in CLASS_OF_TYPE.items() if kind is RecordClass.SHARED}
    names = [name for name in definitions.type_names if name.partition(".")[0] not in shared]
    texts = {
        key
        for name in names
        for key, element in definitions.type(name).elements.items()
        if element.type in ("string", "markdown", "xhtml")
    }
    assert texts - TEXTS - technical == set()
    assert technical & TEXTS == set()


@st.composite
def written(draw: st.DrawFn) -> tuple[str, Sensitivity]:
    """A word of the table, written in one of the many ways in which a person reads the same."""
    word, meaning = draw(st.sampled_from(WORDS))
    if draw(st.booleans()):
        word = word.lower()
    if draw(st.booleans()):
        word = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in word)
    han = all("\u4e00" <= c <= "\u9fff" for c in word)
    if han and draw(st.booleans()):
        word = draw(st.sampled_from([" ", "\u3000", "\n", "\u00a0"])).join(word)
    where = draw(st.integers(1, len(word)))
    word = word[:where] + draw(st.sampled_from(["", *UNSEEN])) + word[where:]
    before, after = ["", "疑似", "1. ", "（"], ["", "阳性", "，复查", ") x"]
    return draw(st.sampled_from(before)) + word + draw(st.sampled_from(after)), meaning


@settings(max_examples=400, deadline=None)
@given(written())
def test_a_word_means_the_same_in_every_form(form: tuple[str, Sensitivity]) -> None:
    text, meaning = form
    assert words_bits(text) & meaning


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_code_means_the_same_in_every_form(data: st.DataObject) -> None:
    systems = {name: url for url, name in TABLE["systems"].items()}
    name = data.draw(st.sampled_from(["icd10", "icd11", "snomed", "loinc", "atc"]))
    kind = "prefixes" if "prefixes" in TABLE[name] else "codes"
    meaning = data.draw(st.sampled_from(sorted(TABLE[name][kind])))
    code = data.draw(st.sampled_from(TABLE[name][kind][meaning]))
    url = systems[name]
    system = data.draw(st.sampled_from([url, url.upper(), f"{url}|2016", f" {url}/"]))
    form = data.draw(st.sampled_from([code, code.lower(), f" {code} ", f"{code[0]}\u200b{code[1:]}"]))
    if data.draw(st.booleans()):
        form = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in form)
    assert code_bits(system, form) == code_bits(url, code)
    assert code_bits(system, form) & Sensitivity[meaning] or code in TABLE[name].get("exempt", ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("archive", NONE),
        ("Hives", NONE),
        ("Interpretation", NONE),
        ("Hearing aids", NONE),
        ("I V 输液", NONE),
        ("AIDS", HIV),
        ("ａｎｔｉＨＩＶ", HIV),
        ("HIVAb", HIV),
        ("H I V", HIV),
        ("H.I.V. 1/2", HIV),
        ("Human immunodeficiency  virus", HIV),
        ("愛滋病", HIV),
        ("x" * 100_000 + "艾滋病", HIV),
        ("PHQ9", Sensitivity.MENTAL),
    ],
)
def test_words_are_told_from_what_only_looks_like_them(text: str, expected: Sensitivity) -> None:
    assert words_bits(text) == expected


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        (ICD, "b20", HIV),
        (ICD, "F024", HIV | Sensitivity.MENTAL),
        ("urn:hospital:diagnoses", "B20.x00x001", HIV),
        ("urn:hospital:drugs", "B20", NONE),
        ("urn:hospital:icd11", "1c62.0", HIV),
        ("http://snomed.info/sct/45991000052106", "86406008", HIV),
    ],
)
def test_codes_are_known_by_their_shape_too(system: str, code: str, expected: Sensitivity) -> None:
    assert code_bits(system, code) & HIV == expected & HIV


def test_depth_is_no_hiding_place() -> None:
    extension: dict[str, Any] = {"valueString": "HIV"}
    for _ in range(5000):
        extension = {"extension": [extension]}
    assert sensitivity_of({"resourceType": "Observation", **extension}) == HIV
