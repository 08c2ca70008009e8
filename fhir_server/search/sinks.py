"""Sinks: functions that turn one element's value into index rows; each parameter type has a table of them.

A table names for each FHIR type a factory ``(key, setting) -> sink``. A sink may raise on odd
input: the extractor then goes on with the other elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .rows import Rows
from .shield import Shield
from .times import Reader

Sink = Callable[[Any, Rows], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """What sinks are made with.

    ``interval`` reads dates; ``resource_types`` and ``base_urls`` (without a last slash) say
    which references are this server's; ``target`` restricts a reference parameter to a type;
    ``also`` maps target types to further codes that are then present; ``bare`` leaves out
    derived keys (composite components have no modifiers). ``shield`` hashes national numbers.
    """

    interval: Reader
    resource_types: frozenset[str]
    base_urls: Sequence[str] = ()
    target: str | None = None
    also: Mapping[str, tuple[str, ...]] | None = None
    bare: bool = False
    shield: Shield = field(default_factory=Shield)


Factory = Callable[[str, Setting], Sink]
