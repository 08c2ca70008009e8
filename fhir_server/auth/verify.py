"""Access token → Requester, for every request; a revocation holds for the next one in every process."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass

from consent.requester import Requester
from fhir_server.auth.external import ExternalIssuer
from fhir_server.auth.file import AuthFile, connect
from fhir_server.auth.issue import requester_of, token_hash
from fhir_server.auth.stamp import Stamp
from fhir_server.errors import Unauthorized
from fhir_server.settings import Settings

_REMEMBERED = 4096
_FOREIGN_SECONDS = 60
# The stamp tells of every commit of this program; this is for one that was killed between its commit and the stamp.
_LOOK_SECONDS = 0.05
# A token is good while nothing that it rests on has ended. Its expiry is looked at separately: time passes.
STANDING = """
SELECT t.id, t.client, t.account, t.session, t.family, t.claims, t.created, t.used,
  min(t.expires, coalesce(a.expires, t.expires)) AS expires, s.expires AS session_expires,
  t.revoked IS NULL AND c.revoked IS NULL AND (t.session = '' OR s.id IS NOT NULL AND s.revoked IS NULL)
  AND (t.account = '' OR a.active = 1 AND (a.kind = 'resident' OR EXISTS (
    SELECT 1 FROM account_roles r WHERE r.account = t.account
      AND r.institution = json_extract(t.claims, '$.institution') AND r.role = json_extract(t.claims, '$.role')
      AND r.department = coalesce(json_extract(t.claims, '$.department'), '')))) AS good
FROM tokens t LEFT JOIN clients c ON c.id = t.client LEFT JOIN sessions s ON s.id = t.session
  LEFT JOIN accounts a ON a.id = t.account
WHERE t.hash = ? AND t.use = ?
"""


@dataclass(frozen=True, slots=True)
class _Known:
    requester: Requester
    expires: float


class Authenticator:
    """Says who sends a request. It may be used from any thread."""

    def __init__(self, auth_file: AuthFile, settings: Settings, external: ExternalIssuer | None = None) -> None:
        self._external = ExternalIssuer(settings) if external is None and settings.oidc_issuer else external
        self._foreign: dict[bytes, _Known] = {}
        self._lock = threading.Lock()
        # Of its own: ``data_version`` tells of changes by every other connection, this process's too.
        self._connection = connect(auth_file.path)
        self._connection.execute("PRAGMA query_only = ON")
        self._version = self._connection.cursor()
        self._version.row_factory = None
        self._known: dict[bytes, _Known] = {}
        self._data_version = -1
        self._withdrawals = -1
        self._stamp = Stamp(auth_file.path.parent)
        self._stamped, self._look = b"", 0.0

    def requester(self, authorization: str | None, now: float) -> Requester:
        """Who sends the Authorization header ``authorization`` at ``now`` (seconds since 1970).

        Raises Unauthorized: without a token, or with one that is not (any more) good.
        """
        if not authorization:
            raise Unauthorized(
                "请先登录：本服务器不向没有访问令牌的请求提供任何记录 / Say who you are: no access without a token"
            )
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or " " in token:
            raise Unauthorized("只接受 Bearer 令牌 / Only Bearer tokens are accepted")
        # Our own tokens have no dots.
        foreign = self._external is not None and token.count(".") == 2
        found = self._by_provider(token, now) if foreign else self._local(token_hash(token), now)
        if found is None:
            raise Unauthorized("令牌无效、已过期或已撤销 / The token is unknown, expired or revoked")
        return found

    def _local(self, key: bytes, now: float) -> Requester | None:
        with self._lock:
            if self._stamp.value != self._stamped or now >= self._look or now < self._look - _LOOK_SECONDS:
                # The stamp first: what is written while this looks is looked at the next time.
                self._stamped, self._look = self._stamp.value, now + _LOOK_SECONDS
                self._forget_withdrawn()
            known = self._known.get(key)
            if known is None:
                known = self._read(key)
                if known is None:
                    return None
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[key] = known
        return known.requester if now < known.expires else None

    def _by_provider(self, token: str, now: float) -> Requester | None:
        """Who sends a token of the external provider; what was found right is remembered for a minute."""
        key = token_hash(token)
        known = self._foreign.get(key)
        if known is None or now >= known.expires:
            found = self._external.requester(token, now) if self._external is not None else None
            if found is None:
                return None
            if len(self._foreign) >= _REMEMBERED:
                self._foreign.clear()
            known = self._foreign[key] = _Known(found[0], min(found[1], now + _FOREIGN_SECONDS))
        return known.requester

    def _forget_withdrawn(self) -> None:
        """Forget all tokens where one was withdrawn since the last look."""
        version = self._version.execute("PRAGMA data_version").fetchone()[0]
        if version == self._data_version:
            return
        withdrawals = self._connection.execute("SELECT value FROM counters WHERE name = 'withdrawals'").fetchone()[0]
        if withdrawals != self._withdrawals:
            self._known.clear()
        self._data_version, self._withdrawals = version, withdrawals

    def _read(self, key: bytes) -> _Known | None:
        row: sqlite3.Row | None = self._connection.execute(STANDING, (key, "access")).fetchone()
        if row is None or not row["good"]:
            return None
        return _Known(requester_of(row["claims"], row["id"]), row["expires"])

    def close(self) -> None:
        """Close its connection."""
        with self._lock:
            self._connection.close()
            self._stamp.close()
