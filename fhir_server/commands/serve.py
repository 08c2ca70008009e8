"""``yidang serve``: the FHIR server, in one process or several on the same data."""

from __future__ import annotations

import argparse
import ipaddress
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn import Config

    from fhir_server.http.shell import Application
    from fhir_server.http.tls import Tls
    from fhir_server.settings import Settings

_WARNING = (
    "WARNING: development mode (--open): everybody who can reach this address reads and writes every record.\n"
    "         Never use it with the data of real people."
)
_CLEAR = (
    "WARNING: without TLS passwords and tokens can be read on the network: give --tls-cert and --tls-key, or put a\n"
    "         proxy that ends TLS in front and name its address in YIDANG_BASE_URL=https://…/fhir."
)
_STOP_SECONDS = 20


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("serve", help="serve the FHIR API under /fhir", description=__doc__)
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for a free one (default 8080)")
    parser.add_argument("--data", type=Path, help="folder of the records, made if it is not there (default data)")
    parser.add_argument("--workers", type=int, help="number of server processes (default 1)")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain (PEM): serve HTTPS")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key (PEM; default: in the same file)")
    parser.add_argument("--tls-client-ca", metavar="FILE", help="authority whose certificates clients must show (PEM)")
    parser.add_argument(
        "--open", action="store_true", help="development mode: no access control; only on a loopback address"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until stopped (SIGTERM, SIGINT). Returns the exit status."""
    from fhir_server.http.tls import tls_of
    from fhir_server.settings import settings_from
    from fhir_server.validation.policy import read_policy

    try:
        settings = settings_from(
            host=args.host,
            port=args.port,
            data=args.data,
            workers=args.workers,
            open=args.open or None,
            tls_cert=args.tls_cert,
            tls_key=args.tls_key,
            tls_client_ca=args.tls_client_ca,
        )
        tls = tls_of(settings)
        read_policy(settings.data)  # what is wrong with it is said before anything starts
    except (OSError, ValueError) as error:
        return _refuse(str(error))
    if not 0 <= settings.port <= 65_535:
        return _refuse(f"--port must be from 0 to 65535, not {settings.port}")
    if settings.workers < 1:
        return _refuse(f"--workers must be at least 1, not {settings.workers}")
    if settings.open and not is_loopback(settings.host):
        return _refuse(f"--open is only for a loopback address (127.0.0.1, ::1, localhost), not {settings.host}")
    if settings.open:
        print(_WARNING, file=sys.stderr, flush=True)
    if not (settings.open or tls or is_loopback(settings.host) or settings.base_url.startswith("https://")):
        print(_CLEAR, file=sys.stderr, flush=True)
    try:
        if tls is not None:
            tls()  # what is wrong with the files is said before anything starts
    except OSError as error:
        return _refuse(f"TLS: {error}")
    return _serve(settings, tls)


def is_loopback(host: str) -> bool:
    """Whether ``host`` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(message: str) -> int:
    print(f"yidang serve: {message}", file=sys.stderr)
    return 2


def application(settings: Settings) -> Application:
    """The application of one server process (made in that process)."""
    from fhir_server.app import application as made

    return made(settings)


class _Factory:
    """The application's factory with its settings, as it is sent to a server process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __call__(self) -> Application:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        return application(self.settings)


def _end_with_parent() -> None:
    """Stop this server process when the one that started it was killed: it would hold the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _serve(settings: Settings, tls: Tls | None) -> int:
    from uvicorn import Config, Server
    from uvicorn.supervisors import Multiprocess

    from fhir_server.http.protocol import Connection
    from fhir_server.http.tls import HSTS

    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        bound = _bind(settings)
    except OSError as error:
        print(f"yidang serve: {error}", file=sys.stderr)
        return 1
    host, port = bound.getsockname()[:2]
    config: Config = Config(
        _Factory(settings),
        factory=True,
        host=settings.host,
        port=port,
        workers=settings.workers,
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        ssl_context_factory=tls,
        headers=[HSTS] if tls else [],
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    shown = f"[{host}]" if ":" in host else host
    url = f"{'https' if tls else 'http'}://{shown}:{port}/fhir"
    threading.Thread(target=_announce, args=(host, port, url), daemon=True).start()
    # uvicorn raises the signal again once it has stopped; a stop that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    if settings.workers == 1:
        server = Server(config)
        server.run(sockets=[bound])
        return 0 if server.started else 1
    Multiprocess(config, sockets=[bound]).run()
    return 0


def _bind(settings: Settings) -> socket.socket:
    """The listening socket; made before the processes start, so that they share it."""
    found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(address)
    bound.set_inheritable(True)
    return bound


def _announce(host: str, port: int, url: str) -> None:
    """Say where the server is as soon as it answers."""
    import http.client
    import time

    at = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    while True:
        connection = http.client.HTTPConnection(at, port, timeout=5)
        try:
            if url.startswith("https"):
                connection.connect()  # who has no certificate to show can see only that somebody is there
                break
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                break
        except OSError:
            time.sleep(0.02)
        finally:
            connection.close()
    print(f"serving {url}", flush=True)
