"""TLS of the server: versions and ciphers of today, client certificates where an authority of theirs is named.

https://www.rfc-editor.org/rfc/rfc9325 (BCP 195). TLCP (GB/T 38636) is for a proxy in front: docs/security.md.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from fhir_server.settings import Settings

# Of TLS 1.2 only what has forward secrecy and authenticates its encryption; TLS 1.3 has nothing else.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
HSTS = ("Strict-Transport-Security", "max-age=31536000")


class Tls:
    """Makes the TLS context of a server process (sent to it as it is)."""

    def __init__(self, settings: Settings) -> None:
        self._certificate = Path(settings.tls_cert)
        self._key = Path(settings.tls_key or settings.tls_cert)
        self._clients = settings.tls_client_ca

    def __call__(self, _config: object = None, _default: Callable[[], ssl.SSLContext] | None = None) -> ssl.SSLContext:
        """The context. Raises OSError (ssl.SSLError is one) where a file is missing or no certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._certificate, self._key)
        if self._clients:
            context.load_verify_locations(self._clients)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def tls_of(settings: Settings) -> Tls | None:
    """The TLS that the settings ask for; None where they ask for none. Raises ValueError for half of it."""
    if not settings.tls_cert:
        if settings.tls_key or settings.tls_client_ca:
            raise ValueError("TLS needs --tls-cert")
        return None
    return Tls(settings)
