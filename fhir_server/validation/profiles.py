"""The profiles in force: R4's own, the alliance's guide, the packages, and what administrators write over FHIR.

https://hl7.org/fhir/R4/profiling.html. They are put together anew when one of these changes: at once for
``$validate``, within seconds for writes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from consent import Access
from fhir_server.errors import FhirError, Unprocessable
from fhir_server.search.extract import Extractor
from fhir_server.search.parse import parse as parse_search
from fhir_server.search.tree import Query
from fhir_server.store.protocol import Store
from fhir_server.validation import packages
from fhir_server.validation.policy import FILE, Policy, read_policy
from profiles.alliance.choose import profile_of
from profiles.conformance import Options, ProfileSet
from profiles.conformance.codes import r4_terminology
from profiles.issues import Issue
from profiles.lossless import parse
from terminology.registry import Terminology

_TYPES = ("StructureDefinition", "ValueSet", "CodeSystem", "ImplementationGuide")
_ACCESS = Access.everything("profiles in force")
_LOOK_SECONDS = 5.0
_PAGE = 500
_ERRORS = ("error", "fatal")
# What is only good practice is no matter of a write.
_WRITE = Options(hints=False, best_practice="information")


@dataclass(frozen=True)
class InForce:
    """One state of the profiles and the policy; ``stamp`` changes when they do."""

    stamp: object
    profiles: ProfileSet
    policy: Policy

    @cached_property
    def supported(self) -> dict[str, list[str]]:
        """The canonical URLs of the profiles that resources of a type can be held to, by type."""
        found: dict[str, list[str]] = {}
        for url in self.profiles.urls():
            one = self.profiles.definition(url) or {}
            if one.get("kind") == "resource" and one.get("derivation") == "constraint" and not one.get("abstract"):
                found.setdefault(str(one.get("type")), []).append(url)
        return found


class Profiles:
    """The profiles and policy of one data folder, for one process.

    ``policy``: that in the folder at the start, see ``read_policy``.
    ``given``: gives the definitions that are always in force besides R4's own, when they are first needed.
    ``terminology``: gives what is known of codes besides the ValueSets and CodeSystems in force (default: R4's own).
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        extractor: Extractor,
        policy: Policy,
        given: Callable[[], Sequence[dict[str, Any]]] = tuple,
        terminology: Callable[[], Terminology] = r4_terminology,
    ) -> None:
        self._policy = policy
        self._given = given
        self._terminology = terminology
        self._folder = folder
        self._packages = packages.Packages(folder)
        self._store = store
        self._extractor = extractor
        self._thread = ThreadPoolExecutor(1, "profiles")
        self._now: InForce | None = None
        self._seen: object = None  # the stamp of what was tried last
        self._looking: Future[InForce] | None = None
        self._looked = 0.0
        self._told = ""

    def close(self) -> None:
        """End the thread that looks for changes."""
        self._thread.shutdown(cancel_futures=True)

    def current(self) -> InForce:
        """What is in force; a change may take some seconds to be seen."""
        if self._now is None:
            return self._thread.submit(self._look).result()
        looking = self._looking is not None and not self._looking.done()
        if not looking and time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looking = self._thread.submit(self._look)
        return self._now

    async def fresh(self) -> InForce:
        """What is in force now."""
        return await asyncio.wrap_future(self._thread.submit(self._look))

    def judge(self, resource: dict[str, Any], client: str | None) -> list[Issue]:
        """What the policy has to say of a resource that is written, beyond its structure.

        ``client``: the OAuth client that writes; None for local commands, which are told nothing of warnings.
        Raises Unprocessable where the policy refuses it.
        """
        now = self.current()
        rule = now.policy.rule(str(resource.get("resourceType")), client or "")
        if rule.mode == "off" or (rule.mode == "warn" and client is None):
            return []
        wanted = rule.profiles
        if rule.guide and (mine := profile_of(resource)) is not None:
            wanted = (*wanted, mine)
        if rule.mode == "warn" and not wanted and not _known_claims(resource, now.profiles):
            return []
        options = replace(_WRITE, unknown_extensions=now.policy.unknown_extensions)
        found = now.profiles.beyond_structure(resource, wanted, options)
        if rule.mode == "enforce" and any(issue.severity in _ERRORS for issue in found):
            raise Unprocessable.of(found)
        return [replace(issue, severity="warning") for issue in found if issue.severity != "information"]

    def _look(self) -> InForce:
        """Read again what has changed; the old state stands where that cannot be done.

        What cannot be understood is not read again until it changes.
        """
        self._looked = time.monotonic()
        stamp: object = None
        try:
            stamp = (self._file_stamp(), packages.stamp(self._folder), asyncio.run(self._store_stamp()))
            if self._now is None or stamp not in (self._now.stamp, self._seen):
                policy = read_policy(self._folder)
                before, self._now = self._now, InForce(stamp, self._profiles(), policy)
                if before is not None:
                    before.profiles.release()
            if stamp == self._now.stamp:
                self._told = ""
            self._seen = stamp
        except (OSError, FhirError) as error:  # this may pass
            self._tell(str(error))
        except ValueError as error:
            self._seen = stamp
            self._tell(str(error))
        if self._now is None:  # at the start; the policy holds, whatever is wrong with a package or with what is stored
            known = [*self._given(), *(one for p in self._packages.all(sound=True) for one in p.resources)]
            self._now = InForce(None, ProfileSet.load(known, self._terminology), self._policy)
        return self._now

    def _tell(self, message: str) -> None:
        if message != self._told:
            print(f"yidang: profiles and validation policy stay as they were: {message}", file=sys.stderr, flush=True)
        self._told = message

    def _file_stamp(self) -> tuple[int, int] | None:
        try:
            status = (self._folder / FILE).stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size

    async def _store_stamp(self) -> tuple[Any, ...]:
        """How many conformance resources there are, and which was changed last."""
        query = self._query(_TYPES, [("_sort", "-_lastUpdated"), ("_count", "1")])
        newest = (await self._store.search(query, _ACCESS)).matches
        return await self._store.count(query, _ACCESS), *((s.type, s.id, s.version) for s in newest)

    def _profiles(self) -> ProfileSet:
        given = list(self._given())
        for package in self._packages.all():
            given += package.resources
        given += asyncio.run(self._written())
        return ProfileSet.load(given, self._terminology)

    async def _written(self) -> list[dict[str, Any]]:
        """The conformance resources among the records that are not retired."""
        found: list[dict[str, Any]] = []
        query, cursor = self._query(_TYPES, [("_count", str(_PAGE))]), None
        while True:
            page = await self._store.search(query, _ACCESS, cursor, "profiles")
            found += [parse(stored.body) for stored in page.matches if stored.body is not None]
            cursor = page.cursor
            if cursor is None:
                break
        return [resource for resource in found if resource.get("status") != "retired"]

    def _query(self, types: tuple[str, ...], pairs: list[tuple[str, str]]) -> Query:
        return parse_search(types, pairs, self._extractor, max_count=_PAGE, now=time.time_ns() // 1000).query


def _known_claims(resource: dict[str, Any], profiles: ProfileSet) -> bool:
    """Whether the resource claims a profile that is known here (a Bundle: one of its resources)."""
    meta = resource.get("meta")
    claimed = meta.get("profile") if isinstance(meta, dict) else None
    if isinstance(claimed, list) and any(isinstance(u, str) and profiles.definition(u) is not None for u in claimed):
        return True
    if resource.get("resourceType") != "Bundle":
        return False
    inner: Sequence[Any] = [e.get("resource") for e in resource.get("entry", ()) if isinstance(e, dict)]
    return any(isinstance(one, dict) and _known_claims(one, profiles) for one in inner)
