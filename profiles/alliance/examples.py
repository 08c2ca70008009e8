"""The guide's examples: for each profile a resource that satisfies it, and changes of it that do not.

``examples/<profile>.json``: ``resource``, and ``fails``: each says ``why``, what ``change``s (path → value, null
takes away) and which ``errors`` follow, as [element, words of the reason].
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

Resource = dict[str, Any]
_STEP = re.compile(r"([A-Za-z_]+)((?:\[\d+\])*)")


@dataclass(frozen=True, slots=True)
class Failing:
    """A resource that does not satisfy the profile: why, what was changed, and the errors (element, words)."""

    why: str
    changes: dict[str, Any]
    errors: tuple[tuple[str, str], ...]
    resource: Resource


@dataclass(frozen=True, slots=True)
class Example:
    """The example of a profile (short name), with its failing variants."""

    profile: str
    resource: Resource
    fails: tuple[Failing, ...]


@cache
def examples() -> dict[str, Example]:
    """All examples by the short name of their profile."""
    folder = files("profiles.alliance").joinpath("examples")
    found = {}
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if file.name.endswith(".json"):
            name = file.name.removesuffix(".json")
            found[name] = _example(name, msgspec.json.decode(file.read_bytes()))
    return found


def _example(name: str, told: dict[str, Any]) -> Example:
    resource = told["resource"]
    fails = tuple(
        Failing(
            one["why"],
            one["change"],
            tuple((element, words) for element, words in one["errors"]),
            changed(resource, one["change"]),
        )
        for one in told["fails"]
    )
    return Example(name, resource, fails)


def changed(resource: Resource, changes: dict[str, Any]) -> Resource:
    """A copy with these changes: ``name[0].text`` → value; None takes away; an index at the end appends."""
    found = copy.deepcopy(resource)
    for path, value in changes.items():
        _put(found, _steps(path), value)
    return found


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    for part in path.split("."):
        match = _STEP.fullmatch(part)
        if match is None:
            raise ValueError(f"'{path}' is no path")
        steps.append(match[1])
        steps += [int(number) for number in re.findall(r"\d+", match[2])]
    return steps


def _put(at: Any, steps: list[str | int], value: Any) -> None:
    for step in steps[:-1]:
        at = at[step]
    last = steps[-1]
    if isinstance(last, int):
        if value is None:
            del at[last]
        elif last == len(at):
            at.append(value)
        else:
            at[last] = value
    elif value is None:
        del at[last]
    else:
        at[last] = value
