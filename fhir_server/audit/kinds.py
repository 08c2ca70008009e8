"""What kinds of events there are, and how each is told in FHIR and in words.

http://terminology.hl7.org/CodeSystem/audit-event-type, http://hl7.org/fhir/restful-interaction, DICOM PS3.16 CID 400.
"""

from __future__ import annotations

from dataclasses import dataclass

EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION = "http://hl7.org/fhir/restful-interaction"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
AUTHZ = "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType"
OWN = "urn:yidang:audit"

Coding = tuple[str, str, str]  # system, code, display

REST: Coding = (EVENT_TYPE, "rest", "Restful Operation")
_SIGN_IN: Coding = (DCM, "110114", "User Authentication")
_ALERT: Coding = (DCM, "110113", "Security Alert")
_ROLE: Coding = (AUTHZ, "AuthZ-Role", "Authorization Decision using only Roles")
_CONSENT: Coding = (AUTHZ, "AuthZ-Consent", "Authorization Decision using Roles and Consent")
_STARTED: Coding = (DCM, "110100", "Application Activity")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its FHIR type and subtypes, the action, and the words for what was done (Chinese, English)."""

    type: Coding
    subtypes: tuple[Coding, ...]
    action: str
    zh: str
    en: str


def _rest(code: str, action: str, zh: str, en: str, *more: Coding) -> Kind:
    return Kind(REST, ((INTERACTION, code, code), *more), action, zh, en)


def _own(type: Coding, code: str, zh: str, en: str, *more: Coding) -> Kind:
    return Kind(type, (*more, (OWN, code, en)), "E", zh, en)


KINDS: dict[str, Kind] = {
    "read": _rest("read", "R", "查看", "read"),
    "vread": _rest("vread", "R", "查看历史版本", "read a version"),
    "search-type": _rest("search-type", "E", "检索", "search"),
    "search-system": _rest("search-system", "E", "检索", "search of all types"),
    "search-compartment": _rest("search", "E", "检索", "search of a file"),
    "history-instance": _rest("history-instance", "R", "查看修改记录", "history"),
    "history-type": _rest("history-type", "R", "查看修改记录", "history of a type"),
    "history-system": _rest("history-system", "R", "查看修改记录", "history of the system"),
    "create": _rest("create", "C", "新增", "create"),
    "update": _rest("update", "U", "修改", "update"),
    "patch": _rest("patch", "U", "修改", "patch"),
    "delete": _rest("delete", "D", "删除", "delete"),
    "transaction": _rest("transaction", "E", "批量处理", "transaction"),
    "batch": _rest("batch", "E", "批量处理", "batch"),
    "operation": _rest("operation", "E", "调用", "operation"),
    "export": Kind(
        (DCM, "110106", "Export"), ((LIFECYCLE, "disclose", "Disclose Record Lifecycle Event"),), "R", "导出", "export"
    ),
    "audit-read": _rest("search-type", "E", "查看访问记录", "audit log read", (DCM, "110101", "Audit Log Used")),
    "reported": _rest("create", "C", "上报访问记录", "audit event of another system"),
    "denied": Kind(_ALERT, (_CONSENT,), "E", "访问被拒绝", "refused access"),
    "unauthorized": Kind(_ALERT, (_ROLE,), "E", "未登录访问被拒绝", "refused: not signed in"),
    "login": Kind(_SIGN_IN, ((DCM, "110122", "Login"),), "E", "登录", "sign-in"),
    "logout": Kind(_SIGN_IN, ((DCM, "110123", "Logout"),), "E", "退出登录", "sign-out"),
    "refused-login": _own(_ALERT, "refused-login", "登录失败", "sign-in refused", (DCM, "110122", "Login")),
    "launch": _own(_SIGN_IN, "launch", "授权应用", "application launched"),
    "lockout": _own(_ALERT, "lockout", "账号被锁定", "account locked"),
    "token": _own(_SIGN_IN, "token", "获取访问令牌", "access token issued"),
    "refused-token": _own(_ALERT, "refused-token", "令牌申请被拒绝", "access token refused"),
    "revoke": _own(_SIGN_IN, "revoke", "令牌被撤销", "access token revoked"),
    "token-reuse": _own(_ALERT, "token-reuse", "刷新令牌被重复使用", "refresh token used twice"),
    "introspect": _own(_SIGN_IN, "introspect", "查询令牌", "token introspection"),
    "account": _own(_STARTED, "account", "账号变更", "account changed"),
    "client": _own(_STARTED, "client", "客户端变更", "client changed"),
    "key": _own(_STARTED, "key", "密钥变更", "key changed"),
    "break-glass": _own(_ALERT, "break-glass", "紧急访问", "break-glass", (DCM, "110127", "Emergency Override")),
    "health-code": _own(_SIGN_IN, "health-code", "出示健康码", "health code shown"),
    "scan": _own(_ALERT, "scan", "扫描健康码", "health code scanned", _CONSENT),
    "merge": _own(_STARTED, "merge", "合并档案", "person merged"),
    "unmerge": _own(_STARTED, "unmerge", "拆分档案", "person unmerged"),
    "destroy": _own(_STARTED, "destroy", "销毁档案", "person's file destroyed"),
    "local": _own(_STARTED, "local", "本机维护", "local command"),
    "start": Kind(_STARTED, ((DCM, "110120", "Application Start"),), "E", "服务启动", "server started"),
    "stop": Kind(_STARTED, ((DCM, "110121", "Application Stop"),), "E", "服务停止", "server stopped"),
    "prune": _own(_STARTED, "prune", "清理到期日志", "old entries pruned"),
    "set-aside": _own(_ALERT, "set-aside", "日志尾部异常", "unreadable end of the log set aside"),
}
UNKNOWN = Kind(REST, ((OWN, "other", "other"),), "E", "访问", "access")
MANY = frozenset({"transaction", "batch", "operation", "local"})  # each part of these is told by its own action
ACTIONS = {"C": ("新增", "create"), "R": ("查看", "read"), "U": ("修改", "update"), "D": ("删除", "delete")}


def kind_of(code: str) -> Kind:
    """The kind of a code (``UNKNOWN`` for one that a later version wrote)."""
    return KINDS.get(code, UNKNOWN)


def codes_with(system: str, code: str) -> tuple[str, ...]:
    """The codes of kinds that have this type or subtype ('' as system: any)."""
    return tuple(
        name
        for name, kind in KINDS.items()
        if any(c == code and system in ("", s) for s, c, _ in (kind.type, *kind.subtypes))
    )


_COLLECTION = {
    "GET": "search-type",
    "HEAD": "search-type",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_INSTANCE = {"GET": "read", "HEAD": "read", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def interaction(method: str, segments: tuple[str, ...]) -> str:
    """The kind of a FHIR request from its method and path. https://hl7.org/fhir/R4/http.html"""
    last = segments[-1] if segments else ""
    if last[:1] == "$":
        return "operation"
    if not segments:
        return "batch" if method == "POST" else "search-system"
    if last == "_search":
        return {1: "search-system", 2: "search-type"}.get(len(segments), "search-compartment")
    if last == "_history":
        return {1: "history-system", 2: "history-type"}.get(len(segments), "history-instance")
    if len(segments) == 1:
        return _COLLECTION.get(method, "operation")
    if len(segments) == 2:
        return _INSTANCE.get(method, "operation")
    return "vread" if segments[2] == "_history" else "search-compartment"
