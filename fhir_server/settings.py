"""Settings of a server: from flags, then environment variables ``YIDANG_*``, then the defaults here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fhir_server.http.forwarded import networks

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; each may be given as ``YIDANG_`` + its name in capitals.

    ``base_url``: the public FHIR base (default: from the Host header).
    ``hosts``: without ``base_url``, further names (blanks between) by which clients may call the server in the Host
    header, beside its address and localhost.
    ``body_limit``: most bytes of a request body, also after decompression.
    ``page_size`` / ``page_max``: default and greatest ``_count`` (a greater one is cut and said in the self link).
    ``include_max``: most included resources of one page; more come through a continuation link.
    ``expansion_max``: most codes of a value set's expansion, or of a page of it.
    ``page_seconds``: how long the links to further pages of a search stay good.
    ``search_seconds``: a search that takes longer is given up.
    ``delete_max``: most resources that one conditional delete removes; 1 permits only single matches.
    ``bundle_max``: most entries of a batch or transaction.
    ``skip_unchanged``: an update that changes nothing makes no new version.
    ``referential_integrity``: references to resources that are not in the store are refused.
    ``handling``: what becomes of unknown search parameters without a Prefer header (strict, lenient).
    ``identity_numbers``: what becomes of an institution's Patient with a malformed identity number (strict: 422,
    lenient: kept as it is, and never taken for sure).
    ``matches_per_minute``: how often one requester may ask ``$match`` (of each server process).
    ``registrations_per_minute``: how many Patients one requester may register or find so (of each server process).
    ``cors_origin``: the Access-Control-Allow-Origin sent ('' sends none).
    ``compress_from``: answers of at least this many bytes are compressed when the client accepts gzip.
    ``thread_from``: bodies of at least this many bytes are parsed and prepared outside the event loop.
    ``zone``: where dates without zone are.
    ``oidc_issuer``: an external OpenID provider whose JWT access tokens are accepted ('' none).
    ``oidc_audience``: whom its tokens must be for (default: ``base_url``).
    ``oidc_claims``: which of its claims say what, such as ``institution=org role=job``.
    ``proxies``: addresses or networks of our own proxies (blanks between), whose X-Forwarded-For is believed.
    ``break_glass_hours``: how long a file opened in an emergency stays open.
    ``health_code_seconds``, ``health_code_hours``: how long a shown health code is good, and how long the file stays
    open to the institution that scanned it.
    ``tls_cert``, ``tls_key``, ``tls_client_ca``: PEM files; with them the server speaks HTTPS itself, and with the
    last asks every client for a certificate of that authority.
    ``audit_anchors``: the file that anchors of the audit chain go to, better on other media (default: beside it).
    ``audit_years``: how long audit entries are kept when they are pruned; at least 3.
    ``audit_reports``: systems may add AuditEvents of their own software.
    ``access_log``: one line per request on standard error, without anything that identifies a person.
    """

    data: Path = Path("data")
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    open: bool = False
    base_url: str = ""
    hosts: str = ""
    body_limit: int = 256 * MB
    page_size: int = 20
    page_max: int = 1000
    include_max: int = 1000
    expansion_max: int = 1000
    page_seconds: int = 3600
    search_seconds: int = 30
    delete_max: int = 100
    bundle_max: int = 20_000
    skip_unchanged: bool = False
    referential_integrity: bool = False
    handling: str = "strict"
    identity_numbers: str = "strict"
    matches_per_minute: int = 60
    registrations_per_minute: int = 1000
    cors_origin: str = "*"
    compress_from: int = 1400
    thread_from: int = 64 * 1024
    zone: str = "Asia/Shanghai"
    oidc_issuer: str = ""
    oidc_audience: str = ""
    oidc_claims: str = ""
    proxies: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    break_glass_hours: int = 24
    health_code_seconds: int = 60
    health_code_hours: int = 24
    audit_anchors: str = ""
    audit_years: int = 10
    audit_reports: bool = True
    access_log: bool = False

    @property
    def named_hosts(self) -> frozenset[str]:
        """The names of ``hosts``."""
        return frozenset(self.hosts.lower().split())


_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


def _convert(name: str, text: str, default: object) -> Any:
    if isinstance(default, bool):
        if text.lower() not in _TRUE | _FALSE:
            raise ValueError(f"{name} must be true or false, not '{text}'")
        return text.lower() in _TRUE
    if isinstance(default, int):
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"{name} must be a whole number, not '{text}'") from None
    return Path(text) if isinstance(default, Path) else text


def settings_from(environment: Mapping[str, str] = os.environ, **flags: Any) -> Settings:
    """The settings of ``environment`` overridden by those ``flags`` that are not None.

    Raises ValueError, naming the variable, for a value that cannot be read.
    """
    defaults = Settings()
    values: dict[str, Any] = {}
    for field in fields(Settings):
        variable = f"YIDANG_{field.name.upper()}"
        if flags.get(field.name) is not None:
            values[field.name] = flags[field.name]
        elif variable in environment and field.name != "open":
            # The development mode is never switched on by an environment that was inherited unseen.
            values[field.name] = _convert(variable, environment[variable], getattr(defaults, field.name))
    settings = Settings(**values)
    try:
        networks(settings.proxies)
    except ValueError as error:
        raise ValueError(f"YIDANG_PROXIES names addresses or networks: {error}") from None
    if settings.handling not in {"strict", "lenient"}:
        raise ValueError(f"YIDANG_HANDLING must be strict or lenient, not '{settings.handling}'")
    if settings.identity_numbers not in {"strict", "lenient"}:
        raise ValueError(f"YIDANG_IDENTITY_NUMBERS must be strict or lenient, not '{settings.identity_numbers}'")
    return settings
