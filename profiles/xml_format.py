"""FHIR XML to and from the JSON form that everything else works on, lossless in both directions.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import re
from decimal import Decimal
from html.entities import html5
from typing import Any
from xml.parsers import expat

from profiles import lossless
from profiles.definitions import Definitions, ElementDef, TypeDef, load
from profiles.lossless import ParseError

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
_SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance "
_NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
_DEPTH = 150  # far deeper than any real resource, far shallower than what exhausts the stack
_BOOLEANS = {"true": True, "false": False}


# Reading


class _Frame:
    """An open element: what it is and what was read of it so far.

    ``kind``: ``holder`` (its only child is a resource), ``primitive`` or ``complex``.
    """

    __slots__ = ("attributes", "element", "kind", "lists", "name", "path", "type", "value")

    def __init__(self, kind: str, name: str, path: str, element: ElementDef | None, type: TypeDef | None) -> None:
        self.kind = kind
        self.name = name
        self.path = path
        self.element = element
        self.type = type
        self.value: dict[str, Any] = {}
        self.attributes: dict[str, str] = {}
        self.lists: list[str] = []  # keys of repeating primitives, whose unused null paddings go at the end


class _Reader:
    """The handlers of one parse; ``root`` is the finished resource."""

    def __init__(self, body: bytes, definitions: Definitions) -> None:
        self.body = body
        self.definitions = definitions
        self.stack: list[_Frame] = []
        self.root: dict[str, Any] | None = None
        self.div_depth = 0
        self.div_start = 0
        self.div_rebuilt: list[str] | None = None
        self.parser = parser = expat.ParserCreate("UTF-8", " ")
        parser.buffer_text = True
        parser.ordered_attributes = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.text
        parser.StartDoctypeDeclHandler = self.doctype
        parser.EntityDeclHandler = self.doctype
        parser.XmlDeclHandler = self.declaration

    def read(self) -> dict[str, Any]:
        try:
            self.parser.Parse(self.body, True)
        except expat.ExpatError as error:
            raise ParseError(f"XML is not well-formed: {expat.ErrorString(error.code)} (line {error.lineno})") from None
        if self.root is None:
            raise ParseError("XML holds no resource")
        return self.root

    def fail(self, message: str) -> ParseError:
        return ParseError(f"{message} (line {self.parser.CurrentLineNumber})")

    def doctype(self, *_: object) -> None:
        raise self.fail("XML must have no DOCTYPE and no entity declarations")

    def declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding and encoding.upper() not in ("UTF-8", "UTF8", "US-ASCII"):
            raise self.fail(f"XML must be in UTF-8, not {encoding}")

    def text(self, data: str) -> None:
        if self.div_depth:
            if self.div_rebuilt is not None:
                self.div_rebuilt.append(_escape_text(data))
        elif not data.isspace():
            where = self.stack[-1].path if self.stack else "the document"
            raise self.fail(f"Text in {where} outside of a value attribute: '{data.strip()[:40]}'")

    def start(self, qualified: str, attributes: list[str]) -> None:
        namespace, _, name = qualified.rpartition(" ")
        if self.div_depth:
            self.div_depth += 1
            if len(self.stack) + self.div_depth > _DEPTH:
                raise self.fail(f"XML is nested too deeply in {self.stack[-1].path}")
            self.rebuild_start(name, attributes)
            return
        if not self.stack:
            self.open_resource(namespace, name, "", attributes)
            return
        parent = self.stack[-1]
        if len(self.stack) > _DEPTH:
            raise self.fail(f"XML is nested too deeply in {parent.path}")
        if parent.kind == "holder":
            if parent.value:
                raise self.fail(f"{parent.path} holds more than one resource")
            self.open_resource(namespace, name, parent.path, attributes)
            return
        element = parent.type.elements.get(name) if parent.type else None
        if element is None or element.xml_attr or (parent.kind == "primitive" and name != "extension"):
            raise self.fail(f"Element {parent.path}.{name} is not known in FHIR R4")
        if element.type == "xhtml":
            self.open_div(namespace, name, attributes, parent.path)
            return
        if namespace != FHIR:
            raise self.fail(f"Element {parent.path}.{name} is in the namespace '{namespace}', not '{FHIR}'")
        self.open_element(parent, element, name, attributes)

    def open_element(self, parent: _Frame, element: ElementDef, name: str, attributes: list[str]) -> None:
        path = f"{parent.path}.{name}"
        if element.is_list:
            before = parent.value.get(name)
            path += f"[{len(before) if before else 0}]"
        elif name in parent.value or f"_{name}" in parent.value:
            raise self.fail(f"Element {path} occurs more than once")
        if element.type == "Resource":
            frame = _Frame("holder", name, path, element, None)
        else:
            kind = "primitive" if element.primitive else "complex"
            frame = _Frame(kind, name, path, element, self.definitions.type(element.type))
        self.read_attributes(frame, attributes)
        self.stack.append(frame)

    def open_resource(self, namespace: str, name: str, path: str, attributes: list[str]) -> None:
        if namespace != FHIR or name not in self.definitions.resource_types:
            where = f" in {path}" if path else ""
            raise self.fail(f"'{name}'{where} is not a resource type of FHIR R4 in the namespace '{FHIR}'")
        frame = _Frame("complex", name, path or name, None, self.definitions.type(name))
        frame.value["resourceType"] = name
        self.read_attributes(frame, attributes)
        self.stack.append(frame)

    def read_attributes(self, frame: _Frame, attributes: list[str]) -> None:
        for at in range(0, len(attributes), 2):
            name, text = attributes[at], attributes[at + 1]
            if name.startswith(_SCHEMA_INSTANCE):
                continue  # xsi:schemaLocation may stand anywhere and says nothing
            known = frame.type.elements.get(name) if frame.type else None
            if not (known and known.xml_attr) and not (frame.kind == "primitive" and name in ("value", "id")):
                raise self.fail(f"Attribute '{name}' of {frame.path} is not known in FHIR R4")
            if not text:
                raise self.fail(f"Attribute '{name}' of {frame.path} is empty")
            if name == "value":
                frame.attributes[name] = text
            elif name == "id":
                frame.value[name] = text
            else:
                frame.attributes[name] = text

    def end(self, qualified: str) -> None:
        if self.div_depth:
            self.div_depth -= 1
            if self.div_rebuilt is not None:
                self.div_rebuilt.append(f"</{qualified.rpartition(' ')[2]}>")
            if not self.div_depth:
                self.close_div()
            return
        frame = self.stack.pop()
        parent = self.stack[-1] if self.stack else None
        if frame.kind == "primitive":
            assert parent is not None
            self.close_primitive(frame, parent)
            return
        value = self.finished(frame)
        if parent is None:
            self.root = value
        elif frame.element is None:
            parent.value = value  # the resource inside its holder
        elif frame.element.is_list:
            parent.value.setdefault(frame.name, []).append(value)
        else:
            parent.value[frame.name] = value

    def finished(self, frame: _Frame) -> dict[str, Any]:
        value = frame.value
        for key in frame.lists:
            for padded in (key, f"_{key}"):
                if all(item is None for item in value[padded]):
                    del value[padded]
        if frame.attributes:  # the url of an Extension stands between its extensions and its value
            first: dict[str, Any] = {key: value.pop(key) for key in ("id", "extension") if key in value}
            value = {**first, **frame.attributes, **value}
        if not value:
            raise self.fail(f"Element {frame.path} is empty")
        return value

    def close_primitive(self, frame: _Frame, parent: _Frame) -> None:
        assert frame.element is not None
        text = frame.attributes.get("value")
        value = None if text is None else self.primitive(frame.element.type, text, frame.path)
        rest = frame.value or None
        if value is None and rest is None:
            raise self.fail(f"Element {frame.path} has neither a value nor an extension")
        name = frame.name
        if frame.element.is_list:
            if name not in parent.value:
                parent.lists.append(name)
                parent.value[name] = []
                parent.value[f"_{name}"] = []
            parent.value[name].append(value)
            parent.value[f"_{name}"].append(rest)
            return
        if value is not None:
            parent.value[name] = value
        if rest is not None:
            parent.value[f"_{name}"] = rest

    def primitive(self, type: str, text: str, path: str) -> Any:
        if type in _NUMBERS:
            try:
                number = lossless.parse(text.strip().encode())
            except ParseError:
                number = None
            if isinstance(number, bool) or not isinstance(number, int | Decimal):
                raise self.fail(f"'{text[:40]}' is not a {type} in {path}")
            return number
        if type == "boolean":
            if text not in _BOOLEANS:
                raise self.fail(f"'{text[:40]}' is not a boolean in {path}")
            return _BOOLEANS[text]
        return text

    # The narrative: kept as its source text, or written anew where that leans on outer namespace prefixes.

    def open_div(self, namespace: str, name: str, attributes: list[str], path: str) -> None:
        if namespace != XHTML:
            raise self.fail(f"Element {path}.{name} must be in the namespace '{XHTML}'")
        if "div" in self.stack[-1].value:
            raise self.fail(f"Element {path}.{name} occurs more than once")
        self.div_depth = 1
        self.div_start = self.parser.CurrentByteIndex
        tag = self.body[self.div_start : self.body.index(b">", self.div_start)]
        self.div_rebuilt = None
        if not (tag.startswith(b"<div") and re.search(rb"""\sxmlns\s*=\s*["']""", tag)):
            self.div_rebuilt = []
            self.rebuild_start(name, ["xmlns", XHTML, *attributes])

    def rebuild_start(self, name: str, attributes: list[str]) -> None:
        if self.div_rebuilt is not None:
            pairs = zip(attributes[::2], attributes[1::2], strict=True)
            written = "".join(f' {key.rpartition(" ")[2]}="{_escape(text)}"' for key, text in pairs)
            self.div_rebuilt.append(f"<{name}{written}>")

    def close_div(self) -> None:
        if self.div_rebuilt is not None:
            text = "".join(self.div_rebuilt)
        else:
            stop = self.parser.CurrentByteIndex
            if self.body.startswith(b"</div", stop):  # else an empty-element tag, at whose end we are
                stop = self.body.index(b">", stop) + 1
            text = self.body[self.div_start : stop].decode()
        self.stack[-1].value["div"] = text


def from_xml(body: bytes) -> dict[str, Any]:
    """The resource of an ``application/fhir+xml`` body, as ``profiles.lossless.parse`` gives it for JSON.

    Keys stand in the order of the elements, ``id`` first. Raises ParseError, naming element and line, for
    what is not well-formed or no FHIR R4 resource, and for any DOCTYPE (so no entity is ever expanded).
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return _Reader(body, load()).read()
    except UnicodeDecodeError as error:
        raise ParseError(f"XML is not UTF-8: {error.reason}") from None


# Writing

_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;"}
_ESCAPES |= {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(0x20), 0xFFFE, 0xFFFF)}  # XML cannot carry these
_TEXT_ESCAPES = _ESCAPES | {code: chr(code) for code in (0x09, 0x0A)} | {0x0D: "&#13;", ord('"'): '"'}
_ESCAPES |= {code: f"&#{code};" for code in (0x09, 0x0A, 0x0D)}  # else a parser makes them spaces
_SPECIAL = re.compile(r'[&<>"\x00-\x1f\ufffe\uffff]')
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*;)")
_XML_ENTITIES = frozenset({"amp;", "lt;", "gt;", "quot;", "apos;"})


def _escape(text: str) -> str:
    return text.translate(_ESCAPES) if _SPECIAL.search(text) else text


def _escape_text(text: str) -> str:
    return text.translate(_TEXT_ESCAPES)


def _named_to_numeric(match: re.Match[str]) -> str:
    name = match[1]
    if name in _XML_ENTITIES or name not in html5:
        return match[0]
    return "".join(f"&#{ord(character)};" for character in html5[name])


def _div(text: str) -> str:
    """The narrative as well-formed XML: HTML entities, which XML does not know, become numeric ones."""
    if "&" in text:
        text = _ENTITY.sub(_named_to_numeric, text)
    try:
        parser = expat.ParserCreate(namespace_separator=" ")
        names: list[str] = []
        parser.StartElementHandler = lambda name, _: names.append(name) if not names else None
        parser.Parse(text, True)
        if names == [f"{XHTML} div"] and text.lstrip().startswith("<div"):
            return text
    except expat.ExpatError:
        pass
    return f'<div xmlns="{XHTML}">{_escape_text(text)}</div>'


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return _escape(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.text if isinstance(value, lossless.Literal) else str(value)


class _Writer:
    """Writes one document; ``out`` collects its pieces."""

    def __init__(self, definitions: Definitions, pretty: bool) -> None:
        self.definitions = definitions
        self.pretty = pretty
        self.out: list[str] = []

    def break_line(self, level: int) -> str:
        return "\n" + "  " * level if self.pretty else ""

    def resource(self, resource: dict[str, Any], level: int, namespace: str = "") -> None:
        name = resource.get("resourceType")
        if not isinstance(name, str) or name not in self.definitions.resource_types:
            raise ValueError(f"'{name}' is not a resource type of FHIR R4")
        self.element(name, self.definitions.type(name), resource, level, namespace, name)

    def element(self, name: str, type: TypeDef, value: dict[str, Any], level: int, attributes: str, path: str) -> None:
        children: dict[str, ElementDef] = {}
        for key in value:
            plain = key.removeprefix("_")
            element = type.elements.get(plain)
            if element is not None:
                if element.xml_attr:
                    attributes += f' {plain}="{_literal(value[key])}"'
                else:
                    children[plain] = element
            elif key != "resourceType":
                raise ValueError(f"Element {path}.{key} is not known in FHIR R4")
        start = f"{self.break_line(level) if level else ''}<{name}{attributes}"
        if not children:
            self.out.append(start + "/>")
            return
        self.out.append(start + ">")
        for key, element in sorted(children.items(), key=_by_order):
            self.child(key, element, value.get(key), value.get(f"_{key}"), level + 1, f"{path}.{key}")
        self.out.append(f"{self.break_line(level)}</{name}>")

    def child(self, key: str, element: ElementDef, value: Any, rest: Any, level: int, path: str) -> None:
        if element.primitive and element.type != "xhtml":
            if element.is_list:
                values, rests = value or [], rest or []
                for at in range(max(len(values), len(rests))):
                    one = values[at] if at < len(values) else None
                    self.primitive(key, one, rests[at] if at < len(rests) else None, level, path)
            else:
                self.primitive(key, value, rest, level, path)
            return
        for item in value if isinstance(value, list) else [value]:
            if element.type == "xhtml":
                self.out.append(self.break_line(level) + _div(item))
            elif element.type == "Resource":
                self.out.append(f"{self.break_line(level)}<{key}>")
                self.resource(item, level + 1)
                self.out.append(f"{self.break_line(level)}</{key}>")
            elif item is not None:
                self.element(key, self.definitions.type(element.type), item, level, "", path)

    def primitive(self, key: str, value: Any, rest: dict[str, Any] | None, level: int, path: str) -> None:
        attributes = "" if value is None else f' value="{_literal(value)}"'
        if rest:
            if "id" in rest:
                attributes = f' id="{_escape(rest["id"])}"' + attributes
            extensions = {name: item for name, item in rest.items() if name != "id"}
            self.element(key, self.definitions.type("Element"), extensions, level, attributes, path)
        elif attributes:
            self.out.append(f"{self.break_line(level)}<{key}{attributes}/>")


def _by_order(child: tuple[str, ElementDef]) -> int:
    return child[1].order


def to_xml(resource: dict[str, Any], pretty: bool = False) -> bytes:
    """The ``application/fhir+xml`` document of a parsed resource, elements in the order of their definition.

    What XML 1.0 cannot carry (control characters) becomes U+FFFD; HTML entities in the narrative
    become numeric. Raises ValueError for keys that FHIR R4 does not define.
    """
    writer = _Writer(load(), pretty)
    try:
        writer.resource(resource, 0, f' xmlns="{FHIR}"')
    except RecursionError:
        raise ValueError("The resource is nested too deeply to be written as XML") from None
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + "".join(writer.out).encode()
