"""Who lives in the demonstration county: households of twenty numbers at a time, the same for the same seed.

The first twenty are written down here, so that the smallest county has every kind of person; the others are
drawn. A person's guardian always has a lower number.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from random import Random

from loaders.demo import names
from loaders.demo.names import HAN, Name

TODAY = date(2026, 11, 1)  # the day the records end
BLOCK = 20


@dataclass(frozen=True, slots=True)
class Person:
    """One resident's facts.

    ``household`` names who lives together, ``place`` is an index into the county's village clinics, ``house`` the
    number on the door, ``phone`` the serial of the telephone (families share one). ``papers``: identity-card,
    passport, hk-mo-permit, tw-permit, birth-certificate or none. ``guardians``: numbers of those who act for the
    person, with ``tie`` as v3-RoleCode says it. ``traits`` select what the file holds.
    """

    number: int
    household: int
    place: int
    house: int
    phone: int
    name: Name
    people: tuple[str, str]
    female: bool
    born: date
    papers: str = "identity-card"
    guardians: tuple[int, ...] = ()
    tie: str = ""
    died: date | None = None
    traits: frozenset[str] = field(default=frozenset())

    @property
    def id(self) -> str:
        """The Patient's logical id."""
        return f"resident-{self.number:06d}"

    @property
    def age(self) -> int:
        """Full years on TODAY."""
        return age_on(self.born, TODAY)

    @property
    def last(self) -> date:
        """The last day on which something may happen to the person."""
        return self.died or TODAY


def age_on(born: date, day: date) -> int:
    """Full years on ``day``."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


@dataclass(frozen=True, slots=True)
class _Member:
    """A place in a household: ages from–to (years; below 1 a newborn), sex (None: either), whose ward, traits."""

    ages: tuple[float, float]
    female: bool | None
    wards_of: tuple[int, ...] = ()
    tie: str = ""
    traits: str = ""
    papers: str = "identity-card"
    surname_of: int | None = None


def _wards(*members: int) -> dict[str, tuple[int, ...]]:
    return {"wards_of": members}


# The first twenty: households in which every kind of person and of record is met.
_CAST: tuple[tuple[_Member, ...], ...] = (
    (
        _Member((45, 46), False, traits="hypertension diabetes hero"),
        _Member((43, 44), True, traits="thyroid"),
        _Member((16, 17), True, (0, 1), "DAUC", "adolescent", surname_of=0),
        _Member((8, 9), False, (0, 1), "SONC", "asthma", surname_of=0),
        _Member((72, 73), True, traits="hypertension kidney heart"),
        _Member((78, 79), False, (0, 4), "FTH", "dementia stroke"),
    ),
    (
        _Member((28, 29), True, traits="pregnancy"),
        _Member((30, 31), False, traits="hepatitis"),
        _Member((0.03, 0.05), False, (0, 1), "SONC", "newborn", "birth-certificate", surname_of=1),
    ),
    (_Member((34, 35), False, traits="hiv syphilis"),),
    (
        _Member((38, 39), True, traits="mental"),
        _Member((15, 16), False, (0,), "SONC", "adolescent-mind", surname_of=None),
    ),
    (_Member((52, 53), False, traits="alcohol hypertension"),),
    (_Member((41, 42), True, traits="foreign", papers="passport"),),
    (_Member((55, 56), False, traits="southern diabetes", papers="hk-mo-permit"),),
    (_Member((25, 26), True, traits="minority abuse"),),
    (_Member((84, 85), False, traits="dead heart lungs"),),
    (
        _Member((61, 62), True, traits="cancer compound"),
        _Member((33, 34), True, traits="rare gene"),
    ),
    (_Member((70, 71), False, traits="lungs alone"),),
)

# Households of everybody else, with their shares.
_HOUSEHOLDS: tuple[tuple[float, tuple[_Member, ...]], ...] = (
    (
        20,
        (
            _Member((30, 46), False),
            _Member((28, 44), True),
            _Member((1, 17), None, (0, 1), "CHILD", surname_of=0),
        ),
    ),
    (
        14,
        (
            _Member((34, 48), False),
            _Member((32, 46), True),
            _Member((7, 17), None, (0, 1), "CHILD", surname_of=0),
            _Member((1, 9), None, (0, 1), "CHILD", surname_of=0),
            _Member((60, 80), True),
        ),
    ),
    (5, (_Member((24, 34), False), _Member((23, 33), True), _Member((0.02, 0.9), None, (0, 1), "CHILD", "newborn"))),
    # Children who stay with their grandparents while the parents work elsewhere.
    (8, (_Member((56, 70), True), _Member((58, 72), False), _Member((4, 15), None, (0, 1), "GRNDCHILD", surname_of=1))),
    (20, (_Member((58, 82), False), _Member((57, 80), True))),
    (12, (_Member((66, 92), None, traits="alone"),)),
    (8, (_Member((26, 56), False), _Member((25, 54), True))),
    (9, (_Member((19, 60), None),)),
    (3, (_Member((48, 62), True), _Member((76, 92), None, (0,), "PRN", "dementia"))),
    (1, (_Member((50, 60), True), _Member((20, 30), None, (0,), "CHILD", "disability"))),
)


def clinics_in_use(number: int, clinics: int) -> int:
    """Over how many village clinics the households around ``number`` spread: few in a small county, in the end all."""
    return min(clinics, 6 + number // 20)


@lru_cache(maxsize=8)
def block(index: int, seed: int, clinics: int) -> tuple[Person, ...]:
    """The twenty persons numbered from ``index`` * 20 + 1 on."""
    random = Random(f"{seed}:households:{index}")
    people: list[Person] = []
    kinds = list(_CAST) if index == 0 else []
    while len(people) < BLOCK:
        if kinds:
            members = kinds.pop(0)
        else:
            members = random.choices([m for _, m in _HOUSEHOLDS], [share for share, _ in _HOUSEHOLDS])[0]
        people += _household(random, members, index * BLOCK + len(people) + 1, clinics)
    return tuple(people[:BLOCK])


def person(number: int, seed: int, clinics: int) -> Person:
    """The person of that number (from 1)."""
    index, place = divmod(number - 1, BLOCK)
    return block(index, seed, clinics)[place]


def _household(random: Random, members: tuple[_Member, ...], first: int, clinics: int) -> list[Person]:
    place = random.randrange(clinics_in_use(first, clinics))
    house = random.randint(1, 180)
    shared = random.random() < 0.5
    minority = random.random() < 0.06
    made: list[Person] = []
    for offset, member in enumerate(members):
        number = first + offset
        wards = tuple(first + i for i in member.wards_of)
        # Children and the old are reached over the telephone of those they live with.
        phone = first if wards or (shared and member.ages[0] > 55) else number
        base = Person(number, first, place, house, phone, Name("", "", ""), HAN, False, TODAY, member.papers, wards)
        made.append(_filled(random, base, member, made, minority))
    return made


def _filled(random: Random, base: Person, member: _Member, others: list[Person], minority: bool) -> Person:
    traits = set(member.traits.split())
    female = random.random() < 0.5 if member.female is None else member.female
    low, high = (int(age * 365.25) for age in member.ages)
    born = TODAY - timedelta(days=random.randint(low, max(low, high - 1)))
    tie = {"CHILD": "DAUC" if female else "SONC"}.get(member.tie, member.tie)
    papers = "birth-certificate" if "newborn" in traits else member.papers
    if base.number > BLOCK:
        traits, papers, female = _drawn(random, traits, papers, female, born, bool(base.guardians))
    name, people = _name(random, traits, female, minority or "minority" in traits)
    if member.surname_of is not None and others and name.family and len(name.family) <= 2:
        parent = others[member.surname_of]
        if parent.people == HAN and people == HAN and parent.name.family and "foreign" not in parent.traits:
            name = Name(parent.name.family + name.given, parent.name.family, name.given)
    died = TODAY - timedelta(days=random.randint(20, 500)) if "dead" in traits else None
    return replace(
        base,
        name=name,
        people=people,
        female=female,
        born=born,
        papers=papers,
        tie=tie,
        died=died,
        traits=frozenset(traits),
    )


# From which age on a trait is met, its share among those old enough, and of which sex.
_DRAWN: tuple[tuple[str, int, int, float, bool | None], ...] = (
    ("hypertension", 38, 120, 0.30, None),
    ("diabetes", 38, 120, 0.13, None),
    ("heart", 52, 120, 0.10, None),
    ("kidney", 50, 120, 0.04, None),
    ("lungs", 52, 120, 0.08, None),
    ("stroke", 58, 120, 0.06, None),
    ("thyroid", 22, 60, 0.04, None),
    ("hepatitis", 20, 80, 0.05, None),
    ("asthma", 4, 60, 0.03, None),
    ("cancer", 48, 90, 0.02, None),
    ("pregnancy", 21, 38, 0.12, True),
    ("mental", 18, 75, 0.025, None),
    ("alcohol", 30, 70, 0.02, False),
    ("hiv", 20, 65, 0.006, None),
    ("syphilis", 20, 65, 0.006, None),
    ("tuberculosis", 15, 85, 0.006, None),
    ("gene", 18, 50, 0.006, None),
    ("abuse", 18, 60, 0.004, True),
    ("adolescent", 14, 17, 0.10, None),
    ("adolescent-mind", 14, 17, 0.06, None),
    ("dead", 68, 120, 0.05, None),
    ("rare", 0, 120, 0.01, None),
    ("compound", 0, 120, 0.01, None),
)
_PAPERS = (("passport", 0.004, "foreign"), ("hk-mo-permit", 0.003, "southern"), ("tw-permit", 0.002, "southern"))


def _drawn(
    random: Random, traits: set[str], papers: str, female: bool, born: date, ward: bool
) -> tuple[set[str], str, bool]:
    age = age_on(born, TODAY)
    for trait, low, high, share, of_women in _DRAWN:
        hit = random.random() < share
        if hit and low <= age <= high and of_women in (None, female) and not (ward and trait == "dead"):
            traits.add(trait)
    if "newborn" in traits and age < 1 and random.random() < 0.3:
        papers = "identity-card"
    roll = random.random()
    for kind, share, trait in _PAPERS:
        roll -= share
        if roll < 0 and papers == "identity-card" and age >= 18:
            return traits | {trait}, kind, female
    if papers == "identity-card" and random.random() < 0.002:
        papers = "none"
    return traits, papers, female


def _name(random: Random, traits: set[str], female: bool, minority: bool) -> tuple[Name, tuple[str, str]]:
    if "foreign" in traits:
        return names.foreign(random), ("98", "外国血统中国籍人士")
    if "southern" in traits:
        return names.southern(random, female), HAN
    if minority:
        return names.of_people(random, female)
    family, given = names.person_name(random, female)
    if "compound" in traits:
        family = random.choice(names.COMPOUND)
    if "rare" in traits:
        return names.with_rare_character(random, family), HAN
    return Name(family + given, family, given), HAN
