"""fhir-kit-client (npm) does its ordinary work against the server, unchanged."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "node"
MODULES = Path(__file__).parents[2] / "build" / "node-client"


@pytest.fixture(scope="module")
def project() -> Path:
    """A folder outside git with the client installed as the lock file says."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed, so the JavaScript client cannot run")
    lock = (HERE / "package-lock.json").read_bytes()
    stamp = MODULES / f"installed-{hashlib.sha256(lock).hexdigest()[:16]}"
    MODULES.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "client.test.mjs"):
        shutil.copyfile(HERE / name, MODULES / name)
    if not stamp.exists():
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=MODULES, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        stamp.touch()
    return MODULES


def test_fhir_kit_client_does_its_ordinary_work(project: Path, server):
    done = subprocess.run(
        ["node", "--test", "client.test.mjs"],
        cwd=project,
        env={**os.environ, "FHIR_BASE": server.url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout and "# pass 10" in done.stdout
