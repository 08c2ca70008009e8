"""Train the zstd dictionary that new record files get: ``python -m fhir_server.store.sqlite.dictionary``.

The samples are resources of the project's own generator (``loaders.demo``), and, where a file is named, the
official examples of the specification (CC0-1.0, one resource a line, gzip).
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from fhir_server.store.prepare import stamp, with_identity
from fhir_server.store.sqlite.bodies import LEVEL, SHIPPED
from loaders.demo import residents
from profiles.lossless import encode, parse

SIZE = 64 * 1024
_RESIDENTS, _SEED = 150, 7


def samples(examples: Path | None) -> Iterator[bytes]:
    """Texts as they are stored."""
    for resources in residents(_RESIDENTS, _SEED):
        for resource in resources:
            yield _stored(resource)
    if examples is not None:
        for line in gzip.decompress(examples.read_bytes()).splitlines():
            resource = parse(line)
            if len(line) < 20_000:
                yield _stored(resource)


def _stored(resource: dict[str, Any]) -> bytes:
    template = encode(with_identity(resource, str(resource.get("id", "x"))))
    return stamp(template, 1, "2026-01-02T03:04:05.678+08:00")


def main(arguments: list[str]) -> int:
    """Write ``resources.dict`` beside this file."""
    texts: list[bytes | bytearray | memoryview] = list(samples(Path(arguments[0]) if arguments else None))
    data = zstandard.train_dictionary(SIZE, texts, level=LEVEL)
    SHIPPED.write_bytes(data.as_bytes())
    packed = zstandard.ZstdCompressor(level=LEVEL, dict_data=data)
    before, after = sum(map(len, texts)), sum(len(packed.compress(text)) for text in texts)
    print(f"{len(texts)} texts, {before / after:.1f} times smaller")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
