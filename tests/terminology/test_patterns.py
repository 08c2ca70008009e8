"""Regular expressions of filters: the whole value, as ``re`` says, and never for ever."""

from __future__ import annotations

import re
import time

import pytest

from terminology.errors import BadDefinition, TooCostly
from terminology.patterns import matcher

PATTERNS = [
    "(a|b)+c?",
    "(ab)*",
    "([a-c]{2}){1,3}",
    r"(\d+\.)*\d",
    r"([^ \t]+)+",
    "(a|)+b",
    "(?:x|yz)?(a+)+",
    "^(a)+(b)*$",
    r"(\.|\-)+",
    "((a){2,}b){0,2}",
]
TEXTS = [
    "",
    "a",
    "b",
    "c",
    "ab",
    "abab",
    "abc",
    "aab",
    "aabaab",
    "1",
    "1.2",
    "1.2.3",
    "x",
    "yzaa",
    "..-",
    "aaaa",
    "ccaabb",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_it_matches_what_re_matches(pattern: str) -> None:
    test = matcher(pattern)
    assert [test(text) for text in TEXTS] == [re.fullmatch(pattern, text) is not None for text in TEXTS]


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)+", "(x+x+)+y", "([a-zA-Z]+)*", "(.*)*,(.*)*", "a?" * 24 + "b", "a{0,1}" * 24 + "b"]
)
def test_no_expression_takes_for_ever(pattern: str) -> None:
    start = time.thread_time()
    assert not matcher(pattern)("a" * 40 + "!")
    matcher(pattern)("a" * 24)
    assert time.thread_time() - start < 0.5


def test_a_long_text_takes_no_longer_than_its_length() -> None:
    start = time.thread_time()
    assert not matcher("a*a*b")("a" * 9_999)
    assert time.thread_time() - start < 0.5


def test_a_text_too_long_for_the_pattern_is_refused() -> None:
    with pytest.raises(TooCostly):
        matcher("(a{100}){50}")("a" * 3_000)


@pytest.mark.parametrize(
    "pattern", ["(", "[a", r"(a)\1", "(?=a)b", "a" * 2_000, "((a{100}){100}){100}", "(*)", "a)|(b"]
)
def test_what_cannot_be_run_is_refused(pattern: str) -> None:
    with pytest.raises(BadDefinition):
        matcher(pattern)
