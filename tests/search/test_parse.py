from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.errors import BadRequest, FhirError, NotSupported
from fhir_server.search.compartment import compartment_node, compartment_types
from fhir_server.search.extract import Extractor
from fhir_server.search.parse import parse
from fhir_server.search.tree import (
    And,
    Chain,
    Composite,
    Date,
    Has,
    Id,
    Include,
    InCompartment,
    InList,
    LastUpdated,
    Missing,
    Near,
    Node,
    Not,
    Or,
    Order,
    Param,
    Prefix,
    Quantity,
    Reference,
    SearchRequest,
    Sort,
    String,
    StringMode,
    Text,
    Token,
    Total,
    Uri,
    UriMode,
)
from profiles.definitions import load

DAY = 24 * 3_600_000_000
EAST = 8 * 3_600_000_000  # Asia/Shanghai
NOW = 1000 * DAY
UCUM = "http://unitsofmeasure.org"
EXTRACTOR = Extractor(load(), base_urls=["http://localhost/fhir"])


def search(type_: str, *pairs: tuple[str, str], **options: Any) -> SearchRequest:
    return parse((type_,) if type_ else (), pairs, EXTRACTOR, now=NOW, **options)


def node(type_: str, name: str, value: str) -> Node:
    ((_, found),) = search(type_, (name, value)).query.where
    return found


def key(type_: str, code: str) -> Param:
    return Param(type_, code)


PATIENT_NAME, BIRTH = key("Patient", "name"), key("Patient", "birthdate")
CODE, SUBJECT, VALUE = key("Observation", "code"), key("Observation", "subject"), key("Observation", "value-quantity")
UCUM_VALUE = key("Observation", "value-quantity:ucum")
IDENTIFIER = key("Patient", "identifier")
PROBABILITY = key("RiskAssessment", "probability")

TRUTHS: list[tuple[str, str, str, Node]] = [
    # strings
    ("Patient", "name", "Müller", String(PATIENT_NAME, StringMode.PREFIX, "muller")),
    ("Patient", "name:exact", "Müller", String(PATIENT_NAME, StringMode.EXACT, "Müller")),
    ("Patient", "name:contains", " ÜLL ", String(PATIENT_NAME, StringMode.CONTAINS, "ull")),
    ("Patient", "name", r"a\,b", String(PATIENT_NAME, StringMode.PREFIX, "a,b")),
    ("Patient", "phonetic", "x", String(PATIENT_NAME, StringMode.PREFIX, "x")),
    (
        "Patient",
        "name",
        "a,b",
        Or((String(PATIENT_NAME, StringMode.PREFIX, "a"), String(PATIENT_NAME, StringMode.PREFIX, "b"))),
    ),
    # tokens
    ("Patient", "identifier", "7", Token(IDENTIFIER, None, "7")),
    ("Patient", "identifier", "s|7", Token(IDENTIFIER, "s", "7")),
    ("Patient", "identifier", "|7", Token(IDENTIFIER, "", "7")),
    ("Patient", "identifier", "s|", Token(IDENTIFIER, "s", None)),
    ("Patient", "identifier", r"s\|t|7\|8", Token(IDENTIFIER, "s|t", "7|8")),
    ("Patient", "identifier:of-type", "v2|MR|7", Token(key("Patient", "identifier:of-type"), "v2", "MR|7")),
    ("Observation", "code:text", "Ache", String(key("Observation", "code:text"), StringMode.PREFIX, "ache")),
    ("Observation", "code:not", "a,b", Not(Or((Token(CODE, None, "a"), Token(CODE, None, "b"))))),
    (
        "Observation",
        "combo-code",
        "a",
        Or((Token(CODE, None, "a"), Token(key("Observation", "component-code"), None, "a"))),
    ),
    ("Patient", "gender", "male", Token(key("Patient", "gender"), "", "male")),
    (
        "Patient",
        "gender",
        "http://hl7.org/fhir/administrative-gender|male",
        Token(key("Patient", "gender"), "", "male"),
    ),
    ("Patient", "gender", "http://other|male", Or(())),
    ("Patient", "active", "true", Token(key("Patient", "active"), "", "true")),
    # references
    ("Observation", "subject", "Patient/1", Reference(SUBJECT, "Patient", "1")),
    (
        "Observation",
        "subject",
        "http://localhost/fhir/Patient/1",
        Or(
            (
                Reference(SUBJECT, "Patient", "1"),
                Uri(SUBJECT, UriMode.EXACT, "http://localhost/fhir/Patient/1"),
            )
        ),
    ),
    ("Observation", "subject", "Patient/1/_history/2", Uri(SUBJECT, UriMode.EXACT, "Patient/1/_history/2")),
    ("Observation", "subject", "1", Reference(SUBJECT, None, "1")),
    ("Observation", "subject:Patient", "1", Reference(SUBJECT, "Patient", "1")),
    ("Observation", "patient", "1", Reference(SUBJECT, "Patient", "1")),
    ("Observation", "patient", "Group/1", Or(())),
    ("Observation", "subject", "http://else/Patient/1", Uri(SUBJECT, UriMode.EXACT, "http://else/Patient/1")),
    ("Observation", "subject", "urn:uuid:1", Uri(SUBJECT, UriMode.EXACT, "urn:uuid:1")),
    ("Observation", "patient:identifier", "s|9", Token(key("Observation", "subject:identifier"), "s", "9")),
    (
        "QuestionnaireResponse",
        "questionnaire",
        "http://q|3",
        Token(key("QuestionnaireResponse", "questionnaire"), "3", "http://q"),
    ),
    # uris
    ("ValueSet", "url", "http://a", Uri(key("ValueSet", "url"), UriMode.EXACT, "http://a")),
    ("ValueSet", "url:below", "http://a", Uri(key("ValueSet", "url"), UriMode.BELOW, "http://a")),
    ("ValueSet", "url:above", "http://a", Uri(key("ValueSet", "url"), UriMode.ABOVE, "http://a")),
    ("Patient", "_profile", "http://p|1", Token(key("Patient", "_profile"), "1", "http://p")),
    # dates
    ("Patient", "birthdate", "1970-01-01", Date(BIRTH, Prefix.EQ, -EAST, DAY - EAST)),
    ("Patient", "birthdate", "ge1970", Date(BIRTH, Prefix.GE, -EAST, 365 * DAY - EAST)),
    ("Patient", "birthdate", "sa1970-01-01T00:00Z", Date(BIRTH, Prefix.SA, 0, 60_000_000)),
    ("Patient", "birthdate", "ne1970-01-01T08:00:00 08:00", Date(BIRTH, Prefix.NE, 0, 1_000_000)),
    (
        "Patient",
        "birthdate",
        "ap1970-01-01",
        Date(BIRTH, Prefix.AP, -EAST - (999 * DAY + EAST) // 10, DAY - EAST + (999 * DAY + EAST) // 10),
    ),
    # numbers and quantities
    ("RiskAssessment", "probability", "100", Quantity(PROBABILITY, Prefix.EQ, 100, 99.5, 100.5, "", "")),
    ("RiskAssessment", "probability", "100.00", Quantity(PROBABILITY, Prefix.EQ, 100, 99.995, 100.005, "", "")),
    ("RiskAssessment", "probability", "1e2", Quantity(PROBABILITY, Prefix.EQ, 100, 95, 105, "", "")),
    ("RiskAssessment", "probability", "gt0.8", Quantity(PROBABILITY, Prefix.GT, 0.8, 0.75, 0.85, "", "")),
    ("RiskAssessment", "probability", "ap-100", Quantity(PROBABILITY, Prefix.AP, -100, -110, -90, "", "")),
    ("Observation", "value-quantity", "5.4", Quantity(VALUE, Prefix.EQ, 5.4, 5.35, 5.45, None, None)),
    ("Observation", "value-quantity", "le5.4||mg", Quantity(VALUE, Prefix.LE, 5.4, 5.35, 5.45, None, "mg")),
    ("Observation", "value-quantity", "5.4|s|u", Quantity(VALUE, Prefix.EQ, 5.4, 5.35, 5.45, "s", "u")),
    ("Observation", "value-quantity", f"2|{UCUM}|{{score}}", Quantity(VALUE, Prefix.EQ, 2, 1.5, 2.5, UCUM, "{score}")),
    (
        "Observation",
        "value-quantity",
        f"5|{UCUM}|g",
        Quantity(UCUM_VALUE, Prefix.EQ, 0.005, 0.0045, 0.0055, "ucum:canonical", "kg"),
    ),
    # composites
    (
        "Observation",
        "code-value-quantity",
        "s|a$gt5",
        And((Token(CODE, "s", "a"), Quantity(VALUE, Prefix.GT, 5, 4.5, 5.5, None, None))),
    ),
    # missing
    ("Patient", "birthdate:missing", "true", Missing(BIRTH, True)),
    ("Patient", "birthdate:missing", "false", Missing(BIRTH, False)),
    ("Observation", "patient:missing", "true", Missing(key("Observation", "patient"), True)),
    ("Patient", "phonetic:missing", "true", Missing(PATIENT_NAME, True)),
    (
        "Observation",
        "combo-code:missing",
        "true",
        And((Missing(CODE, True), Missing(key("Observation", "component-code"), True))),
    ),
    ("Patient", "_id:missing", "true", Or(())),
    # chains and reverse chains
    (
        "Observation",
        "subject:Patient.name",
        "x",
        Chain(SUBJECT, "Patient", String(PATIENT_NAME, StringMode.PREFIX, "x")),
    ),
    (
        "Observation",
        "patient.birthdate",
        "1970-01-01",
        Chain(SUBJECT, "Patient", Date(BIRTH, Prefix.EQ, -EAST, DAY - EAST)),
    ),
    (
        "Observation",
        "subject.name",
        "x",
        Or(
            (
                Chain(SUBJECT, "Patient", String(PATIENT_NAME, StringMode.PREFIX, "x")),
                Chain(SUBJECT, "Location", String(key("Location", "name"), StringMode.PREFIX, "x")),
            )
        ),
    ),
    (
        "Observation",
        "patient.organization.partof._id",
        "o",
        Chain(
            SUBJECT,
            "Patient",
            Chain(
                key("Patient", "organization"),
                "Organization",
                Chain(key("Organization", "partof"), "Organization", Id(("o",))),
            ),
        ),
    ),
    ("Patient", "_has:Observation:patient:code", "a", Has(SUBJECT, Token(CODE, None, "a"))),
    (
        "Patient",
        "_has:Observation:patient:_has:AuditEvent:entity:agent:missing",
        "false",
        Has(SUBJECT, Has(key("AuditEvent", "entity"), Missing(key("AuditEvent", "agent"), False))),
    ),
    (
        "Encounter",
        "patient._has:Group:member:_id",
        "g",
        Chain(key("Encounter", "subject"), "Patient", Has(key("Group", "member"), Id(("g",)))),
    ),
    (
        "Patient",
        "_has:Observation:patient:encounter.status",
        "a",
        Has(SUBJECT, Chain(key("Observation", "encounter"), "Encounter", Token(key("Encounter", "status"), "", "a"))),
    ),
    # common
    ("Patient", "_id", "a,b,Patient/c,né", Id(("a", "b", "c"))),
    ("Patient", "_lastUpdated", "gt1970-01-01T00:00:00Z", LastUpdated(Prefix.GT, 0, 1_000_000)),
    ("Patient", "_list", "l", InList("l")),
    ("Patient", "_text", " two  words ", Text("_text", "two words")),
    ("Patient", "_content", "血压", Text("_content", "血压")),
    ("Patient", "_tag", "s|t", Token(key("Patient", "_tag"), "s", "t")),
    ("Location", "near", "30.5|120.5|2000|m", Near(key("Location", "near"), 30.5, 120.5, 2.0)),
    ("Location", "near", "30.5|120.5", Near(key("Location", "near"), 30.5, 120.5, 10.0)),
    # filters
    ("Patient", "_filter", 'given eq "Peter"', String(key("Patient", "given"), StringMode.EQUAL, "peter")),
    ("Patient", "_filter", "family ew son", String(key("Patient", "family"), StringMode.SUFFIX, "son")),
    ("Patient", "_filter", "birthdate pr false", Missing(BIRTH, True)),
    (
        "Patient",
        "_filter",
        "not (identifier eq s|7)",
        Not(Token(IDENTIFIER, "s", "7")),
    ),
    (
        "Patient",
        "_filter",
        "_id eq a or _id eq b and birthdate ge 1970-01-01",
        And((Or((Id(("a",)), Id(("b",)))), Date(BIRTH, Prefix.GE, -EAST, DAY - EAST))),
    ),
    (
        "Observation",
        "_filter",
        'subject:Patient[name co "x"].birthdate po 1970-01-01',
        Chain(
            SUBJECT,
            "Patient",
            And((String(PATIENT_NAME, StringMode.CONTAINS, "x"), Date(BIRTH, Prefix.AP, -EAST, DAY - EAST))),
        ),
    ),
    ("Observation", "_filter", "patient re Patient/1", Reference(SUBJECT, "Patient", "1")),
    ("Observation", "_filter", "code ne a", And((Missing(CODE, False), Not(Token(CODE, None, "a"))))),
]


@pytest.mark.parametrize(("type_", "name", "value", "wanted"), TRUTHS, ids=[f"{t}?{n}={v}" for t, n, v, _ in TRUTHS])
def test_a_parameter_asks_for(type_: str, name: str, value: str, wanted: Node) -> None:
    assert node(type_, name, value) == wanted


def test_components_of_one_element_are_asked_together() -> None:
    found = node("Observation", "component-code-value-quantity", "a$5")
    assert isinstance(found, Composite)
    token, quantity = found.components
    assert isinstance(token, Token)
    assert isinstance(quantity, Quantity)
    assert token.param.key.endswith("$0")
    assert quantity.param.key.endswith("$1")


def test_combined_composites_ask_the_root_or_an_element() -> None:
    found = node("Observation", "combo-code-value-quantity", "a$5")
    assert isinstance(found, Or)
    assert [type(one) for one in found.nodes] == [And, Composite]


WRONG: list[tuple[str, str, str, type[FhirError], str]] = [
    ("Patient", "colour", "x", BadRequest, "birthdate"),
    ("Patient", "name:sounds", "x", BadRequest, "sounds"),
    ("Patient", "name:not", "x", BadRequest, "not"),
    ("Patient", "birthdate:exact", "1970", BadRequest, "exact"),
    ("Patient", "birthdate", "soon", BadRequest, "birthdate"),
    ("Patient", "birthdate", "1970-02-30", BadRequest, "birthdate"),
    ("Patient", "birthdate", "xx1970", BadRequest, "birthdate"),
    ("Patient", "birthdate:missing", "perhaps", BadRequest, "missing"),
    ("Patient", "name", "", BadRequest, "name"),
    ("Patient", "name", "a,,b", BadRequest, "name"),
    ("Patient", "identifier", "a|b|c", BadRequest, "identifier"),
    ("Patient", "identifier", "|", BadRequest, "identifier"),
    ("Patient", "identifier:of-type", "a|b", BadRequest, "of-type"),
    ("Patient", "gender:of-type", "a|b|c", BadRequest, "of-type"),
    ("RiskAssessment", "probability", "much", BadRequest, "probability"),
    ("RiskAssessment", "probability", "1e99999", BadRequest, "probability"),
    ("Observation", "value-quantity", "5|mg", BadRequest, "value-quantity"),
    ("Observation", "code-value-quantity", "a", BadRequest, "2 values"),
    ("Observation", "subject", "a b", BadRequest, "subject"),
    ("Observation", "subject:Patient", "Group/1", BadRequest, "subject"),
    ("Observation", "subject:Nobody", "1", BadRequest, "Nobody"),
    ("Observation", "code.name", "x", BadRequest, "reference"),
    ("Observation", "subject:Organization.name", "x", BadRequest, "Organization"),
    ("Observation", "subject.colour", "x", BadRequest, "colour"),
    ("Observation", "subject.", "x", BadRequest, "subject"),
    ("Patient", "_has:Observation:patient", "x", BadRequest, "_has"),
    ("Patient", "_has:Observation:encounter:code", "x", BadRequest, "Encounter"),
    ("Patient", "_has:Nobody:patient:code", "x", BadRequest, "Nobody"),
    ("Patient", "_text", " ", BadRequest, "_text"),
    ("Patient", "_list", "a/b", BadRequest, "_list"),
    ("Patient", "_count", "-1", BadRequest, "_count"),
    ("Patient", "_count", "many", BadRequest, "_count"),
    ("Patient", "_total", "all", BadRequest, "_total"),
    ("Patient", "_summary", "short", BadRequest, "_summary"),
    ("Patient", "_sort", "colour", BadRequest, "colour"),
    ("Patient", "_sort", "-", BadRequest, "_sort"),
    ("Observation", "_sort", "code-value-quantity", BadRequest, "order"),
    ("Patient", "_include", "Patient", BadRequest, "_include"),
    ("Patient", "_include", "Patient:name", BadRequest, "reference"),
    ("Patient", "_include", "Patient:organization:Group", BadRequest, "Group"),
    ("Patient", "_include:never", "*", BadRequest, "never"),
    ("Patient", "_contained", "yes", BadRequest, "_contained"),
    ("Location", "near", "north", BadRequest, "near"),
    ("Location", "near", "91|0", BadRequest, "near"),
    ("Location", "near", "1|2|3|parsec", BadRequest, "near"),
    ("Patient", "_filter", "name eq", BadRequest, "_filter"),
    ("Patient", "_filter", "(name eq x", BadRequest, "_filter"),
    ("Patient", "_filter", "name like x", BadRequest, "like"),
    ("Patient", "_filter", "name gt x", BadRequest, "gt"),
    ("Patient", "_filter", "colour eq x", BadRequest, "colour"),
    ("Patient", "_filter", "(" * 500, BadRequest, "_filter"),
    ("Observation", "_filter", "code in x", NotSupported, "terminology"),
    ("Patient", "_filter", "birthdate in x", BadRequest, "in"),
    ("Observation", "code:in", "http://vs", NotSupported, "terminology"),
    ("Observation", "code:not-in", "http://vs", NotSupported, "terminology"),
    ("Observation", "code:below", "x", NotSupported, "terminology"),
    ("Observation", "subject:above", "x", NotSupported, "subject"),
    ("Patient", "_list", "$current-allergies", NotSupported, "current-allergies"),
    ("Patient", "_query", "mine", NotSupported, "mine"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "name", "value", "error", "says"), WRONG, ids=[f"{t}?{n}={v[:20]}" for t, n, v, _, _ in WRONG]
)
def test_what_cannot_be_answered_is_refused_and_named(
    type_: str, name: str, value: str, error: type[FhirError], says: str
) -> None:
    with pytest.raises(error) as refused:
        search(type_, (name, value))
    assert says in str(refused.value)


@pytest.mark.parametrize("name", ["colour", "name:sounds", "subject.x", "_has:Observation:patient:colour"])
def test_lenient_handling_ignores_what_is_unknown(name: str) -> None:
    found = search("Patient", (name, "x"), ("gender", "male"), lenient=True)
    assert found.ignored == (name,)
    assert found.applied == (("gender", "male"),)


def test_lenient_handling_still_refuses_bad_values() -> None:
    with pytest.raises(BadRequest):
        search("Patient", ("birthdate", "soon"), lenient=True)


def test_repeated_parameters_must_all_hold() -> None:
    ((_, found),) = search("Patient", ("given", "a"), ("given", "b")).query.where
    given_ = key("Patient", "given")
    assert found == And((String(given_, StringMode.PREFIX, "a"), String(given_, StringMode.PREFIX, "b")))


def test_no_criterion_asks_for_everything() -> None:
    assert search("Patient").query.where == (("Patient", And(())),)


def test_results_are_shaped() -> None:
    found = search(
        "Observation",
        ("_count", "5000"),
        ("_total", "accurate"),
        ("_summary", "text"),
        ("_elements", "code,subject"),
        ("_contained", "both"),
        ("_containedType", "contained"),
        ("_cursor", "abc"),
        ("_format", "json"),
        ("_pretty", "true"),
        max_count=100,
    )
    assert found.query.count == 100
    assert found.query.total is Total.ACCURATE
    assert (found.summary, found.elements, found.contained, found.contained_type, found.cursor) == (
        "text",
        ("code", "subject"),
        "both",
        "contained",
        "abc",
    )
    assert "_cursor" not in dict(found.applied)
    assert "_format" not in dict(found.applied)


@pytest.mark.parametrize("pair", [("_count", "0"), ("_summary", "count")])
def test_counting_only_asks_for_an_exact_total(pair: tuple[str, str]) -> None:
    found = search("Patient", pair, ("_total", "none")).query
    assert (found.count, found.total) == (0, Total.ACCURATE)


def test_sorting_names_index_keys() -> None:
    assert search("Observation", ("_sort", "-date,patient,_id,-_lastUpdated,value-quantity,code")).query.sort == (
        Sort("date", Order.DATE, True),
        Sort("subject", Order.REFERENCE, target="Patient"),
        Sort("_id", Order.ID),
        Sort("_lastUpdated", Order.LAST_UPDATED, True),
        Sort("value-quantity", Order.NUMBER),
        Sort("code", Order.TOKEN),
    )


INCLUDES: list[tuple[str, str, str, Sequence[Include]]] = [
    ("Observation", "_include", "Observation:subject", [Include("Observation", "subject", None)]),
    ("Observation", "_include", "Observation:patient", [Include("Observation", "subject", "Patient")]),
    ("Observation", "_include", "Observation:subject:Group", [Include("Observation", "subject", "Group")]),
    ("Observation", "_include", "*", [Include("Observation", None, None)]),
    ("Observation", "_include", "Observation:*", [Include("Observation", None, None)]),
    ("Patient", "_revinclude", "Provenance:target", [Include("Provenance", "target", None, reverse=True)]),
    (
        "Observation",
        "_include:iterate",
        "Patient:organization",
        [Include("Patient", "organization", None, iterate=True)],
    ),
    (
        "Patient",
        "_revinclude",
        "AuditEvent:patient",
        [Include("AuditEvent", k, "Patient", reverse=True) for k in ("agent", "entity")],
    ),
]


@pytest.mark.parametrize(("type_", "name", "value", "wanted"), INCLUDES, ids=[f"{n}={v}" for _, n, v, _ in INCLUDES])
def test_includes_name_index_keys(type_: str, name: str, value: str, wanted: Sequence[Include]) -> None:
    assert search(type_, (name, value)).query.includes == tuple(wanted)


def test_a_star_in_reverse_is_every_type_that_can_point_here() -> None:
    found = search("Patient", ("_revinclude", "*")).query.includes
    assert Include("Observation", None, None, reverse=True) in found
    assert not any(one.source == "Location" for one in found)


def test_a_system_search_needs_common_parameters() -> None:
    both = parse((), [("_type", "Patient,Observation"), ("_lastUpdated", "gt1970")], EXTRACTOR, now=NOW)
    assert [type_ for type_, _ in both.query.where] == ["Patient", "Observation"]
    assert len(parse((), [("_id", "x")], EXTRACTOR, now=NOW).query.where) == 146
    with pytest.raises(BadRequest, match="birthdate"):
        parse((), [("_type", "Patient,Observation"), ("birthdate", "1970")], EXTRACTOR, now=NOW)
    with pytest.raises(BadRequest, match="Nobody"):
        parse((), [("_type", "Nobody")], EXTRACTOR, now=NOW)


def test_a_chain_over_everything_is_refused_before_it_grows() -> None:
    with pytest.raises(BadRequest, match="name the types"):
        search("Observation", ("focus.focus.focus.focus._id", "x"))


def test_every_parameter_of_every_type_can_be_asked_for() -> None:
    samples = {
        "token": "s|x",
        "string": "x",
        "date": "2020",
        "number": "1",
        "quantity": "1",
        "reference": "x",
        "uri": "http://x",
        "special": "1|2",
    }
    for type_ in sorted(load().resource_types):
        for code, indexed in EXTRACTOR.indexed(type_).items():
            if code == "_query":
                continue
            if indexed.kind == "composite":
                value = "$".join(samples[c.kind] for c in indexed.parts[0].components)
            else:
                value = samples[indexed.kind]
            node(type_, code, value)
            if not code.startswith("_") or code in ("_tag", "_profile"):
                node(type_, f"{code}:missing", "true")


def test_a_compartment_is_its_own_resource_and_what_refers_to_it() -> None:
    assert compartment_node(load(), "Patient", "1", "Patient") == InCompartment("Patient", "1", ("link",), itself=True)
    assert compartment_node(load(), "Patient", "1", "Observation").keys == ("subject", "performer")
    assert compartment_node(load(), "Encounter", "1", "Patient").keys == ()
    assert "Observation" in compartment_types(load(), "Patient")
    assert "Location" not in compartment_types(load(), "Patient")


_names = st.sampled_from(
    ["name", "birthdate", "identifier", "_id", "_has", "_filter", "_include", "_revinclude", "_sort", "_count", "_type",
     "general-practitioner", "link", "deceased", "_text", "_list", "_lastUpdated", "_elements", "organization"]
)  # fmt: skip
_pieces = st.sampled_from(
    [
        ":",
        ".",
        "exact",
        "missing",
        "not",
        "Patient",
        "Observation",
        "name",
        "patient",
        "code",
        "iterate",
        "of-type",
        "*",
    ]
)
_values = st.lists(
    st.sampled_from([*"ab19$|\\,:.-+()[]\"' éä中\x00T", "eq", "ge", "ap", " and ", "name", "e9", "not "]), max_size=12
).map("".join)


@settings(max_examples=250, deadline=None)
@given(_names, st.lists(_pieces, max_size=5).map("".join), _values, st.booleans())
def test_no_search_ever_breaks_the_parser(name: str, tail: str, value: str, lenient: bool) -> None:
    try:
        found = search("Patient", (name + tail, value), lenient=lenient)
    except FhirError as refused:
        assert refused.status in (400, 501)
        assert refused.issues[0].diagnostics
    else:
        assert found.query.where[0][0] == "Patient"
