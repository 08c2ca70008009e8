"""The composition root: settings, definitions, store and interactions put together to an application."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from consent import Access
from fhir_server.audit.current import FOLDER, Auditor, hidden_in
from fhir_server.audit.mask import harmless, masker
from fhir_server.audit.routes import AuditLog
from fhir_server.audit.watched import WatchedStore
from fhir_server.auth.file import AuthFile
from fhir_server.auth.verify import Authenticator
from fhir_server.beside import beside, directory_of
from fhir_server.context import Context
from fhir_server.guide.pages import GuidePages
from fhir_server.http.admission import Admission
from fhir_server.http.shell import Application, Started
from fhir_server.http.table import routes
from fhir_server.search.extract import Extractor
from fhir_server.secrets import MasterKey
from fhir_server.settings import Settings
from fhir_server.store.sqlite import SqliteStore
from fhir_server.store.sqlite.writer import Witness
from fhir_server.terminology import SearchedCodes, ServedTerminology
from fhir_server.validation.policy import read_policy
from fhir_server.validation.profiles import Profiles
from profiles.alliance import resources as guide_definitions
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


def open_context(settings: Settings, access: Access, master: MasterKey | None = None) -> Context:
    """The context on the store in ``settings.data``, on whose behalf ``access`` says; close its store at the end.

    ``master``: the master key (default: as the settings of the environment say).
    Raises ValueError when the data are of another layout.
    """
    return _context(settings, access, master or MasterKey.open(settings.data), lambda: None)


def _context(settings: Settings, access: Access, master: MasterKey, witness: Callable[[], Witness | None]) -> Context:
    policy = read_policy(settings.data)
    definitions = load()
    extractor = Extractor(definitions, zone=settings.zone, base_urls=_bases(settings))
    store = SqliteStore.open(
        settings.data,
        extractor,
        zone=settings.zone,
        clock=wall_clock,
        search_seconds=settings.search_seconds,
        keep_seconds=settings.page_seconds,
        include_max=settings.include_max,
        witness=witness,
        master=master,
    )
    terminology = ServedTerminology(store, settings.data)
    extractor.codes = SearchedCodes(terminology)
    return Context(
        store=store,
        definitions=definitions,
        extractor=extractor,
        validator=Validator(definitions),
        settings=settings,
        routes=routes(definitions.resource_types),
        access=access,
        clock=wall_clock,
        new_id=new_id,
        terminology=terminology,
        profiles=Profiles(settings.data, store, extractor, policy, guide_definitions, terminology),
    )


def _bases(settings: Settings) -> tuple[str, ...]:
    """The base URLs under which references are to this server's own resources."""
    if settings.base_url:
        return (settings.base_url,)
    return tuple(f"http://{host}:{settings.port}/fhir" for host in dict.fromkeys((settings.host, "localhost")))


def application(settings: Settings) -> Application:
    """The ASGI application of a server process; its files open when the server starts."""
    return Application(settings, lambda: _start(settings))


def _start(settings: Settings) -> Started:
    guide = GuidePages(settings.base_url.startswith("https:"))
    if settings.open:
        context = _settled(open_context(settings, Access.everything("development mode (--open)")))
        return Started(context, lambda: _close(context), guide=guide)
    master = MasterKey.open(settings.data)
    mask = masker(harmless(load()), master.derive("audit mask"))
    auditor = Auditor(
        settings.data / FOLDER,
        mask,
        clock=wall_clock,
        algorithm=master.digest,
        anchor_key=master.derive("audit anchor"),
        anchor_file=Path(settings.audit_anchors) if settings.audit_anchors else None,
    )
    context = _settled(_context(settings, Access("no access token"), master, auditor.witness))
    store = context.store
    assert isinstance(store, SqliteStore)
    auditor.granted, auditor.hidden = store.granted, hidden_in(store)
    auditor.attach(store)
    auth_file = AuthFile.open(settings.data, master)
    tokens = Authenticator(auth_file, settings, holds=directory_of(store, context).holds)

    def close() -> None:
        auditor.close()
        tokens.close()
        auth_file.close()
        _close(context)

    async def wards(person: str) -> list[str]:
        return store.wards(person)

    log = AuditLog(auditor, store, wards, takes=settings.audit_reports)
    served = replace(context.routes, apart={"AuditEvent": log.apart()})
    watched = replace(context, store=WatchedStore(store), routes=served)
    admission = Admission(tokens, context.validator, context.extractor.relative)
    return Started(watched, close, admission, auditor, beside(auth_file, store, watched, admission, auditor), guide)


def _close(context: Context) -> None:
    if context.profiles is not None:
        context.profiles.close()
    context.store.close()


def _settled(context: Context) -> Context:
    """``context``, with the garbage collector told to leave alone what lives as long as the process.

    By default it would walk the definitions and the resources at hand every few Bundles: a tenth to a
    fifth of the time of a load (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    return context
