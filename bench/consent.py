"""What consent and audit cost: the same requests to the same records, without access control and with tokens.

``python -m bench --consent``. Residents with mixed consents, twenty institutions in one alliance; one institution's
system asks. Two servers run on the same file and are asked in turn, so the ratios are of one moment. The store is
also asked alone, in this process, which is consent without tokens, HTTP and audit.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from bench.drive import Driver
from bench.population import Resource, own_names, people, resources
from bench.server import Server, yidang
from bench.wire import Wire
from consent import Access, Requester, Scope
from consent.policy import access_for
from fhir_server.app import open_context
from fhir_server.auth.file import AuthFile
from fhir_server.auth.issue import issue
from fhir_server.context import Context
from fhir_server.interactions.criteria import read_search
from fhir_server.settings import Settings
from fhir_server.store.prepare import prepare
from fhir_server.store.protocol import Transaction
from fhir_server.store.sqlite import SqliteStore
from loaders.demo.county import institutions

ITEMS, LARGE = 26, 3000  # resources of a resident; of the one whose consent is changed
_PLACES, _TOGETHER, _ASKS = 20, 20, 300
_ALLIANCE, _LARGE = "alliance", "large"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: its requests, and how far p50 may grow by consent alone and with audit."""

    name: str
    paths: list[str]
    consent: float
    audit: float


def consent(id: str, patient: str, organization: str, permit: bool = True, record_class: str = "") -> Resource:
    """A resident's Consent to (or refusal of) one organization, perhaps of one record class."""
    actor = {"coding": [{"system": _PARTICIPATION, "code": "PRCP"}]}
    provision: Resource = {
        "type": "permit" if permit else "deny",
        "actor": [{"role": actor, "reference": {"reference": f"Organization/{organization}"}}],
    }
    if record_class:
        provision["class"] = [{"system": "urn:yidang:record-class", "code": record_class}]
    scope = "http://terminology.hl7.org/CodeSystem/consentscope"
    return {
        "resourceType": "Consent",
        "id": id,
        "extension": [{"url": "urn:yidang:legal-basis", "valueCode": "CONSENT"}],
        "status": "active",
        "scope": {"coding": [{"system": scope, "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": "2025-11-22T10:00:00+08:00",
        "performer": [{"reference": f"Patient/{patient}"}],
        "sourceAttachment": {"title": "notice", "url": "urn:yidang:notice:1", "hash": "2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
        "policy": [{"uri": "urn:yidang:notice:1"}],
        "provision": provision,
    }


def consents(number: int, patient: str, places: list[str]) -> Iterator[Resource]:
    """The mix: half consent to the alliance, a third to some institutions, perhaps one class; some refuse one."""
    random = Random(number)
    draw = random.random()
    if draw < 0.5:
        yield consent(f"c{number}-a", patient, _ALLIANCE)
    elif draw < 0.8:
        for k in range(random.randint(1, 3)):
            kind = random.choice(["", "laboratory", "problem"])
            yield consent(f"c{number}-{k}", patient, random.choice(places), record_class=kind)
    if draw < 0.2 or draw > 0.9:
        yield consent(f"c{number}-r", patient, random.choice(places), permit=False)


def _everybody(count: int, places: list[str]) -> Iterator[list[Resource]]:
    yield [{"resourceType": "Organization", "id": id, "name": id} for id in (*places, _ALLIANCE)]
    yield [
        {
            "resourceType": "OrganizationAffiliation",
            "id": f"member-{id}",
            "active": True,
            "organization": {"reference": f"Organization/{_ALLIANCE}"},
            "participatingOrganization": {"reference": f"Organization/{id}"},
        }
        for id in places
    ]
    for number, person in enumerate(people(count)):
        yield [*islice(resources(person, own_names(person, False)), ITEMS), *consents(number, person.patient, places)]
    yield [{"resourceType": "Patient", "id": _LARGE, "birthDate": "1970-01-01"}, consent(_LARGE, _LARGE, places[0])]
    for k in range(0, LARGE, 500):
        yield [_reading(k + n, places[1]) for n in range(500)]


def _reading(number: int, place: str) -> Resource:
    return {
        "resourceType": "Observation",
        "id": f"{_LARGE}-{number}",
        "status": "final",
        "category": [{"coding": [{"code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
        "subject": {"reference": f"Patient/{_LARGE}"},
        "effectiveDateTime": f"20{number % 25:02d}-01-{number % 28 + 1:02d}",
        "performer": [{"reference": f"Organization/{place}"}],
        "valueQuantity": {"value": number % 40, "unit": "%"},
    }


def fill(context: Context, count: int, places: list[str]) -> int:
    """Write everybody; how many resources."""
    store, total = context.store, 0
    assert isinstance(store, SqliteStore)
    source = _everybody(count, places)
    while some := [resource for file in islice(source, _TOGETHER) for resource in file]:
        ready = [prepare(resource, resource["id"], context.extractor) for resource in some]

        def work(transaction: Transaction, ready: list[Any] = ready) -> None:
            for one in ready:
                transaction.put(one, "PUT")

        store.write_now(work, context.access)
        total += len(some)
    store.optimize()
    return total


def requester(institution: str) -> Requester:
    """The system of an institution that may ask for everything its consents give."""
    scopes = (Scope("system", "*", "cruds"),)
    return Requester("system", "Device/bench", "bench", "TREAT", scopes, institution=institution, role="system")


def kinds(context: Context, access: Access, count: int) -> list[Kind]:
    """The requests, about residents whose files the requester sees."""
    random = Random(7)
    seen: list[tuple[str, str, str]] = []
    everybody = list(people(count))
    while len(seen) < _ASKS:
        person = random.choice(everybody)
        found = _search(context, access, "Observation", patient=person.patient, _count="5")
        if found.matches and context.store.read("Patient", person.patient, access) is not None:
            one = random.choice(found.matches)
            code = json.loads(one.body or b"{}")["code"]["coding"][0]["code"]
            seen.append((person.patient, one.id, code))
    codes = sorted({code for _, _, code in seen})
    page = "_sort=-date&_count=20"
    return [
        Kind("read", [f"Observation/{id}" for _, id, _ in seen], 1.2, 1.4),
        Kind("patient+code", [f"Observation?patient={p}&code={c}&{page}" for p, _, c in seen], 1.2, 1.4),
        Kind("patient, newest 20", [f"Observation?patient={p}&{page}" for p, _, _ in seen], 1.2, 1.4),
        Kind("with includes", [f"Observation?patient={p}&_include=Observation:*&{page}" for p, _, _ in seen], 1.2, 1.4),
        Kind("code, newest 20", [f"Observation?code={c}&{page}" for c in codes], 1.2, 1.4),
        Kind("count by code", [f"Observation?code={c}&_summary=count" for c in codes], 1.35, 1.4),
    ]


def _search(context: Context, access: Access, type: str, **pairs: str) -> Any:
    query = read_search((type,), list(pairs.items()), context).query
    return asyncio.run(context.store.search(query, access))


def _alone(asks: list[Callable[[], object]], rounds: int = 3) -> float:
    """The median time of one request, in ms."""
    times = []
    for _ in range(rounds):
        for ask in asks:
            began = time.perf_counter()
            ask()
            times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2] * 1000


def _store_ratio(context: Context, access: Access, kind: Kind) -> float:
    """How much longer the store alone takes with consent than without, at p50."""
    store = context.store
    asks: dict[bool, list[Callable[[], object]]] = {True: [], False: []}
    for path in kind.paths[:100]:
        name, _, text = path.partition("?")
        for restricted, whose in ((True, access), (False, context.access)):
            if text:
                pairs = [(key, value) for key, _, value in (part.partition("=") for part in text.split("&"))]
                query = read_search((name,), [x for x in pairs if x[0] != "_summary"], context).query
                ask = store.count if "_summary=count" in text else store.search
                asks[restricted].append(lambda q=query, a=whose, f=ask: asyncio.run(f(q, a)))  # type: ignore[misc]
            else:
                type, id = name.split("/")
                asks[restricted].append(lambda t=type, i=id, a=whose: store.read(t, i, a))  # type: ignore[misc]
    ratios = sorted(_alone(asks[True], 1) / _alone(asks[False], 1) for _ in range(5))
    return ratios[2]


def run(folder: Path, count: int, seconds: float) -> list[str]:
    """Measure; the lines of a Markdown table and what else is worth telling."""
    data = folder / "data"
    places = [place.id for place in institutions() if place.level != "village"]
    places += [place.id for place in institutions() if place.level == "village"]
    places = places[:_PLACES]
    context = open_context(Settings(data=data), Access.everything("benchmark"))
    began = time.perf_counter()
    total = fill(context, count, places)
    print(f"{total:,} resources of {count:,} residents in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    access = access_for(requester(places[0]), context.clock())
    asked = kinds(context, access, count)
    alone = {kind.name: _store_ratio(context, access, kind) for kind in asked}
    context.store.close()
    auth_file = AuthFile.open(data)
    token = issue(auth_file, requester(places[0]), 24 * 3600)
    driver = Driver(folder)
    log = folder / "server.log"
    lines = [
        "| what | open p50 ms | token, consent, audit p50 ms | × at 16 | × alone | × CPU | × store alone (aim) |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    with yidang(data, log) as without, yidang(data, log, open=False) as with_token:
        for kind in asked:
            lines.append(_compared(driver, kind, without, with_token, token, seconds, alone[kind.name]))
        lines += ["", _effect(with_token, token, data)]
    auth_file.close()
    return lines


def _compared(
    driver: Driver, kind: Kind, without: Server, with_token: Server, token: str, seconds: float, alone: float
) -> str:
    requests = [(f"/fhir/{path}", b"") for path in kind.paths]
    pairs = []
    for _ in range(3):
        a = driver.round(without.port, without.pid, requests, seconds)
        b = driver.round(with_token.port, with_token.pid, requests, seconds, token=token)
        if a.errors or b.errors:
            raise SystemExit(f"{kind.name}: {a.errors} and {b.errors} answers were no success")
        pairs.append((a, b))
    open_p50, token_p50 = (sorted(pair[i].latency[0] for pair in pairs)[1] for i in (0, 1))
    cpu = sorted(b.cpu / a.cpu for a, b in pairs)[1]
    wires = Wire(without.port), Wire(with_token.port)
    paths = kind.paths[:100]
    one = _alone([lambda p=path: wires[0].ask("GET", f"/fhir/{p}") for path in paths])  # type: ignore[misc]
    two = _alone([lambda p=path: wires[1].ask("GET", f"/fhir/{p}", token=token) for path in paths])  # type: ignore[misc]
    for wire in wires:
        wire.close()
    ratio = token_p50 / open_p50
    return (
        f"| {kind.name} | {open_p50:.2f} | {token_p50:.2f} | {ratio:.2f} ({kind.audit}) | {two / one:.2f} | {cpu:.2f} |"
        f" {alone:.2f} ({kind.consent}) |"
    )


def _effect(server: Server, token: str, data: Path) -> str:
    """How soon the withdrawal of a consent about a large file holds."""
    # The resident's own token withdraws; the institution asks again at once.
    wire = Wire(server.port)
    path = f"/fhir/Observation?patient={_LARGE}&_summary=count"

    def total() -> int:
        return int(json.loads(wire.ask("GET", path, token=token)[1])["total"])

    auth_file = AuthFile.open(data)
    resident = Requester(
        "resident",
        f"Patient/{_LARGE}",
        "bench",
        "PATRQT",
        (Scope("patient", "*", "cruds"),),
        person=_LARGE,
        patient=_LARGE,
    )
    own = issue(auth_file, resident, 3600)
    auth_file.close()
    times = []
    for turn in range(10):
        text = json.loads(wire.ask("GET", f"/fhir/Consent/{_LARGE}", token=own)[1])
        text["status"] = "inactive" if turn % 2 == 0 else "active"
        began = time.perf_counter()
        status, answer = wire.ask("PUT", f"/fhir/Consent/{_LARGE}", json.dumps(text).encode(), own)
        found = total()
        times.append((time.perf_counter() - began) * 1000)
        if status != 200 or (found > 0) != (turn % 2 == 1):
            raise SystemExit(f"a consent change did not take effect: {status} {found} {answer[:300]!r}")
    wire.close()
    return (
        f"A changed Consent about {LARGE:,} items holds for the next request: {sorted(times)[5]:.1f} ms (median) from"
        " sending it to the other institution's answer, both requests included (aim: 50 ms)."
    )
