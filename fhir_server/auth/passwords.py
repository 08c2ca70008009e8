"""Passwords: how they are stored (Argon2id), and which ones are good enough (GB/T 22239-2019 level 3, 8.1.4.1).

https://www.rfc-editor.org/rfc/rfc9106, https://www.rfc-editor.org/rfc/rfc8265#section-4.2 (their spelling)
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 8, 128
CLASSES = 3  # of lower case, upper case, digits, everything else
_RUN = 4  # so many equal or neighbouring characters in a row are too easy

# 64 MiB, three passes, one lane: RFC 9106's second choice on one core, some 0.1 s. A stored hash names its own
# parameters, so these may grow; ``outdated`` says which hashes to make anew at the next sign-in.
_hasher = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1, hash_len=32, salt_len=16)

# Hashing takes memory and time: two at once, some wait, more are refused (their threads serve others, too).
_turn = threading.BoundedSemaphore(2)
_room = threading.BoundedSemaphore(18)

# What people choose everywhere, without case, digits and signs at the ends.
_COMMON = frozenset(files(__package__).joinpath("common_passwords.txt").read_text("utf-8").split())
_EDGES = re.compile(r"^[\W\d_]+|[\W\d_]+$")

# Why a password is refused: by code, in Chinese and English.
REASONS: dict[str, tuple[str, str]] = {
    "short": (f"密码至少要有 {SHORTEST} 个字符", f"The password needs at least {SHORTEST} characters"),
    "long": (f"密码最多 {LONGEST} 个字符", f"The password may have at most {LONGEST} characters"),
    "classes": (
        "密码要包含小写字母、大写字母、数字、其他字符中的至少三种",
        "The password needs at least three of: lower case, upper case, digits, other characters",
    ),
    "personal": (
        "密码不能包含登录名、姓名、手机号或证件号码",
        "The password must not contain the login, the name, the phone or the identity number",
    ),
    "common": ("这个密码太常见，容易被猜到", "This password is too common"),
    "run": (
        f"密码里不能有连续 {_RUN} 个相同或相邻的字符（如 1111、1234、abcd）",
        f"The password must not have {_RUN} equal or neighbouring characters in a row (1111, 1234, abcd)",
    ),
    "same": ("新密码不能与最近用过的密码相同", "The new password must differ from those used lately"),
    "control": ("密码不能包含控制字符", "The password must not contain control characters"),
}


class Crowded(Exception):
    """Too many passwords are being judged at this moment."""


@contextmanager
def _in_turn() -> Iterator[None]:
    if not _room.acquire(blocking=False):
        raise Crowded
    try:
        with _turn:
            yield
    finally:
        _room.release()


def spelled(password: str) -> bytes:
    """The one spelling of a password whatever keyboard typed it: NFC, all spaces the plain one, UTF-8."""
    plain = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    return unicodedata.normalize("NFC", plain).encode("utf-8", "surrogatepass")


def weaknesses(password: str, personal: tuple[str, ...] = ()) -> list[str]:
    """Why ``password`` is not good enough: codes of REASONS; empty when it is.

    ``personal``: what it must not contain (login, name, phone, identity number; shorter than 3 characters are
    left out).
    """
    found = []
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in password):
        found.append("control")
    if len(password) < SHORTEST:
        found.append("short")
    if len(password) > LONGEST:
        return [*found, "long"]
    if _classes(password) < CLASSES:
        found.append("classes")
    folded = password.casefold()
    if any(len(part) >= 3 and part.casefold() in folded for part in personal):
        found.append("personal")
    if folded in _COMMON or _EDGES.sub("", folded) in _COMMON:
        found.append("common")
    if _has_run(folded):
        found.append("run")
    return found


def _classes(password: str) -> int:
    kinds = set()
    for character in password:
        if "a" <= character <= "z":
            kinds.add("lower")
        elif "A" <= character <= "Z":
            kinds.add("upper")
        elif "0" <= character <= "9":
            kinds.add("digit")
        else:
            kinds.add("other")
    return len(kinds)


def _has_run(text: str) -> bool:
    """Whether four characters in a row are equal, or each the next (or the one before) of the other."""
    steps = [ord(after) - ord(before) for before, after in pairwise(text)]
    wanted = _RUN - 1
    return any(
        steps[start] in (-1, 0, 1) and len(set(steps[start : start + wanted])) == 1
        for start in range(len(steps) - wanted + 1)
    )


def hashed(password: str) -> str:
    """The text to store for ``password``: algorithm, parameters, salt and hash. Takes 0.1 to 0.3 s and 64 MiB.

    Raises Crowded.
    """
    with _in_turn():
        return _hasher.hash(spelled(password))


def verified(stored: str | None, password: str) -> bool:
    """Whether ``password`` is the one of ``stored``.

    Where nothing is stored (no such account, no password) the same work is done for nothing, so that the time
    of the answer does not tell which accounts there are. A password that is too long is never looked at.
    Raises Crowded.
    """
    if len(password) > LONGEST:
        return False
    try:
        with _in_turn():
            matches = _hasher.verify(stored or _NOBODY, spelled(password))
    except (VerificationError, InvalidHashError):
        return False
    return matches and stored is not None


def outdated(stored: str) -> bool:
    """Whether ``stored`` was made with other parameters than are used now."""
    return _hasher.check_needs_rehash(stored)


# The hash of nothing anybody can type (it is longer than LONGEST).
_NOBODY = _hasher.hash(b"\0" * (LONGEST * 4 + 1))
