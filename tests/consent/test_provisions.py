"""Flattening a tree of provisions says the same as walking the tree for each request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from consent.compile import Facts, grants_of
from consent.grant import BY_DEPARTMENT, BY_INSTITUTION, BY_PERSON, EVERYONE, Grant, prevails
from consent.vocabulary import CARE, Purpose, RecordClass, Sensitivity

DAY = 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ORGANIZATIONS = ["Organization/a", "Organization/b"]
RECIPIENTS = ["Organization/a", "CareTeam/t", "Practitioner/x"]
CLASSES = {"laboratory": RecordClass.LABORATORY, "imaging": RecordClass.IMAGING}
LABELS = {"HIV": Sensitivity.HIV, "PSY": Sensitivity.MENTAL}
PURPOSES = ["TREAT", "PUBHLTH"]
DOCUMENTS = ["Observation/1", "Observation/2"]
NOW = 20_000 * DAY


@dataclass(frozen=True)
class Request:
    grantees: frozenset[str]
    purpose: str
    now: int


@dataclass(frozen=True)
class Item:
    cls: str
    sensitivity: Sensitivity
    date: int  # milliseconds
    custodian: str
    document: str


def day(number: int) -> str:
    return (EPOCH + timedelta(days=number)).isoformat()


def period(low: int, length: int) -> dict[str, str]:
    # The end is a second long: the interval ends a second after it.
    return {"start": day(low), "end": (EPOCH + timedelta(days=low + length, seconds=-1)).isoformat()}


def some(values: list[str]) -> Any:
    return st.lists(st.sampled_from(values), max_size=2, unique=True)


@st.composite
def provisions(draw: Any, depth: int = 0) -> dict[str, Any]:
    made: dict[str, Any] = {"type": draw(st.sampled_from(["permit", "deny"]))}
    if depth == 0 and draw(st.integers(0, 5)) == 0:
        del made["type"]
    role = [("IRCP", r) for r in draw(some(RECIPIENTS))]
    role += [("CST", r) for r in draw(some(ORGANIZATIONS))] if draw(st.integers(0, 2)) == 0 else []
    if role:
        made["actor"] = [{"role": {"coding": [{"code": c}]}, "reference": {"reference": r}} for c, r in role]
    if classes := draw(some(list(CLASSES))):
        made["class"] = [{"system": "urn:yidang:record-class", "code": code} for code in classes]
    if labels := draw(some(list(LABELS))):
        made["securityLabel"] = [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code} for code in labels
        ]
    if purposes := draw(some(PURPOSES)):
        made["purpose"] = [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": code} for code in purposes
        ]
    if draw(st.integers(0, 3)) == 0:
        made["period"] = period(draw(st.sampled_from([20_000, 20_005])), 10)
    if draw(st.integers(0, 3)) == 0:
        made["dataPeriod"] = period(draw(st.sampled_from([100, 105])), 10)
    if documents := draw(some(DOCUMENTS)) if draw(st.integers(0, 3)) == 0 else []:
        made["data"] = [{"meaning": "instance", "reference": {"reference": r}} for r in documents]
    if depth < 3 and (inner := draw(st.lists(provisions(depth + 1), max_size=2))):
        made["provision"] = inner
    return made


MANY = frozenset(RECIPIENTS)
REQUESTS = [
    Request(grantees, purpose, number * DAY)
    for grantees in (MANY, frozenset({"Organization/a"}), frozenset({"Practitioner/x", "Organization/a"}))
    for purpose in PURPOSES
    for number in (20_002, 20_007, 20_012)
]
ITEMS = [
    Item(cls, sensitivity, number * 86_400_000, custodian, document)
    for cls in CLASSES
    for sensitivity in (Sensitivity(0), Sensitivity.HIV, Sensitivity.HIV | Sensitivity.MENTAL)
    for number in (102, 107, 112)
    for custodian in ORGANIZATIONS
    for document in DOCUMENTS
]
CASES = list(product(REQUESTS, ITEMS))
cases = st.randoms(use_true_random=False).map(lambda random: random.sample(CASES, 60))


# -- the naive reading: every provision is asked on the way down ------------------------------------


@dataclass(frozen=True)
class Verdict:
    permit: bool
    depth: int
    specificity: int


def walk(node: dict[str, Any], path: tuple[dict[str, Any], ...], r: Request, i: Item) -> Iterator[Verdict]:
    """A verdict for each provision that speaks of the request and the item, with all those it is in."""
    path = (*path, node)
    if "type" in node and all(speaks(outer, r, i) for outer in path):
        permit = node["type"] == "permit"
        whom = recipients(path)
        who = [whom_bits(g) for g in whom if g in r.grantees] if whom else [] if permit else [0]
        labels = named(path, permit)
        purposes = [outer["purpose"] for outer in path if "purpose" in outer]
        fits = not labels or bool(labels & i.sensitivity)
        if permit:
            fits = not i.sensitivity & ~labels and (bool(purposes) or Purpose[r.purpose] in CARE)
        if fits:
            yield from (Verdict(permit, len(path) - 1, bits | shape(path, labels)) for bits in who)
    for inner in node.get("provision", ()):
        yield from walk(inner, path, r, i)


def speaks(node: dict[str, Any], r: Request, i: Item) -> bool:
    custodians = [a["reference"]["reference"] for a in node.get("actor", ()) if role(a) == "CST"]
    return all(
        [
            "class" not in node or i.cls in {c["code"] for c in node["class"]},
            "purpose" not in node or r.purpose in {c["code"] for c in node["purpose"]},
            "period" not in node or within(node["period"], r.now),
            "dataPeriod" not in node or within(node["dataPeriod"], i.date * 1000),
            "data" not in node or i.document in {d["reference"]["reference"] for d in node["data"]},
            not custodians or i.custodian in custodians,
        ]
    )


def within(value: dict[str, str], moment: int) -> bool:
    low = (datetime.fromisoformat(value["start"]) - EPOCH) // timedelta(microseconds=1)
    high = (datetime.fromisoformat(value["end"]) - EPOCH) // timedelta(microseconds=1) + 1_000_000
    return low <= moment < high


def role(actor: dict[str, Any]) -> str:
    return str(actor["role"]["coding"][0]["code"])


def recipients(path: tuple[dict[str, Any], ...]) -> list[str]:
    """Of the innermost provision that names any."""
    for node in reversed(path):
        found = [a["reference"]["reference"] for a in node.get("actor", ()) if role(a) == "IRCP"]
        if found:
            return found
    return []


def named(path: tuple[dict[str, Any], ...], permit: bool) -> Sensitivity:
    """Labels of the innermost provision that names some; for a refusal, of the innermost refusal that does."""
    for node in reversed(path):
        if "securityLabel" in node and (permit or node.get("type") == "deny"):
            found = Sensitivity(0)
            for coding in node["securityLabel"]:
                found |= LABELS[coding["code"]]
            return found
    return Sensitivity(0)


def whom_bits(grantee: str) -> int:
    kinds = {"Organization": BY_INSTITUTION, "CareTeam": BY_DEPARTMENT, "Practitioner": BY_PERSON}
    return kinds[grantee.split("/")[0]]


def shape(path: tuple[dict[str, Any], ...], labels: Sensitivity) -> int:
    says = {name for node in path for name in node} | {
        "custodian" for node in path for a in node.get("actor", ()) if role(a) == "CST"
    }
    bits = {"class": 8, "dataPeriod": 32, "custodian": 64, "data": 128}
    return sum(bit for name, bit in bits.items() if name in says) | (16 if labels else 0)


def decide(found: list[Verdict]) -> bool:
    def stands(permit: Verdict, refusal: Verdict) -> bool:
        if permit.depth > refusal.depth:
            return True
        return refusal.specificity & ~permit.specificity == 0 and permit.specificity != refusal.specificity

    refusals = [v for v in found if not v.permit]
    return any(v.permit and all(stands(v, refusal) for refusal in refusals) for v in found)


# -- the grants, as the store reads them -----------------------------------------------------------


def is_about(g: Grant, r: Request, i: Item) -> bool:
    if not (g.grantee in r.grantees or g.grantee == EVERYONE) or not g.low <= r.now < g.high:
        return False
    if r.purpose not in {p.name for p in g.purposes} or not g.classes & CLASSES[i.cls]:
        return False
    if (g.custodian and g.custodian != i.custodian) or (g.document and g.document != i.document):
        return False
    if not g.data_low <= i.date < g.data_high:
        return False
    if g.permit:
        return not i.sensitivity & ~g.sensitivity
    return not g.sensitivity or bool(g.sensitivity & i.sensitivity)


def opened(grants: list[Grant], r: Request, i: Item) -> bool:
    about = [g for g in grants if is_about(g, r, i)]
    refusals = [g for g in about if not g.permit]
    return any(g.permit and all(prevails(g, d, True) for d in refusals) for g in about)


def compiled(provision: dict[str, Any]) -> list[Grant]:
    consent = {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "patient": {"reference": "Patient/p"},
        "dateTime": "2020-01-01",
        "provision": provision,
    }
    return grants_of(consent, Facts("Patient/p", False, NOW, lambda id: None))


@settings(max_examples=150, deadline=None)
@given(provisions(), cases)
def test_flattened_provisions_decide_as_the_tree_does(provision: dict[str, Any], cases: list[Any]) -> None:
    grants = compiled(provision)
    for r, i in cases:
        assert opened(grants, r, i) == decide(list(walk(provision, (), r, i))), (r, i)


@settings(max_examples=50, deadline=None)
@given(provisions(), cases)
def test_a_refusal_added_never_opens_anything(provision: dict[str, Any], cases: list[Any]) -> None:
    grants = compiled(provision)
    more = [*grants, *compiled({"type": "deny"})]
    assert all(opened(grants, r, i) for r, i in cases if opened(more, r, i))


def test_an_exception_prevails_over_what_it_is_an_exception_to() -> None:
    actor = [{"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": "Organization/a"}}]
    laboratory = [{"system": "urn:yidang:record-class", "code": "laboratory"}]
    r = Request(frozenset({"Organization/a"}), "TREAT", NOW)
    lab = Item("laboratory", Sensitivity(0), 0, "Organization/b", "Observation/1")
    film = Item("imaging", Sensitivity(0), 0, "Organization/b", "Observation/1")
    but = compiled({"type": "permit", "actor": actor, "provision": [{"type": "deny", "class": laboratory}]})
    assert opened(but, r, film) and not opened(but, r, lab)
    only = compiled({"type": "deny", "actor": actor, "provision": [{"type": "permit", "class": laboratory}]})
    assert opened(only, r, lab) and not opened(only, r, film)


def test_nested_periods_are_where_both_hold() -> None:
    actor = [{"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": "Organization/a"}}]
    inner = {"type": "permit", "dataPeriod": period(100, 10), "period": period(20_000, 10)}
    outer = {"actor": actor, "dataPeriod": period(105, 10), "period": period(20_005, 10), "provision": [inner]}
    (grant,) = compiled(outer)
    assert (grant.data_low, grant.data_high) == (105 * 86_400_000, 110 * 86_400_000)
    assert (grant.low, grant.high) == (20_005 * DAY, 20_010 * DAY)
