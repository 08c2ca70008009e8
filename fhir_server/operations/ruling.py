"""What the operations on access share: who may ask about whose rules, and a rule as a parameter of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

from consent.explain import (
    InForce,
    Names,
    class_codes,
    legal_basis,
    purpose_codes,
    sensitivity_codes,
    sentence,
)
from consent.grant import ALWAYS, EVERYONE
from consent.times import ZONE
from fhir_server.errors import Gone, NotFound
from fhir_server.store.protocol import Stored
from fhir_server.store.sqlite.explaining import Explaining
from profiles.lossless import parse

if TYPE_CHECKING:
    from fhir_server.context import Context

PRIVACY_OFFICER = "privacy-officer"
Part = dict[str, Any]


class Explained(Protocol):
    """A store that explains what its predicate decides."""

    def explaining(self) -> Explaining:
        """Explanations, for use in this thread."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about the file of ``patient`` (id), by whom ``context`` says.

    Told are the rules whose source the asker may read; staff also those that address them.
    """

    patient: str
    context: Context

    @property
    def explaining(self) -> Explaining:
        """The store's explanations."""
        return cast(Explained, self.context.store).explaining()

    @property
    def whole(self) -> bool:
        """Whether the asker is the person itself, or nobody in particular (development mode)."""
        return self.context.access.unrestricted or self.context.access.person == self.patient

    @property
    def officer(self) -> bool:
        """Whether the asker is a privacy officer."""
        return self.context.access.role == PRIVACY_OFFICER

    @property
    def judges(self) -> bool:
        """Whether the asker may ask about others: the person, a guardian, a privacy officer."""
        return self.whole or self.officer or self._guardian

    @property
    def _guardian(self) -> bool:
        access = self.context.access
        if not access.person:
            return False
        rules = self.explaining.in_force(self.patient, self.context.clock())
        return any(r.grant.kind == "guardian" and r.grant.grantee == f"Patient/{access.person}" for r in rules)

    def told(self, rules: list[InForce]) -> list[InForce]:
        """Those of ``rules`` that may be told to whoever asks."""
        if self.context.access.unrestricted:
            return rules
        parties = self.explaining.parties(self.context.access) | ({EVERYONE} if self.judges else set())
        readable: dict[str, bool] = {}
        for rule in rules:
            if rule.source not in readable:
                readable[rule.source] = self._readable(rule.source)
        return [r for r in rules if readable[r.source] or (not self.whole and r.grant.grantee in parties)]

    def _readable(self, source: str) -> bool:
        type, _, id = source.partition("/")
        return bool(id) and unwatched(self.context).read(type, id, self.context.access) is not None

    def names(self, reference: str) -> str:
        """The name of an institution, member of staff or team, as far as the asker may see it."""
        type, _, id = reference.partition("/")
        if type not in ("Organization", "Practitioner", "CareTeam") or not id:
            return ""
        stored = unwatched(self.context).read(type, id, self.context.access)
        if stored is None or stored.body is None:
            return ""
        name = parse(stored.body).get("name")
        if isinstance(name, list):
            first = name[0] if name else {}
            return str(first.get("text") or first.get("family", "") + "".join(first.get("given", [])))
        return str(name or "")


def unwatched(context: Context) -> Any:
    """The store without the notes for the audit trail: for names and sources that the answer does not show."""
    return getattr(context.store, "store", context.store)


def asked(patient: str, context: Context) -> Asked:
    """The question about this Patient's file. Raises NotFound where the asker may not know of the Patient."""
    seen(context.store.read("Patient", patient, context.access), f"Patient/{patient}")
    return Asked(patient, context)


def seen(stored: Stored | None, reference: str) -> Stored:
    """``stored``, if it is there. Raises NotFound, Gone."""
    if stored is None:
        raise NotFound(f"There is no {reference}")
    if stored.body is None:
        raise Gone(f"{reference} is deleted since version {stored.version}")
    return stored


def rule_part(name: str, rule: InForce, names: Names) -> Part:
    """A rule as a parameter with its facts and its sentences."""
    grant = rule.grant
    zh, en = sentence(rule, names)
    parts: list[Part] = [
        {"name": "decision", "valueCode": "permit" if grant.permit else "deny"},
        {"name": "kind", "valueCode": grant.kind},
        {"name": "basis", "valueCode": legal_basis(grant.kind)},
        {"name": "source", "valueReference": {"reference": rule.source}},
    ]
    if grant.grantee != EVERYONE:
        parts.append({"name": "grantee", "valueReference": _reference(grant.grantee, names)})
    parts += [{"name": "class", "valueCode": code} for code in class_codes(grant.classes)]
    parts += [{"name": "sensitivity", "valueCode": code} for code in sensitivity_codes(grant.sensitivity)]
    parts += [{"name": "purpose", "valueCode": code} for code in purpose_codes(grant.purposes)]
    if grant.custodian:
        parts.append({"name": "custodian", "valueReference": _reference(grant.custodian, names)})
    if grant.document:
        parts.append({"name": "document", "valueReference": {"reference": grant.document}})
    if period := _period(grant.low, grant.high):
        parts.append({"name": "period", "valuePeriod": period})
    if period := _period(grant.data_low * 1000, grant.data_high * 1000):
        parts.append({"name": "dataPeriod", "valuePeriod": period})
    return {"name": name, "part": [*parts, *text_parts(zh, en)]}


def text_parts(zh: str, en: str) -> list[Part]:
    """The words of an answer: Chinese first."""
    return [{"name": "text", "valueString": zh}, {"name": "text-en", "valueString": en}]


def _reference(reference: str, names: Names) -> dict[str, str]:
    name = names(reference)
    return {"reference": reference, "display": name} if name else {"reference": reference}


def _period(low: int, high: int) -> dict[str, str]:
    bounds = {"start": low, "end": high - 1}
    return {name: _instant(moment) for name, moment in bounds.items() if 0 < moment < ALWAYS - 1 and _instant(moment)}


def _instant(moment: int) -> str:
    try:
        return datetime.fromtimestamp(moment // 1_000_000, ZONE).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""
