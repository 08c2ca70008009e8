"""Names of persons compared: as written, by pinyin, with parts changed round, a character wrong, or provisional.

``HumanName.text`` is what counts; family and given are read off it where they are not given. Compound surnames,
surnames with readings of their own, and names with a middle dot (normalised to U+00B7) are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

from fhir_server.search.normalise import has_han, normalise, pinyin_forms

_LONG_SURNAMES = (
    "欧阳司马上官诸葛东方皇甫尉迟公孙令狐慕容夏侯司徒司空长孙宇文鲜于闾丘亓官轩辕端木万俟呼延南宫东郭百里钟离澹台"
    "公冶宗政濮阳淳于单于太叔申屠公羊仲孙拓跋独孤西门第五歐陽司馬諸葛東方尉遲公孫長孫鮮于"
)
COMPOUND = frozenset(_LONG_SURNAMES[place : place + 2] for place in range(0, len(_LONG_SURNAMES), 2))
_DOTS = dict.fromkeys(map(ord, "·•‧∙・．.｡●"), "·")
# Characters that registers use for each other; what they mean is the same surname.
_VARIANTS = str.maketrans(
    "張陳劉楊趙黃吳孫馬鄭謝許韓馮鄧葉呂蘇盧蔣賴譚蕭傅閻戴範龍羅鄒陸萬錢湯嚴溫龔賀顧雙偉強軍國華麗蘭鳳榮傑曉寧",
    "张陈刘杨赵黄吴孙马郑谢许韩冯邓叶吕苏卢蒋赖谭肖付闫代范龙罗邹陆万钱汤严温龚贺顾双伟强军国华丽兰凤荣杰晓宁",
)
_SAME = str.maketrans("萧阎", "肖闫")
# 某某之女, 某某大子, 某某之双: what a newborn is called until it is named; 无名氏 and the like of emergency rooms.
_NEWBORN = re.compile(
    r"之(?:[大小长次双一二三四甲乙丙丁])?(?:[子女婴双甲乙ab]|婴儿|宝宝)[ab甲乙]?$|..[大小长次双][子女婴]$|婴儿$|新生儿"
)
_UNKNOWN = re.compile(r"无名|未知|不详|不明|急诊|急救|路人|^某|^[A-Z]?\d+$|^unknown|^test", re.IGNORECASE)


class Likeness(StrEnum):
    """How two names are alike, from the closest on."""

    EXACT = "exact"
    VARIANT = "variant"  # one written with another form of a character
    TRANSPOSED = "transposed"
    ROMANISED = "romanised"
    HOMOPHONE = "homophone"
    SOUND = "sound"  # alike where zh and z, n and l, -ng and -n are not told apart
    CHARACTER = "character"  # one character wrong or missing
    SURNAME = "surname"
    DIFFERENT = "different"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Name:
    """One name. ``text`` is folded and without blanks; ``reading`` the pinyin of family and given, joined each.

    ``temporary``: it is no name yet (newborn, unknown emergency patient).
    """

    text: str
    family: str
    given: str
    reading: tuple[str, str]
    latin: bool
    temporary: bool

    @property
    def sound(self) -> str:
        """The whole in pinyin, without tones and blanks."""
        return "".join(self.reading)


def names_of(patient: dict[str, Any]) -> tuple[Name, ...]:
    """The names of a Patient, those in use first; old ones count too, since registers are not renamed at once."""
    found = []
    given_names = patient.get("name")
    for item in given_names if isinstance(given_names, list) else ():
        if isinstance(item, dict) and (name := _read(item)) is not None:
            found.append((item.get("use") in ("old", "maiden"), name))
    found.sort(key=lambda pair: pair[0])
    return tuple(dict.fromkeys(name for _, name in found))


def _read(item: dict[str, Any]) -> Name | None:
    family, text = item.get("family"), item.get("text")
    parts = item.get("given")
    given = [part for part in parts if isinstance(part, str)] if isinstance(parts, list) else []
    family = family if isinstance(family, str) else ""
    if not isinstance(text, str) or not text.strip():
        joined = "".join(given) if has_han(family + "".join(given)) else " ".join(given)
        text = f"{family}{joined}" if has_han(family + joined) else f"{family} {joined}"
    return name(text, family, "".join(given)) if text.strip() else None


@lru_cache(maxsize=65_536)
def name(text: str, family: str = "", given: str = "") -> Name:
    """The Name of a text; ``family`` and ``given`` where the source tells them apart."""
    folded = normalise(text.translate(_DOTS)).replace(" ·", "·").replace("· ", "·")
    if not has_han(folded):
        words = folded.replace("·", " ").split()
        one = normalise(family) or (words[0] if words else "")
        rest = normalise(given) or "".join(words[1:])
        return Name(" ".join(words), one, rest, (one, rest), True, bool(_UNKNOWN.search(folded)))
    whole = "".join(folded.split())
    surname = "".join(normalise(family).split())
    if not surname or not whole.startswith(surname):
        surname = split_surname(whole)
    called = whole[len(surname) :]
    reading = (_reading(surname, True), _reading(called.replace("·", ""), False))
    temporary = bool(_UNKNOWN.search(whole) or _NEWBORN.search(whole))
    return Name(whole, surname, called, reading, False, temporary)


def split_surname(text: str) -> str:
    """The surname of a Chinese name: two characters where it is a known compound one; what is before a middle dot."""
    if "·" in text:
        return text.partition("·")[0]
    return text[:2] if len(text) > 2 and text[:2] in COMPOUND else text[:1]


def _reading(text: str, surname: bool) -> str:
    if not has_han(text):
        return text
    forms = pinyin_forms(text, surname)
    return forms[0] if forms else text


def _plain(text: str) -> str:
    return text.translate(_VARIANTS).translate(_SAME)


_CONFUSED = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("ng", "n"), ("l", "n"), ("hu", "f"))


@lru_cache(maxsize=65_536)
def _blurred(sound: str) -> str:
    for one, other in _CONFUSED:
        sound = sound.replace(one, other)
    return sound


def equal(a: Name, b: Name) -> bool:
    """Whether they are one name as written (blanks, dots, width and case aside), and a real one."""
    return likeness(a, b) in (Likeness.EXACT, Likeness.VARIANT) and not (a.temporary or b.temporary)


def likeness(a: Name, b: Name) -> Likeness:
    """How alike two names are."""
    if a.text == b.text:
        return Likeness.EXACT
    if a.latin and b.latin:
        return _latin(a, b)
    if a.latin != b.latin:
        latin, han = (a, b) if a.latin else (b, a)
        joined = latin.text.replace(" ", "").replace("'", "").replace("-", "")
        turned = han.reading[1] + han.reading[0]
        return Likeness.ROMANISED if joined in (han.sound, turned) else Likeness.DIFFERENT
    if _plain(a.text) == _plain(b.text):
        return Likeness.VARIANT
    return _han(a, b)


def _latin(a: Name, b: Name) -> Likeness:
    if sorted(a.text.split()) == sorted(b.text.split()):
        return Likeness.TRANSPOSED
    if JaroWinkler.similarity(a.text, b.text) >= 0.93:
        return Likeness.CHARACTER
    return Likeness.SURNAME if a.family and a.family == b.family else Likeness.DIFFERENT


def _han(a: Name, b: Name) -> Likeness:
    if a.family + a.given in (b.given + b.family,) or b.family + b.given == a.given + a.family:
        return Likeness.TRANSPOSED
    if len(a.text) == len(b.text) and sorted(a.text) == sorted(b.text):
        return Likeness.TRANSPOSED
    if a.sound == b.sound:
        return Likeness.HOMOPHONE
    if _blurred(a.sound) == _blurred(b.sound):
        return Likeness.SOUND
    longest = max(len(a.text), len(b.text))
    if longest >= 3 and DamerauLevenshtein.distance(a.text, b.text, score_cutoff=1) == 1:
        return Likeness.CHARACTER
    if "·" in a.text + b.text and JaroWinkler.similarity(a.text, b.text) >= 0.9:
        return Likeness.CHARACTER
    if _plain(a.family) == _plain(b.family) or a.reading[0] == b.reading[0]:
        return Likeness.SURNAME
    return Likeness.DIFFERENT


# Shares of the commonest surnames, per ten thousand (public statistics, in bands); others are taken as rare.
_BANDS = (
    (700, "王李张"),
    (540, "刘"),
    (450, "陈"),
    (310, "杨"),
    (215, "黄赵吴周"),
    (150, "徐孙"),
    (125, "马朱胡郭何林"),
    (80, "高罗郑梁谢宋唐许"),
    (58, "韩邓冯曹彭曾肖田董潘袁蔡蒋余"),
    (46, "于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪"),
    (32, "廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段"),
    (24, "雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严欧莫孔向"),
)
_SHARES = {surname: share for share, surnames in _BANDS for surname in surnames}
_RARE = 5
_CHARACTER_SHARE = (0.012, 0.0006, 0.0001)  # of a given name of one, two, more characters, among namesakes by surname


def chance(name: Name) -> float:
    """How probable it is that a stranger has this very name (the u of Fellegi and Sunter)."""
    surname = _SHARES.get(name.family, _RARE) / 10_000
    return surname * _CHARACTER_SHARE[min(max(len(name.given), 1), 3) - 1]
