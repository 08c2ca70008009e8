"""The TerminologyCapabilities: which code systems are known in which versions, and what an expansion may be asked.

https://hl7.org/fhir/R4/terminologycapabilities.html, https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from terminology.concepts import CodeSystem
from terminology.registry import Terminology
from terminology.service import EXPAND

if TYPE_CHECKING:
    from fhir_server.context import Context

_HIDDEN = frozenset({"_format", "_pretty", "uuid", "cache-id", "diagnostics", "no-cache", "url", "valueSet", "context"})
_TEXTS: dict[str, str] = {
    "filter": "Words, any run of Chinese characters, pinyin in full or its initials; the beginning of a code",
    "designation": "A language, or system|code of a use: only such designations are shown",
    "property": "Properties to show with each code",
    "tx-resource": "CodeSystems, ValueSets and ConceptMaps that hold for this request",
}


def terminology_capabilities(context: Context, base_url: str, date: str) -> dict[str, Any]:
    """The TerminologyCapabilities of the server at ``base_url``."""
    terminology = context.terminology()
    return {
        "resourceType": "TerminologyCapabilities",
        "id": "yidang-terminology",
        "url": f"{base_url}/metadata?mode=terminology",
        "version": version("yidang"),
        "name": "YidangTerminology",
        "title": "Yidang 一档: terminology service",
        "status": "active",
        "date": date,
        "publisher": "Yidang",
        "kind": "instance",
        "software": {"name": "Yidang", "version": version("yidang")},
        "implementation": {"description": "Yidang 一档", "url": base_url},
        "lockedDate": False,
        "codeSystem": [_system(terminology, url) for url in terminology.system_urls() if terminology.versions(url)],
        "expansion": {
            "hierarchical": True,
            "paging": True,
            "incomplete": False,
            "parameter": [_parameter(name) for name in sorted(EXPAND - _HIDDEN)],
            "textFilter": "All words have to be found; see the parameter filter",
        },
        "codeSearch": "explicit",
        "validateCode": {"translations": True},
        "translation": {"needsMap": True},
        "closure": {"translation": False},
    }


def _parameter(name: str) -> dict[str, str]:
    text = _TEXTS.get(name)
    return {"name": name, "documentation": text} if text else {"name": name}


def _system(terminology: Terminology, url: str) -> dict[str, Any]:
    versions = terminology.versions(url)
    told = [_version(one, one is versions[0]) for one in versions if one.info.version]
    return {"uri": url, **({"version": told} if told else {}), "subsumption": versions[0].listed}


def _version(system: CodeSystem, default: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"code": system.info.version, "isDefault": default, "compositional": False}
    if system.info.language:
        found["language"] = [system.info.language]
    return found
