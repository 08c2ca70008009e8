"""The program on docs/api/sign-in.md takes an app's request to a token, as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fhir_server.cli import parser
from tests.auth import alliance
from tests.conftest import Running

PAGE = (Path(__file__).parents[2] / "docs" / "api" / "sign-in.md").read_text()


def test_the_program_of_the_page_gets_a_token(start_server: Callable[..., Running], tmp_path: Path) -> None:
    alliance.build(tmp_path / "data")
    server = start_server(data=tmp_path / "data")
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "BASE": server.url,
            "LOGIN": "wang.min",
            "PASSWORD": alliance.PASSWORD,
            "TOTP_SECRET": alliance.SECRET,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "200 openid fhirUser launch/patient patient/*.rs\n", done.stderr


def test_the_commands_of_the_page_exist() -> None:
    (block,) = re.findall(r"```\n(yidang user.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines():
        assert parser().parse_args(line.partition("#")[0].split()[1:]).work
