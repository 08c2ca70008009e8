"""Persons in transactions: before identities are resolved, the entries that register a person are looked up.

So that all other entries refer to the one Patient of that person, whether the transaction found or makes it. The
write itself looks again (``register.enrolled``) and starts anew where the answer is another by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fhir_server.context import Context
from fhir_server.errors import FhirError, Unprocessable
from fhir_server.interactions.entries import at_entry
from fhir_server.records import register
from fhir_server.store.protocol import Stored, Transaction

if TYPE_CHECKING:
    from fhir_server.interactions.plan import Plan, Step


class Elsewhere(Exception):
    """The person is another Patient by now than the plan was made for."""


async def foresee(made: Plan, stored: Mapping[str, frozenset[str]], context: Context) -> None:
    """Give the entries that register persons the ids of those that the index knows for certain."""
    if not register.registers("Patient", context.access):
        return
    for step in made.steps:
        if step.method == "DELETE":
            try:
                register.check_deletable(step.type, context.access)
            except FhirError as error:
                raise at_entry(error, step.entry.path) from None
        registers = step.method == "POST" or (step.method == "PUT" and (step.criterion or step.asked))
        if step.type == "Patient" and registers:
            try:
                await _foresee(step, stored, context)
            except FhirError as error:
                raise at_entry(error, step.entry.path) from None


async def _foresee(step: Step, stored: Mapping[str, frozenset[str]], context: Context) -> None:
    if step.person is None:
        resource = step.entry.resource or {}
        issues = [issue for issue in context.validator.check(resource) if issue.severity in ("error", "fatal")]
        if issues:
            raise Unprocessable.of(issues)
        step.person = register.incoming(resource, context)
    if not step.known:
        step.asked = step.criterion
    if step.asked is not None and stored.get(step.asked.text):
        step.criterion, step.known = step.asked, ""
        return
    step.known = await register.certain_id(step.person, context) or ""
    posted = step.method == "POST"
    step.criterion = None if step.known else step.asked
    step.existing = posted and bool(step.known)
    step.created = not step.known
    step.id = step.known or step.fresh


def enrol(step: Step, transaction: Transaction, context: Context) -> tuple[int, Stored]:
    """File the person of an entry: status and Patient. Raises Elsewhere."""
    if step.person is None:
        raise RuntimeError(f"{step.entry.path} was not looked up")
    current = transaction.read("Patient", step.id) if step.method == "PUT" else None
    if current is not None and not step.known and current.body is not None:
        status, stored, _ = register.fed(step.person, current, transaction, context)
    else:
        status, stored, _ = register.enrolled(step.person, transaction, context, step.fresh)
    if stored.id != step.id:
        raise Elsewhere(step.entry.path)
    return status, stored
