"""Small facts about elements that the schema and the exact walk share.

https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from profiles.definitions import ElementDef


def takes_extensions(element: ElementDef) -> bool:
    """Whether the element has a ``_key`` beside it: primitives do, but for ids, XML attributes and XHTML."""
    return element.primitive and element.name != "id" and not element.xml_attr and element.type != "xhtml"
