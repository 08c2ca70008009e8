"""Groups that rules may name: alliances (OrganizationAffiliation), care teams (CareTeam); and who belongs to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from consent.grant import ALWAYS

GROUPING = frozenset({"OrganizationAffiliation", "CareTeam"})
_ZONE = ZoneInfo("Asia/Shanghai")
_MEMBERS = ("Practitioner/", "Organization/")


@dataclass(frozen=True, slots=True)
class Membership:
    """``party`` belongs to ``group`` (both references) in [low, high), microseconds since 1970."""

    party: str
    group: str
    low: int = 0
    high: int = ALWAYS


def memberships_of(resource: dict[str, Any]) -> list[Membership]:
    """The memberships that an OrganizationAffiliation or CareTeam (valid R4) states; none where it is not active."""
    if resource["resourceType"] == "OrganizationAffiliation":
        alliance = _reference(resource.get("organization"), ("Organization/",))
        member = _reference(resource.get("participatingOrganization"), ("Organization/",))
        if resource.get("active") is False or not alliance or not member:
            return []
        return [Membership(member, alliance, *_period(resource))]
    if resource.get("status") != "active" or not isinstance(resource.get("id"), str):
        return []
    return list(_team(resource))


def _team(resource: dict[str, Any]) -> Iterator[Membership]:
    group = f"CareTeam/{resource['id']}"
    low, high = _period(resource)
    for participant in resource.get("participant", ()):
        party = _reference(participant.get("member"), _MEMBERS)
        if party:
            begins, ends = _period(participant)
            yield Membership(party, group, max(low, begins), min(high, ends))


def _reference(value: Any, kinds: tuple[str, ...]) -> str:
    reference = value.get("reference") if isinstance(value, dict) else None
    return reference if isinstance(reference, str) and reference.startswith(kinds) else ""


def _period(element: dict[str, Any]) -> tuple[int, int]:
    """The microseconds of a Period; what cannot be read closes it."""
    period = element.get("period")
    if not isinstance(period, dict):
        return 0, ALWAYS
    return _instant(period.get("start"), 0, False), _instant(period.get("end"), ALWAYS, True)


def _instant(value: Any, default: int, end: bool) -> int:
    """A FHIR dateTime in microseconds; of an end the first moment after it."""
    if value is None:
        return default
    text = str(value)
    try:
        if len(text) > 10:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=_ZONE)
            return int(moment.timestamp() * 1_000_000)
        parts = [int(part) for part in text.split("-")]
        year, month, day = (*parts, 1, 1)[:3]
        first = datetime(year, month, day, tzinfo=_ZONE)
        if end:
            if len(parts) == 3:
                first += timedelta(days=1)
            else:
                years, month = (
                    (first.year + 1, 1) if len(parts) == 1 or first.month == 12 else (first.year, first.month + 1)
                )
                first = first.replace(year=years, month=month)
        return int(first.timestamp()) * 1_000_000
    except (ValueError, TypeError, OverflowError):
        return ALWAYS if not end else 0
