"""Where a request comes from when a proxy of ours hands it on: X-Forwarded-For, believed only from named proxies.

https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For#selecting_an_ip_address
"""

from __future__ import annotations

import ipaddress
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """The addresses and networks named in ``text`` (separated by blanks). Raises ValueError."""
    return tuple(ipaddress.ip_network(word) for word in text.split())


def named(scope: dict[str, Any], proxies: tuple[Network, ...]) -> dict[str, Any]:
    """The ASGI ``scope`` with the client that the proxies saw.

    Of the addresses in X-Forwarded-For the last counts that is none of ``proxies``: what stands before it is only
    what the client says of itself.
    """
    client = scope.get("client")
    if not client or not _is_one(str(client[0]), proxies):
        return scope
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    addresses = [word.strip() for word in ",".join(lines).split(",") if word.strip()]
    for address in reversed(addresses):
        if not _is_address(address):
            break
        if not _is_one(address, proxies):
            return {**scope, "client": (address, 0)}
    return scope


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_one(text: str, proxies: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in proxies)
