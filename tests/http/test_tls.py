"""HTTPS by the server itself, client certificates, and the headers that keep answers out of caches and frames."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fhir_server.http.exchange import Request, Response
from fhir_server.http.render import render
from fhir_server.http.tls import Tls, tls_of
from fhir_server.settings import Settings
from tests.conftest import Running


def certificate(file: Path, name: str) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key in one PEM file; an authority of itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls") / "server.pem", "server")


def trusting(pem: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, own: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pem))
    context.maximum_version = version
    if own is not None:
        context.load_cert_chain(own)
    return context


def address(server: Running) -> str:
    return server.url.replace("127.0.0.1", "localhost")


def test_the_server_speaks_https(start_server: Callable[..., Running], pem: Path) -> None:
    server = start_server("--open", "--tls-cert", str(pem))
    assert server.url.startswith("https://")
    with httpx.Client(verify=trusting(pem), timeout=60) as client:
        answer = client.post(f"{address(server)}/Patient", json={"resourceType": "Patient"})
        assert answer.status_code == 201 and answer.headers["location"].startswith("https://localhost:")
        read = client.get(f"{address(server)}/Patient/{answer.json()['id']}")
        for got in (answer, read, client.get(f"{address(server)}/Patient/none")):
            assert got.headers["strict-transport-security"] == "max-age=31536000"
    with httpx.Client(verify=trusting(pem, ssl.TLSVersion.TLSv1_2), timeout=60) as client:
        assert client.get(f"{address(server)}/metadata").status_code == 200


def test_clients_show_a_certificate_of_the_named_authority(
    start_server: Callable[..., Running], pem: Path, tmp_path: Path
) -> None:
    known, unknown = certificate(tmp_path / "known.pem", "emr"), certificate(tmp_path / "unknown.pem", "other")
    server = start_server("--open", "--tls-cert", str(pem), "--tls-client-ca", str(known))
    with httpx.Client(verify=trusting(pem, own=known), timeout=60) as client:
        assert client.get(f"{address(server)}/metadata").status_code == 200
    for own in (None, unknown):
        with pytest.raises(httpx.TransportError), httpx.Client(verify=trusting(pem, own=own), timeout=60) as client:
            client.get(f"{address(server)}/metadata")


def test_wrong_files_are_refused_before_anything_starts(tmp_path: Path, pem: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    for file in (tmp_path / "no.pem", tmp_path / "missing.pem"):
        with pytest.raises(OSError):
            Tls(Settings(tls_cert=str(file)))()
    with pytest.raises(ValueError, match="--tls-cert"):
        tls_of(Settings(tls_key="k.pem"))
    assert tls_of(Settings()) is None


def test_nothing_older_or_weaker_is_spoken(pem: Path) -> None:
    context = Tls(Settings(tls_cert=str(pem)))()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    for cipher in context.get_ciphers():
        assert cipher["aead"] and ("ECDHE" in cipher["name"] or cipher["protocol"] == "TLSv1.3")


def test_answers_are_kept_by_no_cache_and_run_by_no_browser(client: httpx.Client) -> None:
    id = client.post("Patient", json={"resourceType": "Patient"}).json()["id"]
    for answer in (
        client.get(f"Patient/{id}"),
        client.get(f"Patient/{id}", headers={"X-Unknown": "1"}),
        client.get("Patient"),
        client.get("Patient/none"),
        client.get("nothing"),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")
        assert "strict-transport-security" not in answer.headers
    script = {"resourceType": "Binary", "contentType": "text/html", "data": "PHNjcmlwdD4="}
    binary = client.get(f"Binary/{client.post('Binary', json=script).json()['id']}", headers={"Accept": "text/html"})
    assert binary.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in binary.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("http://localhost:3000", True), ("http://127.0.0.1:9", True), ("https://evil.example", False), ("null", False)],
)
def test_in_the_development_mode_only_pages_of_this_machine_may_read(
    client: httpx.Client, origin: str, allowed: bool
) -> None:
    answer = client.get("Patient", headers={"Origin": origin})
    assert ("access-control-allow-origin" in answer.headers) is allowed


def test_where_tokens_are_demanded_pages_of_anywhere_may_ask_unless_the_operator_names_one() -> None:
    request = Request("GET", (), [], {"origin": "https://app.example"}, b"", "", "1")
    for chosen, sent in (("*", b"*"), ("https://portal.example", b"https://portal.example"), ("", None)):
        headers = dict(render(Response(), request, Settings(cors_origin=chosen)).headers)
        assert headers.get(b"access-control-allow-origin") == sent
        assert b"access-control-allow-credentials" not in headers
