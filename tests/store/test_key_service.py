"""The PKCS#11 script of docs/security.md guards a master key in a token (SoftHSM); skipped without the tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fhir_server.secrets import KeyUnavailable, MasterKey

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
MODULES = [*Path("/usr/lib").glob("*/softhsm/libsofthsm2.so"), *Path("/usr/lib/softhsm").glob("libsofthsm2.so")]
TOOLS = ("softhsm2-util", "pkcs11-tool", "openssl", "xxd", "base64")

pytestmark = pytest.mark.skipif(
    not MODULES or not all(map(shutil.which, TOOLS)), reason="SoftHSM and OpenSC are not installed"
)


def script(folder: Path) -> Path:
    found = re.search(r"```sh\n(#!/bin/sh\n# kms\.sh.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert found is not None
    file = folder / "kms.sh"
    file.write_text(found[1])
    file.chmod(0o700)
    return file


def test_a_token_guards_the_master_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    monkeypatch.setenv("PKCS11_MODULE", str(MODULES[0]))
    monkeypatch.setenv("PKCS11_PIN", "123456")
    for command in (
        "softhsm2-util --init-token --free --label test --pin 123456 --so-pin 123456",
        f"pkcs11-tool --module {MODULES[0]} --login --pin env:PKCS11_PIN --keygen --key-type AES:32 --label yidang",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)
    environment = {"YIDANG_MASTER_KEY_COMMAND": str(script(tmp_path))}
    folder = tmp_path / "data"
    first = MasterKey.open(folder, environment)
    blob = first.wrap(b"k" * 32, b"place")
    assert not (folder / "master.key").exists()
    assert MasterKey.open(folder, environment).unwrap(blob, b"place") == b"k" * 32
    monkeypatch.setenv("PKCS11_PIN", "654321")
    with pytest.raises(KeyUnavailable) as refused:
        MasterKey.open(folder, environment)
    assert os.environ["PKCS11_PIN"] not in str(refused.value)
