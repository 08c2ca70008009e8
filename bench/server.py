"""Server processes under measurement: started, timed, weighed and stopped; times from /proc."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from bench.wire import Wire

ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")


def _tree(pid: int) -> list[int]:
    """``pid`` and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its descendants so far."""
    total = 0
    for one in _tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its descendants in MB (shared pages of mapped files left out)."""
    total = 0
    for one in _tree(pid):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1])
    return total / 1024


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A running command that answers on ``port``; ``start_seconds`` until it did. Use with ``with``."""

    def __init__(self, command: list[str], port: int, log: Path, path: str = "/healthz") -> None:
        self.port = port
        self._log = log.open("ab")
        began = time.perf_counter()
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, cwd=ROOT)
        self.pid = self._process.pid
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {self._process.returncode}: {log.read_text()[-2000:]}")
            try:
                wire = Wire(port)
                status, _ = wire.ask("GET", path)
                wire.close()
                if status == 200:
                    break
            except OSError:
                time.sleep(0.01)
        self.start_seconds = time.perf_counter() - began

    def stop(self) -> None:
        """Stop it in good order."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def yidang(data: Path, log: Path, workers: int = 1, open: bool = True) -> Server:
    """``yidang serve`` on the records in ``data``; not ``open``: with tokens, consent and audit."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("yidang")), "serve", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--data", str(data), "--workers", str(workers), *(["--open"] if open else [])]
    return Server(command, port, log)
