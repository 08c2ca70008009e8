"""What docs/api/authorization.md tells people to type works as printed, in order, on a server with accounts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.auth import alliance
from tests.conftest import Running

PAGE = Path(__file__).parents[2] / "docs" / "api" / "authorization.md"
_BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_of_the_page_work_as_printed(start_server: Callable[..., Running], tmp_path: Path) -> None:
    data = tmp_path / "data"
    alliance.build(data)
    server = start_server(data=data)
    blocks = _BLOCK.findall(PAGE.read_text())
    assert len(blocks) >= 5
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BASE": server.url,
        "ROOT": server.root,
        "DATA": str(data),
    }
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "\n".join(blocks)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"active":true' in done.stdout
    assert "client lab-1 and its tokens are revoked" in done.stdout
