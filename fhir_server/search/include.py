"""``_include`` and ``_revinclude``: further resources beside the matches.

https://hl7.org/fhir/R4/search.html#revinclude
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fhir_server.errors import BadRequest

from .chain import canonical, reference_param
from .context import Context, UnknownParameter
from .tree import Include

_MODIFIERS = {"": False, "iterate": True, "recurse": True}


def includes(context: Context, types: Sequence[str], name: str, modifier: str, value: str) -> list[Include]:
    """The includes that ``_include[:iterate]=Source:parameter[:Target]`` asks for.

    ``*`` follows every reference: of the searched types, or of all types when iterating or
    in reverse. Raises BadRequest or UnknownParameter.
    """
    iterate = _MODIFIERS.get(modifier)
    if iterate is None:
        raise UnknownParameter(f"'{name}' has no modifier ':{modifier}'; it has :iterate", f"http.{name}")
    reverse = name == "_revinclude"
    parts = value.split(":")
    if len(parts) > 3 or not all(parts):
        raise BadRequest(
            f"{name}: '{value}' is not of the form Type:parameter or Type:parameter:Target", f"http.{name}"
        )
    if value == "*":
        sources = sorted(context.definitions.resource_types) if iterate or reverse else types
        return [
            Include(source, None, None, reverse, iterate)
            for source in sources
            if _points(context, source, types, reverse)
        ]
    if len(parts) == 1:
        raise BadRequest(f"{name}: '{value}' names no parameter: it is Type:parameter, Type:* or *", f"http.{name}")
    source, code = context.resource_type(parts[0], f"{name}={value}"), parts[1]
    target = context.resource_type(parts[2], f"{name}={value}") if len(parts) == 3 else None
    if code == "*":
        return [Include(source, None, target, reverse, iterate)]
    return list(dict.fromkeys(_named(context, source, code, target, reverse, iterate)))


def _named(
    context: Context, source: str, code: str, target: str | None, reverse: bool, iterate: bool
) -> Iterator[Include]:
    indexed = reference_param(context, source, code)
    if target is not None and target not in indexed.targets:
        raise BadRequest(
            f"'{code}' of {source} does not point at {target}, but at {', '.join(indexed.targets)}", "http._include"
        )
    wanted = (target,) if target is not None else indexed.targets
    named = any(canonical(context, indexed, one) for one in wanted)
    for key in indexed.sources:
        if target is None or key.target in (None, target):
            yield Include(source, key.key, target or key.target, reverse, iterate, named)


def _points(context: Context, source: str, types: Sequence[str], reverse: bool) -> bool:
    """Whether ``source`` has a reference that matters: any, or in reverse one to the searched types."""
    found = (p for p in context.params(source).values() if p.kind == "reference")
    return any(not reverse or set(p.targets) & set(types) for p in found)
