"""Registered clients: apps (public or with a secret) and systems of institutions (with a key of their own)."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from consent.vocabulary import ROLES, Purpose
from fhir_server.auth.file import AuthFile
from fhir_server.auth.scopes import PLAIN_SCOPES, parse

CODE, REFRESH, CREDENTIALS = "authorization_code", "refresh_token", "client_credentials"
GRANTS = (CODE, REFRESH, CREDENTIALS)
# A system has no eyes: nobody who could state a reason breaks the glass.
NEVER_FOR_SYSTEMS = frozenset({"BTG"})
SYSTEM_ROLE = "system"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}", re.ASCII)  # also the id of a Device
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
_LISTS = frozenset({"redirect_uris", "grants", "purposes"})


@dataclass(frozen=True, slots=True)
class Client:
    """A client.

    ``kind``: ``public`` (an app in a browser or telephone), ``secret``, or ``key`` (proves itself by a signed
    assertion). ``secret`` is a hash. ``jwks`` is the text of a JWK Set, or ``jwks_uri`` says where it is. ``scope``:
    the most it may ever have. ``institution``: whose it is; required of systems, and where an app has one only
    that institution's staff use it. ``purposes``: what it may act for, the first by default (none given: what the
    signed-in person's role may). ``introspects``: it may ask about the tokens of other clients.
    """

    id: str
    name: str
    kind: str
    grants: tuple[str, ...]
    scope: str
    institution: str = ""
    purposes: tuple[str, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    launch_uri: str = ""
    secret: str = ""
    jwks: str = ""
    jwks_uri: str = ""
    introspects: bool = False
    created: float = 0
    revoked: float | None = None

    def is_secret(self, text: str) -> bool:
        """Whether ``text`` is the client's secret."""
        return bool(self.secret) and secrets.compare_digest(_hashed(text), self.secret)


def _hashed(secret: str) -> str:
    """Client secrets are 256 random bits of ours, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def add(auth_file: AuthFile, client: Client, now: float | None = None) -> str:
    """Register ``client``; returns its new secret ('' unless it has one). Its ``secret`` field is not looked at.

    Raises ValueError, saying what is wrong with it.
    """
    check(client)
    secret = secrets.token_urlsafe(32) if client.kind == "secret" else ""
    stored = replace(
        client, secret=_hashed(secret) if secret else "", created=time.time() if now is None else now, revoked=None
    )
    values = {name: _column(name, value) for name, value in asdict(stored).items()}
    with auth_file.write() as connection:
        try:
            connection.execute(
                f"INSERT INTO clients({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
                tuple(values.values()),
            )
        except sqlite3.IntegrityError:
            raise ValueError(f"there is a client '{client.id}' already") from None
    return secret


def change(auth_file: AuthFile, client: Client, now: float | None = None) -> None:
    """Register ``client`` anew: all but its kind, secret and times. Its access tokens end; refreshed ones are narrower.

    Raises ValueError, saying what is wrong with it.
    """
    check(client)
    fixed = ("id", "kind", "secret", "created", "revoked")
    values = {name: _column(name, value) for name, value in asdict(client).items() if name not in fixed}
    at = time.time() if now is None else now
    with auth_file.write() as connection:
        changed = connection.execute(
            f"UPDATE clients SET {', '.join(f'{name} = ?' for name in values)}"
            " WHERE id = ? AND kind = ? AND revoked IS NULL",
            (*values.values(), client.id, client.kind),
        ).rowcount
        if not changed:
            raise ValueError(f"there is no client '{client.id}' that could be changed")
        _end_access(connection, client.id, at)


def renew_secret(auth_file: AuthFile, id: str) -> str:
    """A new secret of the client; the one before is good no more. Raises ValueError where it has none."""
    secret = secrets.token_urlsafe(32)
    with auth_file.write() as connection:
        changed = connection.execute(
            "UPDATE clients SET secret = ? WHERE id = ? AND kind = 'secret' AND revoked IS NULL", (_hashed(secret), id)
        ).rowcount
    if not changed:
        raise ValueError(f"there is no client '{id}' with a secret")
    return secret


def _end_access(connection: sqlite3.Connection, id: str, at: float) -> None:
    connection.execute(
        "UPDATE tokens SET revoked = ? WHERE client = ? AND use = 'access' AND revoked IS NULL", (at, id)
    )


def _column(name: str, value: object) -> object:
    return json.dumps(value) if name in _LISTS else value


def find(auth_file: AuthFile, id: str) -> Client | None:
    """The client ``id``, unless it is unknown or revoked."""
    row = auth_file.row("SELECT * FROM clients WHERE id = ? AND revoked IS NULL", id)
    return None if row is None else _client(row)


def listed(auth_file: AuthFile) -> list[Client]:
    """All clients, revoked ones too."""
    return [_client(row) for row in auth_file.rows("SELECT * FROM clients ORDER BY id")]


def _client(row: sqlite3.Row) -> Client:
    values = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row iterates over values
    for name in _LISTS:
        values[name] = tuple(json.loads(values[name]))
    values["introspects"] = bool(values["introspects"])
    return Client(**values)


def revoke(auth_file: AuthFile, id: str, now: float | None = None) -> bool:
    """End the client and all its tokens; whether there was such a client."""
    at = time.time() if now is None else now
    with auth_file.write() as connection:
        found = connection.execute("UPDATE clients SET revoked = ? WHERE id = ? AND revoked IS NULL", (at, id)).rowcount
        connection.execute("UPDATE tokens SET revoked = ? WHERE client = ? AND revoked IS NULL", (at, id))
    return found > 0


def check(client: Client) -> None:
    """Raise ValueError, saying what is wrong, where ``client`` may not be registered."""
    if not _ID.fullmatch(client.id):
        raise ValueError("a client id has 1 to 64 letters, digits, . and -")
    if client.kind not in ("public", "secret", "key"):
        raise ValueError("a client is public, or has a secret or a key")
    if not client.grants or not set(client.grants) <= set(GRANTS):
        raise ValueError(f"grants are of {', '.join(GRANTS)}")
    for text in client.scope.split():
        if text not in PLAIN_SCOPES and parse(text) is None:
            raise ValueError(f"'{text}' is not a scope")
    if not client.scope.strip():
        raise ValueError("a client needs a scope")
    if unknown := set(client.purposes) - set(Purpose.__members__):
        raise ValueError(f"unknown purposes of use: {', '.join(sorted(unknown))}")
    _check_key(client)
    if CREDENTIALS in client.grants:
        _check_system(client)
    if CODE in client.grants:
        if not client.redirect_uris:
            raise ValueError("an app needs a redirect URI")
        for uri in client.redirect_uris:
            check_redirect_uri(uri)


def _check_key(client: Client) -> None:
    if client.kind != "key":
        return
    if bool(client.jwks) == bool(client.jwks_uri):
        raise ValueError("a client with a key needs either a JWK Set or the URI of one")
    if client.jwks:
        public_keys(client.jwks)
    else:
        check_jwks_uri(client.jwks_uri)


def _check_system(client: Client) -> None:
    if client.kind != "key" or CODE in client.grants:
        raise ValueError("client_credentials are for systems with a key, which have no other grant")
    if not client.institution:
        raise ValueError("a system belongs to an institution")
    if any(not text.startswith("system/") for text in client.scope.split()):
        raise ValueError("the scopes of a system begin with system/")
    permitted = set(ROLES[SYSTEM_ROLE].purposes) - NEVER_FOR_SYSTEMS
    if not client.purposes or not set(client.purposes) <= permitted:
        raise ValueError(f"a system needs purposes of use, of {', '.join(sorted(permitted))}")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_redirect_uri(uri: str) -> None:
    """Raise ValueError where no code may be sent to ``uri``. https://www.rfc-editor.org/rfc/rfc8252#section-7"""
    parts = urlsplit(uri)
    if "#" in uri or any(character <= " " or character > "~" for character in uri):
        raise ValueError(f"a redirect URI has no fragment, blank or foreign letter: {uri}")
    if parts.scheme == "https" and parts.hostname and "@" not in parts.netloc:
        return
    if parts.scheme == "http" and parts.hostname and is_loopback(parts.hostname) and "@" not in parts.netloc:
        return
    if _PRIVATE_SCHEME.fullmatch(parts.scheme):
        return
    raise ValueError(f"a redirect URI is https, http on this machine, or of a scheme such as cn.example.app: {uri}")


def check_jwks_uri(uri: str) -> None:
    """Raise ValueError where keys may not be fetched from ``uri``."""
    parts = urlsplit(uri)
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))):
        raise ValueError(f"keys are fetched by https only: {uri}")


def public_keys(text: str) -> KeySet:
    """The public keys of a JWK Set. Raises ValueError where one is private, symmetric, weak or has no ``kid``."""
    try:
        given = json.loads(text)
        keys = KeySet.import_key_set(given)
    except (ValueError, TypeError, KeyError, JoseError):
        raise ValueError("this is no JWK Set of RSA and EC keys") from None
    if not keys.keys:
        raise ValueError("the JWK Set is empty")
    for key, source in zip(keys.keys, given["keys"], strict=True):
        if not isinstance(key, RSAKey | ECKey) or key.is_private:
            raise ValueError("a JWK Set holds public RSA and EC keys only")
        if not source.get("kid"):
            raise ValueError("each key of a JWK Set has a kid")
        if isinstance(key, RSAKey) and key.public_key.key_size < 2048:
            raise ValueError("an RSA key has at least 2048 bits")
    return keys


def as_jwk_set(texts: Sequence[str]) -> str:
    """The JWK Set of keys given as JWK or JWK Set texts. Raises ValueError where one is neither."""
    keys: list[object] = []
    for text in texts:
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError("this is neither a JWK nor a JWK Set")
        keys += given["keys"] if isinstance(given.get("keys"), list) else [given]
    return json.dumps({"keys": keys})
