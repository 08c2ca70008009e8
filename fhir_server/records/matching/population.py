"""A population with the troubles of a real register, to calibrate the matching on; every record knows whose it is.

Households share phone and address; there are twins (some with names that sound alike), namesakes born on one day,
numbers of the wrong parent, misheard and mistyped names, dates of the traditional calendar, missing fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

from fhir_server.records.matching.identity_numbers import INSURANCE_CARD
from fhir_server.records.matching.person import MOTHER
from fhir_server.search.normalise import pinyin_forms
from loaders.demo import identity

TODAY = date(2026, 11, 1)
_TOWNSHIPS = ("和平镇", "永丰镇", "长田乡", "古南街道", "东溪镇", "石角镇", "三角镇", "横山镇")
_VILLAGES = ("东风村", "红旗村", "新民村", "大坪村", "石桥社区", "沱湾社区", "双河村", "柏林村", "白云村", "向阳社区")
_INSTITUTIONS = 12
# Characters that sound alike, as a clerk mishears them.
_HOMOPHONES = (
    "伟维为卫炜", "芳方坊", "敏民闵", "静景敬婧", "丽莉利立", "娟鹃", "霞侠", "燕艳彦", "玲铃林琳霖凌", "婷亭庭",
    "强墙", "军君俊钧", "勇永咏", "杰洁", "涛桃", "明鸣铭", "超朝", "刚钢", "辉晖慧惠会", "鹏朋彭", "华花桦",
    "波博", "斌彬宾", "宇雨羽禹玉", "浩昊皓", "凯楷恺", "建健剑", "志智致", "文雯闻", "海亥", "峰锋枫丰", "云芸韵",
    "英瑛", "珍真贞臻", "香湘祥", "月悦越", "佳嘉家加", "怡宜仪", "欣新心馨鑫", "妍言研", "雪学", "梅美", "红洪宏虹",
    "萍平苹", "桂贵", "兰岚", "子紫梓", "轩萱宣", "涵寒晗", "诗思", "晨辰臣陈", "阳洋扬杨", "旭序", "龙隆", "国果",
)  # fmt: skip
_ALIKE = {character: group for group in _HOMOPHONES for character in group}
_TWINS = (("子轩", "子萱"), ("佳怡", "嘉怡"), ("雨欣", "雨馨"), ("俊杰", "俊洁"), ("浩宇", "浩雨"), ("思涵", "诗涵"))


@dataclass(slots=True)
class Resident:
    """One person as he or she is."""

    key: int
    family: str
    given: str
    female: bool
    born: date
    number: str
    file: str
    card: str
    phone: str
    place: tuple[str, str, int]
    mother: Resident | None = None
    order: int = 0
    kin: list[Resident] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Record:
    """What one institution wrote down: ``whose`` is the key of the person."""

    whose: int
    patient: dict[str, Any]


def records(count: int, seed: int = 2026) -> list[Record]:
    """At least ``count`` records of some half as many persons, in the order in which they come in."""
    random = Random(seed)
    made: list[Record] = []
    for resident in _residents(random):
        made += _records_of(resident, random)
        if len(made) >= count:
            break
    random.shuffle(made)
    return made


def _residents(random: Random) -> Iterator[Resident]:
    """Households for ever, with a namesake born on the same day now and then."""
    key = 0
    seen: list[Resident] = []
    while True:
        for resident in _household(random, key):
            key = resident.key + 1
            seen.append(resident)
            yield resident
        if random.random() < 0.05:
            yield (stranger := _namesake(random, random.choice(seen), key))
            key = stranger.key + 1


def _person(random: Random, key: int, family: str, female: bool, born: date, home: Resident | None = None) -> Resident:
    _, given = identity.person_name(random, female)
    place = (random.choice(_TOWNSHIPS), random.choice(_VILLAGES), random.randint(1, 160))
    number = identity.identity_number(key % 400_000, born, female)
    return Resident(
        key,
        family,
        given,
        female,
        born,
        number,
        f"99010100{random.randint(1, 9)}10{key % 10**6:06d}",
        f"C{key:09d}",
        home.phone if home is not None and random.random() < 0.7 else identity.phone(random.randrange(10**8)),
        home.place if home is not None else place,
    )


def _household(random: Random, key: int) -> list[Resident]:
    wed = date(1950, 1, 1) + timedelta(days=random.randrange(25_000))
    father = _person(random, key, identity.person_name(random, False)[0], False, _around(random, wed, 26))
    mother = _person(random, key + 1, identity.person_name(random, True)[0], True, _around(random, wed, 24), father)
    found = [father, mother]
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3))):
        born = min(wed + timedelta(days=random.randrange(300, 4000)), TODAY - timedelta(days=random.randrange(1, 900)))
        twins = random.random() < 0.04
        pair = random.choice(_TWINS) if twins and random.random() < 0.4 else None
        alike = random.random() < 0.7
        first: Resident | None = None
        for order in (1, 2) if twins else (0,):
            female = first.female if first is not None and alike else random.random() < 0.5
            child = _person(random, key + len(found), father.family, female, born, father)
            child.mother, child.order = mother, order
            if pair is not None:
                child.given = pair[order - 1]
            elif first is not None and len(first.given) == 2 and random.random() < 0.6:
                child.given = first.given[0] + child.given[-1]
            if first is not None and child.given == first.given:
                child.given = _other(random, child.given)
            first = first or child
            found.append(child)
    for one in found:
        one.kin = [other for other in found if other is not one]
    return found


def _other(random: Random, given: str) -> str:
    return given[:-1] + random.choice([c for c in "安宁乐康杰雪" if c != given[-1]])


def _around(random: Random, day: date, years: int) -> date:
    return day - timedelta(days=int(years * 365.25) + random.randrange(-1500, 1500))


def _namesake(random: Random, of: Resident, key: int) -> Resident:
    """A stranger of the same name, sex and birth date; now and then of the same village."""
    stranger = _person(random, key, of.family, of.female, of.born)
    stranger.given = of.given
    if random.random() < 0.2:
        stranger.place = (of.place[0], of.place[1], random.randint(1, 160))
    return stranger


# -- what institutions write down --------------------------------------------------------------


def _records_of(resident: Resident, random: Random) -> Iterator[Record]:
    newborn = resident.mother is not None and (TODAY - resident.born).days < 1500 and random.random() < 0.6
    if newborn:
        yield Record(resident.key, _newborn(resident, random))
    institutions = random.choices(range(_INSTITUTIONS), k=random.choice((1, 1, 1, 2, 2, 2, 3, 4)))
    for place in institutions:
        yield Record(resident.key, _patient(resident, place, random))
    if random.random() < 0.002:
        yield Record(resident.key, {"resourceType": "Patient", "name": [{"text": "无名氏"}]})


def _newborn(resident: Resident, random: Random) -> dict[str, Any]:
    mother = resident.mother
    if mother is None:
        raise ValueError("a newborn's record needs the mother")
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "name": [{"text": f"{mother.family}{mother.given}之{'女' if resident.female else '子'}", "use": "temp"}],
        "gender": "female" if resident.female else "male",
        "birthDate": resident.born.isoformat(),
        "telecom": [{"system": "phone", "value": mother.phone}],
    }
    if random.random() < 0.9:
        patient["extension"] = _mother_extension(mother)
        if resident.order:
            patient["multipleBirthInteger"] = resident.order
        else:
            patient["multipleBirthBoolean"] = False
    return patient


def _mother_extension(mother: Resident) -> list[dict[str, Any]]:
    value = {"identifier": {"system": identity.IDENTITY_NUMBER, "value": mother.number}}
    return [{"url": MOTHER, "valueReference": value}]


def _patient(resident: Resident, place: int, random: Random) -> dict[str, Any]:
    patient: dict[str, Any] = {"resourceType": "Patient", "name": [_name(resident, random)]}
    if born := _born(resident, random):
        patient["birthDate"] = born
    if random.random() > 0.02:
        patient["gender"] = "female" if resident.female ^ (random.random() < 0.005) else "male"
    identifiers = [*_number(resident, random)]
    if random.random() < 0.3:
        identifiers.append({"system": identity.HEALTH_FILE_NUMBER, "value": resident.file})
    if random.random() < 0.3:
        owner = random.choice(resident.kin) if resident.kin and random.random() < 0.01 else resident
        identifiers.append({"system": INSURANCE_CARD, "value": owner.card})
    assigner = {"reference": f"Organization/i{place}"}
    local = f"{place}{resident.key:07d}"
    identifiers.append({"system": identity.OUTPATIENT_NUMBER, "value": local, "assigner": assigner})
    patient["identifier"] = identifiers
    if phone := _phone(resident, random):
        patient["telecom"] = [{"system": "phone", "value": phone}]
    if text := _address(resident, random):
        patient["address"] = [{"text": text}]
    if resident.mother is not None and random.random() < 0.15:
        patient["extension"] = _mother_extension(resident.mother)
        patient |= {"multipleBirthInteger": resident.order} if resident.order else {"multipleBirthBoolean": False}
    return patient


def _choose(random: Random, choices: tuple[tuple[float, Callable[[], Any]], ...], usual: Callable[[], Any]) -> Any:
    """One of the ``choices`` with its probability, else the usual."""
    drawn = random.random()
    for share, make in choices:
        if drawn < share:
            return make()
        drawn -= share
    return usual()


def _number(resident: Resident, random: Random) -> list[dict[str, Any]]:
    young = (TODAY - resident.born).days < 6 * 365

    def slip() -> str:
        place = random.randrange(6, 17)
        return resident.number[:place] + random.choice("0123456789") + resident.number[place + 1 :]

    def old() -> str:
        return resident.number[:6] + resident.number[8:17] if resident.born.year < 1990 else resident.number

    value = _choose(
        random,
        (
            (0.6 if young else 0.18, lambda: ""),
            (0.01, slip),
            (0.005, old),
            (0.01, lambda: random.choice(resident.kin).number if resident.kin else resident.number),
        ),
        lambda: resident.number,
    )
    return [{"system": identity.IDENTITY_NUMBER, "value": value}] if value else []


def _name(resident: Resident, random: Random) -> dict[str, Any]:
    family, given = resident.family, resident.given

    def misheard() -> dict[str, Any]:
        place = random.randrange(len(given))
        other = random.choice(_ALIKE.get(given[place], given[place]))
        return {"text": family + given[:place] + other + given[place + 1 :]}

    def mistyped() -> dict[str, Any]:
        place = random.randrange(len(given))
        return {"text": family + given[:place] + random.choice("大小文玉春秀国明") + given[place + 1 :]}

    def romanised() -> dict[str, Any]:
        read = [pinyin_forms(part, surname)[0] for part, surname in ((family, True), (given, False))]
        return {"family": read[0].capitalize(), "given": [read[1].capitalize()]}

    return dict(
        _choose(
            random,
            (
                (0.025, misheard),
                (0.015, mistyped),
                (0.003, lambda: {"text": family + given[:-1] if len(given) > 1 else family + given}),
                (0.005, lambda: {"text": given + family}),
                (0.01, romanised),
                (0.02, lambda: {"text": f"{family} {given}"}),
                (0.2, lambda: {"family": family, "given": [given]}),
            ),
            lambda: {"text": family + given},
        )
    )


def _born(resident: Resident, random: Random) -> str:
    born = resident.born

    def slip() -> str:
        return (born + timedelta(days=random.choice((1, -1, 10, -10, 365, -365)))).isoformat()

    def turned() -> str:
        return replace_day(born, born.day, born.month).isoformat() if born.day <= 12 else born.isoformat()

    found: str = _choose(
        random,
        (
            (0.03, lambda: ""),
            (0.015, slip),
            (0.005, turned),
            (0.01, lambda: (born - timedelta(days=random.randrange(18, 52))).isoformat()),
            (0.01, lambda: born.isoformat()[:4]),
        ),
        born.isoformat,
    )
    return found


def replace_day(day: date, month: int, of_month: int) -> date:
    """``day`` with another month and day of the month."""
    return day.replace(month=month, day=of_month)


def _phone(resident: Resident, random: Random) -> str:
    kin = resident.kin or [resident]
    found: str = _choose(
        random,
        (
            (0.15, lambda: ""),
            (0.12, lambda: identity.phone(random.randrange(10**8))),
            (0.15, lambda: random.choice(kin).phone),
            (0.01, lambda: resident.phone[:-1] + random.choice("0123456789")),
        ),
        lambda: resident.phone,
    )
    return found


def _address(resident: Resident, random: Random) -> str:
    township, village, house = resident.place
    found: str = _choose(
        random,
        (
            (0.2, lambda: ""),
            (0.05, lambda: f"{random.choice(_TOWNSHIPS)}{random.choice(_VILLAGES)}{random.randint(1, 160)}号"),
            (0.2, lambda: f"{township}{village}"),
            (0.1, lambda: township),
        ),
        lambda: f"丰宁县{township}{village}{house}号",
    )
    return found
