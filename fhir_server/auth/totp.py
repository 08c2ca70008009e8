"""Time-based one-time passwords (RFC 6238) with recovery codes; thirty lines of hmac need no library.

https://www.rfc-editor.org/rfc/rfc6238, https://www.rfc-editor.org/rfc/rfc4226#section-5.3,
https://github.com/google/google-authenticator/wiki/Key-Uri-Format
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from urllib.parse import quote

STEP_SECONDS = 30
DIGITS = 6
WINDOW = 1  # steps before and after, for clocks that are not quite right
RECOVERY_CODES = 10

_CODE = re.compile(r"[0-9]{6}", re.ASCII)
# Without letters that look like digits.
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_RECOVERY = re.compile(rf"[{_ALPHABET}]{{10}}", re.ASCII)


def new_secret() -> str:
    """A fresh secret in base32: 160 bits, the length of the HMAC (RFC 4226 R6)."""
    return base64.b32encode(secrets.token_bytes(20)).decode("ascii")


def code_at(secret: str, step: int) -> str:
    """The code of time step ``step`` (seconds since 1970 // 30). Raises ValueError when ``secret`` is no base32."""
    key = base64.b32decode(secret)
    digest = hmac.new(key, step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def code_now(secret: str, now: float) -> str:
    """The code at ``now`` (seconds since 1970)."""
    return code_at(secret, int(now) // STEP_SECONDS)


def accepted_step(secret: str, code: str, now: float, used: int) -> int | None:
    """The time step whose code this is, or None.

    ``used`` is the last step that was accepted: a code counts once, and none before it counts any more.
    All steps of the window are compared, each in constant time.
    """
    typed = code.replace(" ", "")
    if not _CODE.fullmatch(typed):
        return None
    current = int(now) // STEP_SECONDS
    found = None
    for step in range(current - WINDOW, current + WINDOW + 1):
        if hmac.compare_digest(code_at(secret, step), typed) and step > used and found is None:
            found = step
    return found


def provisioning_uri(secret: str, account: str, issuer: str) -> str:
    """The ``otpauth:`` URI that authenticator apps read from a QR code."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='')}"
    return (
        f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer, safe='')}"
        f"&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"
    )


def new_recovery_codes() -> list[str]:
    """Ten fresh codes for a lost device, each good once: ``ABCDE-FGHJK``, 50 bits."""
    return [
        "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(2)) for _ in range(RECOVERY_CODES)
    ]


def recovery_form(code: str) -> str | None:
    """A typed recovery code as it is compared (capitals, no hyphen or spaces), or None when it cannot be one."""
    plain = code.strip().upper().replace("-", "").replace(" ", "")
    return plain if _RECOVERY.fullmatch(plain) else None
