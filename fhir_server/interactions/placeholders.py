"""Conditions of a transaction that name other entries by their urn: read when the identities of those are known.

``Observation?subject=urn:uuid:…`` asks about the patient that another entry of the Bundle finds or creates.
https://hl7.org/fhir/R4/http.html#trules leaves it open; senders of records that may be sent twice need it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from fhir_server.errors import BadRequest

if TYPE_CHECKING:
    from fhir_server.interactions.plan import Criterion, ParseCriterion, Plan, Step

_URN = re.compile(r"urn(?::|%3A)(?:uuid|oid)(?::|%3A)[0-9A-Za-z.-]+", re.IGNORECASE)


def placeholders(text: str, full_urls: Collection[str]) -> list[str]:
    """The full URLs of entries that stand in the text of a condition."""
    return [url for url in map(unquote, _URN.findall(text)) if url in full_urls]


def waiting(made: Plan) -> list[Step]:
    """The steps whose conditions are still to be read."""
    return [step for step in made.steps if step.template[0] and step.criterion is None]


def forget(made: Plan) -> None:
    """Take back what ``settle`` read, as the store has changed."""
    for step in made.steps:
        if step.template[0] and step.criterion is not None:
            made.criteria.pop(step.criterion.text, None)
            step.criterion, step.bound = None, {}


def settle(made: Plan, stored: Mapping[str, frozenset[str]], parse: ParseCriterion) -> dict[str, Criterion]:
    """Read the conditions whose placeholders stand for known identities; the new criteria by text.

    ``stored``: the ids of the matches by criterion text. Raises BadRequest where conditions wait for each other.
    """
    known = {
        step.entry.full_url: reference
        for step in made.steps
        if step.entry.full_url and (reference := _reference(step, stored, made))
    }
    new: dict[str, Criterion] = {}
    left = waiting(made)
    for step in left:
        text, where = step.template
        bound = {url: known.get(url, "") for url in placeholders(text, step.places)}
        if all(bound.values()):
            step.criterion, step.bound = parse(step.type, _filled(text, bound), where), bound
            if step.criterion.text not in made.criteria:
                new[step.criterion.text] = made.criteria[step.criterion.text] = step.criterion
    if left and len(waiting(made)) == len(left):
        raise BadRequest("The conditions of these entries wait for each other", *(step.template[1] for step in left))
    return new


def _filled(text: str, bound: Mapping[str, str]) -> str:
    return _URN.sub(lambda found: bound.get(unquote(found[0]), found[0]), text)


def check_bound(made: Plan) -> None:
    """Raise BadRequest where an entry became another resource than the conditions were read with."""
    targets = {step.entry.full_url: step.reference for step in made.steps if step.entry.full_url and step.id}
    for step in made.steps:
        for url, reference in step.bound.items():
            if targets.get(url, reference) != reference:
                raise BadRequest(f"What '{url}' stands for is decided by another entry's condition", step.template[1])


def _reference(step: Step, stored: Mapping[str, frozenset[str]], made: Plan) -> str:
    """``Type/id`` of what the step writes or finds; '' where that is not known yet."""
    if step.method == "DELETE" or (step.template[0] and step.criterion is None):
        return ""
    if step.criterion is None:
        return step.reference
    deleted = {other.id for other in made.steps if other.method == "DELETE" and other.type == step.type}
    found = stored.get(step.criterion.text, frozenset()) - deleted
    given = (step.entry.resource or {}).get("id") if step.method == "PUT" else None
    return f"{step.type}/{next(iter(found)) if found else given or step.fresh}"
