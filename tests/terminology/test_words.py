"""Codes are found by what people type: words, any run of Chinese, pinyin and its initials."""

from __future__ import annotations

import random

import pytest

from terminology.words import Haystack, line, query_words, says

LINES = [
    line("I10", ["原发性高血压", "Essential (primary) hypertension"]),
    line("E11.9", ["2型糖尿病不伴有并发症"]),
    line("J18.9", ["肺炎", "Pneumonia, unspecified"]),
    line("X1", ["Läsion der Niere", "女性绝经"]),
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("高血压", [0]),
        ("血压", [0]),
        ("gaoxueya", [0]),
        ("xueya", [0]),
        ("ueya", []),  # not the middle of a syllable
        ("gxy", [0]),
        ("yfxgxy", [0]),
        ("hyper", [0]),
        ("tension", []),  # not the middle of a word
        ("primary hypertension", [0]),
        ("hypertension 肺炎", []),
        ("i10", [0]),
        ("e11", [1]),
        ("2型", [1]),
        ("tnb", [1]),
        ("PNEU", [2]),
        ("lasion niere", [3]),
        ("nvxing", [3]),
        ("炎", [2]),
        ("", [0, 1, 2, 3]),
        ("  ", [0, 1, 2, 3]),
    ],
)
def test_what_is_typed_finds_the_right_lines(wanted: str, found: list[int]) -> None:
    assert Haystack(LINES).find(wanted) == found
    words = query_words(wanted)
    assert [n for n, one in enumerate(LINES) if says(one, words)] == found


def test_the_whole_text_finds_what_each_line_finds() -> None:
    chosen = random.Random(7)
    parts = ["高血压", "糖尿病", "heart", "Lung", "E11", "长期", "2", "a b"]
    lines = [line(f"c{n}", [" ".join(chosen.sample(parts, 3))]) for n in range(200)]
    stack = Haystack(lines)
    for wanted in ("g", "gxy", "heart lu", "高", "tnb heart", "2", "c1", "cq", "zq", "a b c"):
        expected = [n for n, one in enumerate(lines) if says(one, query_words(wanted))]
        assert stack.find(wanted) == expected, wanted
