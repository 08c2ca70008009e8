"""What is not known here: code systems, versions, supplements, and how that is said.

https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/
"""

from __future__ import annotations

from terminology.concepts import CodeSystem
from terminology.errors import NotKnown, TxIssue
from terminology.registry import Terminology
from terminology.valuesets import Include
from terminology.versions import joined


class SupplementMissing(NotKnown):
    """A supplement that a request or a value set needs is not known here."""


class UnknownSystem(NotKnown):
    """A code system, or a version of it, that is not known here.

    ``system`` is its canonical URL, ``include`` the one that needs it, ``wanted`` the version that was looked for.
    """

    def __init__(self, text: str, *, key: str, include: Include, wanted: str | None) -> None:
        super().__init__(text, key=key)
        self.include, self.wanted = include, wanted
        self.system = joined(include.system, wanted)


def unknown_system(
    terminology: Terminology, include: Include, wanted: str | None, so: str = "the code cannot be validated"
) -> UnknownSystem:
    """That the code system of ``include`` is not known here; ``so``: what cannot be done for it."""
    issue = unknown_issue(terminology, include.system, wanted, so)
    return UnknownSystem(issue.text, key=issue.key, include=include, wanted=wanted)


def unknown_issue(
    terminology: Terminology, url: str, version: str | None, so: str = "the code cannot be validated", where: str = ""
) -> TxIssue:
    """The same as an issue."""
    suffix = "_EXP" if "expanded" in so else ""
    known = sorted({one.info.version for one in terminology.versions(url) if one.info.version})
    if version is None:
        key, text = f"UNKNOWN_CODESYSTEM{suffix}", f"A definition for CodeSystem '{url}' could not be found, so {so}"
    else:
        text = f"A definition for CodeSystem '{url}' version '{version}' could not be found, so {so}."
        if known:
            key, text = f"UNKNOWN_CODESYSTEM_VERSION{suffix}", f"{text} Valid versions: {' or '.join(known)}"
        else:
            key = f"UNKNOWN_CODESYSTEM_VERSION{suffix}_NONE"
            text = f"{text} No versions of this code system are known"
    return TxIssue("error", "not-found", "not-found", text, where, key)


def version_refused(system: CodeSystem, needed: str) -> str:
    """That ``check-system-version`` does not allow the version."""
    return (
        f"The version '{system.info.version}' is not allowed for system '{system.info.url}': required to be '{needed}'"
        " by a version-check parameter"
    )


def withheld(include: Include) -> UnknownSystem:
    """That the codes of others, which a value set of HL7 lists, are not shipped with this server."""
    return UnknownSystem(
        f"The codes of {include.system} in this value set belong to their owner and are not part of this server;"
        " load the code system and the value set",
        key="UNKNOWN_CODESYSTEM",
        include=include,
        wanted=None,
    )
