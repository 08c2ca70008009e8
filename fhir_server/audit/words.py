"""An audit entry in plain Chinese (and the words it is made of), for the resident who reads who looked.

Told are the institution, the person and role, the time, the purpose, what kinds of things were seen, and the right by
which they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from consent.grant import KINDS as GRANT_KINDS
from consent.vocabulary import ROLES, RecordClass
from consent.words import CLASSES, GROUNDS, PURPOSES
from fhir_server.audit.event import SUCCESS, Event, Part
from fhir_server.audit.kinds import ACTIONS, MANY, kind_of

__all__ = ["CLASSES", "GROUNDS", "PURPOSES", "actor", "classes_of", "legal_bases", "sentence"]

LEGAL_BASES = frozenset(GRANT_KINDS.values())
Names = Callable[[str], str]
"""The name of an Organization, Practitioner or Device by its reference, '' where it is not known."""


def legal_bases(bases: Iterable[str]) -> list[str]:
    """The legal bases (PIPL art. 13) of kinds of grants (or bases themselves), each once; of unknown kinds none."""
    known = (kind if kind in LEGAL_BASES else GRANT_KINDS.get(kind, "") for kind in bases)
    return [basis for basis in dict.fromkeys(known) if basis]


def classes_of(part: Part) -> list[RecordClass]:
    """The record classes of what a part shows, each once, in their order."""
    bits = 0
    for item in part.items:
        bits |= item.record_class
    return [one for one in RecordClass if one & bits and one is not RecordClass.SHARED]


def actor(event: Event, names: Names) -> str:
    """Institution, role and name of who acted, as a reader may know them."""
    who, kind = event.who, event.who.is_a
    if kind == "resident":
        return "居民（或其监护人）"
    if kind == "local":
        return "服务器本机维护"
    if not kind:
        return "未登录的访问者"
    institution = names(f"Organization/{who.institution}") if who.institution else ""
    role = ROLES[who.role].zh if who.role in ROLES else who.role
    name = who.name or names(who.subject)
    return " ".join(word for word in (institution or who.institution, role, name) if word)


@lru_cache(maxsize=4096)
def _minute(minute: int, zone: str) -> str:
    return datetime.fromtimestamp(minute * 60, ZoneInfo(zone)).strftime("%Y年%m月%d日 %H:%M")


def sentence(event: Event, part: Part, names: Names, zone: str) -> str:
    """The entry in one Chinese sentence or two."""
    kind = kind_of(event.code)
    did = ACTIONS[part.action][0] if event.code in MANY and part.action in ACTIONS else kind.zh
    text = f"{_minute(event.time // 60_000_000, zone)}，{actor(event, names)}"
    if event.who.purpose in PURPOSES:
        text += f"为“{PURPOSES[event.who.purpose][0]}”"
    text += did
    seen = [CLASSES[one][0] for one in classes_of(part)]
    if seen:
        text += "：" + "、".join(seen)
    text += "。"
    if event.bases:
        grounds = [GROUNDS[kind][0] if kind in GROUNDS else kind for kind in event.bases]
        text += f"依据：{'、'.join(dict.fromkeys(grounds))}。"
    if event.outcome != SUCCESS and event.code != "denied":
        text += "未成功。"
    return text
