"""Where a version is filed: whose file, which custodian, record class and sensitivities."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from consent.labels import class_of, custodian_of, label_source, person_of, sensitivity_of
from fhir_server.store.sqlite.schema import SEVERAL

Lid = Callable[[str, str], int]
_SUBJECTS = ("subject", "patient", "for", "beneficiary")  # the elements that say whose file it is
_PLACE = "SELECT r.pat, r.org, r.class, r.sensitivity FROM ent e CROSS JOIN res r ON r.rid=e.cur WHERE e.id=? AND e.t=?"


class Place(NamedTuple):
    """Lasting numbers of the person and the custodian, one bit of RecordClass, bits of Sensitivity."""

    pat: int
    org: int
    record_class: int
    sensitivity: int


class Filing:
    """Files versions; used in the writer's open transaction. ``type_number`` numbers resource types."""

    def __init__(self, connection: sqlite3.Connection, lid: Lid, type_number: Callable[[str], int]) -> None:
        self._connection = connection
        self._lid = lid
        self._type = type_number

    def place(
        self, resource: dict[str, Any], patients: Sequence[str], patient: int, before: Place | None, party: str
    ) -> Place:
        """The place of a new version; its references to this server are relative.

        ``patients``: ids of those whose compartment it is in. ``patient``: the lasting number where the resource is a
        Patient itself, else 0. ``before``: the place of the version that it supersedes, whose custodian it keeps.
        ``party``: reference to who writes ('' unknown).
        """
        record_class, sensitivity = int(class_of(resource)), int(sensitivity_of(resource))
        pat = patient or self._person(resource, patients)
        source = label_source(resource)
        if source and (inherited := self.of(source)) is not None:
            pat = pat or inherited.pat
            record_class, sensitivity = inherited.record_class, sensitivity | inherited.sensitivity
        org = before.org if before is not None else 0
        return Place(pat, org or self._custodian(resource, party), record_class, sensitivity)

    def of(self, reference: str) -> Place | None:
        """The place of the current version of ``Type/id``."""
        type_, _, id_ = reference.partition("/")
        row = self._connection.execute(_PLACE, (id_, self._type(type_))).fetchone() if id_ else None
        return None if row is None else Place(*row)

    def _person(self, resource: dict[str, Any], patients: Sequence[str]) -> int:
        if len(patients) > 1 and not any(_of_patient(resource.get(name)) for name in _SUBJECTS):
            return SEVERAL
        id_ = patients[0] if patients else person_of(resource)
        return self._lid("Patient", id_) if id_ else 0

    def _custodian(self, resource: dict[str, Any], party: str) -> int:
        """Who writes; else whom the resource names, or its Encounter."""
        type_, _, id_ = (party or custodian_of(resource)).partition("/")
        if id_:
            return self._lid(type_, id_)
        encounter = resource.get("encounter")
        reference = encounter.get("reference") if isinstance(encounter, dict) else None
        found = self.of(reference) if isinstance(reference, str) else None
        return 0 if found is None else found.org


def _of_patient(value: Any) -> bool:
    reference = value.get("reference") if isinstance(value, dict) else None
    return isinstance(reference, str) and "Patient/" in reference
