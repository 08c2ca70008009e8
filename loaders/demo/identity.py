"""Names and numbers of demonstration residents and institutions: well formed, and nobody's.

Identity numbers follow GB 11643-1999, institutions' credit codes GB 32100-2015. The region code
990101 is assigned to no county and no mobile number begins with 100, so none can be a real one.
"""

from __future__ import annotations

from datetime import date

from loaders.demo.names import person_name as person_name

REGION = "990101"
IDENTITY_NUMBER = "urn:oid:2.16.156.10011.1.3"
HEALTH_FILE_NUMBER = "urn:oid:2.16.156.10011.1.2"
INSTITUTION_CODE = "urn:oid:2.16.156.10011.1.5"
PRACTITIONER_NUMBER = "urn:oid:2.16.156.10011.1.4"
OUTPATIENT_NUMBER = "urn:oid:2.16.156.10011.1.11"
INPATIENT_NUMBER = "urn:oid:2.16.156.10011.1.12"
RECORD_NUMBER = "urn:yidang:record-number"  # and the institution: each numbers for itself
PRESCRIPTION_NUMBER = "urn:oid:2.16.156.10011.1.20"
REQUEST_NUMBER = "urn:oid:2.16.156.10011.1.24"
REPORT_NUMBER = "urn:oid:2.16.156.10011.1.33"
CONSENT_NUMBER = "urn:oid:2.16.156.10011.1.34"
PASSPORT = "http://hl7.org/fhir/sid/passport-DEU"
HK_MO_PERMIT = "urn:yidang:identity:hm-travel-permit"
TW_PERMIT = "urn:yidang:identity:tw-travel-permit"
BIRTH_CERTIFICATE = "urn:yidang:identity:birth-certificate"
DOCUMENT_TYPE = "urn:yidang:identity-type"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"

_IDENTITY_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


def identity_check(first17: str) -> str:
    """The check character of an identity number's first 17 digits (GB 11643-1999)."""
    total = sum(int(digit) * weight for digit, weight in zip(first17, _IDENTITY_WEIGHTS, strict=True))
    return "10X98765432"[total % 11]


def identity_number(serial: int, born: date, female: bool) -> str:
    """An identity number of that birth date and sex; ``serial`` 0 to 499 tells people of one day apart.

    Higher serials go on in neighbouring unassigned regions (990102 …), so numbers never repeat.
    """
    region = int(REGION) + serial // 500
    sequence = (serial % 500) * 2 + (0 if female else 1)
    first17 = f"{region:06d}{born:%Y%m%d}{sequence:03d}"
    return first17 + identity_check(first17)


def credit_code(serial: int) -> str:
    """A unified social credit code of a health institution (12 = institution of public service)."""
    organisation = f"{serial:08d}"
    total = sum(int(d) * w for d, w in zip(organisation, (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    first17 = f"12{REGION}{organisation}{'0X987654321'[total % 11]}"
    weighted = sum(_CREDIT_ALPHABET.index(c) * w for c, w in zip(first17, _CREDIT_WEIGHTS, strict=True))
    return first17 + _CREDIT_ALPHABET[(31 - weighted % 31) % 31]


def phone(serial: int) -> str:
    """An 11-digit number that no mobile operator gives out."""
    return f"100{serial % 10**8:08d}"
