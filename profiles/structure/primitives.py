"""The primitive types of R4: one regular expression each, shared by the JSON Schema and the exact check.

https://hl7.org/fhir/R4/datatypes.html#primitive. The expressions use only what Python and Rust
understand alike (no look-around); each must match the whole value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

MAX_STRING = 1024 * 1024
INTEGER_RANGES = {
    "integer": (-(2**31), 2**31 - 1),
    "unsignedInt": (0, 2**31 - 1),
    "positiveInt": (1, 2**31 - 1),
}
# Beyond the range of a double no index and no client can hold a number.
MAX_DECIMAL = 10**300

_SPACE = r"\t\n\r\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# Not allowed in strings, nor in XML: control characters except tab and line ends.
_CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff"
_VISIBLE = f"[^{_SPACE}{_CONTROL}]"

_YEAR = r"(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_FULL_DATE = rf"(?:{_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_OID = r"[0-2](?:\.(?:0|[1-9][0-9]*))+"
# As a URI a UUID may be in upper case; the type uuid may not.
URN = rf"urn:(?:uuid:{_UUID.replace('a-f', 'A-Fa-f')}|oid:{_OID})"
_TEXT = f"[{_SPACE}]*{_VISIBLE}[^{_CONTROL}]*"
_URI = f"{_VISIBLE}+"
ID = r"[A-Za-z0-9.\-]{1,64}"

PATTERNS = {
    "base64Binary": r"(?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{4}|[0-9A-Za-z+/]{3}=|[0-9A-Za-z+/]{2}==)",
    "canonical": _URI,
    "code": f"{_VISIBLE}+(?: {_VISIBLE}+)*",
    "date": rf"(?:{_YEAR}(?:-(?:0[1-9]|1[0-2]))?|{_FULL_DATE})",
    "dateTime": rf"(?:{_YEAR}(?:-(?:0[1-9]|1[0-2]))?|{_FULL_DATE}(?:T{_TIME}{_ZONE})?)",
    "id": ID,
    "instant": f"{_FULL_DATE}T{_TIME}{_ZONE}",
    "markdown": _TEXT,
    "oid": f"urn:oid:{_OID}",
    "string": _TEXT,
    "time": _TIME,
    "uri": _URI,
    "url": _URI,
    "uuid": f"urn:uuid:{_UUID}",
}
# What the schema takes at once for a URI; a URN that begins otherwise gets the exact check.
PLAIN_URI = rf"(?:[^u{_SPACE}{_CONTROL}]{_VISIBLE}*|urn:[^uo{_SPACE}{_CONTROL}]{_VISIBLE}*|{URN})"

_FORMS = {name: re.compile(pattern) for name, pattern in PATTERNS.items()}
_EXPECTED = {
    "base64Binary": "base64 text",
    "canonical": "a canonical URL without white space",
    "code": "a code: no leading, trailing or double white space",
    "date": "a calendar date YYYY, YYYY-MM or YYYY-MM-DD",
    "dateTime": "a date and time: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone",
    "id": "an id: 1 to 64 letters, digits, '-' or '.'",
    "instant": "an instant YYYY-MM-DDThh:mm:ss with a time zone",
    "markdown": "text",
    "oid": "an OID such as urn:oid:1.2.3",
    "string": "text",
    "time": "a time hh:mm:ss",
    "uri": "a URI without white space",
    "url": "a URL without white space",
    "uuid": "a UUID such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
}
_IMPOSSIBLE_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T.*)?")
_CONTROLS = re.compile(f"[{_CONTROL}]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_URN_FORM = re.compile(URN)
_WHITE = re.compile(r"[ \t\r\n]+")


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _check_text(kind: str, value: str) -> str | None:
    if kind == "base64Binary":
        value = _WHITE.sub("", value)
    elif len(value) > MAX_STRING:
        return f"a value of type {kind} holds at most {MAX_STRING} characters, not {len(value)}"
    if _FORMS[kind].fullmatch(value):
        if _SURROGATE.search(value):
            return "the text holds half of a surrogate pair, which is no character"
        if value.startswith(("urn:uuid:", "urn:oid:")) and kind in ("uri", "url", "canonical"):
            return _check_urn(value.partition("|")[0].partition("#")[0])
        return None
    if not value or value.isspace():
        return f"a value of type {kind} must not be empty or only white space"
    control = _CONTROLS.search(value)
    if control:
        return f"a value of type {kind} must not hold the control character U+{ord(control.group()):04X}"
    if kind in ("date", "dateTime", "instant") and _IMPOSSIBLE_DATE.fullmatch(value) and not _in_calendar(value):
        return f"'{_shown(value)}' is no date of the calendar"
    return f"'{_shown(value)}' is not {_EXPECTED[kind]}"


def _check_urn(value: str) -> str | None:
    if _URN_FORM.fullmatch(value):
        return None
    return f"'{_shown(value)}' is not {_EXPECTED['uuid' if value.startswith('urn:uuid:') else 'oid']}"


def _in_calendar(value: str) -> bool:
    return re.match(_FULL_DATE, value) is not None


def _text(kind: str) -> Callable[[object], tuple[str, str] | None]:
    def check(value: object) -> tuple[str, str] | None:
        if type(value) is not str:
            return "structure", f"a value of type {kind} is written as a JSON string, not as {json_kind(value)}"
        cause = _check_text(kind, value)
        return None if cause is None else ("value", cause)

    return check


def _integer(kind: str) -> Callable[[object], tuple[str, str] | None]:
    least, most = INTEGER_RANGES[kind]

    def check(value: object) -> tuple[str, str] | None:
        if type(value) is Decimal and value.as_tuple().exponent == 0:
            value = int(value)  # written without point and exponent
        if isinstance(value, Decimal):
            return "value", f"a value of type {kind} has neither decimal point nor exponent: {_shown(value)}"
        if type(value) is not int:
            return "structure", f"a value of type {kind} is written as a JSON number, not as {json_kind(value)}"
        if not least <= value <= most:
            return "value", f"a value of type {kind} lies between {least} and {most}, not {_number(value)}"
        return None

    return check


def _number(value: int) -> str:
    # Python refuses to write integers of more than 4,300 digits.
    return _shown(value) if value.bit_length() < 1000 else "a number of hundreds of digits"


def _check_decimal(value: object) -> tuple[str, str] | None:
    if isinstance(value, float):
        value = Decimal(repr(value))  # not from a lossless parse
    if isinstance(value, Decimal):
        if not value.is_finite() or value.adjusted() > 300 or (value and value.adjusted() < -300):
            return "value", "a decimal must lie within ±1e300 and not closer to zero than 1e-300"
        return None
    if type(value) is not int:
        return "structure", f"a decimal is written as a JSON number, not as {json_kind(value)}"
    if not -MAX_DECIMAL <= value <= MAX_DECIMAL:
        return "value", "a decimal must lie within ±1e300 and not closer to zero than 1e-300"
    return None


def _check_boolean(value: object) -> tuple[str, str] | None:
    if type(value) is bool:
        return None
    return "structure", f"a boolean is written as true or false, not as {json_kind(value)}"


def json_kind(value: object) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float, Decimal)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return {"dict": "an object", "list": "an array"}.get(type(value).__name__, f"a {type(value).__name__}")


def _check_xhtml(value: object) -> tuple[str, str] | None:
    # What the XHTML may hold is the narrative's own check.
    return (
        None if type(value) is str else ("structure", f"xhtml is written as a JSON string, not as {json_kind(value)}")
    )


# Per primitive type: value → None if it is right, else (issue code, cause).
CHECKS: dict[str, Callable[[object], tuple[str, str] | None]] = {
    **{kind: _text(kind) for kind in PATTERNS},
    **{kind: _integer(kind) for kind in INTEGER_RANGES},
    "decimal": _check_decimal,
    "boolean": _check_boolean,
    "xhtml": _check_xhtml,
}
