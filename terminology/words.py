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
        runs = "".join(c if is_han(c) else " " for c in folded).split()  # the same runs come again and again
        syllables = [syllable for run in runs for syllable in pinyin(run)]
        out += [" ", *(s[:1].upper() + s[1:] for s in syllables), " ", *(s[:1].upper() for s in syllables)]
    return "".join(out)


@lru_cache(maxsize=50_000)
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
        self._ends = list(accumulate(len(one) + 1 for one in lines))

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
            return list(range(len(self._ends)))
        rarest, *others = sorted(words, key=len, reverse=True)
        found = self._rows(rarest)
        for word in others:
            found = [row for row in found if self._stands(word, row)]
        return found

    def _rows(self, word: str) -> list[int]:
        """The lines in which ``word`` stands at the start of a word or syllable, or anywhere if it is no letter."""
        # A letter on its own stands wherever it is a capital: much fewer places to look at.
        text, wanted = (self._marked, word.upper()) if len(word) == 1 and word.isascii() else (self._text, word)
        marks, find = self._marked, text.find
        ends = self._ends
        found: list[int] = []
        place, row = find(wanted), 0
        while place >= 0:
            if "a" <= marks[place] <= "z":
                place = find(wanted, place + 1)
                continue
            row = bisect_right(ends, place, row)
            found.append(row)
            place = find(wanted, ends[row])
        return found

    def _stands(self, word: str, row: int) -> bool:
        begin, end = self._ends[row - 1] if row else 0, self._ends[row]
        return _stands(self._marked, self._text, word, begin, end)


def query_words(wanted: str) -> tuple[str, ...]:
    """The words of a filter."""
    return tuple(dict.fromkeys(fold(wanted).split()))[:_WORD_LIMIT]


def says(text: str, words: Sequence[str]) -> bool:
    """Whether one line (from ``line``) has every word."""
    lowered = text.lower()
    return all(_stands(text, lowered, word, 0, len(text)) for word in words)


def _stands(text: str, lowered: str, word: str, begin: int, end: int) -> bool:
    place = lowered.find(word, begin, end)
    while place >= 0:
        if not "a" <= text[place] <= "z":
            return True
        place = lowered.find(word, place + 1, end)
    return False
