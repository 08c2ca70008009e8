"""SMART launches by other people's clients: Python's fhirclient and the npm package fhirclient, both unchanged."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient

from fhir_server.auth import clients
from fhir_server.auth.authorize import new_launch
from fhir_server.auth.file import AuthFile
from tests.auth import alliance
from tests.auth.alliance import BACK, LI, ZHANG
from tests.conftest import Running

HERE = Path(__file__).parent / "smart"
MODULES = Path(__file__).parents[2] / "build" / "node-smart"
SCOPE = "openid fhirUser launch/patient patient/*.rs offline_access"


@pytest.fixture(scope="module")
def served(start_server: Callable[..., Running], tmp_path_factory: pytest.TempPathFactory) -> Running:
    folder = tmp_path_factory.mktemp("smart")
    alliance.build(folder)
    return start_server(data=folder)


def python_app(served: Running, **settings: str) -> Any:
    return FHIRClient(
        settings={
            "app_id": "app",
            "api_base": served.url,
            "redirect_uri": BACK,
            "scope": "openid fhirUser launch/patient patient/*.read offline_access",
            **settings,
        }
    )


def test_fhirclient_of_python_is_launched_by_a_resident(served: Running) -> None:
    app = python_app(served)
    app.prepare()
    app.handle_callback(alliance.resident().visit(app.authorize_url))
    assert app.ready
    assert app.patient_id == LI
    assert app.patient.name[0].family == "李"
    found = list(Observation.where({"patient": LI}).perform_resources_iter(app.server))
    assert len(found) == 3
    assert {observation.subject.reference for observation in found} == {f"Patient/{LI}"}


def test_fhirclient_of_python_refreshes_its_token(served: Running) -> None:
    app = python_app(served)
    app.prepare()
    app.handle_callback(alliance.resident().visit(app.authorize_url))
    before = app.server.auth.access_token
    assert app.reauthorize()
    assert app.server.auth.access_token != before
    assert Patient.read(LI, app.server).gender == "female"


def test_fhirclient_of_python_is_launched_from_the_workplace_of_a_physician(served: Running) -> None:
    auth_file = AuthFile.open(served.data)
    row = auth_file.row("SELECT id FROM accounts WHERE subject = ?", f"Practitioner/{alliance.DOCTOR}")
    assert row is not None
    handle = new_launch(auth_file, "app", row["id"], {"patient": ZHANG}, 0, 9e9)
    auth_file.close()
    app = python_app(served, launch_token=handle, scope="launch openid fhirUser patient/*.read")
    app.prepare()
    app.handle_callback(alliance.doctor().visit(app.authorize_url))
    assert app.patient_id == ZHANG
    assert app.patient.name[0].family == "张"
    found = Observation.where({}).perform_resources_iter(app.server)
    assert {observation.subject.reference for observation in found} == {f"Patient/{ZHANG}"}


@pytest.fixture(scope="module")
def project() -> Path:
    """A folder outside git with the npm package installed as the lock file says."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed, so the JavaScript app cannot run")
    lock = (HERE / "package-lock.json").read_bytes()
    stamp = MODULES / f"installed-{hashlib.sha256(lock).hexdigest()[:16]}"
    MODULES.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "app.mjs"):
        shutil.copyfile(HERE / name, MODULES / name)
    if not stamp.exists():
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=MODULES, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        stamp.touch()
    return MODULES


@pytest.fixture
def node_app(project: Path, served: Running) -> Iterator[str]:
    """The address of a running SMART app on the npm package, registered at the server."""
    process = subprocess.Popen(
        ["node", "app.mjs"],
        cwd=project,
        env={**os.environ, "CLIENT_ID": "node-app", "SCOPE": SCOPE},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
    auth_file = AuthFile.open(served.data)
    clients.add(
        auth_file,
        clients.Client(
            "node-app",
            "网页应用",
            "public",
            (clients.CODE, clients.REFRESH),
            SCOPE,
            redirect_uris=(f"{address}/back",),
        ),
    )
    auth_file.close()
    yield address
    process.kill()
    process.wait()


def test_fhirclient_of_npm_is_launched_by_a_resident(node_app: str, served: Running) -> None:
    start = str(httpx.URL(f"{node_app}/launch", params={"iss": served.url}))
    told = httpx.get(alliance.resident().visit(start, f"{node_app}/back?"), follow_redirects=True, timeout=30)
    assert told.status_code == 200, told.text
    seen = told.json()
    assert (seen["patient"], seen["user"], seen["name"]) == (LI, f"Patient/{LI}", "李")
    assert seen["observations"] == 3
    assert seen["again"] == LI
    assert seen["second"] != seen["first"]
