"""The composition root: settings, definitions, store and interactions put together to an application."""

from __future__ import annotations

import gc
import os
import time

from consent import Access
from fhir_server.context import Context
from fhir_server.http.shell import Application
from fhir_server.http.table import routes
from fhir_server.search.extract import Extractor
from fhir_server.settings import Settings
from fhir_server.store.sqlite import SqliteStore
from profiles.definitions import load
from profiles.structure import Validator


def wall_clock() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def new_id() -> str:
    """A fresh logical id: a UUID of version 7, whose neighbours in time are neighbours in the store's index.

    https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
    """
    digits = f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def open_context(settings: Settings, access: Access) -> Context:
    """The context on the store in ``settings.data``, on whose behalf ``access`` says; close its store at the end.

    Raises ValueError when the data are of another layout.
    """
    definitions = load()
    extractor = Extractor(definitions, zone=settings.zone, base_urls=_bases(settings))
    return Context(
        store=SqliteStore.open(
            settings.data,
            extractor,
            zone=settings.zone,
            clock=wall_clock,
            search_seconds=settings.search_seconds,
            keep_seconds=settings.page_seconds,
            include_max=settings.include_max,
        ),
        definitions=definitions,
        extractor=extractor,
        validator=Validator(definitions),
        settings=settings,
        routes=routes(definitions.resource_types),
        access=access,
        clock=wall_clock,
        new_id=new_id,
    )


def _bases(settings: Settings) -> tuple[str, ...]:
    """The base URLs under which references are to this server's own resources."""
    if settings.base_url:
        return (settings.base_url,)
    return tuple(f"http://{host}:{settings.port}/fhir" for host in dict.fromkeys((settings.host, "localhost")))


def application(settings: Settings) -> Application:
    """The ASGI application of a server process; its store opens when the server starts."""
    access = Access.everything("development mode (--open)") if settings.open else Access("no access token")
    return Application(settings, lambda: _settled(open_context(settings, access)), everything=settings.open)


def _settled(context: Context) -> Context:
    """``context``, with the garbage collector told to leave alone what lives as long as the process.

    By default it would walk the definitions and the resources at hand every few Bundles: a tenth to a
    fifth of the time of a load (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    return context
