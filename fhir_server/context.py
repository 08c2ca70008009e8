"""Context: what every interaction and operation is given besides the request; put together in ``app``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

from consent import Access, Requester
from fhir_server.settings import Settings
from fhir_server.store.protocol import Store
from profiles.issues import Issue

if TYPE_CHECKING:
    from fhir_server.http.routes import Routes
    from fhir_server.search.extract import Extractor
    from fhir_server.validation.profiles import Profiles
    from profiles.definitions import Definitions
    from terminology.registry import Terminology


class Checker(Protocol):
    """A validator of resources (``profiles.structure.Validator``)."""

    def check(self, resource: dict[str, Any]) -> list[Issue]:
        """The findings; none when the resource is valid."""
        ...


def base_only() -> Terminology:
    """The terminology of R4 alone."""
    from fhir_server.terminology import base_terminology

    return base_terminology()


@dataclass(frozen=True, slots=True)
class Context:
    """The effects and tables of one request.

    ``access`` says on whose behalf it runs, ``requester`` who that is (None: nobody asked by HTTP, or the
    development mode). ``terminology`` gives what is known of codes now. ``clock`` gives microseconds since 1970 UTC,
    ``new_id`` a fresh logical id. ``routes`` is the table of what is registered. ``profiles``: those in force, with
    the policy of validation (None: structure alone is checked).
    """

    store: Store
    definitions: Definitions
    extractor: Extractor
    validator: Checker
    settings: Settings
    routes: Routes
    access: Access
    clock: Callable[[], int]
    new_id: Callable[[], str]
    requester: Requester | None = None
    terminology: Callable[[], Terminology] = base_only
    profiles: Profiles | None = None

    def on_behalf(self, access: Access, requester: Requester, validator: Checker) -> Context:
        """The same for one request (``replace`` takes twice as long)."""
        made = object.__new__(Context)
        put = object.__setattr__
        for name in _FIELDS:
            put(made, name, getattr(self, name))
        put(made, "access", access)
        put(made, "requester", requester)
        put(made, "validator", validator)
        return made


_FIELDS = tuple(field.name for field in fields(Context))
