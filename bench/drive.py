"""Driving a server with many connections: by wrk (Debian package ``wrk``), else by our own slower client.

https://github.com/wg/wrk/blob/master/SCRIPTING
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.server import cpu_seconds

# Requests come from a file of lines: path, then (for writes) a tab and the body.
_SCRIPT = """
local requests, n, at = {}, 0, 0
function init(args)
  local method, file = args[1], args[2]
  local headers = {}
  if args[3] then headers["Authorization"] = "Bearer " .. args[3] end
  if method ~= "GET" then headers["Content-Type"] = "application/fhir+json" end
  for line in io.lines(file) do
    local path, body = line:match("^([^\\t]*)\\t?(.*)$")
    n = n + 1
    if body == "" then body = nil end
    requests[n] = wrk.format(method, path, headers, body)
  end
end
function request()
  at = at % n + 1
  return requests[at]
end
function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests":%d,"seconds":%.6f,"errors":%d,"bytes":%d,"latency":[%.4f,%.4f,%.4f]}\\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout, summary.bytes,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass(frozen=True, slots=True)
class Round:
    """One round against a server: req/s, p50 p95 p99 in ms, CPU µs of the server's processes per request."""

    requests: int
    rate: float
    latency: tuple[float, float, float]
    cpu: float
    errors: int
    mean_bytes: float


def wrk_there() -> bool:
    """Whether wrk can be used; installed from the distribution where that is allowed (root)."""
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-q", "wrk"], capture_output=True, check=False)
    return shutil.which("wrk") is not None


class Driver:
    """Runs rounds; ``name`` says with what."""

    def __init__(self, folder: Path) -> None:
        self._wrk = wrk_there()
        self.name = "wrk" if self._wrk else "own client (slower; apt-get install wrk)"
        self._folder = folder
        self._script = folder / "drive.lua"
        self._script.write_text(_SCRIPT)

    def round(
        self,
        port: int,
        pid: int,
        requests: Sequence[tuple[str, bytes]],
        seconds: float,
        connections: int = 16,
        method: str = "GET",
        token: str = "",
    ) -> Round:
        """Send (path, body) in turn for some seconds over ``connections`` connections, perhaps with a token."""
        before = cpu_seconds(pid)
        if self._wrk:
            found = self._by_wrk(port, requests, seconds, connections, method, token)
        else:
            job = {"port": port, "token": token, "method": method, "connections": connections, "seconds": seconds}
            text = json.dumps({**job, "requests": [(path, body.decode()) for path, body in requests]})
            made = subprocess.run([sys.executable, "-m", "bench.wire"], input=text, capture_output=True, text=True)
            found = json.loads(made.stdout)
        used = cpu_seconds(pid) - before
        count = max(found["requests"], 1)
        p50, p95, p99 = found["latency"]
        return Round(
            found["requests"],
            found["requests"] / found["seconds"],
            (p50, p95, p99),
            used / count * 1e6,
            found["errors"],
            found["bytes"] / count,
        )

    def _by_wrk(
        self,
        port: int,
        requests: Sequence[tuple[str, bytes]],
        seconds: float,
        connections: int,
        method: str,
        token: str,
    ) -> dict[str, Any]:
        with tempfile.NamedTemporaryFile("wb", dir=self._folder) as file:
            for path, body in requests:
                file.write(path.encode() + (b"\t" + body if body else b"") + b"\n")
            file.flush()
            command = ["wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "30s"]
            command += [
                "-s",
                str(self._script),
                f"http://127.0.0.1:{port}",
                "--",
                method,
                file.name,
                *([token] if token else []),
            ]
            made = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(made.stdout.strip().rsplit("\n", 1)[-1])
        return found
