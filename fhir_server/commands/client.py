"""``yidang client``: register and revoke the apps and systems that may ask for tokens."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhir_server.auth.clients import Client
    from fhir_server.auth.file import AuthFile

_ASSERTION_SECONDS = 240


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "client", help="register, list and revoke apps and systems (OAuth clients)", description=__doc__
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_parser(actions)
    listing = actions.add_parser("list", help="list the clients")
    revoking = actions.add_parser("revoke", help="end a client and all its tokens at once")
    for action, work in ((listing, _list), (revoking, _revoke)):
        action.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
        action.set_defaults(run=run, work=work)
    revoking.add_argument("id", metavar="ID")
    changing = actions.add_parser(
        "change",
        help="change what a client is registered for; what is not named stays",
        description="Its access tokens end at once; what it refreshes is within the new scope.",
    )
    _add_options(changing)
    changing.add_argument("--jwks", type=Path, metavar="FILE", help="its public keys (JWK or JWK Set)")
    changing.add_argument("--jwks-uri", metavar="URL", help="where it publishes its public keys")
    changing.add_argument("--new-secret", action="store_true", help="make a new secret; the old one is good no more")
    changing.set_defaults(run=run, work=_change)
    proving = actions.add_parser(
        "assertion",
        help="print a signed assertion with which a system asks for a token (for trying things out)",
    )
    proving.add_argument("id", metavar="ID")
    proving.add_argument("--key", type=Path, required=True, metavar="FILE", help="the private key (JWK)")
    proving.add_argument("--audience", required=True, metavar="URL", help="the token endpoint")
    proving.set_defaults(run=_assertion)


def _add_parser(actions: Any) -> None:
    adding = actions.add_parser(
        "add",
        help="register a client",
        description="An app has redirect URIs; a system has none, belongs to an institution and has a key.",
    )
    _add_options(adding, required=True)
    proof = adding.add_mutually_exclusive_group(required=True)
    proof.add_argument("--public", action="store_true", help="an app in a browser or telephone: it keeps no secret")
    proof.add_argument("--secret", action="store_true", help="an app on a server; its secret is made and shown once")
    proof.add_argument("--jwks", type=Path, metavar="FILE", help="its public keys (JWK or JWK Set)")
    proof.add_argument("--jwks-uri", metavar="URL", default="", help="where it publishes its public keys")
    proof.add_argument("--new-key", type=Path, metavar="FILE", help="make a key and write its private part to FILE")
    adding.add_argument("--introspects", action="store_true", help="it may ask about the tokens of other clients")
    adding.set_defaults(run=run, work=_add)


def _add_options(parser: argparse.ArgumentParser, required: bool = False) -> None:
    parser.add_argument("id", metavar="ID", help="letters, digits, . and -")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the records")
    parser.add_argument("--name", required=required, help="what people are shown")
    parser.add_argument("--scope", required=required, help="the most it may ever have, e.g. 'system/*.rs'")
    parser.add_argument("--redirect-uri", action="append", metavar="URL", help="where an app is sent codes")
    parser.add_argument("--launch-uri", metavar="URL", help="where staff open the app")
    parser.add_argument("--institution", metavar="ID", help="Organization whose client it is")
    parser.add_argument("--purpose", action="append", metavar="CODE", help="purpose of use; the first rules")


def run(args: argparse.Namespace) -> int:
    """Do what is asked. Returns the exit status."""
    from fhir_server.auth.file import AuthFile

    try:
        auth_file = AuthFile.open(args.data)
    except (OSError, ValueError) as error:
        return _refuse(str(error))
    try:
        status: int = args.work(args, auth_file)
    except (OSError, ValueError) as error:
        return _refuse(str(error))
    finally:
        auth_file.close()
    return status


def _refuse(message: str) -> int:
    print(f"yidang client: {message}", file=sys.stderr)
    return 1


def _add(args: argparse.Namespace, auth_file: AuthFile) -> int:
    from fhir_server.auth import clients

    grants = (clients.CODE, clients.REFRESH) if args.redirect_uri else (clients.CREDENTIALS,)
    private, jwks = "", ""
    if args.new_key:
        private, jwks = _new_key()
    elif args.jwks:
        jwks = clients.as_jwk_set([args.jwks.read_text()])
    client = clients.Client(
        id=args.id,
        name=args.name,
        kind="public" if args.public else "secret" if args.secret else "key",
        grants=grants,
        scope=args.scope,
        institution=args.institution or "",
        purposes=tuple(args.purpose or ()),
        redirect_uris=tuple(args.redirect_uri or ()),
        launch_uri=args.launch_uri or "",
        jwks=jwks,
        jwks_uri=args.jwks_uri,
        introspects=args.introspects,
    )
    clients.check(client)
    if private:
        _write_private(args.new_key, private)
    secret = clients.add(auth_file, client)
    print(f"client {client.id} is registered for {client.scope}")
    if secret:
        print(f"its secret, shown only now: {secret}")
    return 0


def _change(args: argparse.Namespace, auth_file: AuthFile) -> int:
    from fhir_server.auth import clients

    client = clients.find(auth_file, args.id)
    if client is None:
        return _refuse(f"there is no client '{args.id}' that could be changed")
    given: dict[str, Any] = {
        "name": args.name,
        "scope": args.scope,
        "institution": args.institution,
        "launch_uri": args.launch_uri,
        "purposes": tuple(args.purpose) if args.purpose else None,
        "redirect_uris": tuple(args.redirect_uri) if args.redirect_uri else None,
    }
    if args.jwks or args.jwks_uri:
        given |= {"jwks": clients.as_jwk_set([args.jwks.read_text()]) if args.jwks else ""}
        given |= {"jwks_uri": args.jwks_uri or ""}
    clients.change(auth_file, replace(client, **{name: value for name, value in given.items() if value is not None}))
    print(f"client {client.id} is changed")
    if args.new_secret:
        print(f"its secret, shown only now: {clients.renew_secret(auth_file, client.id)}")
    return 0


def _new_key() -> tuple[str, str]:
    """A new private key and the set of its public part, as JSON."""
    from joserfc.jwk import ECKey

    key = ECKey.generate_key("P-384", {"use": "sig", "alg": "ES384"}, auto_kid=True)
    return json.dumps(key.as_dict(private=True)), json.dumps({"keys": [key.as_dict(private=False)]})


def _write_private(path: Path, text: str) -> None:
    from fhir_server.keyring import write_private

    if not write_private(path, f"{text}\n".encode(), replace=False):
        raise ValueError(f"{path} exists")


def _list(args: argparse.Namespace, auth_file: AuthFile) -> int:
    from fhir_server.auth import clients

    for client in clients.listed(auth_file):
        print(_line(client))
    return 0


def _line(client: Client) -> str:
    state = "registered" if client.revoked is None else f"revoked {_day(client.revoked)}"
    where = client.institution or "-"
    return f"{client.id}\t{client.kind}\t{where}\t{','.join(client.grants)}\t{client.scope}\t{state}\t{client.name}"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _revoke(args: argparse.Namespace, auth_file: AuthFile) -> int:
    from fhir_server.auth import clients

    if not clients.revoke(auth_file, args.id):
        return _refuse(f"there is no client '{args.id}' that could be revoked")
    print(f"client {args.id} and its tokens are revoked")
    return 0


def _assertion(args: argparse.Namespace) -> int:
    from fhir_server.auth.client_auth import signed_assertion

    try:
        key = json.loads(args.key.read_text())
        print(signed_assertion(args.id, key, args.audience, _ASSERTION_SECONDS))
    except (OSError, ValueError) as error:
        return _refuse(str(error))
    return 0
