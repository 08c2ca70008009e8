"""Uri parameters: canonical URLs and other URIs, compared exactly or along their path.

https://hl7.org/fhir/R4/search.html#uri
"""

from __future__ import annotations

from fhir_server.search.context import Context, no_modifier, per_source, unescape
from fhir_server.search.plan import Indexed
from fhir_server.search.sinks import Factory
from fhir_server.search.tree import Node, Token, Uri, UriMode
from fhir_server.search.types import reference

SINKS: dict[str, Factory] = dict.fromkeys(("uri", "url", "canonical", "oid", "uuid", "string"), reference.canonical)

MODIFIERS = ("missing", "below", "above")
_MODES = {"": UriMode.EXACT, "below": UriMode.BELOW, "above": UriMode.ABOVE}


def node(context: Context, indexed: Indexed, modifier: str, text: str) -> Node:
    """The condition that one URI asks; ``url|version`` asks for that version of a canonical."""
    mode = _MODES.get(modifier)
    if mode is None:
        raise no_modifier(indexed, modifier, MODIFIERS)
    value = unescape(text)
    url, bar, version = value.partition("|")
    if bar and version and mode is UriMode.EXACT:
        return per_source(indexed, lambda p, _: Token(p, version, url))
    return per_source(indexed, lambda p, _: Uri(p, mode, url))
