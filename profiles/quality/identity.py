"""Rules on who the person is: identity number, name, sex, birth, telephone, address, guardian, the numbers of the file.

Numbers and the basic information sheet: GB 11643-1999, WS 365-2011, 国家基本公共卫生服务规范（第三版）.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from profiles.quality.file import File, Finding, codings_of, said

HEALTH_FILE_NUMBER = "urn:oid:2.16.156.10011.1.2"
ETHNIC_GROUP = "urn:yidang:ethnic-group"
_GUARDIAN_CODES = frozenset({"GUARD", "FTH", "MTH", "PRN", "NFTH", "NMTH", "GRFTH", "GRMTH", "GRPRN", "N", "C"})
_GUARDIAN_WORDS = ("监护", "父", "母")
_MOBILE = re.compile(r"(?:\+?86)?1[3-9]\d{9}")
_LANDLINE = re.compile(r"(?:\+?86)?0?\d{2,3}\d{7,8}(?:转\d{1,6})?|\d{7,8}")
_ABROAD = re.compile(r"\+(?!86)\d{6,15}|00(?!86)\d{6,15}")
_PLACEHOLDERS = re.compile(
    r"无名氏?|未知|不详|未详|测试.*|test.*|某+.*|.*某某|张三|李四|x+|\*+|[?？]+|无|暂无|新生儿", re.IGNORECASE
)
_OLDEST = 120


def no_number(file: File) -> Iterator[Finding]:
    """No number of an identity document."""
    if not file.numbers:
        yield Finding("Patient.identifier", "没有身份证件号码", "no number of an identity document")


def wrong_number(file: File) -> Iterator[Finding]:
    """A number that is not well formed."""
    for number in file.numbers:
        if number.problem:
            yield Finding(
                "Patient.identifier", "身份证件号码有误（位数、日期或校验码）", f"identity number: {number.problem}"
            )


def differing_number(file: File) -> Iterator[Finding]:
    """A birth date or sex that is not the one in the number."""
    birth = str(file.patient.get("birthDate", ""))
    for number in file.numbers:
        if number.problem:
            continue
        if number.born is not None and birth and not number.born.isoformat().startswith(birth):
            yield Finding(
                "Patient.birthDate", "出生日期与身份证号码不符", "the birth date is not that of the identity number"
            )
        if number.sex and file.gender in ("male", "female") and number.sex != file.gender:
            yield Finding("Patient.gender", "性别与身份证号码不符", "the sex is not that of the identity number")


def _names(file: File) -> list[str]:
    found = []
    for name in file.patient.get("name") or ():
        text = name.get("text") or f"{name.get('family') or ''}{_joined(name.get('given'))}"
        if str(text).strip():
            found.append(str(text).strip())
    return found


def _joined(parts: Iterable[Any] | None) -> str:
    """The parts in a row; a part that only has extensions is None."""
    return "".join(str(part) for part in parts or () if part)


def no_name(file: File) -> Iterator[Finding]:
    """No name."""
    if not _names(file):
        yield Finding("Patient.name", "没有姓名", "no name")


def placeholder(file: File) -> Iterator[Finding]:
    """A word that stands for a missing name."""
    names = _names(file)
    if names and all(_PLACEHOLDERS.fullmatch(name) for name in names):
        yield Finding("Patient.name", "姓名是占位词", "the name is a placeholder")


def no_gender(file: File) -> Iterator[Finding]:
    """No sex, or unknown."""
    if file.gender in ("", "unknown"):
        yield Finding("Patient.gender", "性别未填或未知", "the sex is missing or unknown")


def no_birth(file: File) -> Iterator[Finding]:
    """No birth date."""
    if not file.patient.get("birthDate"):
        yield Finding("Patient.birthDate", "没有出生日期", "no birth date")


def imprecise_birth(file: File) -> Iterator[Finding]:
    """A year or month alone."""
    birth = str(file.patient.get("birthDate", ""))
    if birth and len(birth) < 10:
        yield Finding("Patient.birthDate", "出生日期不完整（缺月或日）", "the birth date lacks its month or day")


def future_birth(file: File) -> Iterator[Finding]:
    """Born after today."""
    if file.born is not None and file.born > file.today:
        yield Finding("Patient.birthDate", "出生日期在将来", "the birth date is in the future")


def too_old(file: File) -> Iterator[Finding]:
    """Alive beyond any known age."""
    if file.age is not None and file.age > _OLDEST:
        yield Finding("Patient.birthDate", f"在世而年龄超过{_OLDEST}岁", f"alive and older than {_OLDEST} years")


def death_before_birth(file: File) -> Iterator[Finding]:
    """Dead before birth."""
    if file.died is not None and file.born is not None and file.died < file.born:
        yield Finding("Patient.deceased", "死亡日期早于出生日期", "the death is before the birth")


def future_death(file: File) -> Iterator[Finding]:
    """A death that has not come."""
    if file.died is not None and file.died > file.today:
        yield Finding("Patient.deceased", "死亡日期在将来", "the death is in the future")


def _phones(holder: Mapping[str, Any]) -> list[str]:
    points = holder.get("telecom") or ()
    return [
        str(one["value"])
        for one in points
        if one.get("system", "phone") in ("phone", "sms") and one.get("value") and one.get("use") != "old"
    ]


def _all_phones(file: File) -> list[str]:
    holders = [file.patient, *(file.patient.get("contact") or ()), *file.of("RelatedPerson")]
    return [phone for holder in holders for phone in _phones(holder)]


def no_phone(file: File) -> Iterator[Finding]:
    """No telephone, also none of a contact or guardian (one for a whole family is usual)."""
    if not _all_phones(file):
        yield Finding(
            "Patient.telecom",
            "没有联系电话（本人、联系人或监护人）",
            "no telephone of the person, a contact or guardian",
        )


def wrong_phone(file: File) -> Iterator[Finding]:
    """A number that is no telephone number."""
    for phone in _phones(file.patient):
        digits = re.sub(r"[\s\-()（）]", "", phone)
        if not any(pattern.fullmatch(digits) for pattern in (_MOBILE, _LANDLINE, _ABROAD)):
            yield Finding("Patient.telecom", "电话号码格式不对", "a telephone number of no known form")


def no_address(file: File) -> Iterator[Finding]:
    """No address."""
    if not _addresses(file):
        yield Finding("Patient.address", "没有现住址", "no address")


def vague_address(file: File) -> Iterator[Finding]:
    """An address without the village or street."""
    addresses = _addresses(file)
    if addresses and all(len(text) < 6 for text in addresses):
        yield Finding("Patient.address", "住址不详细（未到村、居委会或门牌）", "the address names no village or street")


def _addresses(file: File) -> list[str]:
    found = []
    for one in file.patient.get("address") or ():
        parts = ("state", "city", "district")
        text = one.get("text") or _joined(one.get(part) for part in parts) + _joined(one.get("line"))
        if str(text).strip() and one.get("use") != "old":
            found.append(str(text).strip())
    return found


def _file_numbers(file: File) -> list[str]:
    identifiers = file.patient.get("identifier") or ()
    return [str(one["value"]) for one in identifiers if one.get("system") == HEALTH_FILE_NUMBER and one.get("value")]


def no_file_number(file: File) -> Iterator[Finding]:
    """No number of the health record file."""
    if not _file_numbers(file):
        yield Finding("Patient.identifier", "没有居民健康档案编号", "no number of the health record file")


def wrong_file_number(file: File) -> Iterator[Finding]:
    """Not 17 digits."""
    for number in _file_numbers(file):
        if not re.fullmatch(r"\d{17}", number):
            yield Finding("Patient.identifier", "健康档案编号不是17位数字", "the file number has not 17 digits")


def no_institution(file: File) -> Iterator[Finding]:
    """No institution that keeps the file."""
    if not (file.patient.get("managingOrganization") or {}).get("reference"):
        yield Finding("Patient.managingOrganization", "没有建档（管理）机构", "no institution keeps the file")


def no_doctor(file: File) -> Iterator[Finding]:
    """No responsible doctor."""
    if not file.patient.get("generalPractitioner"):
        yield Finding("Patient.generalPractitioner", "没有责任医生", "no responsible doctor")


def no_ethnic_group(file: File) -> Iterator[Finding]:
    """No ethnic group."""
    if not any(one.get("url") == ETHNIC_GROUP for one in file.patient.get("extension") or ()):
        yield Finding("Patient.extension", "没有民族", "no ethnic group")


def no_guardian(file: File) -> Iterator[Finding]:
    """A minor without a guardian."""
    if not any(_is_guardian(one) for one in _relations(file)):
        yield Finding("Patient.contact", "未成年人没有登记监护人", "a minor without a registered guardian")


def _relations(file: File) -> list[Any]:
    related = [concept for one in file.of("RelatedPerson") for concept in one.get("relationship") or ()]
    contacts = [concept for one in file.patient.get("contact") or () for concept in one.get("relationship") or ()]
    return related + contacts


def _is_guardian(concept: Any) -> bool:
    codes = {coding.get("code") for coding in codings_of(concept)}
    return bool(codes & _GUARDIAN_CODES) or any(word in said(concept) for word in _GUARDIAN_WORDS)
