"""Security headers of every answer, and whether a request that changes something came from our own pages.

https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html, https://www.w3.org/TR/CSP3/
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

# For answers that no browser shows as a page: nothing in them is ever run, framed or guessed at.
DATA: tuple[tuple[str, str], ...] = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
)
_HSTS = ("Strict-Transport-Security", "max-age=31536000")
_FEATURES = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), interest-cohort=()"
_LOCALLY = frozenset({"same-origin", "none"})


def data_headers(https: bool) -> list[tuple[str, str]]:
    """The headers for answers that are data (FHIR, JSON)."""
    return [*DATA, _HSTS] if https else list(DATA)


def page_headers(https: bool, form_targets: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """The headers for pages: no script at all, styles and images of our own, forms to us and to ``form_targets``.

    ``form_targets``: addresses to which the answer of a form may lead on (an app's redirect URI); browsers judge
    redirections after a form, too.
    """
    actions = " ".join(["'self'", *dict.fromkeys(filter(None, map(_source, form_targets)))])
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
        f"form-action {actions}; frame-ancestors 'none'; base-uri 'none'"
    )
    headers = [
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        # Not no-referrer: with it browsers send "Origin: null" from our own forms.
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Permissions-Policy", _FEATURES),
        ("Cache-Control", "no-store"),
    ]
    return [*headers, _HSTS] if https else headers


def _source(address: str) -> str:
    """The source expression of an address: its origin, or its scheme where that is a private one."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    if parts.scheme in ("http", "https"):
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}" if _is_plain(host) else ""
    return f"{parts.scheme}:" if parts.scheme and _is_plain(parts.scheme) else ""


def _is_plain(text: str) -> bool:
    """Whether nothing in ``text`` could end a source expression or a directive."""
    return bool(text) and all(character.isalnum() or character in "-._:[]+" for character in text) and text.isascii()


def foreign(headers: Mapping[str, str], origin: str) -> bool:
    """Whether a browser sent this request from another site's page.

    ``headers`` by names in lower case; ``origin``: scheme and host of this server. Programs send neither header.
    """
    if headers.get("sec-fetch-site", "same-origin") not in _LOCALLY:
        return True
    return headers.get("origin", origin).lower() != origin.lower()
