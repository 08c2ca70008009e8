"""AuditEvents have the form of the IHE Basic Audit Log Patterns 1.1.4, and say no more than their reader may know."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.vocabulary import RecordClass, Sensitivity
from fhir_server.audit.balp import View, audit_event, person_view
from fhir_server.audit.event import Event, Item, Who, decode, encode, parts
from fhir_server.audit.kinds import KINDS
from profiles.definitions import load
from profiles.structure import Validator
from tests.audit.samples import START, WHO, make_event

CHECK = Validator(load()).check
FULL = View("http://yidang.test/fhir", "Asia/Shanghai", lambda reference: f"name of {reference}")
BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."


def shown(event: Event, view: View = FULL) -> list[dict[str, Any]]:
    return [audit_event(7, event, part, view) for part in parts(event)]


def codes(event: dict[str, Any], element: str) -> list[str]:
    found = []
    for one in event.get(element, ()):
        type = one["type"]
        found.append((type.get("coding") or [type])[0]["code"])
    return found


def holds(event: dict[str, Any], profile: str) -> bool:
    """The rules of the BALP profile, written down from its differential."""
    name = profile.removeprefix(BALP).removeprefix("Patient")
    client, server, user, action = {
        "Create": ("110153", "110152", {"AUT", "INF", "CST"}, "C"),
        "Read": ("110152", "110153", {"IRCP"}, "R"),
        "Update": ("110153", "110152", {"AUT", "INF", "CST"}, "U"),
        "Delete": ("110150", "custodian", {"AUT", "INF", "CST"}, "D"),
        "Query": ("110153", "110152", {"IRCP"}, "E"),
    }[name]
    agents, entities = codes(event, "agent"), codes(event, "entity")
    subtypes = {one["code"] for one in event["subtype"]}
    wanted = {"Create": {"create"}, "Update": {"update", "patch"}, "Delete": {"delete"}}.get(name, set())
    if name == "Query":
        wanted = {"search", "search-type", "search-system"}
    for agent in event["agent"]:
        code = agent["type"]["coding"][0]["code"]
        if code in (client, server) and not ("who" in agent and "network" in agent):
            return False
        if code in user and not (agent.get("requestor") is True and "who" in agent and "network" not in agent):
            return False
    (system_object,) = [e for e in event["entity"] if e["type"]["code"] == "2"] or [{}]
    about = "query" in system_object and system_object["role"]["code"] == "24" and "what" not in system_object
    if name != "Query":
        about = "what" in system_object and system_object["role"]["code"] == "4"
    return (
        event["type"]["code"] == "rest"
        and event["action"] == action
        and event["outcome"] == "0"
        and agents.count(client) == 1
        and agents.count(server) == 1
        and sum(code in user for code in agents) <= 1
        and (not wanted or bool(wanted & subtypes))
        and about
        and ("Patient" not in profile or entities.count("1") == 1)
    )


@pytest.mark.parametrize(
    ("event", "profile"),
    [
        (make_event(), "PatientRead"),
        (make_event(code="vread"), "PatientRead"),
        (make_event(code="create", action="C"), "PatientCreate"),
        (make_event(code="update", action="U"), "PatientUpdate"),
        (make_event(code="patch", action="U"), "PatientUpdate"),
        (make_event(code="delete", action="D"), "PatientDelete"),
        (make_event(code="search-type", action="E", query="Observation?code=x"), "PatientQuery"),
        (make_event(code="search-compartment", action="E", query="Patient/zhang/Observation"), "PatientQuery"),
        (make_event(patients=(), items=(Item("Organization", "county", 3),)), "Read"),
        (make_event(code="create", action="C", patients=(), items=(Item("Location", "l", 1),)), "Create"),
        (make_event(code="search-type", action="E", query="Location?", patients=(), items=()), "Query"),
    ],
)
def test_each_kind_has_the_form_of_its_profile(event: Event, profile: str) -> None:
    (resource,) = shown(event)
    assert resource["meta"]["profile"] == [BALP + profile]
    assert holds(resource, BALP + profile)
    assert CHECK(resource) == []


@pytest.mark.parametrize("code", sorted(KINDS))
@pytest.mark.parametrize("kind", ["staff", "resident", "system", "local", ""])
def test_every_kind_of_event_by_every_kind_of_requester_is_valid(code: str, kind: str) -> None:
    subject = {"staff": "Practitioner/w", "resident": "Patient/z", "system": "Device/d"}.get(kind, "")
    who = Who(kind, subject, "client" if kind else "", purpose="TREAT" if kind else "", token="t")
    event = make_event(code=code, action=KINDS[code].action, who=who, outcome=4, bases=("consent", "grant"), detail="x")
    for view in (FULL, person_view(FULL, guardian=False)):
        (resource,) = shown(event, view)
        assert CHECK(resource) == []
        assert resource["subtype"]


identifiers = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
events = st.builds(
    Event,
    st.integers(0, 4_000_000_000_000_000),
    st.sampled_from(sorted(KINDS)),
    st.sampled_from("CRUDE"),
    st.sampled_from([0, 4, 8, 12]),
    st.integers(0, 599),
    st.sampled_from([WHO, Who(), Who("resident", "Patient/zhang", "app", person="zhang", purpose="PATRQT")]),
    st.sampled_from([(), ("own",), ("consent", "self")]),
    st.just(("p0", "p1", "p2")),
    st.just(("Organization/a", "Patient/p0")),
    st.lists(
        st.builds(
            Item,
            st.sampled_from(["Observation", "Patient"]),
            identifiers,
            st.integers(1, 9),
            st.integers(-1, 2),
            st.integers(-1, 1),
            st.sampled_from([int(one) for one in RecordClass]),
            st.sampled_from([0, int(Sensitivity.HIV), int(Sensitivity.NOPAT), int(Sensitivity.MENTAL)]),
            st.sampled_from(["", "C", "R"]),
        ),
        max_size=6,
    ).map(tuple),
    st.text(max_size=30).filter(lambda text: text.isprintable()),
    st.just("10.0.0.1"),
    identifiers,
)


@settings(max_examples=150, deadline=None)
@given(events)
def test_any_event_comes_back_from_its_bytes_and_keeps_every_item_in_one_part(event: Event) -> None:
    assert decode(encode(event)) == event
    found = parts(event)
    assert [part.number for part in found] == list(range(len(found)))
    assert sorted(item for part in found for item in part.items) == sorted(event.items)
    assert {"p0", "p1", "p2"} <= {part.patient for part in found}


@settings(max_examples=100, deadline=None)
@given(events)
def test_any_event_is_valid_and_claims_only_what_it_holds(event: Event) -> None:
    for view in (FULL, person_view(FULL, guardian=True)):
        for resource in shown(event, view):
            assert CHECK(resource) == []
            for profile in resource["meta"].get("profile", ()):
                assert profile.endswith("PrivacyDisclosure.Source") or holds(resource, profile), profile


@settings(max_examples=100, deadline=None)
@given(events)
def test_nobody_reads_of_others_or_of_what_is_withheld(event: Event) -> None:
    for guardian in (False, True):
        view = person_view(FULL, guardian)
        for part in parts(event):
            text = json.dumps(audit_event(7, event, part, view))
            own = {item.id for item in part.items if not item.sensitivity & view.withheld}
            told = [e["what"]["reference"].split("/")[1] for e in json.loads(text).get("entity", ()) if "what" in e]
            assert set(told) <= own | {part.patient}
            assert "10.0.0.1" not in text


def test_a_guardian_is_told_nothing_of_what_an_adolescent_keeps_confidential() -> None:
    items = (
        Item("Observation", "secret", 1, 0, 0, int(RecordClass.LABORATORY), int(Sensitivity.REPRODUCTION)),
        Item("Immunization", "plain", 1, 0, 0, int(RecordClass.IMMUNIZATION)),
    )
    event = make_event(items=items)
    (guardian,) = shown(event, person_view(FULL, guardian=True))
    assert "secret" not in json.dumps(guardian)
    assert "检验" not in guardian["text"]["div"]
    (child,) = shown(event, person_view(FULL, guardian=False))
    assert "secret" in json.dumps(child)


def test_the_query_is_kept_as_bytes_and_as_text() -> None:
    (resource,) = shown(make_event(code="search-type", action="E", query="Observation?code=a&code=b"))
    query = next(e for e in resource["entity"] if "query" in e)
    assert base64.b64decode(query["query"]).decode() == query["description"] == "Observation?code=a&code=b"


@pytest.mark.parametrize("query", ["Observation?patient=zhang,li", "Condition?patient=zhang&code=F41.9"])
def test_a_query_may_name_others_or_what_is_withheld_so_residents_are_not_shown_it(query: str) -> None:
    people = tuple(id for id in ("zhang", "li") if id in query)
    event = make_event(code="search-type", action="E", query=query, patients=people)
    for guardian in (False, True):
        for resource in shown(event, person_view(FULL, guardian)):
            assert "query" not in json.dumps(resource.get("entity", []))


def test_words_name_institution_role_purpose_classes_and_ground() -> None:
    (resource,) = shown(make_event(bases=("consent",)))
    text = resource["text"]["div"]
    for word in ("2025年", "name of Organization/county", "医师 王医生", "诊疗", "查看：检验", "居民的授权同意"):
        assert word in text


def test_what_a_name_contains_cannot_break_the_text() -> None:
    who = Who("staff", "Practitioner/x", "c", role="physician", name='<script>"&')
    (resource,) = shown(make_event(who=who))
    assert "<script>" not in resource["text"]["div"]
    assert CHECK(resource) == []


def test_the_time_is_told_in_the_zone_of_the_deployment() -> None:
    (resource,) = shown(make_event())
    assert resource["recorded"].endswith("+08:00")
    assert resource["meta"]["lastUpdated"] == resource["recorded"]
    assert START // 1_000_000 == 1_764_000_000
