"""Files of FHIR held against the guide before a system is connected: what does not satisfy its profile, and why.

Each resource is checked by the profile for its type and kind (``profiles.alliance.choose``), those it claims, and R4's
rules. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loaders.bundles import Refusal, Unit, files, units
from profiles.alliance import resources
from profiles.alliance.choose import profile_of
from profiles.conformance import Options, ProfileSet
from profiles.issues import Issue

_OPTIONS = Options(hints=False, best_practice="information")
_OTHERS = "(R4)"


@dataclass(frozen=True, slots=True)
class Finding:
    """A resource with errors: the file, its place in it (line or entry, from 1), what it is, and the errors."""

    path: Path
    position: int
    resource: str
    errors: tuple[Issue, ...]


@dataclass(slots=True)
class Report:
    """What was checked: per profile (its URL, or ``(R4)``) how many resources, and how many of them have errors."""

    checked: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)
    unread: int = 0

    def add(self, profile: str, errors: Sequence[Issue]) -> None:
        """Count one resource."""
        self.checked[profile] = self.checked.get(profile, 0) + 1
        if errors:
            self.wrong[profile] = self.wrong.get(profile, 0) + 1


def check(paths: Sequence[Path], report: Report) -> Iterator[Finding | Refusal]:
    """Check files and folders; gives what is wrong as it is found, and counts in ``report``."""
    profiles = ProfileSet.load(resources())
    found, missing = files(paths)
    for refusal in missing:
        report.unread += 1
        yield refusal
    for path in found:
        for unit in units(path):
            refused = [unit] if isinstance(unit, Refusal) else unit.refusals
            report.unread += len(refused)
            yield from refused
            if isinstance(unit, Unit):
                for position, resource in _resources(unit):
                    profile = profile_of(resource)
                    issues = profiles.check(resource, [profile] if profile else [], _OPTIONS)
                    errors = tuple(issue for issue in issues if issue.severity in ("error", "fatal"))
                    report.add(profile or _OTHERS, errors)
                    if errors:
                        name = f"{resource.get('resourceType')}/{resource.get('id', '')}"
                        yield Finding(path, position, name, errors)


def _resources(unit: Unit) -> Iterator[tuple[int, dict[str, Any]]]:
    """The resources of a unit with their places."""
    if unit.bundle is None:
        yield from zip(unit.lines, unit.resources, strict=True)
        return
    entries = unit.bundle.get("entry")
    for place, entry in enumerate(entries if isinstance(entries, list) else (), 1):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            yield place, resource
