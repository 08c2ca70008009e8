"""The plan of a transaction: what each entry will do to which resource, decided before anything is written.

https://hl7.org/fhir/R4/http.html#trules. ``plan`` reads the Bundle, ``resolve`` decides identities from
what the store holds; both are pure but for fresh ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fhir_server.errors import BadRequest, Conflict, FhirError, NotFound, NotSupported, PreconditionFailed
from fhir_server.interactions.change import Work, check_id
from fhir_server.interactions.entries import READS, Entry, at_entry, check_bundle, is_read, read_entry
from fhir_server.interactions.links import Links, Rewriter, base_of, find_links
from fhir_server.interactions.own import Own
from fhir_server.interactions.placeholders import placeholders
from fhir_server.search.rows import Rows
from fhir_server.search.tree import Node, Query
from fhir_server.store.protocol import Prepared
from profiles.issues import Issue

if TYPE_CHECKING:
    from profiles.definitions import Definitions

_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}


@dataclass(frozen=True, slots=True)
class Criterion:
    """A search that must name one resource: its text ``Type?query``, type and parsed query."""

    text: str
    type: str
    query: Query

    @property
    def node(self) -> Node:
        """The condition on resources of its type."""
        return self.query.where[0][1]


ParseCriterion = Callable[[str, str, str], Criterion]
"""(type, query text, FHIRPath of where it stands) to Criterion; raises FhirError."""


@dataclass(slots=True)
class Step:
    """One entry that writes. ``id`` is the identity it writes once resolved; ``ids`` those of a conditional delete.

    ``fresh`` is the id that a new resource would get.
    ``existing``: a conditional create that found its resource and writes nothing.
    ``created``: the resource is new to the store as far as the plan knows.
    ``template``: text and FHIRPath of a condition with placeholders among ``places``, the full URLs of the entries;
    ``bound``: what they were read as.
    ``work`` is the write of a patch, applied ahead to the version that was current then.
    ``person`` is the Patient that an institution registers, ``known`` the id of the Patient whom the person index
    has for it, ``asked`` the entry's own criterion, which is moot then (see ``records.bundles``).
    ``findings``: what validation has to say of the resource, short of refusing it.
    """

    entry: Entry
    method: str
    type: str
    id: str = ""
    fresh: str = ""
    ids: tuple[str, ...] = ()
    criterion: Criterion | None = None
    existing: bool = False
    created: bool = False
    links: Links | None = None
    base: str = ""
    prepared: Prepared | None = None
    work: Work | None = None
    template: tuple[str, str] = ("", "")
    places: Mapping[str, int] = field(default_factory=dict)
    bound: dict[str, str] = field(default_factory=dict)
    person: dict[str, Any] | None = None
    known: str = ""
    asked: Criterion | None = None
    findings: Sequence[Issue] = ()

    @property
    def reference(self) -> str:
        """``Type/id``."""
        return f"{self.type}/{self.id}"


@dataclass(slots=True)
class Plan:
    """A transaction before it runs: ``steps`` in the order of execution, ``reads`` for after them.

    ``criteria``: every distinct search that the outcome depends on, by text; ``references``: the text of
    each conditional reference to the text of its criterion.
    ``expected``: the matches on which the present resolution stands.
    """

    count: int
    steps: list[Step]
    reads: list[Entry]
    criteria: dict[str, Criterion] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    expected: dict[str, frozenset[str]] = field(default_factory=dict)

    def limits(self, delete_max: int) -> dict[str, int]:
        """How many matches of each criterion (by text) tell enough about it."""
        own = Counter(step.type for step in self.steps if not step.created)
        found = {text: 2 + own[criterion.type] for text, criterion in self.criteria.items()}
        for step in self.steps:
            if step.method == "DELETE" and step.criterion:
                found[step.criterion.text] = max(delete_max + 1, found[step.criterion.text])
        return found


def plan(
    bundle: dict[str, Any],
    definitions: Definitions,
    parse: ParseCriterion,
    new_id: Callable[[], str],
    base_url: str = "",
    most: int = 20_000,
) -> Plan:
    """The plan of a transaction Bundle; ``parse`` reads search criteria, ``new_id`` makes ids for new resources.

    Raises FhirError naming the entry for whatever cannot be understood.
    """
    raw = check_bundle(bundle, frozenset({"transaction"}), most, definitions)
    entries = [read_entry(item, index, base_url, definitions) for index, item in enumerate(raw)]
    full_urls = _full_urls(entries)
    steps: list[Step] = []
    reads: list[Entry] = []
    for entry in entries:
        try:
            step = None if is_read(entry) else _step(entry, definitions, parse, new_id, full_urls)
        except FhirError as error:
            raise at_entry(error, entry.path) from None
        if step is None:
            reads.append(entry)
        else:
            steps.append(step)
    made = Plan(len(entries), sorted(steps, key=lambda step: _ORDER[step.method]), reads)
    for step in made.steps:
        if step.criterion:
            made.criteria[step.criterion.text] = step.criterion
        if step.entry.resource is not None:
            step.links = find_links(step.entry.resource, full_urls, definitions)
            step.base = base_of(step.entry.full_url)
            _conditional_references(step, made, definitions, parse)
    return made


def _full_urls(entries: Iterable[Entry]) -> dict[str, int]:
    seen: dict[str, int] = {}
    for entry in entries:
        if entry.full_url is not None and entry.method not in READS:
            first = seen.setdefault(entry.full_url, entry.index)
            if first != entry.index:
                raise BadRequest(
                    f"fullUrl '{entry.full_url}' stands at entry {first} and at entry {entry.index} (bdl-7)",
                    f"Bundle.entry[{first}].fullUrl",
                    f"{entry.path}.fullUrl",
                    code="invariant",
                )
    return seen


def _step(
    entry: Entry,
    definitions: Definitions,
    parse: ParseCriterion,
    new_id: Callable[[], str],
    full_urls: Mapping[str, int],
) -> Step:
    where = f"{entry.path}.request.url"
    segments = entry.segments
    if not segments:
        raise BadRequest(f"The url of a {entry.method} entry needs a resource type", where)
    if segments[-1].startswith("$"):
        raise NotSupported(f"Operation {segments[-1]} cannot run inside a transaction; send it in a batch", where)
    type_name = segments[0]
    if type_name not in definitions.resource_types:
        raise NotFound(f"'{type_name}' is not a resource type of FHIR R4", where, code="not-supported")
    if len(segments) > (1 if entry.method == "POST" else 2):
        raise BadRequest(f"There is no {entry.method} at '{'/'.join(segments)}'", where)
    step = Step(entry, entry.method, type_name)
    _check_resource(step)
    if entry.method == "POST":
        step.id = step.fresh = new_id()
        step.created = True
        if "if-none-exist" in entry.headers:
            text = entry.headers["if-none-exist"].partition("?")[2] or entry.headers["if-none-exist"]
            _condition(step, text, f"{entry.path}.request.ifNoneExist", parse, full_urls)
    elif len(segments) == 2:
        step.id = check_id(segments[1], where)
        if entry.method == "PUT":
            _check_id(step)
        elif entry.method == "DELETE":
            step.ids = (step.id,)
    else:
        if not entry.text:
            raise BadRequest(f"A {entry.method} needs an id or a search criterion in its url", where)
        _condition(step, entry.text, where, parse, full_urls)
        if entry.method == "PUT":
            step.fresh = new_id()
    return step


def _condition(step: Step, text: str, where: str, parse: ParseCriterion, full_urls: Mapping[str, int]) -> None:
    """Read the condition of a step, or note it where it names other entries."""
    if placeholders(text, full_urls):
        step.template, step.places = (text, where), full_urls
    else:
        step.criterion = parse(step.type, text, where)


def _check_resource(step: Step) -> None:
    resource, path = step.entry.resource, step.entry.path
    if step.method in ("POST", "PUT"):
        if resource is None:
            raise BadRequest(f"A {step.method} entry needs a resource", f"{path}.resource", code="required")
        if resource["resourceType"] != step.type:
            raise BadRequest(
                f"The url names {step.type}, the resource is a {resource['resourceType']}",
                f"{path}.request.url",
                f"{path}.resource",
            )


def _check_id(step: Step) -> None:
    found = (step.entry.resource or {}).get("id")
    if found != step.id:
        said = f"has the id '{found}'" if found is not None else "has no id"
        raise BadRequest(f"The url names {step.reference}, the resource {said}", f"{step.entry.path}.resource.id")


def _conditional_references(step: Step, made: Plan, definitions: Definitions, parse: ParseCriterion) -> None:
    """Note the references that are searches (``Practitioner?identifier=…``)."""
    for _, text in step.links.references if step.links else ():
        type_name, mark, query = text.partition("?")
        if mark and text not in made.references and type_name in definitions.resource_types:
            try:
                criterion = parse(type_name, query, f"{step.entry.path}.resource")
            except FhirError as error:
                raise at_entry(error, step.entry.path) from None
            made.criteria[criterion.text] = criterion
            made.references[text] = criterion.text


def resolve(made: Plan, stored: Mapping[str, frozenset[str]], rows: Callable[[Step], Rows], delete_max: int) -> None:
    """Decide every identity, given the ids of the matches in the store by criterion text, and rewrite all links.

    It may be called again with other matches. ``rows`` gives the index rows of a step's resource.
    Raises FhirError for no or several matches where one is needed, and for a resource written twice.
    """
    made.expected = dict(stored)
    own = Own(rows, wanted=frozenset(criterion.type for criterion in made.criteria.values()))
    written: dict[tuple[str, str], Step] = {}
    deleted: dict[str, set[str]] = {}
    for step in made.steps:
        if step.method == "DELETE":
            _resolve_delete(step, stored, delete_max)
            deleted.setdefault(step.type, set()).update(step.ids)
            for id in step.ids:
                _claim(written, step, id)
    for step in made.steps:
        if step.method == "POST" and step.criterion is None:
            own.add(step)
    for step in made.steps:
        if step.method == "POST" and step.criterion is not None:
            _resolve_create(step, stored, deleted.get(step.type, set()), own)
        elif step.criterion is not None and step.method != "DELETE":
            _resolve_change(step, stored, deleted.get(step.type, set()), own)
        if step.method != "DELETE" and not step.existing:
            _claim(written, step, step.id)
            if step.method == "PUT":
                own.add(step)
    _rewrite(made, stored, deleted, written, own)


def _claim(written: dict[tuple[str, str], Step], step: Step, id: str) -> None:
    first = written.setdefault((step.type, id), step)
    if first is not step:
        raise BadRequest(
            f"{step.type}/{id} is written by entry {first.entry.index} and by entry {step.entry.index}; "
            "a resource can be in a transaction only once",
            first.entry.path,
            step.entry.path,
            code="duplicate",
        )


def _resolve_delete(step: Step, stored: Mapping[str, frozenset[str]], delete_max: int) -> None:
    if step.criterion is not None:
        found = stored[step.criterion.text]
        if len(found) > delete_max:
            raise PreconditionFailed(
                f"{step.criterion.text} matches more than the {delete_max} that one entry may delete",
                f"{step.entry.path}.request.url",
                code="multiple-matches",
            )
        step.ids = tuple(sorted(found))


def _resolve_create(step: Step, stored: Mapping[str, frozenset[str]], deleted: set[str], own: Own) -> None:
    if step.criterion is None:
        return
    found = sorted({*(stored[step.criterion.text] - deleted), *own.find(step.criterion)})
    if len(found) > 1:
        raise _several(step, "ifNoneExist")
    step.existing, step.id = (True, found[0]) if found else (False, step.fresh)
    if not found:
        own.add(step)


def _resolve_change(step: Step, stored: Mapping[str, frozenset[str]], deleted: set[str], own: Own) -> None:
    """Conditional update and patch. https://hl7.org/fhir/R4/http.html#cond-update"""
    if step.criterion is None:
        return
    found = sorted({*(stored[step.criterion.text] - deleted), *own.find(step.criterion)})
    given = (step.entry.resource or {}).get("id") if step.method == "PUT" else None
    if len(found) > 1:
        raise _several(step, "url")
    if found:
        if given is not None and given != found[0]:
            raise BadRequest(
                f"{step.criterion.text} is {step.type}/{found[0]}, the resource has the id '{given}'",
                f"{step.entry.path}.resource.id",
            )
        step.id, step.created = found[0], False
    elif step.method == "PATCH":
        raise NotFound(f"{step.entry.path}: nothing matches {step.criterion.text}", f"{step.entry.path}.request.url")
    else:
        step.created = True
        step.id = step.fresh if given is None else check_id(given, f"{step.entry.path}.resource.id")


def _several(step: Step, element: str) -> FhirError:
    text = step.criterion.text if step.criterion else ""
    return PreconditionFailed(
        f"{step.entry.path}: {text} matches several resources",
        f"{step.entry.path}.request.{element}",
        code="multiple-matches",
    )


def _rewrite(
    made: Plan,
    stored: Mapping[str, frozenset[str]],
    deleted: Mapping[str, set[str]],
    written: Mapping[tuple[str, str], Step],
    own: Own,
) -> None:
    targets = {step.entry.full_url: step.reference for step in made.steps if step.entry.full_url and step.id}
    created = {step.reference for step in made.steps if step.created and not step.existing}
    searches: dict[str, str] = {}
    needed = {
        text
        for step in made.steps
        if step.links and not step.existing
        for _, text in step.links.references
        if text in made.references
    }
    for text in sorted(needed) if made.references else ():
        key = made.references[text]
        criterion = made.criteria[key]
        others = {
            id
            for id in stored[key] - deleted.get(criterion.type, set())
            if (step := written.get((criterion.type, id))) is None or step.method == "PATCH"
        }
        found = sorted({*others, *own.find(criterion)})
        if len(found) != 1:
            raise _unresolved(made, text, len(found))
        searches[text] = f"{criterion.type}/{found[0]}"
    rewriter = Rewriter(targets, created, searches)
    for step in made.steps:
        if step.links is not None and not step.existing:
            rewriter.rewrite(step.links, step.base)


def _unresolved(made: Plan, text: str, count: int) -> FhirError:
    entry = next(
        step.entry for step in made.steps if step.links and any(text == sent for _, sent in step.links.references)
    )
    kind, code = ("several resources", "multiple-matches") if count else ("no resource", "not-found")
    return PreconditionFailed(
        f"{entry.path}: the conditional reference '{text}' matches {kind}", f"{entry.path}.resource", code=code
    )


def changed(what: str) -> Conflict:
    """The refusal when others keep changing what the transaction's conditions stand on."""
    return Conflict(f"The matches of {what} kept changing while the transaction was prepared; try again")
