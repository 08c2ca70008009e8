"""Date parameters: date, dateTime, instant, Period, Timing as intervals.

https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

from typing import Any

from fhir_server.search.context import Context, bad_value, no_modifier, per_source, prefixed
from fhir_server.search.plan import Indexed
from fhir_server.search.rows import Rows
from fhir_server.search.sinks import Factory, Setting, Sink
from fhir_server.search.times import Interval, Reader, widen
from fhir_server.search.tree import MAX_TIME, MIN_TIME, Date, Node, Prefix


def _instant(key: str, setting: Setting) -> Sink:
    read = setting.interval

    def sink(value: Any, out: Rows) -> None:
        span = read(value)
        if span is not None:
            out.dat.append((key, *span))

    return sink


def period_interval(value: Any, read: Reader) -> Interval | None:
    """The interval of a Period; a missing end is open. None when neither end can be read or they cross."""
    start, end = value.get("start"), value.get("end")
    first = read(start) if type(start) is str else None
    last = read(end) if type(end) is str else None
    if first is None and last is None:
        return None
    low, high = first[0] if first else MIN_TIME, last[1] if last else MAX_TIME
    return (low, high) if low < high else None


def _period(key: str, setting: Setting) -> Sink:
    read = setting.interval

    def sink(value: Any, out: Rows) -> None:
        span = period_interval(value, read)
        if span is not None:
            out.dat.append((key, *span))

    return sink


def _timing(key: str, setting: Setting) -> Sink:
    """Only the outer limits of a Timing count, not the days between."""
    read = setting.interval

    def sink(value: Any, out: Rows) -> None:
        spans = [span for event in value.get("event", ()) if event and (span := read(event))]
        bounds = value.get("repeat", {}).get("boundsPeriod")
        if bounds is not None and (span := period_interval(bounds, read)):
            spans.append(span)
        if spans:
            out.dat.append((key, min(low for low, _ in spans), max(high for _, high in spans)))

    return sink


SINKS: dict[str, Factory] = {
    **dict.fromkeys(("date", "dateTime", "instant"), _instant),
    "Period": _period,
    "Timing": _timing,
}

MODIFIERS = ("missing",)


def interval(context: Context, indexed: Indexed, text: str) -> tuple[Prefix, int, int]:
    """The prefix and interval of a search value. Raises BadRequest."""
    prefix, rest = prefixed(text)
    span = context.interval(rest)
    if span is None:
        raise bad_value(
            indexed, text, "it is a prefix and a date like 2024, 2024-05, 2024-05-01 or 2024-05-01T10:00:00+08:00"
        )
    return (prefix, *(widen(span, context.now) if prefix is Prefix.AP else span))


def node(context: Context, indexed: Indexed, modifier: str, text: str) -> Node:
    """The condition that one date value asks."""
    if modifier:
        raise no_modifier(indexed, modifier, MODIFIERS)
    prefix, low, high = interval(context, indexed, text)
    return per_source(indexed, lambda p, _: Date(p, prefix, low, high))
