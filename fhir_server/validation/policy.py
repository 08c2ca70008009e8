"""The policy of validation on write: ``validation.json`` in the data folder; see docs/operations.md.

What a resource has to satisfy beyond its structure is the matter of profiles: https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from profiles.definitions import load
from profiles.lossless import ParseError, parse

FILE = "validation.json"
MODES = ("enforce", "warn", "off")
_SEVERITIES = ("error", "warning", "information")
_MEMBERS = frozenset({"default", "types", "clients", "unknown_extensions"})


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a resource: ``mode`` enforce, warn or off; ``profiles`` it has to satisfy besides its claims.

    ``guide``: also the profile of the alliance's guide for its kind.
    """

    mode: str = "warn"
    profiles: tuple[str, ...] = ()
    guide: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    default: Rule | None = None
    types: Mapping[str, Rule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules by client and by type; the narrowest holds: client and type, client, type, default."""

    general: _Part = field(default_factory=_Part)
    clients: Mapping[str, _Part] = field(default_factory=dict)
    unknown_extensions: str = "warning"

    def rule(self, type_name: str, client: str = "") -> Rule:
        """The rule for a resource of this type from this OAuth client ('' for local commands and development)."""
        mine = self.clients.get(client)
        if mine is not None:
            found = mine.types.get(type_name) or mine.default
            if found is not None:
                return found
        return self.general.types.get(type_name) or self.general.default or _USUAL


_USUAL = Rule()


def read_policy(folder: Path) -> Policy:
    """The policy in the data folder; the usual one (warn) where there is no file.

    Raises ValueError, saying what is wrong, for a file that cannot be understood.
    """
    try:
        content = (folder / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Policy()
    try:
        value = parse(content)
    except ParseError as error:
        raise ValueError(f"{FILE} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{FILE}: it is a JSON object")
    unknown = value.keys() - _MEMBERS
    if unknown:
        raise ValueError(f"{FILE}: '{min(unknown)}' is none of {', '.join(sorted(_MEMBERS))}")
    severity = value.get("unknown_extensions", "warning")
    if severity not in _SEVERITIES:
        raise ValueError(f"{FILE}: unknown_extensions is {', '.join(_SEVERITIES)}")
    clients = value.get("clients", {})
    if not isinstance(clients, dict):
        raise ValueError(f"{FILE}: clients is an object, by client id")
    return Policy(_part(value, ""), {name: _client(told, name) for name, told in clients.items()}, severity)


def _client(told: Any, name: str) -> _Part:
    if isinstance(told, dict) and told.keys() <= {"default", "types"}:
        return _part(told, f"clients.{name}.")
    return _Part(_rule(told, f"clients.{name}"))


def _part(value: dict[str, Any], where: str) -> _Part:
    types = value.get("types", {})
    if not isinstance(types, dict):
        raise ValueError(f"{FILE}: {where}types is an object, by resource type")
    unknown = types.keys() - load().resource_types
    if unknown:
        raise ValueError(f"{FILE}: {where}types: '{min(unknown)}' is no resource type of R4")
    rules = {name: _rule(told, f"{where}types.{name}") for name, told in types.items()}
    default = _rule(value["default"], f"{where}default") if "default" in value else None
    return _Part(default, rules)


def _rule(told: Any, where: str) -> Rule:
    """``"enforce"``, or ``{"mode": "enforce", "profiles": [url, …], "guide": true}``."""
    if isinstance(told, str):
        told = {"mode": told}
    if not isinstance(told, dict) or not told.keys() <= {"mode", "profiles", "guide"}:
        raise ValueError(f"{FILE}: {where} is a mode, or an object with mode, profiles and guide")
    mode, profiles, guide = told.get("mode", "warn"), told.get("profiles", []), told.get("guide", False)
    if mode not in MODES:
        raise ValueError(f"{FILE}: {where} is {', '.join(MODES)}, not '{mode}'")
    if not isinstance(profiles, list) or not all(isinstance(url, str) for url in profiles):
        raise ValueError(f"{FILE}: {where}.profiles is a list of canonical URLs")
    if not isinstance(guide, bool):
        raise ValueError(f"{FILE}: {where}.guide is true or false")
    return Rule(mode, tuple(profiles), guide)
