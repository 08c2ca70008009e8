"""What is made of the notes of an exchange."""

from __future__ import annotations

import dataclasses

import pytest

from consent.policy import access_for
from consent.requester import Requester
from consent.vocabulary import RecordClass
from fhir_server.audit.event import decode, encode, who
from fhir_server.audit.exchange import Exchange
from fhir_server.audit.kinds import KINDS, interaction
from fhir_server.audit.notes import concerned, read, shown
from fhir_server.http.exchange import Request
from fhir_server.http.table import ROUTES
from fhir_server.store.protocol import Stored
from tests.audit.samples import DOCTOR, LI, START

LABORATORY = int(RecordClass.LABORATORY)


def stored(patient: str = "li", custodian: str = "Organization/county", record_class: int = LABORATORY) -> Stored:
    return Stored("Observation", "o1", 3, 7, START, "PUT", b"{}", patient, custodian, record_class, 1)


def request(path: str, method: str = "GET", query: tuple[tuple[str, str], ...] = ()) -> Request:
    segments = tuple(path.split("/")) if path else ()
    return Request(method, segments, list(query), {}, b"", "http://yidang.test/fhir", "c1")


@pytest.mark.parametrize("requester", [DOCTOR, LI, dataclasses.replace(DOCTOR, institution="township")])
@pytest.mark.parametrize(
    "version", [stored(), stored(patient=""), stored(custodian=""), stored(record_class=int(RecordClass.SHARED))]
)
def test_the_shortcut_of_plain_reads_tells_what_the_long_way_tells(requester: Requester, version: Stored) -> None:
    access = access_for(requester, START)
    exchange = Exchange(request("Observation/o1"), requester, access, "10.0.0.1", START)
    exchange.saw(version)

    def granted(access: object, patients: object) -> tuple[str, ...]:
        return ("consent", "referral")

    long = shown(exchange, 200, lambda pairs: "", granted, None)
    short = read(START, who(requester), access, version, granted, "c1", "10.0.0.1")
    assert decode(encode(short)) == decode(encode(long))


@pytest.mark.parametrize(
    ("requester", "version", "bases"),
    [
        (DOCTOR, stored(), ("own",)),
        (dataclasses.replace(DOCTOR, institution="township"), stored(), ("grant",)),
        (LI, stored(), ("self",)),
        (LI, stored(patient="", record_class=int(RecordClass.SHARED)), ("shared",)),
        (dataclasses.replace(DOCTOR, role="steward", purpose="HOPERAT"), stored(), ("grant",)),
    ],
)
def test_the_right_by_which_something_was_seen(requester: Requester, version: Stored, bases: tuple[str, ...]) -> None:
    exchange = Exchange(request("Observation/o1"), requester, access_for(requester, START), "", START)
    exchange.saw(version)
    assert shown(exchange, 200, lambda pairs: "", None, None).bases == bases


def test_every_route_has_a_kind() -> None:
    paths = {"type": "Observation", "id": "x", "version": "1", "compartment": "Condition"}
    for route in ROUTES:
        path = route.shape.format(**paths)
        name = route.name.removeprefix("conditional-")
        if path in ("metadata", "openapi.json"):
            continue
        found = interaction(route.method, request(path).segments)
        assert found in KINDS
        assert found == {"transaction": "batch"}.get(name, name)
    assert interaction("POST", ("Patient", "$match")) == "operation"
    assert interaction("HEAD", ("Patient", "x")) == "read"


@pytest.mark.parametrize(
    ("path", "query", "people"),
    [
        ("Patient/li", (), ["li"]),
        ("Patient/li/Observation", (), ["li"]),
        ("Patient/$match", (), []),
        ("Patient/_search", (("_id", "li,zhang"),), ["li", "zhang"]),
        ("Observation", (("_id", "li"),), []),
        ("Observation", (("patient", "li"), ("subject", "Patient/zhang")), ["li", "zhang"]),
        ("Observation", (("subject", "Group/g"),), []),
        ("Observation", (("subject:Patient", "http://x/fhir/Patient/li"),), ["li"]),
        ("Observation", (("patient.name", "li"), ("patient:identifier", "1"), ("patient:missing", "true")), []),
        ("Observation", (("patient", "11010519491231002X"),), []),
        ("Observation", (("patient", "not an id at all"),), []),
    ],
)
def test_whom_a_request_names(path: str, query: tuple[tuple[str, str], ...], people: list[str]) -> None:
    assert concerned(request(path, query=query)) == people


def test_what_a_bundle_asked_is_told_line_by_line() -> None:
    exchange = Exchange(request("", "POST"), DOCTOR, access_for(DOCTOR, START), "", START)
    exchange.asked += [request("Observation", query=(("patient", "li"),)), request("Patient", "POST")]
    event = shown(exchange, 200, lambda pairs: "masked", None, None)
    assert event.query == "GET Observation?masked"


@pytest.mark.parametrize(("status", "outcome"), [(200, 0), (304, 0), (404, 4), (412, 4), (500, 8), (503, 8)])
def test_the_outcome_follows_the_status(status: int, outcome: int) -> None:
    exchange = Exchange(request("Observation/o1"), DOCTOR, None, "", START)
    event = shown(exchange, status, lambda pairs: "", None, None)
    assert (event.outcome, event.status) == (outcome, status)
