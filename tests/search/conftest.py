from __future__ import annotations

import pytest

from fhir_server.search.extract import Extractor
from profiles.definitions import load


@pytest.fixture(scope="session")
def extractor() -> Extractor:
    return Extractor(load(), base_urls=["http://localhost:8000/fhir"])
