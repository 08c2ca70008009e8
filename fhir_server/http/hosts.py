"""Which Host headers name this server, where no setting gives its address: links in answers are made of them.

https://www.rfc-editor.org/rfc/rfc9110#section-7.2
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit


def is_listed(host: str, listed: Collection[str]) -> bool:
    """Whether the operator names this Host: ``listed`` holds names, with a port for that one only."""
    return host.lower() in listed or (_name(host) in listed)


def is_this_machine(host: str, *addresses: str) -> bool:
    """Whether this Host (a port does not count) is one of ``addresses``, or this machine's own name for itself."""
    name = _name(host)
    return name in addresses or name == "localhost" or _is_loopback(name)


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
