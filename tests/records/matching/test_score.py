"""The judgement on pairs: what is certain, what goes to a steward, what is nobody's business."""

from __future__ import annotations

from datetime import date
from typing import Any

from fhir_server.records.matching.identity_numbers import INSURANCE_CARD
from fhir_server.records.matching.person import MOTHER, Person, person_of
from fhir_server.records.matching.score import Grade, judge
from loaders.demo.identity import HEALTH_FILE_NUMBER, IDENTITY_NUMBER, OUTPATIENT_NUMBER, identity_number

BORN = date(1980, 3, 2)
NUMBER = identity_number(7, BORN, False)
OTHER = identity_number(8, BORN, False)
HOME = {
    "telecom": [{"system": "phone", "value": "10012345678"}],
    "address": [{"text": "和平镇东风村12号"}],
}


def person(name: str = "张建国", number: str | None = None, born: str = "1980-03-02", **more: Any) -> Person:
    patient: dict[str, Any] = {"resourceType": "Patient", "name": [{"text": name}], "gender": "male", **more}
    if born:
        patient["birthDate"] = born
    identifiers = list(more.get("identifier", ()))
    if number:
        identifiers.append({"system": IDENTITY_NUMBER, "value": number})
    return person_of({**patient, "identifier": identifiers})


def grade(a: Person, b: Person) -> Grade:
    assert judge(a, b).grade is judge(b, a).grade
    return judge(a, b).grade


def test_equal_number_and_equal_name_are_one_person() -> None:
    assert grade(person(number=NUMBER), person("张 建国", NUMBER, born="")) is Grade.CERTAIN


def test_equal_number_and_another_name_go_to_a_steward() -> None:
    for other in ("张建果", "李丽", "张建国之子", "Zhang Jianguo"):
        assert grade(person(number=NUMBER), person(other, NUMBER)) is Grade.PROBABLE


def test_two_different_numbers_are_two_persons_however_much_agrees() -> None:
    assert grade(person(number=NUMBER, **HOME), person(number=OTHER, **HOME)) is Grade.NOT


def test_a_number_of_the_old_form_counts_but_proves_nothing() -> None:
    old = NUMBER[:6] + NUMBER[8:17]
    assert grade(person(number=NUMBER), person(number=old)) is Grade.PROBABLE
    assert judge(person(number=NUMBER), person(number=old)).bits > judge(person(number=NUMBER), person()).bits


def test_name_birth_date_phone_and_address_are_never_certain() -> None:
    """Twins with names that sound alike, one of them misheard, agree in all this."""
    assert grade(person(**HOME), person(**HOME)) is Grade.PROBABLE


def test_a_file_number_can_be_guessed_and_counts_with_phone_or_address_only() -> None:
    file = [{"system": HEALTH_FILE_NUMBER, "value": "99010100110100001"}]
    assert grade(person(identifier=file), person(identifier=file)) is Grade.PROBABLE
    assert grade(person(identifier=file, **HOME), person(identifier=file, **HOME)) is Grade.CERTAIN


def test_a_number_of_the_persons_own_makes_full_agreement_certain() -> None:
    file = [{"system": INSURANCE_CARD, "value": "C00000001"}]
    assert grade(person(identifier=file), person(identifier=file)) is Grade.CERTAIN
    assert grade(person(identifier=file), person("张建果", identifier=file)) is Grade.PROBABLE
    assert grade(person(identifier=file), person(born="1980-03-20", identifier=file)) is Grade.PROBABLE


def test_register_numbers_count_within_their_institution_only() -> None:
    def registered(institution: str) -> Person:
        assigner = {"reference": f"Organization/{institution}"}
        return person(identifier=[{"system": OUTPATIENT_NUMBER, "value": "17", "assigner": assigner}])

    assert grade(registered("a"), registered("a")) is Grade.CERTAIN
    assert grade(registered("a"), registered("b")) is Grade.PROBABLE


def test_namesakes_born_on_one_day_in_other_places_go_to_a_steward_at_most() -> None:
    away = {"telecom": [{"system": "phone", "value": "10087654321"}], "address": [{"text": "永新镇长田村3号"}]}
    assert grade(person(**HOME), person(**away)) in (Grade.PROBABLE, Grade.POSSIBLE)


def test_family_members_are_not_each_other() -> None:
    wife = person_of({"name": [{"text": "李丽"}], "gender": "female", "birthDate": "1981-07-01", **HOME})
    son = person_of({"name": [{"text": "张子轩"}], "gender": "male", "birthDate": "2010-07-01", **HOME})
    for other in (wife, son):
        assert grade(person(**HOME), other) is Grade.NOT


def newborn(order: int | bool, name: str = "王芳之子", mother: str = NUMBER) -> Person:
    value = {"identifier": {"system": IDENTITY_NUMBER, "value": mother}}
    multiple = {"multipleBirthBoolean": order} if isinstance(order, bool) else {"multipleBirthInteger": order}
    extension = [{"url": MOTHER, "valueReference": value}]
    return person_of(
        {"name": [{"text": name}], "gender": "male", "birthDate": "2026-10-01", "extension": extension, **multiple}
    )


def test_newborn_twins_of_the_same_provisional_name_are_two() -> None:
    assert grade(newborn(1), newborn(2)) is Grade.NOT
    assert grade(newborn(1), newborn(1)) is Grade.CERTAIN


def test_a_newborn_is_known_again_when_it_is_named() -> None:
    assert grade(newborn(1), newborn(1, "张子轩")) is Grade.CERTAIN
    assert grade(newborn(False), newborn(False, "张子轩")) is Grade.CERTAIN
    assert grade(newborn(1, "张子航"), newborn(1, "张子轩")) is Grade.PROBABLE
    assert grade(newborn(1), newborn(1, mother=OTHER)) is not Grade.CERTAIN


def test_newborns_of_one_name_and_day_without_a_mother_are_not_certain() -> None:
    def bare() -> Person:
        return person_of({"name": [{"text": "王芳之子"}], "gender": "male", "birthDate": "2026-10-01", **HOME})

    assert grade(bare(), bare()) is not Grade.CERTAIN


def test_unknown_persons_match_nobody() -> None:
    unknown = person_of({"name": [{"text": "无名氏"}], "gender": "male"})
    assert grade(unknown, unknown) is Grade.NOT
    assert grade(person_of({}), person_of({})) is Grade.NOT


def test_scores_are_probabilities() -> None:
    pairs = [(person(**HOME), person(**HOME)), (person(), person("李丽")), (person(number=NUMBER), person())]
    for a, b in pairs:
        assert 0 <= judge(a, b).score <= 1


def test_a_verdict_says_why_and_names_nobody() -> None:
    why = " ".join(judge(person(number=NUMBER), person("张建果", NUMBER)).why)
    assert "identity-number" in why
    assert NUMBER not in why
    assert "张" not in why
