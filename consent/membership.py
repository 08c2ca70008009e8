"""Groups that rules may name: alliances (OrganizationAffiliation), care teams (CareTeam); and who belongs to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from consent.grant import ALWAYS
from consent.times import interval

GROUPING = frozenset({"OrganizationAffiliation", "CareTeam"})
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
    """The microseconds of a Period; what cannot be read closes it. An end with a time is that moment."""
    period = element.get("period")
    if not isinstance(period, dict):
        return 0, ALWAYS
    start, end = period.get("start"), period.get("end")
    try:
        low = 0 if start is None else interval(str(start))[0]
        high = ALWAYS if end is None else interval(str(end))[0 if "T" in str(end) else 1]
    except ValueError:
        return ALWAYS, 0
    return low, high
