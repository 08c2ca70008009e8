"""The mix of searches: for each kind, many different requests with their true answers."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from urllib.parse import quote

from bench.population import CONDITIONS, DISEASES, MEASURES, Person
from bench.truth import Expected, Truth, code_of, disease_code, name_forms
from loaders.demo.catalogue import UCUM

Ask = tuple[str, Expected]  # path, true answer
_TWENTY = "_sort=-date&_count=20"


def _q(text: str) -> str:
    return quote(text, safe="")


def _watched(p: Person) -> int:
    return p.readings[-1].measure


def patient_code(truth: Truth, random: Random) -> Ask:
    p = random.choice(truth.people)
    measure = _watched(p)
    newest = [local for _, _, local in truth.of([p], measure)][:20]
    path = f"/fhir/Observation?patient={truth.id(p.patient)}&code={_q(code_of(measure))}&{_TWENTY}"
    return path, Expected([truth.id(local) for local in newest])


def include(truth: Truth, random: Random) -> Ask:
    p = random.choice(truth.people)
    visited = [r.measure for r in p.readings if r.visit >= 0]
    measure = random.choice(visited)
    found = truth.of([p], measure)[:20]
    included = {truth.id(p.patient)} | {truth.id(f"e{p.number}-{r.visit}") for _, r, _ in found if r.visit >= 0}
    path = f"/fhir/Observation?patient={truth.id(p.patient)}&code={_q(code_of(measure))}&{_TWENTY}"
    path += "&_include=Observation:patient&_include=Observation:encounter"
    return path, Expected([truth.id(local) for _, _, local in found], includes=frozenset(included))


def code_newest(truth: Truth, random: Random) -> Ask:
    measure = random.randrange(len(MEASURES))
    newest = [truth.id(local) for _, local, _ in truth.with_code(measure)[:20]]
    return f"/fhir/Observation?code={_q(code_of(measure))}&{_TWENTY}", Expected(newest)


def code_count(truth: Truth, random: Random) -> Ask:
    measure = random.randrange(len(MEASURES))
    total = len(truth.with_code(measure))
    return f"/fhir/Observation?code={_q(code_of(measure))}&_summary=count", Expected(total=total)


def status_count(truth: Truth, random: Random) -> Ask:
    return "/fhir/Observation?status=final&_summary=count", Expected(total=truth.observations)


def code_quantity(truth: Truth, random: Random) -> Ask:
    measure = random.randrange(len(MEASURES))
    rows = truth.with_code(measure)
    low, high = MEASURES[measure].male
    limit = f"{random.uniform(high, high + (high - low) * 0.3):.{MEASURES[measure].digits}f}"
    found = [truth.id(local) for _, local, value in rows if value > float(limit)]
    quantity = _q(f"gt{limit}|{UCUM}|{MEASURES[measure].unit}")
    return f"/fhir/Observation?code={_q(code_of(measure))}&value-quantity={quantity}&{_TWENTY}", Expected(found[:20])


def chained(truth: Truth, random: Random) -> Ask:
    name = random.choice(truth.people).name
    measure = random.randrange(len(MEASURES))
    newest = [truth.id(local) for _, _, local in truth.of(truth.named(name), measure)][:20]
    path = f"/fhir/Observation?patient.name={_q(name)}&code={_q(code_of(measure))}&{_TWENTY}"
    return path, Expected(newest)


def chained_family(truth: Truth, random: Random) -> Ask:
    family = random.choice(truth.people).family
    measure = random.randrange(len(MEASURES))
    newest = [truth.id(local) for _, _, local in truth.of(truth.named(family), measure)][:20]
    path = f"/fhir/Observation?patient.name={_q(family)}&code={_q(code_of(measure))}&{_TWENTY}"
    return path, Expected(newest)


def has(truth: Truth, random: Random) -> Ask:
    p = random.choice(truth.people)
    disease = p.diseases[random.randrange(CONDITIONS)]
    found = [truth.id(x.patient) for x in truth.ill(disease, truth.named(p.name))]
    path = f"/fhir/Patient?name={_q(p.name)}&_has:Condition:patient:code={disease_code(disease)}&_count=20"
    return path, Expected(found, ordered=False)


def has_alone(truth: Truth, random: Random) -> Ask:
    disease = random.randrange(len(DISEASES))
    found = [truth.id(x.patient) for x in truth.ill(disease)]
    return f"/fhir/Patient?_has:Condition:patient:code={disease_code(disease)}&_count=20", Expected(found, False)


def _name(text: Callable[[Person], str]) -> Callable[[Truth, Random], Ask]:
    def ask(truth: Truth, random: Random) -> Ask:
        wanted = text(random.choice(truth.people))
        found = [truth.id(p.patient) for p in truth.named(wanted)]
        return f"/fhir/Patient?name={_q(wanted)}&_count=20", Expected(found, ordered=False)

    return ask


def _pinyin(p: Person) -> str:
    return max((form for form in name_forms(p) if form.isascii() and " " not in form), key=len)


def identifier(truth: Truth, random: Random) -> Ask:
    p = random.choice(truth.people)
    k = random.randrange(len(p.readings))
    path = f"/fhir/Observation?identifier=L{p.number:07d}{k:03d}"
    return path, Expected([truth.id(f"o{p.number}-{k}")])


# What is measured: name, how a request of the kind is made, how many different ones.
SEARCHES: tuple[tuple[str, Callable[[Truth, Random], Ask], int], ...] = (
    ("search patient+code, newest 20 of 30", patient_code, 200),
    ("search code, newest 20", code_newest, 21),
    ("count by code (_summary=count)", code_count, 21),
    ("count by status (nearly all)", status_count, 1),
    ("search code+quantity, newest 20", code_quantity, 60),
    ("search patient.name (full)+code", chained, 60),
    ("search patient.name (family)+code", chained_family, 60),
    ("search name+_has Condition", has, 60),
    ("search _has Condition alone", has_alone, 14),
    ("search name, Chinese", _name(lambda p: p.name), 60),
    ("search name, pinyin", _name(_pinyin), 60),
    ("search identifier", identifier, 200),
    ("search patient+code with 2 _include", include, 200),
)


def asks(kind: Callable[[Truth, Random], Ask], count: int, truth: Truth) -> list[Ask]:
    """That many requests of a kind, the same ones for the same people."""
    random = Random(7)
    return list(dict(kind(truth, random) for _ in range(count)).items())
