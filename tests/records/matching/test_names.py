"""Names compared: how alike two ways of writing a name are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.records.matching.names import Likeness, chance, equal, likeness, name, names_of, split_surname


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("张伟", "张 伟", "exact"),
        ("欧阳娜", "欧阳　娜", "exact"),
        ("买买提·吐尔逊", "买买提•吐尔逊", "exact"),
        ("买买提·吐尔逊", "买买提 . 吐尔逊", "exact"),
        ("張偉", "张伟", "variant"),
        ("萧红", "肖红", "variant"),
        ("伟张", "张伟", "transposed"),
        ("Zhang Wei", "张伟", "romanised"),
        ("Wei ZHANG", "张伟", "romanised"),
        ("Shan Xiaoming", "单晓明", "romanised"),
        ("Zeng Qiang", "曾强", "romanised"),
        ("Yuchi Gong", "尉迟恭", "romanised"),
        ("李子轩", "李梓萱", "homophone"),
        ("仇英", "裘英", "homophone"),
        ("罗兰", "洛南", "sound"),
        ("李子轩", "李子航", "character"),
        ("李子轩", "李轩", "character"),
        ("王芳", "王丽", "surname"),
        ("王芳", "李丽", "different"),
        ("John Smith", "Smith John", "transposed"),
        ("John Smith", "Jon Smith", "character"),
    ],
)
def test_likeness(one: str, other: str, expected: str) -> None:
    assert likeness(name(one), name(other)) == expected
    assert likeness(name(other), name(one)) == expected


@pytest.mark.parametrize(
    "text",
    ["王芳之女", "王芳之大子", "李娟大女", "王之子", "张之双", "王芳新生儿", "无名氏", "急诊001", "未知", "张伟之甲"],
)
def test_provisional_names_are_known(text: str) -> None:
    assert name(text).temporary
    assert not equal(name(text), name(text))


@pytest.mark.parametrize("text", ["李子", "张婴", "王孝女", "李双双", "陈美子", "刘婴宁", "诸葛亮", "John Smith"])
def test_real_names_are_not_taken_for_provisional_ones(text: str) -> None:
    assert not name(text).temporary
    assert equal(name(text), name(text))


@pytest.mark.parametrize(
    ("text", "surname"),
    [("欧阳娜", "欧阳"), ("欧阳", "欧"), ("王欧阳", "王"), ("阿卜杜拉·买买提", "阿卜杜拉"), ("", "")],
)
def test_surnames_are_split_off(text: str, surname: str) -> None:
    assert split_surname(text) == surname


def test_the_text_of_a_name_counts_and_its_parts_help() -> None:
    (found,) = names_of({"name": [{"family": "欧阳", "given": ["娜", "娜"]}]})
    assert (found.text, found.family, found.given) == ("欧阳娜娜", "欧阳", "娜娜")
    names = names_of({"name": [{"text": "李小花", "use": "old"}, {"text": "李晓华"}, {"family": 3}, "x"]})
    assert [one.text for one in names] == ["李晓华", "李小花"]
    assert names_of({"name": "x"}) == ()


def test_common_names_tell_less_than_rare_ones() -> None:
    assert chance(name("王伟")) > chance(name("王建国")) > chance(name("诸葛建国"))


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_two_texts_are_compared_the_same_way_round(one: str, other: str) -> None:
    a, b = name(one), name(other)
    assert likeness(a, b) == likeness(b, a)
    assert likeness(a, a) is Likeness.EXACT
