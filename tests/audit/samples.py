"""Events to test with."""

from __future__ import annotations

from consent.requester import Requester, Scope
from fhir_server.audit.event import Event, Item, Who

START = 1_764_000_000_000_000
DOCTOR = Requester(
    "staff",
    "Practitioner/wang",
    "emr-county",
    "TREAT",
    (Scope("user", "*", "crus"),),
    institution="county",
    role="physician",
    role_id="wang-county",
    token="t-1",
    name="王医生",
)
LI = Requester("resident", "Patient/li", "app", "PATRQT", (Scope("patient", "*", "rs"),), person="li", name="李四")
WHO = Who("staff", "Practitioner/wang", "emr-county", "county", "", "physician", "wang-county", "TREAT", name="王医生")


def make_event(number: int = 0, code: str = "read", action: str = "R", **fields: object) -> Event:
    known: dict[str, object] = {
        "who": WHO,
        "status": 200,
        "patients": ("zhang",),
        "custodians": ("Organization/county",),
        "items": (Item("Observation", f"o{number}", 1, 0, 0, 128),),
        "correlation": f"c{number}",
        **fields,
    }
    return Event(START + number * 1_000_000, code, action, **known)  # type: ignore[arg-type]
