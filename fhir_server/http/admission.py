"""From a request's access token to on whose behalf it runs: requester, consent's Access, scope constraints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from consent import Access, Requester, Scope
from consent.check import check as consent_check
from consent.policy import access_for
from fhir_server.context import Checker, Context
from fhir_server.errors import FhirError
from fhir_server.http.exchange import Request
from fhir_server.interactions.criteria import criteria
from profiles.issues import Issue

_MOST_SCOPES, _MOST_KNOWN = 10_000, 4096


class Tokens(Protocol):
    """What knows the tokens (``fhir_server.auth.verify.Authenticator``)."""

    def requester(self, authorization: str | None, now: float) -> Requester:
        """Who sends this Authorization header. Raises Unauthorized."""
        ...


class Checks:
    """The validation of what a client writes: FHIR's rules, and what the alliance demands of Consents."""

    def __init__(self, rules: Checker, relative: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._rules = rules
        self._relative = relative

    def check(self, resource: dict[str, Any]) -> list[Issue]:
        """The findings; none when the resource is valid."""
        found = self._rules.check(resource)
        if not found and resource.get("resourceType") == "Consent":
            found = consent_check(self._relative(resource))
        return found


class Admission:
    """Admits requests: each gets a context of its own, with the Access of its requester.

    ``relative`` makes the references of a resource to this server relative (``Extractor.relative``).
    """

    def __init__(
        self, tokens: Tokens, rules: Checker, relative: Callable[[dict[str, Any]], dict[str, Any]] = lambda it: it
    ) -> None:
        self._tokens = tokens
        self._checks = Checks(rules, relative)
        self._known: dict[str, tuple[Requester, Access]] = {}
        self._constraints: dict[Scope, Mapping[str, object]] = {}

    def admit(self, request: Request, context: Context) -> Context:
        """The context on behalf of whoever sends ``request``. Raises Unauthorized."""
        requester, access = self.access(request.headers.get("authorization"), context)
        return context.on_behalf(access, requester, self._checks)

    def access(self, authorization: str | None, context: Context) -> tuple[Requester, Access]:
        """Who sends this Authorization header, and on what terms. Raises Unauthorized."""
        now = context.clock()
        requester = self._tokens.requester(authorization, now / 1_000_000)
        known = self._known.get(requester.token)
        if known is None or known[0] is not requester:
            conditions = {scope: self._constraint(scope, context) for scope in requester.scopes if scope.query}
            known = (requester, replace(access_for(requester, now), conditions=conditions))
            _ = known[1].fingerprint  # worked out once, and handed on to each request
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[requester.token] = known
        return requester, known[1].at(now)

    def _constraint(self, scope: Scope, context: Context) -> Mapping[str, object]:
        """The search constraint of a scope, by type; nothing (so the scope is closed) where it is not understood."""
        found = self._constraints.get(scope)
        if found is None:
            try:
                query = criteria(scope.type, list(scope.query), context)
                found = dict(query.where) if scope.type != "*" else {}
            except FhirError:
                found = {}
            if len(self._constraints) >= _MOST_SCOPES:
                self._constraints.clear()
            self._constraints[scope] = found
        return found
