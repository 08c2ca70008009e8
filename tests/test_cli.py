"""The command line says what it refuses, and with which status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fhir_server.commands.serve import is_loopback
from fhir_server.settings import settings_from


def yidang(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fhir_server.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_help_names_the_commands() -> None:
    done = yidang("--help")
    assert done.returncode == 0
    assert "serve" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("serve", "--port", "x"),
        ("serve", "--port", "70000"),
        ("serve", "--workers", "0"),
        ("serve", "--open", "--host", "0.0.0.0"),
        ("serve", "--open", "--host", "192.168.1.1"),
        ("serve", "--open", "--host", "example.org"),
    ],
)
def test_wrong_usage_ends_with_two(arguments: tuple[str, ...]) -> None:
    done = yidang(*arguments)
    assert done.returncode == 2
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_data_that_cannot_be_used_are_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = yidang("serve", "--data", str(tmp_path / "file"), "--port", "0")
    assert done.returncode == 1
    assert done.stderr.startswith("yidang serve:")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback_addresses_are_known(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_settings_come_from_flags_then_environment_then_defaults() -> None:
    settings = settings_from({"YIDANG_PORT": "9", "YIDANG_HANDLING": "lenient", "YIDANG_OPEN": "true"}, port=7)
    assert (settings.port, settings.handling, settings.page_size) == (7, "lenient", 20)
    assert settings.open is False  # only by the flag


@pytest.mark.parametrize(
    ("name", "value"), [("YIDANG_PORT", "x"), ("YIDANG_SKIP_UNCHANGED", "maybe"), ("YIDANG_HANDLING", "kind")]
)
def test_settings_that_cannot_be_read_are_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        settings_from({name: value})
