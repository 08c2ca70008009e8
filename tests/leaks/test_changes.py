"""After every change of what gives access, the next answer is the new one: for all who are concerned, on every path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest

from tests.leaks import grounds, people, records
from tests.leaks.compare import Asked, access, seen
from tests.leaks.forms import Part, consent, micros
from tests.leaks.oracle import DAY, Membership, Team, Who
from tests.leaks.records import to
from tests.leaks.web import Web, next_link
from tests.leaks.world import Loaded, Step, Writer

DOCTOR = people.staff("dr-outside")  # of an institution outside: sees nobody's file by itself
OTHERS = [
    people.staff(name)
    for name in ("dr-county", "dr-east", "dr-west", "dr-north", "tech-county", "rec-county", "quality-county")
] + [people.system("emr-outside"), people.resident("r1"), people.resident("r10"), people.resident("r3")]
OUTSIDE = ("Organization/outside",)
Change = Callable[[Writer], None]


def judge(world: Loaded, whos: list[Who], compared: Counter[str]) -> None:
    """Everything that each may read and search, against the oracle."""
    current = {(row.type, row.id): row for row in world.current.values() if not row.deleted}
    for who in whos:
        given = access(who, world)
        wanted = {(row.type, row.id, row.version) for row in seen(world, who, "r")}
        got = {(one.type, one.id, one.version) for one in world.store.feed(0, 10_000, given)}
        assert not got - wanted, f"{who.name} sees what is hidden: {sorted(got - wanted)[:5]}"
        assert not wanted - got, f"{who.name} misses what is open: {sorted(wanted - got)[:5]}"
        asked = Asked(world.store, world.extractor, given)
        shown = {f"{row.type}/{row.id}" for row in seen(world, who, "s") if current.get((row.type, row.id)) == row}
        for type in ("Patient", "Observation", "Condition", "DiagnosticReport", "Consent"):
            found = asked.search(f"{type}?_count=100", world.clock[0])
            assert set(found.matches) == {name for name in shown if name.startswith(f"{type}/")}
            assert found.total == len(found.matches)
        inferred = asked.search("Patient?_has:Observation:patient:code=glucose&_count=100", world.clock[0])
        with_glucose = {
            row.person for row in current.values()
            if f"{row.type}/{row.id}" in shown and "glucose" in str(world.resources[row.type, row.id, row.version])
        }  # fmt: skip
        assert {name.removeprefix("Patient/") for name in inferred.matches} == {
            person for person in with_glucose if f"Patient/{person}" in shown
        }
        compared["after a change"] += len(world.facts.rows) + len(shown)


def change(world: Loaded, make: Change) -> None:
    writer = Writer(world.now)
    make(writer)
    world.do(writer.steps)


def opened(world: Loaded, who: Who, patient: str) -> set[str]:
    return {row.cls for row in seen(world, who, "r") if row.person == patient}


def test_a_consent_through_its_whole_life(fresh: Loaded, compared: Counter[str]) -> None:
    """Given, limited, widened, refused in part, withdrawn, given again, deleted."""
    concerned = [DOCTOR, *OTHERS]
    part = Part(grantees=OUTSIDE)
    stages: list[tuple[Change, bool]] = [
        (lambda w: w.consent("life", "r8", part, 1), True),
        (lambda w: w.consent("life", "r8", replace(part, classes=("laboratory",)), 1), True),
        (lambda w: w.consent("life", "r8", replace(part, data=(date(2024, 1, 1), date(2024, 6, 30))), 1), True),
        (lambda w: w.consent("life", "r8", replace(part, document="Observation/r8-laboratory-county"), 1), True),
        (lambda w: w.consent("life", "r8", replace(part, custodian="Organization/county"), 1), True),
        (lambda w: w.consent("life", "r8", replace(part, purposes=("ETREAT",)), 1), False),
        (lambda w: w.consent("life", "r8", part, 1), True),
        (lambda w: w.consent("no", "r8", Part(permit=False, grantees=OUTSIDE, classes=("laboratory",)), 1), True),
        (lambda w: w.consent("all", "r8", Part(permit=False), 1), True),
        (lambda w: w.consent("all", "r8", Part(permit=False, grantees=OUTSIDE), 1), False),
        (lambda w: w.consent("all", "r8", Part(permit=False, grantees=OUTSIDE), 1, status="inactive"), True),
        (lambda w: w.consent("life", "r8", part, 1, status="inactive"), False),
        (lambda w: w.consent("life", "r8", part, 1), True),
        (lambda w: w.delete("Consent", "life"), False),
    ]
    assert not opened(fresh, DOCTOR, "r8") - {"shared"}
    for number, (make, sees) in enumerate(stages):
        change(fresh, make)
        assert bool(opened(fresh, DOCTOR, "r8")) is sees, f"stage {number}"
        judge(fresh, concerned if number in (0, 8, 13) else [DOCTOR, OTHERS[-3]], compared)


def test_time_ends_what_was_given(fresh: Loaded, compared: Counter[str]) -> None:
    now = fresh.now
    change(
        fresh,
        lambda w: (
            w.consent("week", "r8", Part(grantees=OUTSIDE, valid=(now - timedelta(days=1), now + timedelta(days=7)))),
            w.consent("later", "r8", Part(grantees=OUTSIDE, valid=(now + timedelta(days=9), now + timedelta(days=11)))),
            grounds.break_glass(w, "glass", "r8", "dr-outside", "county"),
        )[0],
    )
    emergency = people.staff("dr-outside", "TREAT")
    emergency = replace(emergency, purpose="BTG", name="dr-outside in an emergency")
    seen_at = []
    for hours in (0, 22.9, 23.1, 24 * 6.9, 24 * 7.1, 24 * 8.9, 24 * 9.1, 24 * 10.9, 24 * 11.1, 24 * 100):
        fresh.clock[0] = micros(now + timedelta(hours=hours))
        judge(fresh, [DOCTOR, emergency, people.staff("dr-east", "ETREAT"), people.staff("dr-county")], compared)
        seen_at.append(bool(opened(fresh, DOCTOR, "r8")))
    assert seen_at == [True, True, True, True, False, False, True, True, False, False]


def test_children_grow_up(fresh: Loaded, compared: Counter[str]) -> None:
    """At 14 a confidential part begins and staff need no approval; at 18 the parents' access ends."""
    parent, officer = people.resident("r10"), people.staff("rec-county")
    turns = sorted(
        (grounds.birthday(people.born(child, fresh.now), years), child) for child in ("r9", "r11") for years in (14, 18)
    )
    for turning, child in turns:
        for moment in (turning - DAY // 24, turning, turning + DAY):
            if moment > fresh.clock[0]:
                fresh.clock[0] = moment
                judge(fresh, [parent, officer, people.resident(child), people.staff("quality-county")], compared)


def test_a_corrected_birth_date_moves_the_ages(fresh: Loaded, compared: Counter[str]) -> None:
    before = fresh.resources["Patient", "r9", 1]
    assert before is not None
    fresh.facts.born["r9"] = (1990, 1, 1)
    rules = tuple(rule for rule in fresh.given["RelatedPerson/parent-r9"] if rule.high < 0)
    step = Step(
        {**before, "birthDate": "1990-01-01"},
        "Organization/town-east",
        "r9",
        "identity",
        rules=fresh.given["Patient/r9"],
    )
    fresh.do([step])
    fresh.given["RelatedPerson/parent-r9"] = rules
    # What a guardian consented to for a child that is none: it does not say that the person did.
    fresh.given["Consent/c9-guardian"] = tuple(replace(r, high=0) for r in fresh.given["Consent/c9-guardian"])
    fresh.facts.rules = [rule for given in fresh.given.values() for rule in given]
    judge(fresh, [people.resident("r10"), people.staff("rec-county"), people.staff("quality-county")], compared)


def test_institutions_join_and_leave(fresh: Loaded, compared: Counter[str]) -> None:
    """Who joins has no part in earlier consents; who leaves has none in any."""
    since = fresh.now - timedelta(days=1)
    affiliation = {
        "resourceType": "OrganizationAffiliation",
        "id": "in-outside",
        "active": True,
        "period": {"start": since.isoformat()},
        "organization": to("Organization", "alliance"),
        "participatingOrganization": to("Organization", "outside"),
    }
    fresh.do([Step(affiliation)])
    fresh.facts.memberships.append(Membership("alliance", "outside", micros(since)))
    judge(fresh, [DOCTOR, people.staff("dr-west")], compared)
    change(fresh, lambda w: w.consent("new", "r2", Part(grantees=("Organization/alliance",)), 0))
    judge(fresh, [DOCTOR, people.staff("dr-north")], compared)
    assert opened(fresh, DOCTOR, "r2")
    fresh.do([Step({**affiliation, "active": False})])
    fresh.facts.memberships.pop()
    judge(fresh, [DOCTOR, people.staff("dr-north")], compared)
    assert not opened(fresh, DOCTOR, "r2")


def test_members_come_to_a_team_and_go(fresh: Loaded, compared: Counter[str]) -> None:
    for members, status in ((("dr-east",), "active"), (("dr-west",), "inactive"), (("dr-west",), "active")):
        team = {
            "resourceType": "CareTeam",
            "id": "team-west",
            "status": status,
            "name": "team-west",
            "participant": [{"member": to("Practitioner", member)} for member in members],
        }
        fresh.do([Step(team, "Organization/town-west", "", "care_plan")])
        fresh.facts.teams[0] = Team(
            "CareTeam/team-west", frozenset(f"Practitioner/{one}" for one in members), status == "active"
        )
        judge(fresh, [people.staff("dr-west"), people.staff("dr-east"), people.staff("vd-village")], compared)


def test_a_request_ends_when_it_is_done(fresh: Loaded, compared: Counter[str]) -> None:
    done = {**(fresh.resources["ServiceRequest", "referral-r8", 1] or {}), "status": "completed"}
    referral = fresh.current["ServiceRequest", "referral-r8"]
    fresh.do([Step(done, referral.custodian, "r8", "order", date=done["authoredOn"])])
    judge(fresh, [people.staff("dr-county"), people.staff("dr-county", "REFER")], compared)
    fresh.do([Step(None, delete=("RelatedPerson", "guardian-r12"))])
    judge(fresh, [people.resident("r2"), people.resident("r2", purpose="FAMRQT")], compared)


def test_what_hangs_on_a_document_follows_its_label(fresh: Loaded, compared: Counter[str]) -> None:
    """A letter is labelled after its text and provenance were stored: they are as closed as it is."""
    county = people.staff("quality-county")  # sees the institution's own, but nothing under special protection
    letter = fresh.resources["DocumentReference", "r1-letter", 1]
    assert letter is not None
    names = {("DocumentReference", "r1-letter"), ("Binary", "r1-text"), ("Provenance", "r1-provenance")}
    given = access(county, fresh)
    assert all(fresh.store.read(*name, given) for name in names)
    labelled = records.labelled(letter, "HIV")
    fresh.do([Step(labelled, "Organization/county", "r1", "document", frozenset({"HIV"}), letter["date"])])
    still = {name for name in names if fresh.store.read(*name, given) is not None}
    assert not still, f"the letter is under special protection, but these can still be read: {sorted(still)}"
    compared["after a change"] += 6


def test_what_is_stored_before_its_document_is_closed_until_then(fresh: Loaded, compared: Counter[str]) -> None:
    letter = records.document("late", "r1", "2025-07-07T10:00:00+08:00", "late-text")
    text = records.binary("late-text", "DocumentReference/late", "HIV 阳性")
    fresh.do([Step(text, "Organization/county", "", "other")])
    for who in (DOCTOR, people.staff("dr-west"), people.resident("r1"), people.resident("r2")):
        assert fresh.store.read("Binary", "late-text", access(who, fresh)) is None
    letter = records.labelled(letter, "HIV")
    fresh.do([Step(letter, "Organization/county", "r1", "document", frozenset({"HIV"}), letter["date"])])
    for who, sees in ((people.resident("r1"), True), (people.staff("dr-west"), False), (DOCTOR, False)):
        found = fresh.store.read("Binary", "late-text", access(who, fresh)) is not None
        assert found is (fresh.store.read("DocumentReference", "late", access(who, fresh)) is not None) is sees
    assert fresh.store.read("Binary", "late-text", access(people.staff("quality-county"), fresh)) is None
    compared["after a change"] += 8


# -- over HTTP ------------------------------------------------------------------------------------


def give(web: Web, part: Part, **more: str) -> None:
    change(web.world, lambda w: w.consent("http", "r8", part, 1, **more))


@pytest.mark.parametrize("how", ["withdrawn", "deleted", "expired", "refused", "labelled"])
def test_nothing_that_was_handed_out_outlives_the_consent(fresh_web: Web, how: str, compared: Counter[str]) -> None:
    """Page links, ETags and dates of a time with consent are worth nothing after it."""
    web, part = fresh_web, Part(grantees=OUTSIDE)
    until = web.world.now + timedelta(days=3)
    valid = (web.world.now - timedelta(days=3), until)
    give(web, replace(part, valid=valid) if how == "expired" else part)
    one = "Observation/r8-laboratory-county"
    tag = web.get(DOCTOR, one).headers["etag"]
    assert web.get(DOCTOR, one, **{"if-none-match": tag}).status == 304
    pages = [web.get(DOCTOR, path) for path in ("Observation?patient=r8&_count=1", "Patient/r8/$everything?_count=2")]
    pages.append(web.get(DOCTOR, "Observation?_count=1&_sort=-date&_include=Observation:subject"))
    links = [link for page in pages if (link := next_link(page))]
    history = next_link(web.get(DOCTOR, "_history?_count=5"))
    assert len(links) == 3 and history
    match how:
        case "withdrawn":
            give(web, part, status="inactive")
        case "deleted":
            change(web.world, lambda w: w.delete("Consent", "http"))
        case "expired":
            web.world.clock[0] = micros(until + timedelta(hours=1))
        case "labelled":
            for row in [row for row in web.world.current.values() if row.person == "r8" and not row.deleted]:
                found = web.world.resources[row.type, row.id, row.version]
                if found is not None and row.type in ("Observation", "Patient"):
                    closed = records.labelled(found, "HIV")
                    web.world.do([Step(closed, row.custodian, "r8", row.cls, frozenset({"HIV"}), None)])
        case "refused":
            change(web.world, lambda w: w.consent("no", "r8", Part(permit=False, grantees=OUTSIDE), 0))
    hidden = web.get(DOCTOR, one, **{"if-none-match": tag}).without("r8-laboratory-county")
    assert hidden == web.get(DOCTOR, "Observation/QQQQQQQQQQQQQQQQQQQQ").without("QQQQQQQQQQQQQQQQQQQQ")
    assert web.get(DOCTOR, one, **{"if-modified-since": "Sat, 01 Jan 2050 00:00:00 GMT"}).status == 404
    for link in [*links, history]:
        answer = web.get(DOCTOR, link)
        assert answer.status in (200, 400, 404, 410)
        shown = [entry["fullUrl"] for entry in answer.json.get("entry", ())]
        closed_now = ("/Observation/r8", "/Patient/r8") if how == "labelled" else ("r8",)
        assert not [url for url in shown if any(part in url for part in closed_now)], f"{how}, but a link shows {shown}"
    compared["after a change"] += 3 + len(links)


def test_a_page_link_serves_only_whom_it_was_given(web: Web, compared: Counter[str]) -> None:
    whos = [people.staff("dr-county"), people.staff("dr-cardio"), people.staff("dr-county", "REFER"),
            people.resident("r3"), people.system("emr-county")]  # fmt: skip
    for path in ("Observation?_count=2", "Observation?_count=2&_sort=-date", "Patient/r3/$everything?_count=2"):
        for giver in whos:
            link = next_link(web.get(giver, path))
            assert link, (giver.name, path)
            for taker in whos:
                answer = web.get(taker, link)
                if taker is giver:
                    assert answer.status == 200
                else:
                    assert answer.status in (400, 403, 404), f"{taker.name} walks on with a link of {giver.name}"
                    assert b"r3-" not in answer.body
                compared["HTTP page links"] += 1


def test_a_consent_given_over_http_works_for_the_next_request(fresh_web: Web, compared: Counter[str]) -> None:
    """The resident grants, limits and withdraws in person; the other side sees each at once."""
    web, resident, one = fresh_web, people.resident("r8"), "Observation/r8-laboratory-county"

    def wish(part: Part, status: str = "active") -> dict[str, object]:
        made = consent("x", "r8", part, web.world.now - timedelta(minutes=1), status=status)
        del made["id"]
        return made

    assert web.get(DOCTOR, one).status == 404
    answer = web.ask(resident, "POST", "Consent", wish(Part(grantees=OUTSIDE)))
    if answer.status == 422:
        pytest.fail(f"the resident's consent was refused: {answer.json}")
    assert answer.status == 201, answer
    id = answer.json["id"]
    assert web.get(DOCTOR, one).status == 200
    assert web.get(DOCTOR, "Observation?patient=r8&_summary=count").json["total"] > 0
    limited = {**wish(Part(grantees=OUTSIDE, classes=("ecg",))), "id": id}
    assert web.ask(resident, "PUT", f"Consent/{id}", limited).status == 200
    assert web.get(DOCTOR, one).status == 404
    assert web.get(DOCTOR, "DiagnosticReport/r8-ecg-county").status == 200
    ended = {**wish(Part(grantees=OUTSIDE), "inactive"), "id": id}
    assert web.ask(resident, "PUT", f"Consent/{id}", ended).status == 200
    assert web.get(DOCTOR, "DiagnosticReport/r8-ecg-county").status == 404
    assert web.get(DOCTOR, "Observation?patient=r8&_summary=count").json["total"] == 0
    compared["after a change"] += 6
