"""Special parameters: ``near`` of Location.

https://hl7.org/fhir/R4/location.html#positional
"""

from __future__ import annotations

import math
from typing import Any

from fhir_server.search.context import Context, bad_value, no_modifier, per_source, split, unescape
from fhir_server.search.plan import Indexed
from fhir_server.search.rows import Rows
from fhir_server.search.sinks import Factory, Setting, Sink
from fhir_server.search.tree import Near, Node
from terminology import ucum

DEFAULT_KM = 10.0
_KM = {  # what people ask in; rarer units are looked up in UCUM
    "": 1.0,
    "km": 1.0,
    "m": 0.001,
    "cm": 0.00001,
    "mi": 1.609344,
    "[mi_i]": 1.609344,
    "[mi_us]": 1.609347219,
    "[nmi_i]": 1.852,
    "[ft_i]": 0.0003048,
}


def kilometres(unit: str) -> float | None:
    """The kilometres in a UCUM unit of length (``mi`` is the English mile), None for anything else."""
    if unit in _KM:
        return _KM[unit]
    length = ucum.canonical(unit)
    return length.factor / 1000 if length is not None and length.code == "m" and not length.offset else None


def position(key: str, setting: Setting) -> Sink:
    """The sink of ``Location.position``."""

    def sink(value: Any, out: Rows) -> None:
        latitude, longitude = float(value["latitude"]), float(value["longitude"])
        if abs(latitude) <= 90 and abs(longitude) <= 180:
            out.geo.append((key, latitude, longitude))

    return sink


SINKS: dict[str, Factory] = {"Location.position": position, "BackboneElement": position}

MODIFIERS = ("missing",)


def node(context: Context, indexed: Indexed, modifier: str, text: str) -> Node:
    """``latitude|longitude|distance|units``; without a distance 10 km, without units km."""
    if modifier:
        raise no_modifier(indexed, modifier, MODIFIERS)
    parts = [unescape(part).strip() for part in split(text, "|")]
    wanted = "it is 'latitude|longitude|distance|units' (units of length in UCUM: km, m, [mi_i], …)"
    if not 2 <= len(parts) <= 4:
        raise bad_value(indexed, text, wanted)
    latitude, longitude, distance, unit = (*parts, "", "")[:4]
    km = kilometres(unit)
    if km is None:
        raise bad_value(indexed, text, wanted)
    try:
        numbers = [float(latitude), float(longitude), float(distance) * km if distance else DEFAULT_KM]
    except ValueError:
        raise bad_value(indexed, text, wanted) from None
    if not all(map(math.isfinite, numbers)) or abs(numbers[0]) > 90 or abs(numbers[1]) > 180 or numbers[2] < 0:
        raise bad_value(indexed, text, wanted)
    return per_source(indexed, lambda p, _: Near(p, numbers[0], numbers[1], numbers[2]))
