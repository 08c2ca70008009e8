"""The terminology that comes with profiles: HL7's own code systems of R4, and those of guides.

https://hl7.org/fhir/R4/valueset.html. It answers "unknown" where a code system is not at hand (SNOMED CT, LOINC …);
a terminology service can take its place (``profiles.conformance.bindings.Bindings``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import msgspec
import zstandard

from profiles.conformance.bindings import VALID, Verdict
from profiles.conformance.code_forms import has_form
from profiles.fhirpath.units import unit

UCUM = "http://unitsofmeasure.org"
_DEEP = 20
_USUAL_LENGTH = 300  # longer codes and displays are not kept: they would only fill the memory

Resource = dict[str, Any]


class CodeSystem:
    """The codes of a code system: ``displays`` by code, ``parents`` by code where there is a hierarchy."""

    __slots__ = ("complete", "displays", "exact", "folded", "other", "parents", "version")

    def __init__(self, version: str, content: str, exact: bool) -> None:
        self.version = version
        self.complete = content == "complete"
        self.exact = exact
        self.displays: dict[str, str] = {}
        self.other: dict[str, set[str]] = {}
        self.parents: dict[str, set[str]] = {}
        self.folded: dict[str, str] = {}

    def put(self, code: str, display: str, parent: str | None) -> None:
        """Add a concept."""
        self.displays[code] = display
        if not self.exact:
            self.folded[code.lower()] = code
        if parent is not None:
            self.parents.setdefault(code, set()).add(parent)

    def find(self, code: str) -> str | None:
        """The code as the system writes it; None if it has no such code."""
        if code in self.displays:
            return code
        return None if self.exact else self.folded.get(code.lower())

    def is_within(self, code: str, above: str) -> bool:
        """Whether ``code`` is ``above`` or below it."""
        seen: set[str] = set()
        waiting = [code]
        while waiting:
            one = waiting.pop()
            if one == above:
                return True
            if one not in seen:
                seen.add(one)
                waiting += self.parents.get(one, ())
        return False


class Codes:
    """Code systems and value sets of R4 and of the resources given; answers as ``Bindings`` does."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._systems: dict[str, CodeSystem | None] = {}
        self._own: dict[str, Resource] = {}
        self._sets: dict[str, Resource] = {}
        for resource in resources:
            url, kind = resource.get("url"), resource.get("resourceType")
            if isinstance(url, str) and kind == "CodeSystem":
                self._own[url] = resource
            elif isinstance(url, str) and kind == "ValueSet":
                self._sets[url] = resource
                self._sets[f"{url}|{resource.get('version', '')}"] = resource
        self._contains = lru_cache(maxsize=16384)(self._find)
        self._looked_up = lru_cache(maxsize=16384)(self._look_up)

    def has(self, valueset: str) -> bool:
        """Whether the value set is known."""
        return self._set(valueset) is not None

    def knows(self, system: str) -> bool:
        """Whether all codes of the system are known."""
        found = self._system(system)
        return found is not None and found.complete

    def validate(self, valueset: str, system: str | None, code: str, version: str = "", display: str = "") -> Verdict:
        """See ``Bindings.validate``."""
        usual = len(code) + len(system or "") <= _USUAL_LENGTH
        verdict = (self._contains if usual else self._find)(valueset, system, code)
        if verdict is None and system is not None and has_form(system, code) is False:
            verdict = False
        if verdict is None:
            return Verdict("unknown", f"the value set {valueset} cannot be decided here")
        if not verdict:
            shown = f"'{code}'" if system is None else f"{system}#{code}"
            return Verdict("invalid", f"{shown} is not in the value set {valueset}")
        return VALID

    def lookup(self, system: str, code: str, version: str = "", display: str = "") -> Verdict:
        """See ``Bindings.lookup``."""
        if len(system) + len(code) + len(display) > _USUAL_LENGTH:
            return self._look_up(system, code, display)
        return self._looked_up(system, code, display)

    def _look_up(self, system: str, code: str, display: str) -> Verdict:
        form = has_form(system, code)
        if form is not None:
            if not form:
                return Verdict("invalid", f"'{code}' has not the form of a code of {system}")
            if system.startswith("urn:ietf:"):
                return VALID
        if system == UCUM:
            return VALID if unit(code) is not None else Verdict("unknown")
        found = self._system(system)
        own = self._own.get(system)
        if own is not None and (own.get("content") == "supplement" or "supplements" in own):
            return Verdict("invalid", f"{system} is a supplement, and no code system that a code may be of")
        if found is None:
            return Verdict("unknown", f"the code system {system} is not known here")
        known = found.find(code)
        if known is None:
            if found.complete:
                return Verdict("invalid", f"the code system {system} has no code '{code}'")
            return Verdict("unknown", f"the code '{code}' is not among those known of {system}")
        right = found.displays[known]
        others = found.other.get(known, set())
        if display and right and _plain(display) not in {_plain(right), *map(_plain, others)}:
            return Verdict("invalid", f"display '{display}' is not that of {system}#{known}, which is '{right}'")
        return VALID

    def _system(self, url: str) -> CodeSystem | None:
        url = url.partition("|")[0]
        if url not in self._systems:
            own = self._own.get(url)
            self._systems[url] = _base_system(url) if own is None else self._read(own)
        return self._systems[url]

    def _read(self, resource: Resource) -> CodeSystem:
        content = str(resource.get("content", ""))
        found = CodeSystem(str(resource.get("version", "")), content, resource.get("caseSensitive") is not False)
        if content == "supplement" or not resource.get("concept"):
            found.complete = False
        for concept, parent in _concepts(resource.get("concept", ()), None):
            code = concept.get("code")
            if not isinstance(code, str):
                continue
            found.put(code, str(concept.get("display", "")), parent)
            names = {str(d.get("value")) for d in concept.get("designation", ()) if isinstance(d, dict)}
            if names:
                found.other[code] = names
            for prop in concept.get("property", ()):
                if isinstance(prop, dict) and prop.get("code") in ("parent", "subsumedBy") and "valueCode" in prop:
                    found.parents.setdefault(code, set()).add(prop["valueCode"])
        return found

    def _set(self, url: str) -> Resource | None:
        plain = url.partition("|")[0]
        found = self._sets.get(url) or self._sets.get(plain)
        if found is None:
            base = _base_sets().get(plain)
            found = None if base is None else {"compose": base}
        return found

    def _find(self, valueset: str, system: str | None, code: str, depth: int = 0) -> bool | None:
        """Whether the value set has the code; None where that cannot be known."""
        found = self._set(valueset)
        if found is None or depth > _DEEP:
            return None
        compose = found.get("compose")
        if not isinstance(compose, dict) or not compose.get("include"):
            return _in_expansion(found, system, code)
        inside = _any(self._includes(part, system, code, depth) for part in compose["include"])
        if inside is False or not compose.get("exclude"):
            return inside
        outside = _any(self._includes(part, system, code, depth) for part in compose["exclude"])
        return False if outside else None if outside is None else inside

    def _includes(self, part: Resource, system: str | None, code: str, depth: int) -> bool | None:
        """Whether one include (or exclude) takes the code: all that it says must hold."""
        verdicts: list[bool | None] = [
            self._find(url, system, code, depth + 1) for url in part.get("valueSet", ()) if isinstance(url, str)
        ]
        named = part.get("system")
        if isinstance(named, str):
            if system is not None and system != named:
                return False
            verdicts.append(self._of_system(part, named, code))
        if not verdicts or False in verdicts:
            return False
        return None if None in verdicts else True

    def _of_system(self, part: Resource, system: str, code: str) -> bool | None:
        concepts = part.get("concept")
        if concepts:
            codes = {c.get("code") if isinstance(c, dict) else c for c in concepts}
            if code in codes:
                return True
            known = self._system(system)
            return known is not None and not known.exact and known.find(code) in codes
        if part.get("foreign"):
            return None
        if not part.get("filter"):
            verdict = self.lookup(system, code)
            return None if verdict.outcome == "unknown" else verdict.valid
        known = self._system(system)
        if known is None or not known.complete:
            return None
        if known.find(code) is None:
            return False
        verdicts = [_passes(known, code, one) for one in part["filter"]]
        return False if False in verdicts else None if None in verdicts else True


def _passes(system: CodeSystem, code: str, condition: Resource) -> bool | None:
    operator, value = condition.get("op"), str(condition.get("value"))
    if condition.get("property") in ("concept", "code"):
        if operator == "is-a":
            return system.is_within(code, value)
        if operator == "descendent-of":
            return code != value and system.is_within(code, value)
        if operator == "is-not-a":
            return not system.is_within(code, value)
        if operator in ("=", "in"):
            return code in value.split(",")
        if operator == "not-in":
            return code not in value.split(",")
    return None


def _any(verdicts: Iterable[bool | None]) -> bool | None:
    open_ = False
    for verdict in verdicts:
        if verdict:
            return True
        open_ = open_ or verdict is None
    return None if open_ else False


def _in_expansion(valueset: Resource, system: str | None, code: str) -> bool | None:
    expansion = valueset.get("expansion")
    if not isinstance(expansion, dict) or not isinstance(expansion.get("contains"), list):
        return None
    for inner in _contained(expansion["contains"]):
        if inner.get("code") == code and (system is None or inner.get("system") == system):
            return True
    return False


def _contained(entries: Iterable[Any]) -> Iterator[Resource]:
    for entry in entries:
        if isinstance(entry, dict):
            yield entry
            yield from _contained(entry.get("contains", ()))


def _concepts(concepts: Any, parent: str | None) -> Iterator[tuple[Resource, str | None]]:
    for concept in concepts if isinstance(concepts, list) else ():
        if isinstance(concept, dict):
            yield concept, parent
            yield from _concepts(concept.get("concept"), concept.get("code"))


def _plain(display: str) -> str:
    return " ".join(display.casefold().split())


@cache
def _base_sets() -> dict[str, Resource]:
    found: dict[str, Resource] = msgspec.json.decode(_table("value-sets"))
    return found


@cache
def _base_rows() -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(_table("code-systems"), type=dict[str, msgspec.Raw])


@cache
def _base_system(url: str) -> CodeSystem | None:
    row = _base_rows().get(url)
    if row is None:
        return None
    version, content, exact, concepts = msgspec.json.decode(row)
    found = CodeSystem(version, content, exact)
    waiting = [(concept, None) for concept in concepts]
    while waiting:
        concept, parent = waiting.pop()
        found.put(concept[0], concept[1], parent)
        waiting += [(inner, concept[0]) for inner in (concept[2] if len(concept) > 2 else ())]
    if not found.displays:
        found.complete = False
    return found


def _table(name: str) -> bytes:
    return zstandard.decompress(files("profiles.definitions").joinpath("data", f"{name}.json.zst").read_bytes())
