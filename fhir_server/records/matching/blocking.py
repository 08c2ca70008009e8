"""Which records are worth comparing: the searches that find a person's candidates, and the same as keys in memory.

Every search is one that the store's own indexes answer (identifier, name with pinyin, birth date, phone).
"""

from __future__ import annotations

from collections.abc import Iterator

from fhir_server.records.matching.identity_numbers import Reading, spellings
from fhir_server.records.matching.person import Person

Pairs = list[tuple[str, str]]


def searches(person: Person) -> Iterator[Pairs]:
    """The searches on Patient (parameters and values) whose matches are this person's candidates."""
    numbers = [
        f"{system}|{escaped(value)}"
        for number in sorted(person.numbers | person.unchecked)
        for system, value in spellings(Reading(*number))
    ]
    numbers += [f"{system.partition(' ')[0]}|{escaped(value)}" for system, value in sorted(person.personal)]
    if numbers:
        yield [("identifier", ",".join(numbers))]
    years = ",".join(near_years(person.born))
    # One form a search: the index walks one run of names, not several at once.
    for form in _forms(person):
        yield [("name", escaped(form)), *([("birthdate", years)] if years else [])]
    if len(person.born) == 10:
        yield [("birthdate", person.born)]
    for number in sorted(person.phones)[:3]:
        yield [("phone", escaped(number))]


def _forms(person: Person) -> list[str]:
    """What the names may be written as: characters, pinyin, and the surname last on either record."""
    found: list[str] = []
    for name in person.names[:3]:
        found += [name.text, name.sound, name.given + name.family, name.text[-1:] + name.text[:-1]]
    return [form for form in dict.fromkeys(found) if form]


def _newborn(person: Person) -> bool:
    """Whether the name may be another one than on the other record: none yet, or just given."""
    return person.mother is not None or not person.names or person.names[0].temporary


def escaped(value: str) -> str:
    """A value in which no character separates search values. https://hl7.org/fhir/R4/search.html#escaping"""
    for character in "\\,$|":
        value = value.replace(character, f"\\{character}")
    return value


def near_years(born: str) -> list[str]:
    """The year of a birth date and those that a slip of a digit, or counting in the traditional way, makes of it."""
    if len(born) < 4 or not (born[:4].isascii() and born[:4].isdigit()):
        return []
    year = int(born[:4])
    turned = int(born[:2] + born[3] + born[2])
    found = [year, year - 1, year + 1, year - 10, year + 10, turned]
    return [f"{one:04d}" for one in dict.fromkeys(found) if 1000 <= one <= 9999]


def keys(person: Person) -> Iterator[tuple[str, ...]]:
    """The keys under which this record stands and is sought where the index is in memory (calibration)."""
    for system, value in person.numbers | person.unchecked | person.personal:
        yield ("number", system, value)
    year = person.born[:4]
    for name in person.names:
        for form in dict.fromkeys(("".join(sorted(name.sound)), "".join(sorted(name.text)))):
            yield ("name", form, year)
        if len(person.born) == 10:
            yield ("born", person.born, name.reading[0])
    if len(person.born) == 10 and _newborn(person):
        yield ("born", person.born, person.sex)
    for phone in person.phones:
        yield ("phone", phone)
