"""Commands on the server's own machine, on record like everything else: which, and as which user of the system.

Their arguments are not kept: they may name people or hold secrets.
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path

from fhir_server.audit.current import FOLDER
from fhir_server.audit.event import LOCAL, Event, encode
from fhir_server.audit.trail import Trail, wall_clock

# Commands with actions, and without; what only tells something about the server itself is not put on record.
_WITH_ACTIONS = frozenset(
    {"audit", "client", "guide", "key", "package", "person", "quality", "references", "terminology", "user"}
)
_WITHOUT = frozenset({"backup", "load", "reindex", "restore"})
_UNTOLD = frozenset({"assertion", "head", "list", "status", "verify"})
_EXPORTS = frozenset({("audit", "export"), ("audit", "copy"), ("backup", "")})


def tell(data: Path, command: str, words: list[str]) -> None:
    """Put a command that was carried out on record, where ``data`` has an audit trail.

    ``words`` are the arguments. Raises TooCostly, OSError or ValueError when it cannot be written.
    """
    action = words[1] if command in _WITH_ACTIONS and len(words) > 1 else ""
    known = command in _WITHOUT or (command in _WITH_ACTIONS and action.replace("-", "").isalpha())
    if not known or action in _UNTOLD or not (data / FOLDER).exists():
        return
    code = "export" if (command, action) in _EXPORTS else "local"
    detail = f"yidang {command} {action}".strip() + f" ({_user()})"
    trail = Trail(data / FOLDER)
    try:
        trail.append_now([encode(Event(wall_clock(), code, "E", who=LOCAL, detail=detail))])
    finally:
        trail.close()


def _user() -> str:
    """The user of the operating system, also behind sudo."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    behind = os.environ.get("SUDO_USER", "")
    return f"{name}, by sudo of {behind}" if behind else name
