"""The family of refusals: each carries OperationOutcome issues and is turned into HTTP at one place.

https://hl7.org/fhir/R4/http.html#Status-Codes
"""

from __future__ import annotations

from collections.abc import Sequence

from profiles.issues import Issue


class FhirError(Exception):
    """A refusal that the requester can understand; never our own fault."""

    status = 400
    code = "invalid"

    def __init__(self, diagnostics: str, *expression: str, code: str | None = None) -> None:
        super().__init__(diagnostics)
        self.issues: Sequence[Issue] = (Issue(code or self.code, diagnostics, tuple(expression)),)

    @classmethod
    def of(cls, issues: Sequence[Issue]) -> FhirError:
        """The refusal that carries these issues (at least one)."""
        error = cls(issues[0].diagnostics)
        error.issues = tuple(issues)
        return error


class BadRequest(FhirError):
    """400: the request cannot be understood."""


class Unauthorized(FhirError):
    """401: who asks is not known."""

    status, code = 401, "login"


class Forbidden(FhirError):
    """403: who asks is known, and may not do this."""

    status, code = 403, "forbidden"


class NotFound(FhirError):
    """404: no such resource, version or endpoint (or none that may be known to exist)."""

    status, code = 404, "not-found"


class MethodNotAllowed(FhirError):
    """405: this endpoint has no such method."""

    status, code = 405, "not-supported"


class NotAcceptable(FhirError):
    """406: no representation that the client accepts."""

    status, code = 406, "not-supported"


class Conflict(FhirError):
    """409: the change clashes with the present state."""

    status, code = 409, "conflict"


class Gone(FhirError):
    """410: the resource is deleted, or the page has expired."""

    status, code = 410, "deleted"


class PreconditionFailed(FhirError):
    """412: a version condition or a conditional criterion does not hold."""

    status, code = 412, "conflict"


class TooLarge(FhirError):
    """413: the body or the Bundle is over the limit."""

    status, code = 413, "too-long"


class UnsupportedMediaType(FhirError):
    """415: the body's format is not understood."""

    status, code = 415, "not-supported"


class Unprocessable(FhirError):
    """422: the resource breaks FHIR's rules or ours."""

    status, code = 422, "processing"


class TooManyRequests(FhirError):
    """429: asked too often; it may be tried again later."""

    status, code = 429, "throttled"


class NotSupported(FhirError):
    """501: understood, and not offered here."""

    status, code = 501, "not-supported"


class TooCostly(FhirError):
    """503: the request was given up, or the server is too busy; it may be tried again."""

    status, code = 503, "too-costly"
