"""Rules and verdicts in plain words, Chinese and English, made of the facts that decided.

The words never decide: what is in force and what a rule opens is told by the store's own predicate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from consent.grant import ALWAYS, EVERYONE, KINDS, Grant
from consent.provisions import EVERY_PURPOSE
from consent.times import ZONE
from consent.vocabulary import (
    CARE,
    CLINICAL,
    ROLES,
    SENSITIVITY_NAMES,
    Purpose,
    RecordClass,
    Sensitivity,
)
from consent.words import CLASSES, GROUNDS, PURPOSES, SENSITIVITIES

Names = Callable[[str], str]
"""The name of an Organization, Practitioner, Patient … by its reference, '' where it is not known."""


@dataclass(frozen=True, slots=True)
class InForce:
    """A rule in force: the grant and the resource (``Type/id``) that gives it."""

    grant: Grant
    source: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why one requester may or may not see one item.

    ``grounds`` are those that open it (codes of ``words.GROUNDS``); ``rules`` the rules among them, ``withheld`` pairs
    of a permission and the refusal that prevails over it. ``scope``: its token's scopes reach the item. ``reaches``:
    its role does, by class and sensitivity. ``named``: some permission would open it, did it name the sensitivity.
    """

    grounds: tuple[str, ...]
    rules: tuple[InForce, ...] = ()
    withheld: tuple[tuple[InForce, InForce], ...] = ()
    scope: bool = True
    reaches: bool = True
    named: bool = True

    @property
    def open(self) -> bool:
        """Whether the item may be seen."""
        return bool(self.grounds)


def why(verdict: Verdict, names: Names) -> tuple[str, str]:
    """A verdict in Chinese and in English."""
    if verdict.open:
        told = [_ground(code, verdict, names) for code in dict.fromkeys(verdict.grounds)]
        return "可以查看：" + "；".join(zh for zh, _ in told) + "。", "Open: " + "; ".join(en for _, en in told) + "."
    if not verdict.scope:
        return "不能查看：应用的授权范围不包括这类内容。", "Closed: the scopes of the application do not reach it."
    if not verdict.reaches:
        return "不能查看：该岗位无权查看这类内容。", "Closed: the role does not reach it, by kind or sensitivity."
    if verdict.withheld:
        permit, refusal = verdict.withheld[0]
        zh, en = sentence(refusal, names)
        return (
            f"不能查看：虽有许可（{permit.source}），但居民已作出拒绝，以拒绝为准。{zh}",
            f"Closed: it is permitted ({permit.source}), but a refusal prevails. {en}",
        )
    if not verdict.named:
        return (
            "不能查看：这是需要单独同意的敏感内容，现有授权没有写明。",
            "Closed: this is under special protection, and no permission names it.",
        )
    return "不能查看：没有有效的授权或其他依据。", "Closed: there is no permission and no other ground."


def _ground(code: str, verdict: Verdict, names: Names) -> tuple[str, str]:
    zh, en = GROUNDS.get(code, (code, code))
    sources = list(dict.fromkeys(rule.source for rule in verdict.rules if rule.grant.kind == code))
    if not sources:
        return zh, en
    return f"{zh}（{'、'.join(sources)}）", f"{en} ({', '.join(sources)})"


def sentence(rule: InForce, names: Names) -> tuple[str, str]:
    """A rule in Chinese and in English: on what ground, who may see what, for what, and until when."""
    grant = rule.grant
    zh, en = GROUNDS.get(grant.kind, (grant.kind, grant.kind))
    who_zh, who_en = _grantee(grant.grantee, names)
    what_zh, what_en = _what(grant, names)
    purposes_zh, purposes_en = _purposes(grant.purposes)
    until_zh, until_en = _until(grant)
    may_zh, may_en = ("可以", "may") if grant.permit else ("不可以", "may not")
    special_zh, special_en = _special(grant)
    return (
        f"根据{zh}（{rule.source}），{who_zh}{purposes_zh}{may_zh}查看{what_zh}{special_zh}{until_zh}。",
        f"By {en} ({rule.source}) {who_en} {may_en} see {what_en}{purposes_en}{special_en}{until_en}.",
    )


def legal_basis(kind: str) -> str:
    """The legal basis (PIPL art. 13) of a kind of access."""
    return KINDS.get(kind, "CONSENT")


def class_codes(classes: RecordClass) -> list[str]:
    """The codes (of RECORD_CLASS) of these classes."""
    return [(one.name or "").lower().replace("_", "-") for one in RecordClass if one & classes]


def sensitivity_codes(sensitivity: Sensitivity) -> list[str]:
    """The codes (of v3-ActCode) of these sensitivities."""
    return [SENSITIVITY_NAMES[one] for one in Sensitivity if one & sensitivity]


def purpose_codes(purposes: Purpose) -> list[str]:
    """The names of these purposes."""
    return [one.name or "" for one in Purpose if one & purposes]


def role_words(code: str) -> str:
    """A role in Chinese."""
    return ROLES[code].zh if code in ROLES else code


def _grantee(reference: str, names: Names) -> tuple[str, str]:
    if reference == EVERYONE:
        return "任何机构和个人", "everybody"
    name = names(reference)
    return (f"{name}（{reference}）", f"{name} ({reference})") if name else (reference, reference)


def _what(grant: Grant, names: Names) -> tuple[str, str]:
    if grant.document:
        return f"一项记录（{grant.document}）", f"one item ({grant.document})"
    zh, en = "全部类别的记录", "records of every class"
    if grant.classes & CLINICAL != CLINICAL:
        told = [CLASSES[one] for one in RecordClass if one & grant.classes]
        zh, en = "、".join(word for word, _ in told), ", ".join(word for _, word in told)
    if grant.custodian:
        name = names(grant.custodian) or grant.custodian
        zh, en = f"{name}形成的{zh}", f"{en} kept by {name}"
    plain = Grant("", "", "")
    if (grant.data_low, grant.data_high) != (plain.data_low, plain.data_high):
        low, high = _day(grant.data_low * 1000), _day(grant.data_high * 1000 - 1)
        zh, en = f"{low or '最早'}至{high or '今后'}的{zh}", f"{en} from {low or 'the beginning'} to {high or 'now on'}"
    return zh, en


def _special(grant: Grant) -> tuple[str, str]:
    if grant.document:
        return "", ""
    told = [SENSITIVITIES[one] for one in Sensitivity if one & grant.sensitivity]
    zh, en = "、".join(word for word, _ in told), ", ".join(word for _, word in told)
    if not grant.permit:
        return (f"中涉及{zh}的内容", f" as far as it is about {en}") if told else ("", "")
    return (
        (f"（包括敏感内容：{zh}）", f", {en} included") if told else ("（不含敏感内容）", " without what is sensitive")
    )


def _purposes(purposes: Purpose) -> tuple[str, str]:
    if purposes & EVERY_PURPOSE == EVERY_PURPOSE:
        return "", ""
    if purposes == CARE:
        return "为诊疗和健康管理", " for care"
    told = [PURPOSES[one.name or ""] for one in Purpose if one & purposes]
    return f"为{'、'.join(word for word, _ in told)}", f" for {', '.join(word for _, word in told)}"


def _until(grant: Grant) -> tuple[str, str]:
    low, high = _day(grant.low), _day(grant.high - 1)
    if not high:
        return "，长期有效", ", without end" if not low else f", from {low} on"
    return (f"，有效期{low}至{high}", f", from {low} to {high}") if low else (f"，有效期至{high}", f", until {high}")


def _day(moment: int) -> str:
    """A day in Chinese time, '' for what is no bound."""
    if not 0 < moment < ALWAYS - 1:
        return ""
    try:
        return datetime.fromtimestamp(moment / 1_000_000, ZONE).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        return ""
