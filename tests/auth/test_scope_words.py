"""Scopes are told in words that a resident understands."""

from __future__ import annotations

import pytest

from fhir_server.auth.scope_words import PLAIN, TYPES, lines
from fhir_server.auth.scopes import PLAIN_SCOPES
from profiles.definitions import load


@pytest.mark.parametrize(
    ("scope", "staff", "zh", "en"),
    [
        ("patient/*.rs", False, "查看张秀英的全部健康档案", "see the whole health record of 张秀英"),
        ("patient/Condition.read", False, "查看张秀英的诊断和健康问题", "see diagnoses and problems of 张秀英"),
        ("user/Observation.cu", True, "新增、修改您有权查看的患者的检验、体征和其他测量结果", ""),
        ("user/Immunization.d", False, "删除您和您监护的人的预防接种", ""),
        ("patient/VisionPrescription.r", False, "查看张秀英的VisionPrescription", ""),
    ],
)
def test_a_scope_is_told_in_words(scope: str, staff: bool, zh: str, en: str) -> None:
    (line,) = lines(scope, "张秀英", staff)
    assert line.words[0] == zh
    if en:
        assert line.words[1] == en
    assert line.optional
    assert line.writes is bool(set("cud") & set(scope.rpartition(".")[2]) and "read" not in scope)


def test_access_comes_first_and_what_is_unknown_is_left_out() -> None:
    found = [line.scope for line in lines("openid offline_access patient/*.rs nonsense", "", False)]
    assert found == ["patient/*.rs", "openid", "offline_access"]


def test_every_plain_scope_and_only_real_types_have_words() -> None:
    assert PLAIN.keys() == PLAIN_SCOPES
    assert TYPES.keys() - {"*"} <= load().resource_types
