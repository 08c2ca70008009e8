"""Under which address the server is reached: the issuer of its tokens, and the audience of what is sent to it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from fhir_server.auth.clients import is_loopback
from fhir_server.auth.oauth import invalid_request
from fhir_server.http.hosts import is_listed
from fhir_server.settings import Settings

FHIR = "/fhir"


@dataclass(frozen=True, slots=True)
class Origin:
    """Addresses of one server. ``issuer`` is without a slash at its end."""

    issuer: str

    @property
    def fhir(self) -> str:
        """The FHIR base."""
        return self.issuer + FHIR

    @property
    def token(self) -> str:
        """The token endpoint."""
        return f"{self.issuer}/auth/token"

    @property
    def audiences(self) -> tuple[str, str]:
        """The audiences of an assertion that is for us."""
        return (self.token, self.issuer)

    def is_fhir(self, address: str) -> bool:
        """Whether ``address`` is the FHIR base."""
        return address.rstrip("/") == self.fhir


def origin_of(request: Request, settings: Settings) -> Origin:
    """The addresses as this request sees them: by setting, or, where there is none, of the socket it came to.

    The Host header alone is not believed: whoever is shown an assertion meant for himself could send it on to us
    under his own name. Raises OAuthError where it names another machine.
    """
    if settings.base_url:
        return Origin(settings.base_url.rstrip("/").removesuffix(FHIR))
    host = request.headers.get("host", "")
    if is_listed(host, settings.named_hosts):
        return Origin(f"{request.url.scheme}://{host}")
    parts = urlsplit(f"//{host}")
    server = request.scope.get("server") or (settings.host, settings.port)
    try:
        name, port = parts.hostname or "", parts.port or (443 if request.url.scheme == "https" else 80)
    except ValueError:
        raise invalid_request("The Host header is not a host") from None
    if port != server[1] or not _same_machine(name, str(server[0]), settings.host):
        raise invalid_request("This server has another address; its operator sets YIDANG_BASE_URL or YIDANG_HOSTS")
    return Origin(f"{request.url.scheme}://{host}")


def _same_machine(name: str, *own: str) -> bool:
    return name in own or (is_loopback(name) and any(is_loopback(address) for address in own))
