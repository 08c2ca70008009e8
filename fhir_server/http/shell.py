"""The HTTP shell: a small ASGI application between the server and the interactions.

https://asgi.readthedocs.io/en/stable/specs/www.html, https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import re
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Any

from fhir_server.audit.current import Auditor
from fhir_server.audit.event import who
from fhir_server.audit.exchange import Exchange
from fhir_server.context import Context
from fhir_server.errors import (
    BadRequest,
    FhirError,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    TooLarge,
    Unauthorized,
    UnsupportedMediaType,
)
from fhir_server.http.access_log import access_log
from fhir_server.http.admission import Admission
from fhir_server.http.body import decompressed
from fhir_server.http.conditional import http_date
from fhir_server.http.dispatch import dispatch, path_segments, query_pairs
from fhir_server.http.errors import error_response
from fhir_server.http.exchange import Request, Response
from fhir_server.http.forwarded import named, networks
from fhir_server.http.hosts import is_listed, is_this_machine
from fhir_server.http.negotiate import (
    FHIR_JSON,
    FHIR_XML,
    JSON,
    JSON_PATCH,
    MERGE_PATCH,
    Format,
    answer_format,
    is_pretty,
    media_type,
)
from fhir_server.http.render import SECURITY, VARY, Rendered, accepts_gzip, render
from fhir_server.settings import Settings

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Beside = Callable[[Any, Any, Any], Awaitable[None]]  # another ASGI application

BASE = "/fhir"
GUIDE = "/guide"
_THREADS = 2
_FORM = "application/x-www-form-urlencoded"
_ALLOWED_HEADERS = (
    "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer, "
    "X-Request-Id, X-Security-Context"
)
_ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_CORRELATION = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}", re.ASCII)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?", re.ASCII)
_PLAIN_SEGMENT = re.compile(rb"[A-Za-z0-9.-]{1,64}")
_SECURITY_LINES = b"".join(b"%s: %s\r\n" % header for header in SECURITY)
_VARY_LINE = b"\r\nvary: " + VARY + b"\r\n" + _SECURITY_LINES + b"x-request-id: "
_PLAIN_HEADERS = frozenset(
    {b"host", b"user-agent", b"accept", b"accept-encoding", b"accept-language", b"connection", b"content-type"}
)
_WITHOUT_TOKEN = (("metadata",),)  # what anybody may read
# https://www.rfc-editor.org/rfc/rfc5789#section-3.1
_ACCEPT_PATCH = ("Accept-Patch", ", ".join((JSON_PATCH, MERGE_PATCH, FHIR_JSON, FHIR_XML)))
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


class Disconnected(Exception):
    """The client went away before its body was there; nobody waits for an answer."""


@dataclass(frozen=True, slots=True)
class Started:
    """What serves: the context of requests; ``close`` ends it.

    ``admission`` admits requests (None: everybody, the development mode), ``auditor`` has them on record,
    ``beside`` is the ASGI application of every path outside the FHIR base (sign-in, tokens, health code), ``guide``
    that of the implementation guide's pages, which anybody may read.
    """

    context: Context
    close: Callable[[], None]
    admission: Admission | None = None
    auditor: Auditor | None = None
    beside: Beside | None = None
    guide: Beside | None = None


class Application:
    """The ASGI application. ``start`` opens what serves when the server starts.

    Without a token only the CapabilityStatement is given out, unless what started admits everybody.
    """

    def __init__(self, settings: Settings, start: Callable[[], Started]) -> None:
        self._settings = settings
        self._proxies = networks(settings.proxies)
        self._start = start
        self._started: Started | None = None
        self._context: Context | None = None
        self._base = settings.base_url.rstrip("/")
        self._hosts = settings.named_hosts
        self._bases: dict[str, str] = {}
        self._plain_hosts: set[bytes] = set()
        self._plain_accepts: set[bytes] = set()
        self._readable: dict[bytes, str] = {}
        self._access_log = access_log() if settings.access_log else None
        prefix = uuid.uuid4().hex[:12]
        self._correlations = (f"{prefix}-{number}" for number in itertools.count(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One exchange with the server: an HTTP request, or the life of the process."""
        if scope["type"] == "http":
            if self._proxies:
                scope = named(scope, self._proxies)
            other = self._other(scope["path"])
            await (other or self._http)(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    def _other(self, path: str) -> Beside | None:
        """The application that answers this path instead of the FHIR interactions."""
        if self._started is None:
            return None
        if path == GUIDE or path.startswith(GUIDE + "/"):
            return self._started.guide
        return self._started.beside if _is_beside(path) else None

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                # Long bodies are prepared in threads; more would only take the interpreter lock from each other.
                asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "yidang-work"))
                try:
                    self._open()
                except Exception as error:
                    await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._started is not None:
                    await asyncio.to_thread(self._started.close)
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _open(self) -> None:
        self._started = self._start()
        self._context = self._started.context
        # Tables and code stay for good: the collector need not look at them again. Requests make many
        # short-lived objects without cycles, so it need not look often either (a tenth of a load's time).
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        # Binary is left out: what a read of it gives depends on its content.
        names = self._context.definitions.resource_types - {"Binary"} - self._context.routes.apart.keys()
        self._readable = {name.encode(): name for name in names}

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        correlation = headers.get("x-request-id")
        if correlation is None or not _CORRELATION.fullmatch(correlation):
            correlation = next(self._correlations)
        method: str = scope["method"]
        started = monotonic() if self._access_log is not None else 0.0
        request = Request(method, (), [], headers, b"", "", correlation)
        format: Format | None = None
        pretty = False
        auditor = self._started.auditor if self._started is not None and scope["path"] != "/healthz" else None
        exchange = None if auditor is None else auditor.begin(request, None, _address(scope))
        try:
            if scope["path"] == "/healthz":
                response, format = _health(request), JSON
            else:
                self._read_url(request, scope)
                format, pretty = _shape(request)
                if method not in _BODILESS and request.segments not in _WITHOUT_TOKEN:
                    # Nothing is taken in for who may do nothing here; and a body takes time, in which the
                    # token may be withdrawn: it is looked at now, and again when the body is there.
                    self._admitted(request, exchange)
                    request.body = await self._body(request, receive)
                    if method == "POST" and request.body and request.segments[-1:] == ("_search",):
                        _take_form(request)
                        format, pretty = _shape(request)
                response = await self._answer(request, exchange)
        except Disconnected:
            return
        except Exception as error:
            response = self._refused(error, request)
            format = format or _understood(request)
        rendered = await self._rendered(response, request, format or JSON, pretty)
        if auditor is not None and exchange is not None:
            try:
                await auditor.finish(exchange, rendered.status, response.stored)
            except Exception as error:  # what cannot be put on record is not given out
                rendered = render(self._refused(error, request), request, self._settings)
        if self._access_log is not None and self._context is not None:
            shape = self._context.routes.described(request) if request.base_url else "(outside the base)"
            self._access_log(request, shape, rendered.status, started)
        await send({"type": "http.response.start", "status": rendered.status, "headers": rendered.headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else rendered.body})

    def plain_read(
        self, url: bytes, headers: list[tuple[bytes, bytes]], address: str, respond: Callable[[list[bytes]], None]
    ) -> bool:
        """Answer ``GET url`` with 200 in one step; False where the long way must be gone.

        Only for ``/fhir/[type]/[id]`` without query and with no header that changes the answer. ``respond`` is given
        the header lines and the body, the very bytes of the long way (a test compares them): at once in the
        development mode, else when the read is on record.
        """
        started = self._started
        if started is None or self._access_log is not None:
            return False
        asked = self._plain_request(url, headers)
        if asked is None:
            return False
        type, id, authorization, zipped = asked
        context, admission, auditor = started.context, started.admission, started.auditor
        try:
            requester, access = None, context.access
            if admission is not None:
                requester, access = admission.access(authorization, context)
                if not access.allows("r", type):
                    return False
            stored = context.store.read(type, id, access)
        except Exception:
            return False  # the long way meets it again, and tells
        if stored is None or stored.body is None or (zipped and len(stored.body) >= self._settings.compress_from):
            return False
        correlation = next(self._correlations)
        answer = [
            b'etag: W/"%d"\r\nlast-modified: ' % stored.version,
            http_date(stored.updated).encode("ascii"),
            _VARY_LINE,
            correlation.encode("ascii"),
            b"\r\ncontent-type: application/fhir+json; charset=utf-8\r\ncontent-length: %d\r\n\r\n" % len(stored.body),
            stored.body,
        ]
        if requester is None or auditor is None:
            respond(answer)
        else:
            # What cannot be put on record is not given out: the connection ends without an answer.
            auditor.plain(
                requester, access, stored, correlation, address, lambda error: respond([] if error else answer)
            )
        return True

    def _plain_request(
        self, url: bytes, headers: list[tuple[bytes, bytes]]
    ) -> tuple[str, str, str | None, bool] | None:
        """Type, id, Authorization and whether gzip is taken, of a plain read; None for any other request."""
        parts = url.split(b"/")
        if len(parts) != 4 or parts[1] != b"fhir" or not _PLAIN_SEGMENT.fullmatch(parts[3]):
            return None
        type = self._readable.get(parts[2])
        if type is None:
            return None
        zipped = False
        authorization: str | None = None
        for name, value in headers:
            if name == b"authorization":
                if authorization is not None:
                    return None
                authorization = value.decode("latin-1")
            elif name not in _PLAIN_HEADERS:
                return None
            elif name == b"accept":
                if value not in self._plain_accepts and not self._learn_accept(value):
                    return None
            elif name == b"accept-encoding":
                zipped = b"gzip" in value or b"*" in value
            elif name == b"host":
                if not self._base and value not in self._plain_hosts:
                    return None
            elif name == b"connection" and value != b"keep-alive":
                return None
        return type, parts[3].decode("ascii"), authorization, zipped

    def _learn_accept(self, value: bytes) -> bool:
        """Whether an Accept header asks for FHIR JSON; remembered, as clients repeat theirs."""
        request = Request("GET", (), [], {"accept": value.decode("latin-1")}, b"", "", "")
        try:
            plain = answer_format(request) is JSON
        except NotAcceptable:
            plain = False
        if plain and len(self._plain_accepts) < 64:
            self._plain_accepts.add(value)
        return plain

    def _read_url(self, request: Request, scope: Scope) -> None:
        """Set base, segments and query of ``request``."""
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        path = raw.partition(b"?")[0].decode("latin-1")
        if not path.startswith(BASE) or (len(path) > len(BASE) and path[len(BASE)] != "/"):
            raise NotFound(f"There is nothing here; the FHIR base is {BASE}")
        request.segments = path_segments(path[len(BASE) :])
        host = request.headers.get("host", "")
        request.base_url = self._base or self._bases.get(host) or self._base_of(host, scope)
        if scope["query_string"]:
            request.query = query_pairs(scope["query_string"].decode("latin-1"))

    def _base_of(self, host: str, scope: Scope) -> str:
        if not host and scope.get("server"):
            host = "{}:{}".format(*scope["server"])
        if not _HOST.fullmatch(host):
            raise BadRequest("The Host header is not a host", "http.Host")
        address = str((scope.get("server") or ("",))[0])
        if not (is_this_machine(host, address, self._settings.host) or is_listed(host, self._hosts)):
            # Links to further pages go to whoever is named here: nobody but we may be.
            raise BadRequest(
                "本服务器不使用这个地址；运营者可设置 YIDANG_BASE_URL 或 YIDANG_HOSTS / "
                "This server has another address; its operator sets YIDANG_BASE_URL or YIDANG_HOSTS",
                "http.Host",
            )
        base = f"{scope['scheme']}://{host}{BASE}"
        if len(self._bases) < 64:
            self._bases[host] = base
            self._plain_hosts.add(host.encode("latin-1"))
        return base

    async def _body(self, request: Request, receive: Receive) -> bytes:
        limit = self._settings.body_limit
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and len(length) < 20 and int(length) > limit:
            raise TooLarge(f"The body has {length} bytes; the limit is {limit}", "http.Content-Length")
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            piece = message.get("body", b"")
            size += len(piece)
            if size > limit:
                raise TooLarge(f"The body is over the limit of {limit} bytes", "http.Content-Length")
            pieces.append(piece)
            if not message.get("more_body"):
                break
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        encoding = request.headers.get("content-encoding")
        if encoding is None:
            return body
        return await asyncio.to_thread(decompressed, body, encoding, limit)

    async def _answer(self, request: Request, exchange: Exchange | None) -> Response:
        if request.method == "OPTIONS" and self._context is not None:
            return _options(request, self._context)
        return await dispatch(request, self._admitted(request, exchange))

    def _admitted(self, request: Request, exchange: Exchange | None) -> Context:
        """The context on behalf of who sends ``request``. Raises Unauthorized."""
        started = self._started
        if started is None:
            raise RuntimeError("the server has not started")
        if started.admission is None or request.segments in _WITHOUT_TOKEN:
            return started.context
        admitted = started.admission.admit(request, started.context)
        if exchange is not None:
            exchange.who, exchange.access = who(admitted.requester), admitted.access
        return admitted

    def _refused(self, error: Exception, request: Request) -> Response:
        where = request.method
        if self._context is not None:
            where = f"{request.method} {self._context.routes.described(request)}"
        response = error_response(error, request.correlation, where)
        if isinstance(error, MethodNotAllowed) and self._context is not None:
            response.headers.append(("Allow", ", ".join(self._context.routes.allowed(request))))
        elif isinstance(error, Unauthorized):
            response.headers.append(("WWW-Authenticate", _challenge(error, request)))
        elif response.status == 415 and request.method == "PATCH":
            response.headers.append(_ACCEPT_PATCH)
        elif response.status in (429, 503):
            response.headers.append(("Retry-After", "1"))
        return response

    async def _rendered(self, response: Response, request: Request, format: Format, pretty: bool) -> Rendered:
        work = len(response.body) >= self._settings.thread_from and (format.xml or pretty or accepts_gzip(request))
        try:
            if work:
                return await asyncio.to_thread(render, response, request, self._settings, format, pretty)
            return render(response, request, self._settings, format, pretty)
        except Exception as error:  # what is stored has no form in this format: say so in one that always has
            return render(self._refused(error, request), request, self._settings)


def _address(scope: Scope) -> str:
    """Where the request comes from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _is_beside(path: str) -> bool:
    """Whether a path is for the application beside the FHIR base."""
    if path == "/healthz":
        return False
    return not (path == BASE or path.startswith(BASE + "/")) or path.startswith(BASE + "/.well-known/")


def _challenge(error: FhirError, request: Request) -> str:
    """What a client without a good token is told. https://www.rfc-editor.org/rfc/rfc6750#section-3"""
    return (
        'Bearer realm="yidang", error="invalid_token"'
        if "authorization" in request.headers
        else 'Bearer realm="yidang"'
    )


def _take_form(request: Request) -> None:
    """Move the form of a posted search to the parameters of the URL. https://hl7.org/fhir/R4/http.html#search"""
    content_type = media_type(request.headers.get("content-type", _FORM))[0]
    if content_type != _FORM:
        raise UnsupportedMediaType(f"A search is posted as {_FORM}, not as '{content_type}'", "http.Content-Type")
    try:
        request.query += query_pairs(request.body.decode())
    except UnicodeDecodeError:
        raise BadRequest("The form is not UTF-8") from None
    request.body = b""


def _shape(request: Request) -> tuple[Format, bool]:
    """The format and the indentation of the answer."""
    try:
        format = answer_format(request)
    except NotAcceptable:
        # A Binary may be read as any type; whether it is one that the client takes is seen when it is there.
        if not (request.segments[:1] == ("Binary",) and request.method in ("GET", "HEAD")):
            raise
        format = JSON
    return format, bool(request.query) and is_pretty(request)


def _understood(request: Request) -> Format:
    """The format of a refusal that came before the formats were compared: the one asked for, where it is offered."""
    try:
        return answer_format(request)
    except NotAcceptable:
        return JSON


def _health(request: Request) -> Response:
    if request.method not in ("GET", "HEAD"):
        return Response(405, headers=[("Allow", "GET, HEAD")])
    return Response(200, b'{"status":"ok"}', content_type="application/json", headers=[("Cache-Control", "no-store")])


def _options(request: Request, context: Context) -> Response:
    """What may be done here; also the answer to a browser's preflight. https://fetch.spec.whatwg.org/#http-cors-protocol"""
    allowed = context.routes.allowed(request)
    headers = [("Allow", ", ".join([*allowed, "OPTIONS"]))]
    if "PATCH" in allowed:
        headers.append(_ACCEPT_PATCH)
    if "access-control-request-method" in request.headers:
        headers += [
            ("Access-Control-Allow-Methods", _ALLOWED_METHODS),
            ("Access-Control-Allow-Headers", _ALLOWED_HEADERS),
            ("Access-Control-Max-Age", "3600"),
        ]
    return Response(204, headers=headers)
