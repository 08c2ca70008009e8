"""Consent profiles of the alliance: what a Consent must say before it opens or closes anything.

PIPL 14, 17, 23 and 29: told what, for whom and what for; separately for each recipient; provable. What we could
not enforce is refused here, not accepted and ignored. https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from consent.classes import CLASS_OF_TYPE
from consent.provisions import (
    ACTIONS,
    CLASS_CODES,
    CUSTODIAN_ROLES,
    MANIFOLD,
    RANK,
    RECIPIENT_ROLES,
    UNENFORCEABLE,
)
from consent.references import listed, reference_of, references_of
from consent.times import birthday, interval, period_of
from consent.vocabulary import (
    ACT_CODE,
    ACT_REASON,
    CLINICAL,
    CONFIDENTIALITY,
    CONSENT_KIND,
    LEGAL_BASIS,
    NO_CLASS,
    OWN_PURPOSES,
    PURPOSE,
    RECORD_CLASS,
    RESOURCE_TYPES,
    SENSITIVITY_CODES,
    Purpose,
)
from profiles.issues import Issue

Element = Mapping[str, Any]
DEEPEST = 4  # levels of exceptions
MOST_RULES = 1000  # recipients times documents times custodians of one Consent
_PROFILE_ISSUE = "business-rule"


@dataclass(frozen=True, slots=True)
class Kind:
    """A profile: the code in CONSENT_KIND, what it is for, and the elements that a provision of it must have."""

    code: str
    zh: str
    type: str = "permit"
    needs: tuple[str, ...] = ()
    recipients: frozenset[str] = frozenset()


_INSTITUTIONS = frozenset({"Organization"})
KINDS: dict[str, Kind] = {
    kind.code: kind
    for kind in (
        Kind("sharing", "医共体内共享", recipients=_INSTITUTIONS),
        Kind("institution", "按机构共享", recipients=_INSTITUTIONS),
        Kind("care-team", "按团队共享", recipients=frozenset({"CareTeam", "Practitioner"})),
        Kind("record-class", "按记录类别共享", needs=("class",)),
        Kind("sensitive", "敏感信息单独同意", needs=("securityLabel",)),
        Kind("data-period", "按资料时间共享", needs=("dataPeriod",)),
        Kind("document", "单份文档共享", needs=("data",)),
        Kind("refusal", "拒绝共享", type="deny"),
        Kind("guardian", "监护人同意"),
        Kind("health-code", "健康码授权", needs=("period",)),
    )
}


def check(resource: Element, born: date | None = None) -> list[Issue]:
    """What an active Consent of the scope patient-privacy lacks; ``born`` is the person's date of birth if known.

    Nothing for other resources, other scopes (they open nothing) and what is not active: withdrawing a consent is
    always possible.
    """
    scope = {coding.get("code") for coding in resource.get("scope", {}).get("coding", ())}
    active = resource.get("status") == "active" and "patient-privacy" in scope
    if resource.get("resourceType") != "Consent" or not active:
        return []
    provision = resource.get("provision") or {}
    permits = _permits(provision)
    found = list(_whole(resource))
    if permits:
        found += _proof(resource)
    found += _guardian(resource, born)
    found += _provision(provision, "Consent.provision", 0, False)
    if _count(provision) > MOST_RULES:
        found.append(_issue("too-costly", f"more than {MOST_RULES} rules in one Consent; write several", "provision"))
    return found + list(_kind(resource, provision))


def _issue(code: str, text: str, *elements: str) -> Issue:
    where = tuple(e if e.startswith("Consent") else f"Consent.{e}" for e in elements)
    return Issue(code, text, where)


def _permits(provision: Element) -> bool:
    return provision.get("type") == "permit" or any(_permits(inner) for inner in provision.get("provision", ()))


def _count(provision: Element) -> int:
    own = max(1, len(provision.get("actor", ()))) * max(1, len(provision.get("data", ())))
    return own + sum(_count(inner) for inner in provision.get("provision", ()))


# -- the Consent as a whole --------------------------------------------------------------------


def _whole(resource: Element) -> Iterator[Issue]:
    if not reference_of(resource.get("patient")).startswith("Patient/"):
        yield _issue("required", "要写明是谁的档案 / a Consent names the Patient whose file it is about", "patient")
    if not _date(resource.get("dateTime")):
        yield _issue("required", "要写明何时作出 / a Consent says when it was given", "dateTime")
    if not resource.get("performer") and not resource.get("verification"):
        text = "要写明由谁作出或如何核实 / a Consent says who gave it, or how it was verified with the person"
        yield _issue("required", text, "performer", "verification")
    for name in ("modifierExtension", "implicitRules"):
        if name in resource:
            yield _issue("not-supported", f"{name} changes the meaning in a way that we cannot enforce", name)
    types = [resource.get("provision", {}).get("type"), *(p.get("type") for p in _all_nested(resource))]
    if not any(types):
        yield _issue("required", "要写明同意还是拒绝 / a Consent permits or refuses something", "provision.type")


def _all_nested(resource: Element) -> Iterator[Element]:
    stack = list(resource.get("provision", {}).get("provision", ()))
    while stack:
        inner = stack.pop()
        yield inner
        stack += inner.get("provision", ())


def _date(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(interval(value))
    except ValueError:
        return False


def _proof(resource: Element) -> Iterator[Issue]:
    """What makes a permission provable: the notice's version and hash, and the legal basis."""
    if not any(policy.get("uri") for policy in resource.get("policy", ())) and not resource.get("policyRule"):
        text = "要写明告知书的版本 / a permission names the notice and its version (policy.uri: …|version)"
        yield _issue("required", text, "policy", "policyRule")
    attachment = resource.get("sourceAttachment") or {}
    if not attachment.get("hash") and not reference_of(resource.get("sourceReference")):
        text = "要有告知书的哈希 / a permission has the hash of the notice (sourceAttachment.hash), or refers to it"
        yield _issue("required", text, "source")
    bases = [_value(e) for e in resource.get("extension", ()) if e.get("url") == LEGAL_BASIS]
    if bases != ["CONSENT"]:
        text = f"要写明合法性基础 / a permission has one extension {LEGAL_BASIS} with the valueCode CONSENT"
        yield _issue("required", text, "extension")


def _value(extension: Element) -> str:
    coding = extension.get("valueCoding") or {}
    return str(extension.get("valueCode") or extension.get("valueString") or coding.get("code") or "")


def _guardian(resource: Element, born: date | None) -> Iterator[Issue]:
    """A child under 14 does not consent alone (PIPL 31)."""
    given = resource.get("dateTime")
    if born is None or not _date(given) or interval(str(given))[0] >= birthday(born, 14):
        return
    own = reference_of(resource.get("patient"))
    if _permits(resource.get("provision") or {}) and not any(
        r != own for r in references_of(resource.get("performer"))
    ):
        text = "不满十四周岁须由监护人同意 / for a child under 14 a guardian consents: name the guardian"
        yield Issue(_PROFILE_ISSUE, text, ("Consent.performer",))


def _others(resource: Element) -> bool:
    """Whether somebody else than the person itself gave it."""
    own = reference_of(resource.get("patient"))
    return any(reference != own for reference in references_of(resource.get("performer")))


def _kind(resource: Element, provision: Element) -> Iterator[Issue]:
    """What the profile that it claims in ``category`` asks for."""
    codes = {
        coding.get("code", "")
        for category in resource.get("category", ())
        for coding in category.get("coding", ())
        if coding.get("system") == CONSENT_KIND
    }
    for code in sorted(codes):
        kind = KINDS.get(code)
        if kind is None:
            text = f"{code!r} is no kind of Consent; there are {', '.join(KINDS)}"
            yield _issue("code-invalid", text, "category")
            continue
        nodes = [provision, *_all_nested(resource)]
        typed = [node for node in nodes if node.get("type") == kind.type]
        if not typed:
            yield Issue(_PROFILE_ISSUE, f"{kind.zh}: it has no provision of type {kind.type}", ("Consent.provision",))
        for name in kind.needs:
            if not any(node.get(name) for node in nodes):
                text = f"{kind.zh}: a Consent of the kind {code} has {name}"
                yield Issue(_PROFILE_ISSUE, text, (f"Consent.provision.{name}",))
        if kind.recipients and not _recipients(nodes) <= kind.recipients:
            text = f"{kind.zh}: its recipients are of the type {' or '.join(sorted(kind.recipients))}"
            yield Issue(_PROFILE_ISSUE, text, ("Consent.provision.actor",))
        if code == "guardian" and not _others(resource):
            yield Issue(_PROFILE_ISSUE, f"{kind.zh}: the performer is the guardian", ("Consent.performer",))


def _recipients(nodes: list[Element]) -> set[str]:
    return {
        reference_of(actor.get("reference")).split("/")[0]
        for node in nodes
        for actor in node.get("actor", ())
        if not _role(actor) & CUSTODIAN_ROLES
    }


# -- provisions --------------------------------------------------------------------------------


def _provision(node: Element, path: str, depth: int, named: bool) -> Iterator[Issue]:
    """What cannot be enforced in a provision and those within; ``named``: an outer one names recipients."""
    for name in UNENFORCEABLE:
        if node.get(name):
            yield _issue("not-supported", f"{name} of a provision cannot be enforced here", f"{path}.{name}")
    for name, judge in _ELEMENTS.items():
        for n, item in enumerate(listed(node.get(name))):
            text = judge(item, node.get("type") == "deny")
            if text:
                where = f"{path}.{name}" if isinstance(node[name], Mapping) else f"{path}.{name}[{n}]"
                yield _issue("not-supported", text, where)
    named = named or any(not _role(actor) & CUSTODIAN_ROLES for actor in node.get("actor", ()))
    if node.get("type") == "permit" and not named:
        text = "要写明接收方 / a permission names its recipients (PIPL 23); 'everyone' is none"
        yield _issue("required", text, f"{path}.actor")
    if depth and node.get("type") not in ("permit", "deny"):
        yield _issue("required", "a nested provision permits or denies", f"{path}.type")
    if depth >= DEEPEST and node.get("provision"):
        yield _issue("too-costly", f"provisions stand at most {DEEPEST} deep", f"{path}.provision")
        return
    for n, inner in enumerate(node.get("provision", ())):
        yield from _provision(inner, f"{path}.provision[{n}]", depth + 1, named)


def _role(actor: Element) -> set[str]:
    return {str(coding.get("code", "")) for coding in (actor.get("role") or {}).get("coding", ())}


def _judge_actor(actor: Element, refuses: bool) -> str:
    reference, role = reference_of(actor.get("reference")), _role(actor)
    if role & CUSTODIAN_ROLES:
        return "" if reference.startswith("Organization/") else "the custodian of items is an Organization"
    if role and not role & RECIPIENT_ROLES:
        return (
            f"of actors we can enforce {' and '.join(sorted(RECIPIENT_ROLES))} (recipient), CST and AUT (whose items)"
        )
    if reference.split("/")[0] not in RANK:
        return f"a recipient is one of {', '.join(sorted(RANK))}, by reference"
    return ""


def _judge_action(action: Element, refuses: bool) -> str:
    codes = {coding.get("code") for coding in action.get("coding", ())}
    return "" if codes & ACTIONS else f"the actions that can be told apart here are {' and '.join(sorted(ACTIONS))}"


def _judge_label(coding: Element, refuses: bool) -> str:
    system, code = coding.get("system"), coding.get("code", "")
    if system == ACT_CODE and code in SENSITIVITY_CODES:
        return ""
    if system == CONFIDENTIALITY and (code in ("R", "V") or (code == "N" and not refuses)):
        return ""
    return f"we know the labels {', '.join(SENSITIVITY_CODES)} of {ACT_CODE} and N, R, V of {CONFIDENTIALITY}"


def _judge_purpose(coding: Element, refuses: bool) -> str:
    code = coding.get("code", "")
    system = PURPOSE if code in OWN_PURPOSES else ACT_REASON
    if code in Purpose.__members__ and coding.get("system") == system:
        return ""
    return f"we know the purposes {', '.join(Purpose.__members__)} ({', '.join(sorted(OWN_PURPOSES))} of {PURPOSE})"


def _judge_class(coding: Element, refuses: bool) -> str:
    system, code = coding.get("system"), coding.get("code", "")
    if system == RECORD_CLASS and code in CLASS_CODES:
        return ""
    if system == RESOURCE_TYPES:
        if code in MANIFOLD:
            return "" if refuses else f"a {code} can be of several record classes: name those of {RECORD_CLASS}"
        if CLASS_OF_TYPE.get(code, NO_CLASS) & CLINICAL:
            return ""
    return f"we know the classes {', '.join(CLASS_CODES)} of {RECORD_CLASS} and the types of {RESOURCE_TYPES}"


def _judge_data(item: Element, refuses: bool) -> str:
    reference, meaning = reference_of(item.get("reference")), item.get("meaning")
    if (reference and meaning == "instance") or (meaning == "authoredby" and reference.startswith("Organization/")):
        return ""
    return "we can enforce a single document (meaning instance) or the items of an Organization (authoredby)"


def _judge_period(period: Element, refuses: bool) -> str:
    try:
        low, high = period_of(period)
    except ValueError:
        return "this is no period"
    return "" if low < high else "it ends before it begins"


_ELEMENTS: dict[str, Callable[[Element, bool], str]] = {
    "period": _judge_period,
    "actor": _judge_actor,
    "action": _judge_action,
    "securityLabel": _judge_label,
    "purpose": _judge_purpose,
    "class": _judge_class,
    "dataPeriod": _judge_period,
    "data": _judge_data,
}
