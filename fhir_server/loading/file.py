"""One file into the store: each of its units is one transaction, done once however often loading is started.

That a unit is done is noted in the commit that does it, under the hash of the file's content. A group
of independent resources (NDJSON, batch Bundle) that fails as a whole is taken one by one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from consent import Access
from fhir_server.context import Context
from fhir_server.errors import FhirError, TooCostly
from fhir_server.interactions.answers import Answer
from fhir_server.interactions.bundle import batch
from fhir_server.interactions.transaction import transact
from fhir_server.store.protocol import Store, Transaction
from loaders.bundles import Refusal, Unit, content_hash, units
from profiles.issues import Issue

T = TypeVar("T")
_ISSUES_TOLD = 3
_ALONE = "Bundle.entry[0]"
_LATER = frozenset({"not-found", "conflict", "multiple-matches", "transient", "too-costly"})


@dataclass(slots=True)
class Event:
    """What one step of loading a file did.

    ``read``: bytes of the file read in this step. ``skipped``: the whole file was loaded before.
    ``again``: what was refused may be accepted when other files are in. ``done``: the file is finished.
    """

    path: Path
    read: int = 0
    written: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    skipped: bool = False
    again: bool = False
    done: bool = False


class _DoneBefore(FhirError):
    """This piece of work is in the store already (another process loads the same file): no failure."""

    status = 200


class _Once:
    """A store whose writes happen only if the piece of work ``name`` was not done, and note that it is."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, work: Callable[[Transaction], T], access: Access) -> T:
        def guarded(transaction: Transaction) -> T:
            if not transaction.once(self._name):
                raise _DoneBefore("done before")
            return work(transaction)

        return await self._store.write(guarded, access)


def _once(context: Context, name: str) -> Context:
    return replace(context, store=cast(Store, _Once(context.store, name)))


def _entry(resource: dict[str, Any]) -> dict[str, Any]:
    type, id = resource["resourceType"], resource.get("id")
    request = {"method": "PUT", "url": f"{type}/{id}"} if id is not None else {"method": "POST", "url": type}
    return {"resource": resource, "request": request}


def _bundle(kind: str, entries: Sequence[Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def _reason(issues: Sequence[Issue], type: str = "") -> str:
    """The first few findings in words; ``type`` is that of a single resource, which was alone in its Bundle."""
    told = []
    for issue in issues[:_ISSUES_TOLD]:
        text, where = issue.diagnostics, issue.expression[0] if issue.expression else ""
        if type:
            text = text.removeprefix(f"{_ALONE}: ")
            where = where.replace(f"{_ALONE}.resource", type).removeprefix(_ALONE)
        elif where.startswith("Bundle.entry["):
            text = text.removeprefix(f"{where.partition(']')[0]}]: ")
        told.append(f"{where}: {text}" if where else text)
    more = len(issues) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _written(answers: Sequence[Answer]) -> int:
    return sum(1 for answer in answers if answer.stored is not None and answer.status < 400)


class _File:
    """The state of loading one file."""

    def __init__(self, path: Path, context: Context) -> None:
        self.path, self.context = path, context
        self.prefix = f"load:{content_hash(path)}:"
        self.noted = context.store.noted(self.prefix, context.access)

    @property
    def finished(self) -> str:
        """The name under which it is noted that the whole file is in."""
        return self.prefix + "done"

    async def note(self, name: str) -> None:
        """Note a piece of work that is done by having done its parts."""
        await self.context.store.write(lambda transaction: transaction.once(name), self.context.access)

    async def unit(self, unit: Unit) -> Event:
        """Load one unit; what goes wrong is in the event."""
        event = Event(self.path, refusals=list(unit.refusals))
        # A file that is one unit is finished with it: one note, in the same commit, says both.
        name = self.finished if unit.whole and not unit.refusals else f"{self.prefix}{unit.position}"
        if name in self.noted:
            return event
        try:
            if unit.bundle is not None and unit.bundle["type"] == "transaction":
                event.written = _written(await transact(unit.bundle, _once(self.context, name)))
            else:
                await self.group(unit, name, event)
        except _DoneBefore:
            pass
        except Exception as error:
            self.refuse(event, 0, _findings(error))
        return event

    def refuse(self, event: Event, position: int, issues: Sequence[Issue], type: str = "") -> None:
        """Report what was refused, and whether it is worth another try when other files are in."""
        event.refusals.append(Refusal(self.path, position, _reason(issues, type)))
        event.again = event.again or any(issue.code in _LATER for issue in issues)

    async def group(self, unit: Unit, name: str, event: Event) -> None:
        """Independent entries: all at once, or one by one where that is refused."""
        if unit.bundle is not None:
            raw = unit.bundle.get("entry")
            entries: list[Any] = raw if isinstance(raw, list) else []
            places: Sequence[int] = range(1, len(entries) + 1)
        else:
            entries, places = [_entry(resource) for resource in unit.resources], unit.lines
        split = name + ":split"
        if split not in self.noted:
            try:
                event.written = _written(await transact(_bundle("transaction", entries), _once(self.context, name)))
                return
            except _DoneBefore:
                raise
            except Exception as error:
                _findings(error)
                # Noted first: after an interruption this group must not be tried as a whole again.
                await self.note(split)
        # A batch entry may be an operation, which only a batch can run.
        kind = "transaction" if unit.bundle is None else "batch"
        before = len(event.refusals)
        for place, entry in zip(places, entries, strict=True):
            await self.single(kind, entry, place, f"{name}:{place}", event)
        if len(event.refusals) == before:
            await self.note(name)

    async def single(self, kind: str, entry: Any, place: int, name: str, event: Event) -> None:
        """Load one entry by itself; ``place`` is where it stands in the file."""
        if name in self.noted:
            return
        context = _once(self.context, name)
        resource = entry.get("resource") if isinstance(entry, dict) else None
        type = resource.get("resourceType", "") if isinstance(resource, dict) else ""
        try:
            if kind == "transaction":
                answers = await transact(_bundle(kind, [entry]), context)
            else:
                answers = await batch(_bundle(kind, [entry]), context)
        except _DoneBefore:
            return
        except Exception as error:
            self.refuse(event, place, _findings(error), type)
            return
        event.written += _written(answers)
        for answer in answers:
            if answer.status >= 400:
                self.refuse(event, place, _issues(answer), type)


def _findings(error: Exception) -> Sequence[Issue]:
    """What is reported of a failure. Raises it again where the store cannot write: nothing else would go in either."""
    if not isinstance(error, FhirError):
        return [Issue("exception", f"internal error: {type(error).__name__}: {error}")]
    if isinstance(error, TooCostly) and any(issue.code == "no-store" for issue in error.issues):
        raise error
    return error.issues


def _issues(answer: Answer) -> list[Issue]:
    """The findings in the OperationOutcome of a failed answer."""
    return [
        Issue(issue["code"], issue.get("diagnostics", ""), tuple(issue.get("expression", ())))
        for issue in (answer.outcome or {}).get("issue", [{"code": "exception", "diagnostics": f"{answer.status}"}])
    ]


async def load_file(path: Path, context: Context) -> AsyncIterator[Event]:
    """Load one file; an event for each unit and a last one with ``done``.

    Nothing is raised for bad content: it is refused, and the rest goes on. Raises only what is
    the store's own failure.
    """
    size = path.stat().st_size
    file = _File(path, context)
    if file.finished in file.noted:
        yield Event(path, read=size, skipped=True, done=True)
        return
    read, refused, whole = 0, False, False
    for unit in units(path):
        if isinstance(unit, Refusal):
            event = Event(path, refusals=[unit])
        else:
            event = await file.unit(unit)
            event.read, read, whole = unit.progress - read, unit.progress, unit.whole
        refused = refused or bool(event.refusals)
        yield event
    if not refused and not whole:
        await file.note(file.finished)
    yield Event(path, read=size - read, done=True)
