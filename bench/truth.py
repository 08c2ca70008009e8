"""The true answers, found by looking through the people's facts without any server code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.population import DISEASES, MEASURES, Person, Reading
from loaders.demo.catalogue import LOINC

# Characters of the people's names that pypinyin reads otherwise when they are surnames.
_SURNAME_READING = {"曾": "zeng", "尉迟": "yuchi"}


class WrongAnswer(Exception):
    """The server answered something else than the truth."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a search must answer, in server ids.

    ``matches``: the ids in order, or, unordered, all that match, of which ``page`` are shown.
    ``includes``: exactly the ids of the included resources. ``total``: ``Bundle.total`` where it is asked for.
    """

    matches: Sequence[str] = ()
    ordered: bool = True
    page: int = 20
    includes: frozenset[str] = frozenset()
    total: int | None = None


def check(expected: Expected, path: str, status: int, body: bytes) -> None:
    """Raise WrongAnswer unless the searchset is the expected one."""
    if status != 200:
        raise WrongAnswer(f"GET {path}: status {status}: {body[:500].decode(errors='replace')}")
    found = json.loads(body)
    if expected.total is not None:
        if found.get("total") != expected.total:
            raise WrongAnswer(f"GET {path}: total {found.get('total')}, true is {expected.total}")
        return
    matches, includes = _ids(found, "match"), _ids(found, "include")
    if expected.ordered:
        right = matches == list(expected.matches)
    else:
        right = len(matches) == len(set(matches)) == min(expected.page, len(expected.matches))
        right = right and set(matches) <= set(expected.matches)
    if not right:
        raise WrongAnswer(f"GET {path}: matches {matches}, true are {list(expected.matches)[:50]}")
    if set(includes) != expected.includes or len(includes) != len(expected.includes):
        raise WrongAnswer(f"GET {path}: includes {includes}, true are {sorted(expected.includes)}")


def _ids(bundle: dict[str, Any], mode: str) -> list[str]:
    return [e["resource"]["id"] for e in bundle.get("entry", []) if e.get("search", {}).get("mode") == mode]


def name_forms(p: Person) -> set[str]:
    """All under which a name is found from its start: as written, joined, in pinyin, by initials."""
    from pypinyin import lazy_pinyin

    family = _SURNAME_READING.get(p.family) or "".join(lazy_pinyin(p.family))
    family_initials = "".join(lazy_pinyin(c)[0][0] for c in p.family)
    if p.family in _SURNAME_READING:
        family_initials = {"尉迟": "yc"}.get(p.family, family[0])
    given = lazy_pinyin(p.given)
    forms = {p.family, p.given, p.name, f"{p.family} {p.given}", family, family_initials, "".join(given)}
    forms |= {" ".join(given), "".join(s[0] for s in given), family + "".join(given), f"{family} {''.join(given)}"}
    forms.add(family_initials + "".join(s[0] for s in given))
    return forms


@dataclass(slots=True)
class Truth:
    """The people in the store. ``ids`` maps local names to server ids (missing: the same)."""

    people: Sequence[Person]
    ids: Mapping[str, str] = field(default_factory=dict)
    _by_code: dict[int, list[tuple[int, str, float]]] = field(default_factory=dict)
    _forms: dict[int, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for p in self.people:
            for k, r in enumerate(p.readings):
                self._by_code.setdefault(r.measure, []).append((r.time, f"o{p.number}-{k}", float(r.value)))
        for found in self._by_code.values():
            found.sort(reverse=True)

    @property
    def observations(self) -> int:
        return sum(map(len, self._by_code.values()))

    def id(self, local: str) -> str:
        """The server's id of a local name."""
        return self.ids.get(local, local)

    def with_code(self, measure: int) -> list[tuple[int, str, float]]:
        """(time, local name, value) of all Observations of that measure, the newest first."""
        return self._by_code.get(measure, [])

    def of(self, people: Iterable[Person], measure: int) -> list[tuple[Person, Reading, str]]:
        """Those people's readings of a measure with their local names, the newest first."""
        found = [(p, r, f"o{p.number}-{k}") for p in people for k, r in enumerate(p.readings) if r.measure == measure]
        return sorted(found, key=lambda item: -item[1].time)

    def named(self, text: str) -> list[Person]:
        """The people one of whose name forms begins with ``text``."""
        found = []
        for p in self.people:
            forms = self._forms.get(p.number)
            if forms is None:
                forms = self._forms[p.number] = name_forms(p)
            if any(form.startswith(text) for form in forms):
                found.append(p)
        return found

    def ill(self, disease: int, people: Iterable[Person] | None = None) -> list[Person]:
        """The people (of these) that have the disease."""
        return [p for p in (self.people if people is None else people) if disease in p.diseases]


def code_of(measure: int) -> str:
    """The token of a measure: system|code."""
    return f"{LOINC}|{MEASURES[measure].code}"


def disease_code(disease: int) -> str:
    """The ICD-10 code of a disease."""
    return DISEASES[disease].code
