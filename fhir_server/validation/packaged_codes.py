"""The code systems and value sets of the packages of a data folder, for the terminology service.

https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from fhir_server.validation import packages
from profiles.packages import PackageError
from terminology.registry import Resources

_TYPES = ("CodeSystem", "ValueSet")
_LOOK_SECONDS = 1.0


class PackagedCodes:
    """What the packages define of codes. A change is seen within a second or so; reading takes place in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "yidang-packages")
        self._looked = float("-inf")
        self._stamp: object = ()
        self._layer = Resources(())
        self._reading: Future[tuple[object, Resources]] | None = None

    def layer(self) -> Resources:
        """The definitions now: the same object as long as no package has changed.

        Where packages cannot be read, those before them stay (validation tells why).
        """
        if self._reading is None and time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            stamp = packages.stamp(self._folder)
            if stamp != self._stamp:
                self._reading = self._thread.submit(self._read, stamp)
        reading = self._reading
        if reading is not None and (reading.done() or not _on_event_loop()):
            self._stamp, self._layer = reading.result()
            self._reading = None
        return self._layer

    def _read(self, stamp: object) -> tuple[object, Resources]:
        try:
            read = packages.Packages(self._folder).all()
            found = [one for package in read for one in package.resources]
        except (OSError, PackageError):
            return stamp, self._layer
        return stamp, Resources(one for one in found if one.get("resourceType") in _TYPES)


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
