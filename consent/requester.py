"""Requester: who asks, as whom and what for; read from the access token, never from a request's parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["staff", "resident", "system"]


@dataclass(frozen=True, slots=True)
class Scope:
    """One SMART scope: ``patient/Observation.rs?category=laboratory``; v1 scopes are turned into these letters.

    ``context`` is patient, user or system; ``type`` a resource type or ``*``; ``letters`` some of c r u d s;
    ``query`` the pairs of the search constraint. https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
    """

    context: str
    type: str
    letters: str
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks.

    ``subject`` is a reference: ``Practitioner/…`` (staff), ``Patient/…`` (resident), ``Device/…`` of a system.
    ``institution`` is the logical id of the Organization it acts in ('' for residents), ``department`` one of its
    parts, ``role`` a code of ``vocabulary.ROLES`` ('' for residents), ``role_id`` the PractitionerRole.
    ``person`` is a resident's Patient id. ``patient`` and ``encounter`` are the launch context: with ``patient``
    set, scopes of the context ``patient`` reach only that file. ``purpose`` is a name of ``vocabulary.Purpose``.
    ``token`` names the token (never the token itself), ``client`` the OAuth client.
    """

    kind: Kind
    subject: str
    client: str
    purpose: str
    scopes: tuple[Scope, ...]
    institution: str = ""
    department: str = ""
    role: str = ""
    role_id: str = ""
    person: str = ""
    patient: str = ""
    encounter: str = ""
    token: str = ""
    name: str = ""  # for the access log that residents read

    @property
    def identity(self) -> str:
        """Who this is, for binding what was handed out (page links) to its receiver."""
        parts = (self.kind, self.subject, self.client, self.institution, self.department, self.role, self.purpose)
        scopes = repr(self.scopes)
        return "\0".join((*parts, self.person, self.patient, self.encounter, scopes))
