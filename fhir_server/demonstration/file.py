"""The file that says how to get into the demonstration alliance; written in pieces, so that its size does not matter.

{"institutions":[…], "clients":[…], "staff":[…], "residents":[…], "consents":[…]} and the address of the server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from fhir_server.auth.file import AuthFile
from fhir_server.demonstration.entrance import WARNING, Doorkeeper, institution_entries
from loaders.demo import county_resources, files

Entry = dict[str, Any]


def write(out: Path, auth_file: AuthFile, seed: int, count: int, base: str) -> None:
    """Register clients and accounts in ``auth_file`` and write the file; ``base`` is the FHIR base address."""
    door = Doorkeeper(auth_file, seed, count)
    names = {r["id"]: r["name"][0]["text"] for r in county_resources(seed) if r["resourceType"] == "Practitioner"}
    head = {"warning": WARNING, "base": base, "seed": seed, "residents_count": count}
    part = out.with_name(out.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write("{\n")
        for key, value in head.items():
            file.write(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)},\n")
        _list(file, "institutions", institution_entries())
        _list(file, "clients", door.clients())
        _list(file, "staff", door.staff(names))
        _list(file, "residents", door.residents(files(count, seed)))
        _list(file, "consents", door.consents, last=True)
        file.write("}\n")
    part.chmod(0o600)
    part.replace(out)


def _list(file: TextIO, name: str, entries: Iterable[Entry], last: bool = False) -> None:
    file.write(f"{json.dumps(name)}: [")
    for number, entry in enumerate(entries):
        file.write("\n" if number == 0 else ",\n")
        file.write(json.dumps(entry, ensure_ascii=False))
    file.write("\n]" + ("\n" if last else ",\n"))


def read(path: Path) -> Entry:
    """The file read again. Raises OSError and ValueError."""
    found = json.loads(path.read_text("utf-8"))
    if not isinstance(found, dict) or "clients" not in found:
        raise ValueError(f"{path} is not the file of a demonstration alliance")
    return found
