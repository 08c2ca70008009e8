"""What an app will see and do, in plain words: scopes told to the person who is asked to approve them."""

from __future__ import annotations

from dataclasses import dataclass

from consent.requester import Scope
from fhir_server.auth.scopes import PLAIN_SCOPES, parse

# What resource types hold, as people call it. Types that are not here are called by their name.
TYPES: dict[str, tuple[str, str]] = {
    "*": ("全部健康档案", "the whole health record"),
    "Patient": ("身份和联系方式", "identity and contacts"),
    "RelatedPerson": ("家人和监护人", "family and guardians"),
    "AllergyIntolerance": ("过敏史", "allergies"),
    "Condition": ("诊断和健康问题", "diagnoses and problems"),
    "Observation": ("检验、体征和其他测量结果", "laboratory results, vital signs and other measurements"),
    "DiagnosticReport": ("检验检查报告", "reports of laboratory tests and examinations"),
    "ImagingStudy": ("影像检查", "imaging studies"),
    "Media": ("照片和图像", "photographs and images"),
    "MedicationRequest": ("处方", "prescriptions"),
    "MedicationStatement": ("用药情况", "medicines taken"),
    "MedicationDispense": ("发药记录", "medicines handed out"),
    "MedicationAdministration": ("给药记录", "medicines given"),
    "Medication": ("药品", "medicines"),
    "Immunization": ("预防接种", "vaccinations"),
    "Encounter": ("就诊和住院", "visits and hospital stays"),
    "EpisodeOfCare": ("健康管理服务", "programmes of care"),
    "Procedure": ("手术和治疗操作", "operations and procedures"),
    "DocumentReference": ("病历文书", "documents"),
    "Composition": ("病历文书和摘要", "documents and summaries"),
    "Binary": ("文件原件", "files"),
    "CarePlan": ("照护计划", "care plans"),
    "CareTeam": ("照护团队和签约家庭医生", "care teams and family doctors"),
    "Goal": ("健康目标", "goals"),
    "ServiceRequest": ("检查检验申请和转诊", "orders and referrals"),
    "Task": ("待办事项", "tasks"),
    "Appointment": ("预约", "appointments"),
    "Schedule": ("排班", "schedules"),
    "Slot": ("号源", "free appointments"),
    "QuestionnaireResponse": ("问卷和随访表", "questionnaires and follow-up forms"),
    "FamilyMemberHistory": ("家族史", "family history"),
    "Specimen": ("标本", "specimens"),
    "Device": ("器械和设备", "devices"),
    "Consent": ("授权同意书", "consents"),
    "AuditEvent": ("档案访问记录", "who looked at the record"),
    "Provenance": ("记录的来源", "where records come from"),
    "Coverage": ("医疗保险", "insurance"),
    "Claim": ("费用结算", "bills"),
    "Flag": ("健康提示", "alerts"),
    "RiskAssessment": ("风险评估", "risk assessments"),
    "Communication": ("消息", "messages"),
    "Practitioner": ("医务人员", "health professionals"),
    "PractitionerRole": ("医务人员的岗位", "posts of health professionals"),
    "Organization": ("医疗机构", "institutions"),
    "Location": ("科室和地点", "places"),
}
_VERBS = (
    ("rs", "查看", "see"),
    ("c", "新增", "add"),
    ("u", "修改", "change"),
    ("d", "删除", "delete"),
)
PLAIN: dict[str, tuple[str, str]] = {
    "openid": ("知道是您本人登录", "know that it is you who signed in"),
    "fhirUser": ("知道您在系统中的身份", "know who you are in this system"),
    "profile": ("知道您的姓名", "know your name"),
    "launch": ("知道您正在处理的患者和就诊", "know the patient and visit that you have before you"),
    "launch/patient": ("知道您选择的是谁的档案", "know whose record you choose"),
    "launch/encounter": ("知道您正在处理的就诊", "know the visit that you have before you"),
    "online_access": ("在您登录期间持续使用", "go on while you are signed in"),
    "offline_access": (
        "您离开之后仍可继续使用，直到您撤销（最长 90 天）",
        "go on after you have left, until you revoke it (90 days at most)",
    ),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One scope in words. ``optional``: the person may leave it out."""

    scope: str
    words: tuple[str, str]
    note: str
    optional: bool
    writes: bool


def lines(scope: str, patient_name: str, staff: bool) -> list[Line]:
    """What the scopes in ``scope`` (separated by spaces) mean, in Chinese and English, access to records first."""
    found = []
    for text in scope.split():
        parsed = parse(text)
        if parsed is not None:
            found.append(_line(text, parsed, patient_name, staff))
        elif text in PLAIN_SCOPES:
            found.append(Line(text, PLAIN[text], "", text == "offline_access", False))
    return sorted(found, key=lambda line: "." not in line.scope)


def _line(text: str, scope: Scope, patient_name: str, staff: bool) -> Line:
    type_words = TYPES.get(scope.type, (scope.type, scope.type))
    verbs = [verb for verb in _VERBS if set(verb[0]) & set(scope.letters)]
    zh = "、".join(verb[1] for verb in verbs)
    en = ", ".join(verb[2] for verb in verbs)
    whose = _whose(scope.context, patient_name, staff)
    words = (f"{zh}{whose[0]}{type_words[0]}", f"{en} {type_words[1]}{whose[1]}")
    note = "；".join(f"{name} = {value}" for name, value in scope.query)
    return Line(text, words, note, True, bool(set("cud") & set(scope.letters)))


def _whose(context: str, patient_name: str, staff: bool) -> tuple[str, str]:
    if context == "patient":
        return f"{patient_name}的", f" of {patient_name}"
    if staff:
        return "您有权查看的患者的", " of the patients whom you may see"
    return "您和您监护的人的", " of yourself and your wards"
