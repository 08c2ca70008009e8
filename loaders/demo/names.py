"""Names of demonstration people: common ones mostly, compound surnames, names of other peoples, rare characters."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

# The commonest surnames, most frequent first.
SURNAMES = tuple("王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈")
COMPOUND = ("欧阳", "司马", "上官", "诸葛", "皇甫", "尉迟", "令狐", "夏侯", "慕容", "东方", "公孙", "司徒")
MALE = tuple("伟强磊军勇杰涛明超刚平辉鹏华飞鑫波斌宇浩凯健俊帆宁龙林旭晨阳建国志文博海峰云")
FEMALE = tuple("芳娜敏静丽艳娟霞燕玲婷雪梅琳倩颖洁慧萍红莉丹云秀英兰玉珍桂香月华佳怡欣妍雨")
# Characters that real people bear and that systems often lose; the last two need four bytes in UTF-8.
RARE = ("喆", "垚", "龑", "䶮", "㛃", "\U0002c456", "\U00020bb7")


@dataclass(frozen=True, slots=True)
class Name:
    """How a person is called: the whole text, and its parts where it has them."""

    text: str
    family: str
    given: str


# (GB/T 3304 code, people, names of men, names of women, names of fathers or surnames, how they are joined)
_PEOPLES: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[str, ...], str], ...] = (
    (
        "05",
        "维吾尔族",
        ("阿卜杜拉", "艾尔肯", "买买提江", "吐尔逊", "凯赛尔"),
        ("古丽娜尔", "阿依古丽", "热依汗", "帕提古丽", "迪丽努尔"),
        ("买买提", "吐尔地", "艾合买提", "肉孜", "司马义"),
        "·",
    ),
    (
        "17",
        "哈萨克族",
        ("叶尔兰", "努尔兰", "巴合提"),
        ("阿依达娜", "古丽扎提", "玛依拉"),
        ("哈孜", "托列吾", "木拉提"),
        "·",
    ),
    ("04", "藏族", ("扎西顿珠", "丹增", "多吉次仁"), ("卓玛", "央金拉姆", "德吉"), ("",), ""),
    ("07", "彝族", ("拉且", "木呷", "尔古"), ("阿依", "伍呷莫", "曲莫"), ("阿苏", "吉克", "阿尔"), "·"),
    ("06", "苗族", MALE[:12], FEMALE[:12], ("龙", "石", "麻", "吴"), ""),
    ("08", "壮族", MALE[:12], FEMALE[:12], ("韦", "覃", "农", "蒙"), ""),
)
HAN = ("01", "汉族")
_FOREIGN = (("Anna Müller", "Müller", "Anna"), ("John O'Brien", "O'Brien", "John"), ("佐藤健", "佐藤", "健"))
_SOUTHERN = ("陳", "張", "黃", "葉", "鄧")  # as written on permits of Hong Kong, Macao and Taiwan residents


def person_name(random: Random, female: bool) -> tuple[str, str]:
    """(family, given), common surnames more often, one in sixty compound."""
    if random.random() < 1 / 60:
        family = random.choice(COMPOUND)
    else:
        family = SURNAMES[min(int(random.expovariate(1 / 14)), len(SURNAMES) - 1)]
    return family, given_name(random, female)


def given_name(random: Random, female: bool) -> str:
    """One or two characters."""
    characters = FEMALE if female else MALE
    given = random.choice(characters)
    if random.random() < 0.72:
        given += random.choice(characters)
    return given


def of_people(random: Random, female: bool) -> tuple[Name, tuple[str, str]]:
    """A name of one of the smaller peoples, and that people (code of GB/T 3304, name)."""
    code, people, men, women, fathers, joint = random.choice(_PEOPLES)
    given, family = random.choice(women if female else men), random.choice(fathers)
    if not family:
        return Name(given, "", given), (code, people)
    # Where a dot joins, the father's or clan's name follows its people's order: Uygur and Kazak names put it last.
    text = f"{family}{joint}{given}" if code in ("07", "06", "08") else f"{given}{joint}{family}"
    return Name(text, family, given), (code, people)


def with_rare_character(random: Random, family: str) -> Name:
    """A given name with a character outside the everyday set."""
    given = random.choice(RARE)
    return Name(family + given, family, given)


def foreign(random: Random) -> Name:
    """A name as in a foreign passport."""
    return Name(*random.choice(_FOREIGN))


def southern(random: Random, female: bool) -> Name:
    """A name in traditional characters."""
    family, given = random.choice(_SOUTHERN), given_name(random, female)
    return Name(family + given, family, given)
