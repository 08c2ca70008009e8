"""Mapping files: which column of a table is the code, the display, a property …, and of which code system.

JSON; docs/terminology.md describes every key. Mappings for the usual national lists are shipped in ``mappings``: their
columns are those that such lists usually have, under any of the names that a mapping gives.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from loaders.terminology.content import BadFile

_KINDS = ("CodeSystem", "ConceptMap")
_KEYS = {
    "CodeSystem": frozenset(
        {
            "kind", "url", "version", "name", "title", "status", "language", "caseSensitive", "hierarchyMeaning",
            "content", "encoding", "delimiter", "code", "display", "definition", "parent", "parentLengths",
            "designation", "property", "inactive", "description", "valueSet", "copyright", "publisher",
        }
    ),
    "ConceptMap": frozenset(
        {
            "kind", "url", "version", "name", "title", "status", "encoding", "delimiter", "source", "sourceVersion",
            "target", "targetVersion", "sourceCode", "sourceDisplay", "targetCode", "targetDisplay", "equivalence",
            "comment", "sourceScope", "targetScope", "description", "copyright", "publisher",
        }
    ),
}  # fmt: skip
_NEEDED = {"CodeSystem": ("url", "code"), "ConceptMap": ("url", "source", "target", "sourceCode", "targetCode")}

Form = tuple[str, Callable[[Any], bool]]  # what a value must be, in words, and whether it is


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_column(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, list) and bool(value) and all(map(_is_text, value)))


def _are_lengths(value: Any) -> bool:
    return isinstance(value, list) and all(type(one) is int and one > 0 for one in value)


def _are_columns(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict)
        and _is_column(one.get("column"))
        and all(_is_text(one.get(key, "")) for key in ("language", "code", "type", "uri"))
        and isinstance(one.get("use", {}), dict)
        for one in value
    )


_TEXT: Form = "a text", _is_text
_COLUMN: Form = "a column's name, or a list of names", _is_column
_COLUMNS: Form = "a list of objects with a column", _are_columns
_FORMS: dict[str, Form] = {
    **dict.fromkeys(("code", "display", "definition", "parent", "comment", "equivalence"), _COLUMN),
    **dict.fromkeys(("sourceCode", "sourceDisplay", "targetCode", "targetDisplay"), _COLUMN),
    **dict.fromkeys(("designation", "property"), _COLUMNS),
    "delimiter": ("one character", lambda value: _is_text(value) and len(value) == 1 and value not in '"\r\n'),
    "caseSensitive": ("true or false", lambda value: isinstance(value, bool)),
    "parentLengths": ("a list of whole numbers from 1 on", _are_lengths),
    "inactive": ("an object with a column and values", lambda value: isinstance(value, dict)),
}


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping as read: ``kind`` and the values by key.

    A column is given by its name, or by a list of names of which the file has one.
    """

    kind: str
    values: Table[str, Any] = field(default_factory=dict)

    def columns(self, key: str) -> tuple[str, ...]:
        """The names that the column for ``key`` may have; () where the mapping has none."""
        return names_of(self.values.get(key))


def names_of(value: Any) -> tuple[str, ...]:
    """One column name or several, as a tuple. Raises BadFile for anything else."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise BadFile(f"a column is a name or a list of names, not {value!r}")


def shipped_names() -> list[str]:
    """The names of the mappings that are shipped."""
    folder = files("loaders.terminology").joinpath("mappings")
    return sorted(one.name.removesuffix(".json") for one in folder.iterdir() if one.name.endswith(".json"))


def mapping_of(name: str, version: str | None = None) -> Mapping:
    """The mapping of a shipped name or a file; ``version`` in place of its own.

    Raises BadFile where there is none, or it makes no sense.
    """
    if name in shipped_names():
        content = files("loaders.terminology").joinpath("mappings", f"{name}.json").read_bytes()
    elif Path(name).is_file():
        content = Path(name).read_bytes()
    else:
        raise BadFile(f"there is no mapping '{name}': give a file, or one of {', '.join(shipped_names())}")
    try:
        values = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise BadFile(f"the mapping '{name}' is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise BadFile(f"the mapping '{name}' is no JSON object")
    if version:
        values["version"] = version
    return _checked(name, values)


def _checked(name: str, values: dict[str, Any]) -> Mapping:
    kind = values.get("kind", "CodeSystem")
    if kind not in _KINDS:
        raise BadFile(f"the mapping '{name}' has the kind {kind!r}; there are {', '.join(_KINDS)}")
    unknown = sorted(values.keys() - _KEYS[kind])
    if unknown:
        raise BadFile(f"the mapping '{name}' has unknown keys: {', '.join(unknown)}")
    missing = [key for key in _NEEDED[kind] if not values.get(key)]
    if missing:
        raise BadFile(f"the mapping '{name}' lacks {', '.join(missing)}")
    for key, value in values.items():
        says, right = _FORMS.get(key, _TEXT)
        if not right(value):
            raise BadFile(f"the mapping '{name}': '{key}' is {says}, not {value!r}")
    return Mapping(kind, values)
