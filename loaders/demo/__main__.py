"""Write the demonstration county as files: ``python -m loaders.demo --residents 60 --out FOLDER``."""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

from loaders.demo import bundles
from profiles import lossless


def main() -> None:
    """Write one gzipped Bundle a file; their names sort in the order in which they are to be loaded."""
    parser = argparse.ArgumentParser(prog="python -m loaders.demo", description=__doc__)
    parser.add_argument("--residents", type=int, default=60, help="how many residents (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same county (default 1)")
    parser.add_argument("--create", action="store_true", help="POST with urn:uuid references instead of PUT")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, bundle in bundles(arguments.residents, arguments.seed, arguments.create):
        # mtime 0: the same seed gives the same bytes.
        with (
            (arguments.out / f"{name}.json.gz").open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file,
        ):
            file.write(lossless.encode(bundle))


if __name__ == "__main__":
    main()
