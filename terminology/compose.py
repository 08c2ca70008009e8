"""What is in a value set: membership of one code, and the list of all members.

https://hl7.org/fhir/R4/valueset.html#compositions. Members are places (ordinals) in versions of code systems, so
that a page of a large expansion reads only its own concepts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from terminology.concepts import CodeSystem, Concept, Raw
from terminology.errors import (
    BadDefinition,
    NotKnown,
    TerminologyError,
    TooCostly,
    Unsupported,
    VersionRefused,
)
from terminology.filters import cost, passes, selected
from terminology.memory import MemorySystem
from terminology.registry import Terminology
from terminology.unknown import SupplementMissing, unknown_system, version_refused, withheld
from terminology.valuesets import Include, Listed, Stored, ValueSet
from terminology.versions import NO_PINS, Pins, fits, joined

_MOST_LOOKS, _DEEPEST = 20_000, 100  # value sets of one evaluation, and imports within imports
_MOST_CODES, _MOST_SECONDS = 5_000_000, 5.0  # codes that are listed, filtered or compared in one evaluation


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Members from one version of a code system, in order. ``listed``: what the value set itself says of them."""

    system: CodeSystem
    places: Sequence[int]
    listed: Mapping[str, Listed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Membership:
    """A code that is in a value set: its concept and system, and what the value set itself says of it."""

    system: CodeSystem
    concept: Concept
    listed: Listed | None = None
    include: Include | None = None


@dataclass(slots=True)
class Used:
    """What an evaluation has looked at: code systems, value sets, supplements."""

    systems: dict[str, CodeSystem] = field(default_factory=dict)
    valuesets: dict[str, ValueSet] = field(default_factory=dict)
    supplements: set[str] = field(default_factory=set)


class Composer:
    """Evaluates value sets over one terminology, under the pins and supplements of one request."""

    def __init__(
        self,
        terminology: Terminology,
        pins: Pins = NO_PINS,
        supplements: Sequence[str] = (),
        without: frozenset[str] = frozenset(),
        by_lists: bool = False,
    ) -> None:
        self.terminology, self.pins = terminology, pins
        # Validators: what a value set lists decides, where its code system, or that version, is not known in whole.
        self._by_lists = by_lists
        self._without = without  # code systems that are to be left out (``url`` or ``url|version``)
        self._supplements = [self._supplement(canonical) for canonical in supplements]
        self._asked = frozenset(supplements)
        self.used = Used()
        self._looks = 0  # value sets that were evaluated: imports of imports multiply
        self._spent = 0
        self._until = monotonic() + _MOST_SECONDS
        # What was worked out in this evaluation, by identity; the second is kept so that the identity stays its own.
        self._known_members: dict[tuple[int, bool, int], tuple[list[Part], ValueSet]] = {}
        self._known_codes: dict[int, tuple[Sequence[str], Part]] = {}
        self.pinned: dict[str, dict[str, None]] = {}  # which pins (by parameter) chose the version of which system

    def _supplement(self, canonical: str) -> CodeSystem:
        found = self.terminology.supplement(canonical)
        if found is None:
            raise SupplementMissing(f"Required supplement not found: {canonical}", key="VALUESET_SUPPLEMENT_MISSING")
        return found

    def require(self, valueset: ValueSet) -> None:
        """Put the supplements in force that ``valueset`` needs. Raises NotKnown where one is not there."""
        for canonical in valueset.supplements:
            if canonical not in self._asked:
                self._asked |= {canonical}
                self._supplements.append(self._supplement(canonical))

    # -- versions -------------------------------------------------------------------------------

    def wanted(self, include: Include) -> str | None:
        """The version that an include asks for under the pins; None the latest."""
        url, pins = include.system, self.pins
        if not include.version and url not in pins.force:
            for name, pinned in (("system-version", pins.default), ("check-system-version", pins.check)):
                if url in pinned:
                    self.pinned.setdefault(name, {})[url] = None
                    break
        return pins.of_system(url, include.version)

    def system(self, url: str, version: str | None) -> CodeSystem | None:
        """A version of a code system, with the supplements in force."""
        found = self.terminology.system(url, version)
        if found is None:
            return None
        found = self.terminology.with_supplements(found, self._supplements)
        self.used.supplements.update(found.supplements())
        return found

    def refused(self, system: CodeSystem) -> str | None:
        """What ``check-system-version`` asks for instead, None where the version is right."""
        needed = self.pins.check.get(system.info.url)
        if needed is None or fits(needed, system.info.version):
            return None
        return needed

    def valueset(self, canonical: str, within: ValueSet | None = None) -> ValueSet:
        """The value set that an include names. Raises NotKnown."""
        if within is not None and canonical in within.contained:
            return within.contained[canonical]
        url, bar, _ = canonical.partition("|")
        if not bar and url in self.pins.valuesets:
            canonical = f"{url}|{self.pins.valuesets[url]}"
        found = self.terminology.valueset(canonical)
        if found is None:
            raise NotKnown(
                f"A definition for the value Set '{canonical}' could not be found", key="Unable_to_resolve_value_Set_"
            )
        return found

    def check(self, valueset: ValueSet, via: tuple[ValueSet, ...] = ()) -> None:
        """Raise BadDefinition where the value set refers to itself, through whichever others."""
        if not via and not any(one.valuesets for one in (*valueset.include, *valueset.exclude)):
            return
        via = self._entered(valueset, via)
        for include in (*valueset.include, *valueset.exclude):
            for canonical in include.valuesets:
                try:
                    other = self.valueset(canonical, valueset)
                except NotKnown:
                    continue
                self.check(other, via)

    # -- one code -------------------------------------------------------------------------------

    def member(self, valueset: ValueSet, url: str, code: str, version: str | None = None) -> Membership | None:
        """The code's membership, None where it is no member.

        ``version`` narrows to includes of that version of the code system. Raises TerminologyError where it cannot
        be decided.
        """
        return self._member(valueset, url, code, version, ())

    def _member(
        self, valueset: ValueSet, url: str, code: str, version: str | None, via: tuple[ValueSet, ...]
    ) -> Membership | None:
        via = self._entered(valueset, via)
        self.require(valueset)
        if not valueset.include:
            return self._stored_member(valueset, url, code)
        found: Membership | None = None
        unclear: TerminologyError | None = None
        for include in valueset.include:
            try:
                found = self._included(valueset, include, url, code, version, via)
            except NotKnown as error:
                unclear = unclear or error
                continue
            if found is not None:
                break
        if found is None:
            if unclear is not None:
                raise unclear
            return None
        if valueset.inactive is False and found.concept.inactive:
            return None
        for exclude in valueset.exclude:
            if self._included(valueset, exclude, url, code, None, via) is not None:
                return None
        return found

    def _spend(self, codes: int) -> None:
        self._spent += codes
        if self._spent > _MOST_CODES or monotonic() > self._until:
            raise TooCostly("The value set lists and compares too many codes, again and again")

    def _codes(self, part: Part) -> Sequence[str]:
        """The codes of a part, in its order."""
        self._spend(1 + len(part.places))
        known = self._known_codes.get(id(part))
        if known is None:
            known = self._known_codes[id(part)] = part.system.codes(part.places), part
        return known[0]

    def _entered(self, valueset: ValueSet, via: tuple[ValueSet, ...]) -> tuple[ValueSet, ...]:
        self._looks += 1
        self._spend(1)
        if self._looks > _MOST_LOOKS or len(via) > _DEEPEST:
            raise TooCostly(f"The value set '{via[0].canonical}' imports too many others, again and again")
        if valueset in via:
            names = ", ".join(one.canonical for one in (*via[1:], valueset))
            raise BadDefinition(
                f"The value set '{valueset.canonical}' refers to itself, through [{names}]",
                code="processing",
                key="VALUESET_CIRCULAR_REFERENCE",
                diagnostics=f"Value sets in a circle: {names}",
            )
        if valueset.url and via and valueset not in via[-1].contained.values():
            self.used.valuesets[valueset.canonical] = valueset
        return (*via, valueset)

    def _stored_member(self, valueset: ValueSet, url: str, code: str) -> Membership | None:
        for one in valueset.expansion or ():
            if one.system == url and one.listed.code == code and not one.abstract:
                system = self.system(url, one.version)
                concept = system.find(code) if system is not None else None
                if system is None or concept is None:
                    system = _listing(url, one.version, {code: one.listed})
                    concept = system.find(code)
                assert concept is not None
                return Membership(system, concept, one.listed)
        return None

    def _included(
        self,
        valueset: ValueSet,
        include: Include,
        url: str,
        code: str,
        version: str | None,
        via: tuple[ValueSet, ...],
    ) -> Membership | None:
        """The code's membership in one include (or exclude)."""
        found: Membership | None = None
        if include.system:
            if include.system != url:
                return None
            found = self._of_system(include, code, version)
            if found is None:
                return None
        for canonical in dict.fromkeys(include.valuesets):
            member = self._member(self.valueset(canonical, valueset), url, code, version, via)
            if member is None:
                return None
            found = found or member
        return found

    def _of_system(self, include: Include, code: str, version: str | None) -> Membership | None:
        wanted = self.wanted(include)
        # Where the value set leaves the version open, that of the code itself counts.
        system = self.system(include.system, version) if wanted is None and version else None
        system = system or self.system(include.system, wanted)
        listed = include.concepts.get(code) if include.concepts is not None else None
        if system is None:
            if include.concepts is None or (wanted is not None and not self._by_lists):
                raise unknown_system(self.terminology, include, wanted)
            return None if listed is None else _by_list(include, listed)
        if include.withheld:
            raise withheld(include)
        self.used.systems[system.info.canonical] = system
        concept = system.find(code)
        if concept is None:
            if not self._by_lists or system.whole:
                return None
            if include.concepts is None:
                raise NotKnown(f"The code '{code}' is not in the part of {include.system} that is known here")
            return None if listed is None else _by_list(include, listed)
        if include.concepts is not None:
            listed = include.concepts.get(concept.code) or listed
            if listed is None:
                return None
        for one in include.filters:
            self._spend(1)
            if not passes(one, system, concept):
                return None
        return Membership(system, concept, listed, include)

    # -- all members ----------------------------------------------------------------------------

    def members(self, valueset: ValueSet, *, active: bool = False) -> list[Part]:
        """All members, in the order in which the value set includes them; none twice.

        ``active``: without inactive ones. Raises TerminologyError where they cannot be listed.
        """
        return self._members(valueset, active, ())

    def _members(self, valueset: ValueSet, active: bool, via: tuple[ValueSet, ...]) -> list[Part]:
        via = self._entered(valueset, via)
        self.require(valueset)
        active = active or valueset.inactive is False
        key = id(valueset), active, len(self._supplements)
        if key not in self._known_members:
            self._known_members[key] = self._evaluated(valueset, active, via), valueset
        return self._known_members[key][0]

    def _evaluated(self, valueset: ValueSet, active: bool, via: tuple[ValueSet, ...]) -> list[Part]:
        if not valueset.include:
            return [_active(part) if active else part for part in self._stored(valueset.expansion or ())]
        excluded: dict[str, set[str]] = {}
        for exclude in valueset.exclude:
            for part in self._parts(valueset, exclude, False, via):
                excluded.setdefault(part.system.info.url, set()).update(self._codes(part))
        several = len(valueset.include) > 1
        found: list[Part] = []
        seen: dict[str, set[str]] = {}
        for include in valueset.include:
            if {include.system, joined(include.system, include.version)} & self._without:
                continue
            for part in self._parts(valueset, include, active, via):
                url = part.system.info.url
                part = self._less(part, excluded.get(url), seen.get(url))
                if not part.places:
                    continue
                if several:
                    seen.setdefault(url, set()).update(self._codes(part))
                found.append(part)
        return found

    def _parts(self, valueset: ValueSet, include: Include, active: bool, via: tuple[ValueSet, ...]) -> list[Part]:
        """The members by one include: its own selection, cut down to those of every value set that it names."""
        parts = [self._selection(include, active)] if include.system else None
        for canonical in dict.fromkeys(include.valuesets):
            others = self._members(self.valueset(canonical, valueset), active, via)
            parts = others if parts is None else self._common(parts, others)
        return parts or []

    def _less(self, part: Part, *several: set[str] | None) -> Part:
        for codes in several:
            if codes:
                known = zip(part.places, self._codes(part), strict=True)
                part = Part(part.system, [place for place, code in known if code not in codes], part.listed)
        return part

    def _common(self, parts: Sequence[Part], others: Sequence[Part]) -> list[Part]:
        """Of ``parts`` what is in ``others`` too."""
        codes: dict[str, set[str]] = {}
        for other in others:
            codes.setdefault(other.system.info.url, set()).update(self._codes(other))
        found: list[Part] = []
        for part in parts:
            wanted = codes.get(part.system.info.url, set())
            known = zip(part.places, self._codes(part), strict=True)
            places = [place for place, code in known if code in wanted]
            if places:
                found.append(Part(part.system, places, part.listed))
        return found

    def _selection(self, include: Include, active: bool) -> Part:
        wanted = self.wanted(include)
        system = self.system(include.system, wanted)
        if include.withheld:
            raise withheld(include)
        if system is None:
            if include.concepts is None or wanted is not None:
                raise unknown_system(self.terminology, include, wanted, "the value set cannot be expanded")
            alone = _listing(include.system, include.version, include.concepts)
            return Part(alone, range(alone.size), include.concepts)
        needed = self.refused(system)
        if needed is not None:
            raise VersionRefused(version_refused(system, needed), key="VALUESET_VERSION_CHECK")
        self.used.systems[system.info.canonical] = system
        places: Sequence[int]
        if include.concepts is not None:
            self._spend(len(include.concepts))
            concepts = [found for code in include.concepts if (found := system.find(code)) is not None]
            places = list(dict.fromkeys(c.ordinal for c in concepts))
            if not system.listed:
                system = _listing(include.system, include.version, include.concepts)
                places = range(system.size)
        elif not system.listed:
            raise Unsupported(
                f"The codes of {include.system} follow a grammar; there are too many to list", code="too-costly"
            )
        elif system.info.content == "not-present":
            raise unknown_system(self.terminology, include, wanted, "the value set cannot be expanded")
        else:
            places = range(system.size)
        for one in include.filters:
            self._spend(cost(one, system))
            passing = selected(one, system)
            self._spend(len(passing))
            places = sorted(passing) if isinstance(places, range) else [n for n in places if n in passing]
        part = Part(system, places, include.concepts or {})
        return _active(part) if active else part

    def _stored(self, entries: Sequence[Stored]) -> Iterator[Part]:
        grouped: dict[tuple[str, str | None], dict[str, Listed]] = {}
        for one in entries:
            if not one.abstract:
                grouped.setdefault((one.system, one.version), {})[one.listed.code] = one.listed
        for (url, version), listed in grouped.items():
            system = self.system(url, version)
            concepts = [system.find(code) for code in listed] if system is not None else []
            if system is None or not system.listed or None in concepts:
                alone = _listing(url, version, listed)
                yield Part(alone, range(alone.size), listed)
            else:
                self.used.systems[system.info.canonical] = system
                yield Part(system, [c.ordinal for c in concepts if c is not None], listed)


def _listing(url: str, version: str | None, listed: Mapping[str, Listed]) -> CodeSystem:
    """A code system of just what a value set lists of one that is not known here."""
    concepts: list[Raw] = [
        {
            "code": one.code,
            **({"display": one.display} if one.display else {}),
            "designation": [d.resource() for d in one.designations],
        }
        for one in listed.values()
    ]
    return MemorySystem({"url": url, "version": version, "content": "fragment", "concept": concepts})


def _by_list(include: Include, listed: Listed) -> Membership:
    """The membership of a code of which nothing is known but that the value set lists it."""
    alone = _listing(include.system, include.version, {listed.code: listed})
    return Membership(alone, alone.at((0,))[0], listed, include)


def _active(part: Part) -> Part:
    inactive = part.system.inactive()
    return Part(part.system, [n for n in part.places if n not in inactive], part.listed) if inactive else part


def whole_systems(composer: Composer, valueset: ValueSet) -> list[str] | None:
    """The code systems of a value set that includes all codes of systems which cannot be listed here; None otherwise.

    Such a value set (all of LOINC, any UCUM unit) says nothing of single codes: whatever is of the system is in it.
    """
    if valueset.exclude or not valueset.include:
        return None
    plain = all(
        one.system and one.concepts is None and not (one.filters or one.valuesets or one.version or one.withheld)
        for one in valueset.include
    )
    systems = [composer.terminology.system(one.system) for one in valueset.include]
    unlisted = any(one is None or not one.listed for one in systems)
    return [one.system for one in valueset.include] if plain and unlisted else None
