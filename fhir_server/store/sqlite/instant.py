"""Instants as FHIR writes them, in the deployment's zone."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


class InstantFormat:
    """Microseconds since 1970 UTC to ``2026-11-21T08:00:00.123+08:00`` (the second's text is kept)."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._second = -1
        self._parts = ("", "")

    def __call__(self, microseconds: int) -> str:
        """The instant at millisecond precision."""
        second, rest = divmod(microseconds, 1_000_000)
        head, tail = self._parts
        if second != self._second:
            text = datetime.fromtimestamp(second, UTC).astimezone(self._zone).isoformat()
            head, tail = text[:19], text[19:]
            self._parts, self._second = (head, tail), second
        return f"{head}.{rest // 1000:03d}{tail}"
