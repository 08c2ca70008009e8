"""Refusals of the OAuth endpoints. https://www.rfc-editor.org/rfc/rfc6749#section-5.2"""

from __future__ import annotations


class OAuthError(Exception):
    """A refusal; ``error`` is a code of OAuth, ``description`` says in words what was wrong (never anything secret)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status

    def body(self) -> dict[str, str]:
        """The JSON that is answered."""
        return {"error": self.error, "error_description": self.description}


def invalid_client(description: str) -> OAuthError:
    """The client is not known, or did not prove who it is."""
    return OAuthError("invalid_client", description, 401)


def invalid_request(description: str) -> OAuthError:
    """The request is not understood."""
    return OAuthError("invalid_request", description)


def invalid_grant(description: str) -> OAuthError:
    """The code or the token that was shown is not good."""
    return OAuthError("invalid_grant", description)
