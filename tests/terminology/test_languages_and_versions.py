"""Language ranges choose names, and versions choose resources, as requests and value sets ask."""

from __future__ import annotations

import pytest

from terminology.languages import languages
from terminology.versions import age, chosen, fits, split_canonical

NAMES = [("en", "heart"), ("zh", "心"), ("zh-CN", "心脏"), (None, "cor"), ("de-CH", "Herz")]


@pytest.mark.parametrize(
    ("asked", "best"),
    [
        ("zh-CN", "心脏"),
        ("zh", "心"),
        ("zh-TW", "心"),
        ("ZH-cn", "心脏"),
        ("de", "Herz"),
        ("fr, en;q=0.5", "heart"),
        ("en;q=0.1, zh-CN;q=0.9", "心脏"),
        ("fr", None),
        ("en;q=0", None),
    ],
)
def test_the_best_name_is_chosen(asked: str, best: str | None) -> None:
    assert languages(asked).best(NAMES) == best


def test_other_languages_may_be_ruled_out() -> None:
    assert languages("de,*; q=0").hard and not languages("de,*").hard and not languages("de").hard
    assert languages("de,*; q=0").text == "de, *; q=0"
    assert not languages("") and not languages(None)


@pytest.mark.parametrize("text", ["x y", "en;q=2", "en;q", "-", "e_n"])
def test_what_is_no_list_of_ranges_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="language"):
        languages(text)


@pytest.mark.parametrize(
    ("pattern", "version", "is_so"),
    [
        ("1.0.0", "1.0.0", True),
        ("1.0.x", "1.0.7", True),
        ("1.x.x", "1.2.0", True),
        ("1.*", "1.2.0", True),
        ("1.x", "1.2.0", False),
        ("1", "1.0.0", False),
        ("1.0.x", "1.1.0", False),
        ("1.0.x", None, False),
        ("2024x", "2024x", True),
    ],
)
def test_wildcards_fit_segments(pattern: str, version: str | None, is_so: bool) -> None:
    assert fits(pattern, version) is is_so


def test_the_latest_version_is_chosen() -> None:
    versions = ["1.9", None, "1.10", "1.2-beta", "2018-08-12", "1.2", "1.2a"]
    assert sorted(versions, key=age) == [None, "1.2-beta", "1.2", "1.2a", "1.9", "1.10", "2018-08-12"]
    assert chosen(versions, None) == (True, "2018-08-12")
    assert chosen(versions, "1.x") == (True, "1.10")
    assert chosen(versions, "3") == (False, None)
    assert split_canonical("urn:x|1|2") == ("urn:x", "1|2") and split_canonical("urn:x|") == ("urn:x", None)
