"""From a resource to its index rows, by closures compiled once per resource type.

https://hl7.org/fhir/R4/search.html, https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from consent.references import relative
from profiles.definitions import Definitions, SearchParameterDef

from . import closures
from .closures import Branching, Leaf
from .codes import CodeSource
from .computed import computed_sink
from .elements import elements_sink
from .national import SHORTEST, holds_number, masked
from .paths import ExistsAndNotFalse, Field, branches
from .plan import Indexed, TypePlan, elements_at, plan_of
from .rows import Rows
from .shield import Shield
from .sinks import Setting, Sink
from .times import interval_reader
from .tree import INSIDE, inside_key

# The parameters that hold the clinically relevant time, best first.
PRIMARY_DATES: Mapping[str, tuple[str, ...]] = {
    "AdverseEvent": ("date",),
    "AllergyIntolerance": ("date",),
    "Appointment": ("date",),
    "AuditEvent": ("date",),
    "CarePlan": ("date",),
    "CareTeam": ("date",),
    "ChargeItem": ("occurrence",),
    "Claim": ("created",),
    "ClaimResponse": ("created",),
    "ClinicalImpression": ("date",),
    "Communication": ("sent",),
    "CommunicationRequest": ("authored",),
    "Composition": ("date",),
    "Condition": ("onset-date", "recorded-date"),
    "Consent": ("date",),
    "Contract": ("issued",),
    "DetectedIssue": ("identified",),
    "DeviceRequest": ("authored-on",),
    "DiagnosticReport": ("date",),
    "DocumentManifest": ("created",),
    "DocumentReference": ("date",),
    "Encounter": ("date",),
    "EpisodeOfCare": ("date",),
    "ExplanationOfBenefit": ("created",),
    "FamilyMemberHistory": ("date",),
    "Flag": ("date",),
    "Goal": ("start-date",),
    "ImagingStudy": ("started",),
    "Immunization": ("date",),
    "ImmunizationEvaluation": ("date",),
    "ImmunizationRecommendation": ("date",),
    "Invoice": ("date",),
    "List": ("date",),
    "MeasureReport": ("date",),
    "Media": ("created",),
    "MedicationAdministration": ("effective-time",),
    "MedicationDispense": ("whenhandedover", "whenprepared"),
    "MedicationRequest": ("authoredon",),
    "MedicationStatement": ("effective",),
    "NutritionOrder": ("datetime",),
    "Observation": ("date",),
    "Procedure": ("date",),
    "Provenance": ("recorded",),
    "QuestionnaireResponse": ("authored",),
    "RequestGroup": ("authored",),
    "RiskAssessment": ("date",),
    "ServiceRequest": ("authored",),
    "Slot": ("start",),
    "Specimen": ("collected",),
    "SupplyRequest": ("date",),
    "Task": ("authored-on",),
    "VisionPrescription": ("datewritten",),
}


class _TypeExtractor:
    """The closures of one resource type."""

    __slots__ = ("always", "composites", "custom", "dates", "get", "patient_keys")

    def __init__(
        self,
        fields: dict[str, Sink],
        always: tuple[Sink, ...],
        composites: tuple[tuple[str, Sink], ...] = (),
        patient_keys: tuple[str, ...] = (),
        dates: tuple[str, ...] = (),
        custom: _TypeExtractor | None = None,
    ) -> None:
        self.get: Callable[[str], Sink | None] = fields.get
        self.always = always
        self.custom = custom
        self.composites = composites
        self.patient_keys = patient_keys
        self.dates = dates


class Extractor:
    """Turns resources into rows. ``custom`` are further search parameters; an official code is never replaced.

    ``zone`` reads dates without one; references under ``base_urls`` are this server's. ``shield`` hashes identity
    numbers: the store gives it its key. ``codes`` knows codes, for searches; it is set where there is terminology.
    """

    def __init__(
        self,
        definitions: Definitions,
        custom: Sequence[SearchParameterDef] = (),
        *,
        zone: str = "Asia/Shanghai",
        base_urls: Sequence[str] = (),
    ) -> None:
        self.definitions = definitions
        self.custom = tuple(custom)
        self.generation = 0
        self._building: frozenset[str] = frozenset()
        self._lock = threading.RLock()
        self.zone = zone
        self.interval = interval_reader(zone)
        self.base_urls = tuple(url.rstrip("/") for url in base_urls)
        self._below = tuple(f"{url}/" for url in self.base_urls)
        self._below_as_bytes = tuple(f"{url}/".encode() for url in self.base_urls)
        self.shield = Shield()
        self.codes: CodeSource | None = None
        self._types: dict[str, _TypeExtractor] = {}
        self._indexed: dict[str, Mapping[str, Indexed]] = {}

    def relative(self, resource: dict[str, Any], text: bytes | None = None) -> dict[str, Any]:
        """The resource with its references to this server relative; ``text`` is its JSON, where that is at hand."""
        if text is not None and not any(base in text for base in self._below_as_bytes):
            return resource
        found: dict[str, Any] = relative(resource, self._below)
        return found

    def params(self, type: str) -> Mapping[str, SearchParameterDef]:
        """The search parameters of a resource type by code, common and custom ones included."""
        return {code: indexed.definition for code, indexed in self.indexed(type).items()}

    def customize(self, custom: Sequence[SearchParameterDef], building: frozenset[str], generation: int) -> None:
        """Put other custom parameters in force at once.

        ``building``: URLs of those that get rows already but cannot be searched by yet.
        ``generation`` counts the sets of parameters; an older set than the present one changes nothing.
        """
        with self._lock:
            if generation < self.generation:
                return
            self.custom, self._building = tuple(custom), building
            self._types, self._indexed = {}, {}
            self.generation = generation

    def standard_params(self, type: str) -> Mapping[str, SearchParameterDef]:
        """The parameters that the specification gives the type."""
        return self.definitions.search_params(type) if type in self.definitions.resource_types else {}

    def indexed(self, type: str) -> Mapping[str, Indexed]:
        """How each search parameter of a resource type is indexed."""
        found = self._indexed.get(type)
        if found is None:
            with self._lock:
                ready = tuple(d for d in self._custom(type) if d.url not in self._building)
                found = self._indexed[type] = plan_of(self.definitions, type, ready).params
        return found

    def primary_date(self, type: str) -> str | None:
        """The index key of the date that ``Rows.date`` is; None where there is none or it may be one of several."""
        dates = PRIMARY_DATES.get(type, ())
        return self.indexed(type)[dates[0]].sources[0].key if len(dates) == 1 else None

    def patient_keys(self, type: str) -> tuple[str, ...]:
        """The index keys of the references that put a resource of ``type`` into a Patient's compartment."""
        return self._compiled(type).patient_keys

    def rows(self, resource: dict[str, Any]) -> Rows:
        """The index rows of a resource. Never raises: what cannot be read gives no row."""
        type_ = resource.get("resourceType")
        if type(type_) is not str or type_ not in self.definitions.resource_types:
            return Rows()
        compiled = self._types.get(type_) or self._compiled(type_)
        out = Rows()
        get = compiled.get
        try:
            for name, value in resource.items():
                sink = get(name)
                if sink is not None:
                    sink(value, out)
            for name, of_elements in compiled.composites:
                if name in resource:
                    of_elements(resource, out)
            for of_all in compiled.always:
                of_all(resource, out)
        except Exception:  # odd input: once more, element by element
            out = _careful(compiled, resource)
        if compiled.custom is not None:
            with suppress(Exception):
                # What an expression may cut out of a number is not known: it is not given the number.
                _run_careful(compiled.custom, self.shield.concealed(resource), out)
        _conceal(out, self.shield)
        _summarise(compiled, type_, resource, out)
        if out.inside:
            _mark(type_, resource, out)
        return out

    def _custom(self, type: str) -> tuple[SearchParameterDef, ...]:
        return tuple(d for d in self.custom if {type, "Resource", "DomainResource"} & set(d.base))

    def _compiled(self, type_: str) -> _TypeExtractor:
        with self._lock:
            compiled = self._types.get(type_)
            if compiled is None:
                compiled = self._types[type_] = self._compile(type_)
            return compiled

    def _compile(self, type_: str) -> _TypeExtractor:
        plan = plan_of(self.definitions, type_, self._custom(type_))
        standard = self.standard_params(type_)
        added = plan.params.keys() - standard.keys()
        fields, always = self._simple(plan, standard.keys())
        return _TypeExtractor(
            {**fields, "contained": self._contained},
            always,
            tuple(self._composites(type_, plan)),
            _patient_keys(self.definitions, plan),
            _date_keys(plan),
            _TypeExtractor(*self._simple(plan, added)) if added else None,
        )

    def _simple(self, plan: TypePlan, codes: Collection[str]) -> tuple[dict[str, Sink], tuple[Sink, ...]]:
        """The closures of these parameters: by element, and those of the whole resource."""
        root = Branching(plan.type)
        also = _also(plan)
        always: list[Sink] = []
        for code, indexed in plan.params.items():
            if code not in codes or not indexed.rows or indexed.kind == "composite":
                continue
            setting = self._setting(also=also.get(code))
            found = plan.branches[code]
            if found is None:
                if (computed := computed_sink(indexed, setting)) is not None:
                    always.append(computed)
                continue
            for branch in found:
                if branch.steps and isinstance(branch.steps[0], ExistsAndNotFalse):
                    always.append(_exists_and_not_false(code, branch.steps[0].name))
                else:
                    closures.add(root, self.definitions, branch.steps, Leaf(indexed.kind, code, code, setting))
        return closures.dispatch(root), tuple(always)

    def _contained(self, value: Any, out: Rows) -> None:
        for place, one in enumerate(value):
            # What is contained contains nothing itself (dom-2): hostile input must not nest on and on.
            part = self.rows({key: inner for key, inner in one.items() if key != "contained"})
            out.contained.append((place, one["resourceType"], part))

    def _setting(self, *, also: Mapping[str, tuple[str, ...]] | None = None, bare: bool = False) -> Setting:
        return Setting(
            self.interval, self.definitions.resource_types, self.base_urls, also=also, bare=bare, shield=self.shield
        )

    def _composites(self, type_: str, plan: TypePlan) -> list[tuple[str, Sink]]:
        """For each base of composites, the first key of its path and the function of the whole resource."""
        made: list[tuple[str, Sink]] = []
        setting = self._setting(bare=True)
        for base, keys in plan.elements.items():
            names = tuple(step.name for step in base if isinstance(step, Field))
            at = elements_at(self.definitions, type_, base)
            if len(names) != len(base) or not at:
                continue
            inside, outside = Branching(at[0].type), Branching(type_)
            for (kind, expression), key in keys.items():
                for branch in branches(expression) or ():
                    start = outside if branch.outside else inside
                    closures.add(start, self.definitions, branch.steps, Leaf(kind, key, key, setting))
            made.append((names[0], elements_sink(names, inside, outside, _component_keys(plan, keys.values()))))
        return made


def _component_keys(plan: TypePlan, keys: Collection[str]) -> dict[str, frozenset[str]]:
    """The codes of the composites whose components have these keys, and the keys of each."""
    parts = [part for indexed in plan.params.values() for part in indexed.parts if not part.root]
    found = {part.code: frozenset(c.sources[0].key for c in part.components) for part in parts}
    return {code: wanted for code, wanted in found.items() if wanted <= set(keys)}


def _also(plan: TypePlan) -> dict[str, dict[str, tuple[str, ...]]]:
    """Per reference key, per target type: the codes that are present when it points at that type."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for code, indexed in plan.params.items():
        if indexed.rows or code not in indexed.present:
            continue
        for source in indexed.sources:
            if source.target is not None:
                types = found.setdefault(source.key, {})
                types[source.target] = (*types.get(source.target, ()), code)
    return found


def _patient_keys(definitions: Definitions, plan: TypePlan) -> tuple[str, ...]:
    """The index keys that put a resource into a Patient's compartment, the subject's first."""
    codes = definitions.compartments["Patient"].get(plan.type, ())
    keys = [s.key for code in codes if code in plan.params for s in plan.params[code].sources]
    return tuple(sorted(dict.fromkeys(keys), key=lambda key: key not in ("patient", "subject", "beneficiary")))


def _date_keys(plan: TypePlan) -> tuple[str, ...]:
    return tuple(plan.params[code].sources[0].key for code in PRIMARY_DATES.get(plan.type, ()))


def _exists_and_not_false(code: str, name: str) -> Sink:
    """The boolean that is true when the element is there and not false."""

    def sink(resource: Any, out: Rows) -> None:
        values = [value for key, value in resource.items() if key.startswith(name) and key[len(name) :][:1].isupper()]
        out.present.add(code)
        out.tok.append((code, "", "true" if any(value is not False for value in values) else "false"))

    return sink


def _careful(compiled: _TypeExtractor, resource: dict[str, Any]) -> Rows:
    """The rows of a resource in which something is odd: each part on its own, what fails left out."""
    out = Rows()
    _run_careful(compiled, resource, out)
    return out


def _run_careful(compiled: _TypeExtractor, resource: dict[str, Any], out: Rows) -> None:
    for name, value in resource.items():
        sink = compiled.get(name)
        if sink is not None:
            for item in value if type(value) is list else (value,):
                with suppress(Exception):
                    sink(item, out)
    for sink in (*(sink for name, sink in compiled.composites if name in resource), *compiled.always):
        with suppress(Exception):
            sink(resource, out)


def _mark(type_: str, resource: dict[str, Any], out: Rows) -> None:
    """Let the contained resources that the resource refers to say so, for chains that lead into it."""
    referring: dict[str, dict[str, None]] = {}
    for key, id_ in out.inside:
        referring.setdefault(id_, {})[inside_key(type_, key)] = None
    for place, _, part in out.contained:
        own = resource["contained"][place].get("id")
        part.tok += [(key, "", INSIDE) for key in referring.get(own, ())]


def _conceal(out: Rows, shield: Shield) -> None:
    """Hash identity numbers wherever they stand; no name is as long as one, so few texts are looked at."""
    found = [place for place, row in enumerate(out.tok) if len(row[2]) >= SHORTEST and holds_number(row[2])]
    for place in found:
        key, system, code = out.tok[place]
        out.tok[place] = (key, system, shield.code("", code))
    found = [place for place, row in enumerate(out.str) if len(row[1]) >= SHORTEST and holds_number(row[1])]
    for place in found:
        key, normalised, exact = out.str[place]
        out.str[place] = (key, masked(normalised), masked(exact))
    for place, (number, table, row) in enumerate(out.elements):
        if table == "tok" and len(row[2]) >= SHORTEST and holds_number(row[2]):
            out.elements[place] = (number, table, (row[0], row[1], shield.code("", row[2])))


def _summarise(compiled: _TypeExtractor, type_: str, resource: dict[str, Any], out: Rows) -> None:
    """Fill in the clinical date and the patients from the rows."""
    for wanted in compiled.dates:
        found = [low for key, low, _ in out.dat if key == wanted]
        if found:
            out.date = max(found) // 1000
            break
    keys = compiled.patient_keys
    ids = [id_ for wanted in keys for key, target, id_ in out.ref if key == wanted and target == "Patient"]
    if type_ == "Patient" and type(own := resource.get("id")) is str:
        ids.insert(0, own)
    if ids:
        out.patients = list(dict.fromkeys(ids)) if len(ids) > 1 else ids
