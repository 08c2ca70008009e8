"""XML that explodes, reaches for files or is no FHIR is refused.

https://hl7.org/fhir/R4/xml.html, https://hl7.org/fhir/R4/security.html#xml
"""

from __future__ import annotations

import pytest

from tests.robustness.hostile import Target, refused

NS = 'xmlns="http://hl7.org/fhir"'
XML = {"Content-Type": "application/fhir+xml"}


def document(declarations: str, value: str = "&a;", inner: str = "") -> bytes:
    return f'<!DOCTYPE Patient [{declarations}]><Patient {NS}><language value="{value}"/>{inner}</Patient>'.encode()


def narrative(div: str) -> bytes:
    return (
        f'<Patient {NS}><text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">{div}</div></text></Patient>'
    ).encode()


LAUGHS = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
BAD: dict[str, bytes] = {
    "nothing": b"",
    "text": b"Patient",
    "JSON": b'{"resourceType":"Patient"}',
    "a lone declaration": b'<?xml version="1.0"?>',
    "a billion laughs": document(LAUGHS, "&a9;"),
    "a quadratic blow-up": document(f'<!ENTITY a "{"x" * 50_000}">', "&a;" * 5_000),
    "an entity of itself": document('<!ENTITY a "&a;">'),
    "a file": document('<!ENTITY a SYSTEM "file:///etc/passwd">', "x", "<x>&a;</x>"),
    "a file in an attribute": document('<!ENTITY a SYSTEM "file:///etc/passwd">'),
    "another server": document('<!ENTITY a SYSTEM "http://127.0.0.1:1/x">'),
    "a parameter entity": document('<!ENTITY % a SYSTEM "http://127.0.0.1:1/x">%a;', "x"),
    "an outside DTD": b'<!DOCTYPE Patient SYSTEM "http://127.0.0.1:1/x.dtd"><Patient xmlns="http://hl7.org/fhir"/>',
    "an empty DTD": b'<!DOCTYPE Patient []><Patient xmlns="http://hl7.org/fhir"/>',
    "a default attribute": document('<!ATTLIST language value CDATA "x">', "x"),
    "an XInclude": f'<Patient {NS}><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/></Patient>'.encode(),
    "a style sheet": f'<?xml-stylesheet href="http://127.0.0.1:1/x"?><Foo {NS}/>'.encode(),
    "no namespace": b"<Patient/>",
    "another namespace": b'<Patient xmlns="http://hl7.org/fhir/5.0"/>',
    "an unknown type": f"<Foo {NS}/>".encode(),
    "an unknown element": f'<Patient {NS}><foo value="x"/></Patient>'.encode(),
    "an unknown attribute": f'<Patient {NS}><language value="x" foo="y"/></Patient>'.encode(),
    "text between elements": f"<Patient {NS}>hello</Patient>".encode(),
    "no value": f"<Patient {NS}><birthDate/></Patient>".encode(),
    "an empty value": f'<Patient {NS}><birthDate value=""/></Patient>'.encode(),
    "a wrong boolean": f'<Patient {NS}><active value="yes"/></Patient>'.encode(),
    "an attribute twice": f'<Patient {NS}><language value="a" value="b"/></Patient>'.encode(),
    "no end": f"<Patient {NS}>".encode(),
    "crossed ends": f"<Patient {NS}><name><text></name></text></Patient>".encode(),
    "two roots": f"<Patient {NS}/><Patient {NS}/>".encode(),
    "NUL": f'<Patient {NS}><language value="a\x00b"/></Patient>'.encode(),
    "a reference to NUL": f'<Patient {NS}><language value="&#0;"/></Patient>'.encode(),
    "a reference to a surrogate": f'<Patient {NS}><language value="&#xD800;"/></Patient>'.encode(),
    "an unknown entity": f'<Patient {NS}><language value="&nbsp;"/></Patient>'.encode(),
    "invalid UTF-8": f'<Patient {NS}><language value="'.encode() + b"\xff\xfe" + b'"/></Patient>',
    "an unknown encoding": f'<?xml version="1.0" encoding="banana"?><Patient {NS}/>'.encode(),
    "deep elements": f"<Patient {NS}>".encode() + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</Patient>",
    "deep extensions": (
        f"<Patient {NS}>".encode() + b'<extension url="u:x">' * 20_000 + b"</extension>" * 20_000 + b"</Patient>"
    ),
    "a deep narrative": narrative("<div>" * 20_000 + "</div>" * 20_000),
    "a script": narrative("<script>alert(1)</script>"),
    "an event": narrative('<p onclick="alert(1)">x</p>'),
    "a frame": narrative('<iframe src="http://example.org"/>'),
    "a form": narrative('<form action="http://example.org"><input name="x"/></form>'),
    "a link to a script": narrative('<a href="javascript:alert(1)">x</a>'),
    "many attributes": f"<Patient {NS} ".encode() + b" ".join(b'a%d="x"' % n for n in range(20_000)) + b"/>",
    "many namespaces": (
        f"<Patient {NS} ".encode() + b" ".join(b'xmlns:a%d="x:%d"' % (n, n) for n in range(20_000)) + b"><x/></Patient>"
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_xml_is_refused(target: Target, name: str) -> None:
    with target.unharmed():
        refused(target.api.post("Patient", BAD[name], **XML), 400, 422)
        refused(target.api.put("Patient/witness", BAD[name], **XML), 400, 422)
        refused(target.api.post("Patient/$validate", BAD[name], **XML), 400, 422) if name in BAD_FORM else None


#: What is no XML document of a resource at all: even validation cannot look at it.
BAD_FORM = {"nothing", "text", "JSON", "a billion laughs", "a file", "no end", "deep elements", "NUL", "two roots"}


def test_bad_xml_in_a_transaction_undoes_it(target: Target) -> None:
    good = (
        '<entry><resource><Patient/></resource><request><method value="POST"/><url value="Patient"/></request></entry>'
    )
    bad = good.replace("<Patient/>", '<Patient><gender value="mann"/></Patient>')
    with target.unharmed():
        for entries in (good + bad, bad + good, good + "<entry><foo/></entry>", good + "<entry>"):
            body = f'<Bundle {NS}><type value="transaction"/>{entries}</Bundle>'.encode()
            refused(target.api.post("", body, **XML), 400, 422)
