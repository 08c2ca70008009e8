"""Finding concepts by what people type: beginnings of words, any run of Chinese, pinyin in full or by initials.

The lines of a code system are one text that is searched as a whole: a second copy of it, of the same length, marks
where a word or a syllable starts by a capital letter, so that ``gao`` finds 高 and not the middle of a word.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate

_WORD_LIMIT = 12  # words of one filter that are looked at


def fold(text: str) -> str:
    """Without case, accents, width and superfluous blanks."""
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    bare = "".join(c for c in folded if not unicodedata.combining(c))
    return " ".join(unicodedata.normalize("NFC", bare).split())


def is_han(character: str) -> bool:
    """Whether it is a Chinese character."""
    return "㐀" <= character <= "鿿" or "豈" <= character <= "\ufaff" or "\U00020000" <= character <= "\U0003ffff"


def marked(text: str) -> str:
    """``text``, folded, with a capital at the start of each word, and behind it the pinyin of its Chinese."""
    folded = fold(text)
    out: list[str] = []
    inside = False
    for c in folded:
        out.append(c.upper() if not inside and "a" <= c <= "z" else c)
        inside = c.isalnum() and not is_han(c)
    if not folded.isascii() and any(map(is_han, folded)):
        syllables = pinyin("".join(c for c in folded if is_han(c)))
        out += [" ", *(s[:1].upper() + s[1:] for s in syllables), " ", *(s[:1].upper() for s in syllables)]
    return "".join(out)


@lru_cache(maxsize=20_000)
def pinyin(han: str) -> tuple[str, ...]:
    """The syllables of a text of Chinese characters, without tones; ü as v."""
    from pypinyin import Style, lazy_pinyin  # 65 MB resident: only where Chinese is met

    found = lazy_pinyin(han, style=Style.NORMAL, errors="ignore")
    return tuple(s.lower().replace("ü", "v") for s in found if s.isascii() or "ü" in s)


def line(code: str, texts: Iterable[str]) -> str:
    """What a concept is found by: its code and its texts."""
    return " | ".join((marked(code), *(marked(text) for text in dict.fromkeys(texts))))


class Haystack:
    """The lines of a code system, one a concept; found are the numbers of lines (from 0)."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._marked = "\n".join(lines) + "\n"
        self._text = self._marked.lower()
        self._starts = list(accumulate((len(x) + 1 for x in lines), initial=0))[:-1]

    @property
    def text(self) -> str:
        """The lines as given, for keeping."""
        return self._marked

    @classmethod
    def of(cls, text: str) -> Haystack:
        """From what ``text`` gave."""
        return cls(text[:-1].split("\n") if text else [])

    def find(self, wanted: str) -> list[int]:
        """The lines in which every word of ``wanted`` stands, in order."""
        words = query_words(wanted)
        if not words:
            return list(range(len(self._starts)))
        found: set[int] | None = None
        for word in sorted(words, key=len, reverse=True):
            hits = self._word(word)
            found = hits if found is None else found & hits
            if not found:
                return []
        return sorted(found or ())

    def _word(self, word: str) -> set[int]:
        text, marks, starts = self._text, self._marked, self._starts
        found: set[int] = set()
        place = text.find(word)
        while place >= 0:
            if not "a" <= marks[place] <= "z":
                row = bisect_right(starts, place) - 1
                found.add(row)
                place = starts[row + 1] - 1 if row + 1 < len(starts) else len(text)
            place = text.find(word, place + 1)
        return found


def query_words(wanted: str) -> tuple[str, ...]:
    """The words of a filter."""
    return tuple(dict.fromkeys(fold(wanted).split()))[:_WORD_LIMIT]


def says(text: str, words: Sequence[str]) -> bool:
    """Whether one line (from ``line``) has every word."""
    lowered = text.lower()
    return all(_stands(text, lowered, word) for word in words)


def _stands(text: str, lowered: str, word: str) -> bool:
    place = lowered.find(word)
    while place >= 0:
        if not "a" <= text[place] <= "z":
            return True
        place = lowered.find(word, place + 1)
    return False
