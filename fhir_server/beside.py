"""The application of every path outside the FHIR base: sign-in, tokens, and what acts in the record beside FHIR."""

from __future__ import annotations

import time

from fastapi import FastAPI

from consent import Requester
from consent.policy import access_for
from fhir_server.audit.current import Auditor
from fhir_server.audit.event import MINOR, SUCCESS, Event, Who, who
from fhir_server.auth import authorize, pages, visit
from fhir_server.auth.directory import RecordDirectory, still_stands
from fhir_server.auth.file import AuthFile
from fhir_server.auth.visit import House
from fhir_server.auth.web import Notice
from fhir_server.auth.web import router as auth_router
from fhir_server.context import Context
from fhir_server.http.admission import Admission
from fhir_server.http.desk import Desk
from fhir_server.records.approvals import approve_minor, report
from fhir_server.records.break_glass import BreakGlass
from fhir_server.records.health_code_desk import HealthCodeDesk
from fhir_server.records.signed_code import Signer
from fhir_server.store.sqlite import SqliteStore


def beside(
    auth_file: AuthFile, store: SqliteStore, context: Context, admission: Admission, auditor: Auditor
) -> FastAPI:
    """The application; ``store`` is the record store itself, ``context`` has it watched for audit."""
    app = FastAPI(title="Yidang", docs_url=None, redoc_url=None, openapi_url=None)
    _mount_sign_in(app, auth_file, store, context, auditor)
    _mount_desk(app, auth_file, context, Desk(context, admission, auditor))
    return app


def directory_of(store: SqliteStore, context: Context) -> RecordDirectory:
    """Who may act as what, by the records; ``store`` is not a watched one."""
    clock = context.clock
    return RecordDirectory(
        store, context.extractor, lambda asker: access_for(asker, clock()), store.wards, clock, context.settings.zone
    )


def _mount_sign_in(app: FastAPI, auth_file: AuthFile, store: SqliteStore, context: Context, auditor: Auditor) -> None:
    """Pages of sign-in and authorization, and the endpoints of OAuth."""
    clock, settings = context.clock, context.settings

    def note(notice: Notice) -> None:
        asker = who(notice.requester) if notice.requester else Who(client=notice.client)
        auditor.record_now(_event(clock(), notice.kind, asker, notice.address, notice.detail))

    def observe(seen: visit.Event) -> None:
        asker = Who(subject=seen.subject, client=seen.client, name="" if seen.subject[:8] == "Patient/" else seen.name)
        about = (seen.patient,) if seen.patient else ()
        auditor.record_now(_event(clock(), seen.kind, asker, seen.address, seen.detail, about))

    directory = directory_of(store, context)

    async def stands(account: str, requester: Requester) -> bool:
        return await still_stands(auth_file, directory, account, requester)

    async def sees(patient: str, requester: Requester) -> bool:
        return await directory.patient(requester, patient) is not None

    house = House(auth_file, settings, directory, authorize.completer(auth_file, time.time), time.time, observe)
    app.include_router(auth_router(auth_file, settings, note=note, stands=stands, sees=sees))
    app.include_router(pages.router(house))


def _event(now: int, kind: str, asker: Who, address: str, detail: str, patients: tuple[str, ...] = ()) -> Event:
    outcome = MINOR if kind.startswith("refused") or kind == "lockout" else SUCCESS
    return Event(now, kind, "E", outcome, who=asker, address=address, detail=detail, patients=patients)


def _mount_desk(app: FastAPI, auth_file: AuthFile, context: Context, desk: Desk) -> None:
    """What a token's holder does in the record beside FHIR."""
    settings = context.settings
    glass = BreakGlass(auth_file, settings.break_glass_hours)
    signer = Signer(auth_file.sealer.keyed_hash("ES256", "health code"))
    codes = HealthCodeDesk(signer, settings.health_code_seconds, settings.health_code_hours)
    app.add_api_route("/health-code/keys", signer.published, methods=["GET"], response_model=None)
    for method, path, work in (
        ("POST", "/break-glass", glass.open),
        ("GET", "/break-glass", glass.reviews),
        ("POST", "/break-glass/review", glass.review),
        ("POST", "/break-glass/end", glass.end),
        ("GET", "/health-code", codes.show),
        ("POST", "/health-code/scan", codes.scan),
        ("POST", "/minor-access", approve_minor),
        ("POST", "/statutory-report", report),
    ):
        app.add_api_route(path, desk.endpoint(work), methods=[method], response_model=None)
