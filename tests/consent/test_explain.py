"""Rules and verdicts in words say the facts that decided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consent.explain import InForce, Verdict, legal_basis, sentence, why
from consent.grant import EVERYONE, KINDS, Grant
from consent.times import interval
from consent.vocabulary import Purpose, RecordClass, Sensitivity
from consent.words import CLASSES, GROUNDS, PURPOSES, SENSITIVITIES

NAMES = {"Organization/county": "长汀县医院"}
PLAIN = Grant("p", "Organization/county", "consent", purposes=Purpose.TREAT)


def told(grant: Grant) -> tuple[str, str]:
    return sentence(InForce(grant, "Consent/c"), lambda reference: NAMES.get(reference, ""))


def test_a_permission_names_ground_recipient_purpose_and_what_it_leaves_out() -> None:
    zh, en = told(PLAIN)
    assert zh == (
        "根据居民的授权同意（Consent/c），长汀县医院（Organization/county）为诊疗可以查看全部类别的记录（不含敏感内容），长期有效。"
    )
    assert en.startswith("By consent (Consent/c) 长汀县医院 (Organization/county) may see records of every class")


def test_classes_labels_periods_and_custodians_are_told() -> None:
    grant = replace(
        PLAIN,
        classes=RecordClass.LABORATORY | RecordClass.IMAGING,
        sensitivity=Sensitivity.HIV,
        low=interval("2026-01-01")[0],
        high=interval("2026-12-31")[1],
        data_low=interval("2025-01-01")[0] // 1000,
        data_high=interval("2025-12-31")[1] // 1000,
        custodian="Organization/county",
    )
    zh, en = told(grant)
    assert "长汀县医院形成的检验、影像检查" in zh and "2025-01-01至2025-12-31" in zh
    assert "有效期2026-01-01至2026-12-31" in zh and "包括敏感内容：艾滋病相关" in zh
    assert "HIV" in en and "laboratory, imaging" in en and "from 2026-01-01 to 2026-12-31" in en


def test_a_refusal_of_everybody_and_one_document_are_told() -> None:
    zh, en = told(replace(PLAIN, permit=False, grantee=EVERYONE, sensitivity=Sensitivity.MENTAL))
    assert "任何机构和个人" in zh and "不可以查看" in zh and "涉及精神心理" in zh and "everybody may not see" in en
    assert "DocumentReference/d" in told(replace(PLAIN, document="DocumentReference/d"))[0]


@pytest.mark.parametrize(
    ("verdict", "zh", "en"),
    [
        (Verdict(("own", "consent"), (InForce(PLAIN, "Consent/c"),)), "可以查看：本机构产生的记录；", "Open: "),
        (Verdict((), scope=False), "授权范围", "scopes"),
        (Verdict((), reaches=False), "该岗位", "role"),
        (Verdict((), named=False), "单独同意", "names it"),
        (Verdict(()), "没有有效的授权", "no permission"),
        (
            Verdict((), withheld=((InForce(PLAIN, "Consent/c"), InForce(replace(PLAIN, permit=False), "Consent/no")),)),
            "以拒绝为准",
            "Consent/no",
        ),
    ],
)
def test_a_verdict_says_why(verdict: Verdict, zh: str, en: str) -> None:
    chinese, english = why(verdict, lambda reference: "")
    assert zh in chinese and en in english
    assert chinese.startswith("可以" if verdict.open else "不能")


def test_there_are_words_for_everything() -> None:
    assert set(CLASSES) == set(RecordClass) and set(SENSITIVITIES) == set(Sensitivity)
    assert set(PURPOSES) == set(Purpose.__members__)
    assert set(KINDS) <= set(GROUNDS)
    assert legal_basis("break-glass") == "EMERGENCY"
