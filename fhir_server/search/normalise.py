"""Strings as they are compared: folded text and the variants under which a name is found.

https://hl7.org/fhir/R4/search.html#string (case, accents and punctuation of other kinds of
blanks do not matter). Chinese names are also found by pinyin and by its initials.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# Surnames whose reading differs from the character's common one.
_SURNAMES = {
    "单": "shan", "單": "shan", "仇": "qiu", "曾": "zeng", "解": "xie", "查": "zha", "区": "ou", "區": "ou",
    "盖": "ge", "蓋": "ge", "朴": "piao", "翟": "zhai", "覃": "qin", "乐": "yue", "樂": "yue", "员": "yun",
    "員": "yun", "繁": "po", "种": "chong", "秘": "bi", "黑": "he", "折": "she", "缪": "miao", "繆": "miao",
    "么": "yao", "召": "shao", "重": "chong", "祭": "zhai", "佴": "nai", "郇": "xun", "隗": "wei", "洗": "xian",
    "藏": "zang", "句": "gou", "卜": "bu", "乜": "nie", "适": "kuo",
}  # fmt: skip
# Surnames of two characters where neither may be read alone.
_LONG_SURNAMES = {
    "尉迟": ("yu", "chi"), "尉遲": ("yu", "chi"), "万俟": ("mo", "qi"), "萬俟": ("mo", "qi"),
    "长孙": ("zhang", "sun"), "長孫": ("zhang", "sun"), "澹台": ("tan", "tai"), "澹臺": ("tan", "tai"),
    "单于": ("chan", "yu"), "單于": ("chan", "yu"), "鲜于": ("xian", "yu"), "鮮于": ("xian", "yu"),
    "乐正": ("yue", "zheng"), "樂正": ("yue", "zheng"), "宰父": ("zai", "fu"), "亓官": ("qi", "guan"),
}  # fmt: skip


# Stands for "as written" in rows of derived forms, so that ``:exact`` never finds them:
# no FHIR string holds control characters.
DERIVED = "\x1f"
# Characters; longer texts are no names, hardly come twice, and would fill the memory if they were remembered.
_LONG = 256


def normalise(text: str) -> str:
    """Folded: NFKC, no case, no accents, blanks collapsed to one and stripped at the ends."""
    return _remembered(text) if len(text) <= _LONG else _folded(text)


@lru_cache(maxsize=65_536)
def _remembered(text: str) -> str:
    return _folded(text)


def _folded(text: str) -> str:
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    bare = "".join(c for c in folded if not unicodedata.combining(c))
    return " ".join(unicodedata.normalize("NFC", bare).split())


def has_han(text: str) -> bool:
    """Whether there is a Chinese character in ``text``."""
    return not text.isascii() and any(
        "㐀" <= c <= "鿿" or "豈" <= c <= "\ufaff" or "\U00020000" <= c <= "\U0003ffff" for c in text
    )


def name_parts(family: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """The normalised joined forms of a human name, beside its parts; none of one too long to be a name.

    Latin: ``given family`` and ``family given``. Chinese: family and given joined with and
    without a space, and both in pinyin: joined, spaced, and as initials.
    """
    return _name_parts(family, given) if len(family) + sum(map(len, given)) <= _LONG else ()


@lru_cache(maxsize=65_536)
def _name_parts(family: str, given: tuple[str, ...]) -> tuple[str, ...]:
    forename = "".join(given) if has_han("".join(given)) else " ".join(given)
    if not (has_han(family) or has_han(forename)):
        if not (family and forename):
            return ()
        return normalise(f"{forename} {family}"), normalise(f"{family} {forename}")
    forms = [normalise(family + forename), normalise(f"{family} {forename}")] if family and forename else []
    named, called = _syllables(family, surname=True), _syllables(forename, surname=False)
    forms += _spelled(named, called)
    if family and forename:  # the pinyin of the given name alone, as of the family name, which the whole begins with
        forms += _spelled((), called)
    if len(given) > 1:
        forms.append(normalise(forename))
    return tuple(dict.fromkeys(form for form in forms if form))


def pinyin_forms(text: str, surname: bool | None = None) -> tuple[str, ...]:
    """The pinyin of a text with Chinese characters: joined, spaced, initials; () without any, or too long for a name.

    ``surname`` True: a family name; False: a given name; None: a whole name or any text,
    whose start is read both as a surname and as ordinary text.
    """
    return _pinyin_forms(text, surname) if len(text) <= _LONG and has_han(text) else ()


@lru_cache(maxsize=65_536)
def _pinyin_forms(text: str, surname: bool | None) -> tuple[str, ...]:
    forms: list[str] = []
    for as_surname in (True, False) if surname is None else (surname,):
        forms += _spelled(_syllables(text, as_surname), ())
    return tuple(dict.fromkeys(form for form in forms if form))


def _spelled(family: tuple[str, ...], given: tuple[str, ...]) -> list[str]:
    syllables = (*family, *given)
    forms = ["".join(syllables), " ".join(syllables)]
    if len(syllables) > 1:  # one initial is the start of its syllable anyway
        forms.append("".join(s[0] for s in syllables))
    if family and given and (len(family) > 1 or len(given) > 1):
        forms.append(f"{''.join(family)} {''.join(given)}")
    if any("ü" in s for s in syllables):  # typed as v, printed in passports as yu, folded to u
        forms = [form.replace("ü", written) for form in forms for written in ("v", "yu", "u")]
    return [normalise(form) for form in forms]


def _syllables(text: str, surname: bool) -> tuple[str, ...]:
    compact = "".join(text.split())
    if not has_han(compact):
        return (compact,) if compact else ()
    if surname and (two := _LONG_SURNAMES.get(compact[:2])) is not None:
        return (*two, *_pinyin(compact[2:]))
    if surname and (one := _SURNAMES.get(compact[0])) is not None:
        return (one, *_pinyin(compact[1:]))
    return _pinyin(compact)


def _pinyin(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    from pypinyin import Style, lazy_pinyin  # 65 MB resident: only where a Chinese name is met

    found = lazy_pinyin(text, style=Style.NORMAL, v_to_u=True)
    return tuple(s.lower() for s in found if s.strip())
