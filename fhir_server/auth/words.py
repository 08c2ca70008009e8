"""The texts of the pages, Chinese and English."""

from __future__ import annotations

from consent.vocabulary import ROLES
from fhir_server.auth.passwords import REASONS

LANGUAGES = ("zh", "en")

PURPOSES: dict[str, tuple[str, str]] = {
    "TREAT": ("诊疗", "Treatment"),
    "ETREAT": ("急诊抢救", "Emergency treatment"),
    "BTG": ("紧急查阅（须说明理由，事后复核）", "Break the glass (with a reason, reviewed afterwards)"),
    "CAREMGT": ("健康管理", "Care management"),
    "PUBHLTH": ("公共卫生", "Public health"),
    "HOPERAT": ("机构运行管理", "Health care operations"),
    "PATRQT": ("本人查阅", "At the patient's own request"),
    "HPAYMT": ("费用结算", "Payment"),
    "HRESCH": ("科研", "Research"),
    "RECOG": ("检查检验结果互认", "Recognition of results"),
    "REFER": ("转诊", "Referral"),
    "CONSULT": ("会诊", "Consultation"),
    "FAMRQT": ("监护人查阅", "At a guardian's request"),
}
_ROLES_EN = {
    "physician": "Physician",
    "nurse": "Nurse",
    "village-doctor": "Village doctor",
    "technician": "Technician",
    "pharmacist": "Pharmacist",
    "system": "Institution's system",
    "registrar": "Registrar",
    "records-officer": "Records officer",
    "steward": "Steward of the person index",
    "privacy-officer": "Privacy officer",
    "public-health": "Public health officer",
    "quality": "Quality officer",
    "administrator": "System administrator",
    "security-administrator": "Security administrator",
    "auditor": "Auditor",
    "aggregate": "Statistics officer",
}
ROLE_WORDS: dict[str, tuple[str, str]] = {code: (role.zh, _ROLES_EN.get(code, code)) for code, role in ROLES.items()}

TEXTS: dict[str, tuple[str, str]] = {
    "product": ("一档", "Yidang"),
    "tagline": ("居民健康档案", "Resident health records"),
    "skip": ("跳到正文", "Skip to content"),
    "other_language": ("English", "中文"),
    "continue": ("继续", "Continue"),
    "back": ("返回", "Back"),
    "signed_in_as": ("当前登录：{name}", "Signed in: {name}"),
    "switch": ("换一个账户", "Use another account"),
    "for_app": ("登录后继续使用“{app}”", "Sign in to go on to “{app}”"),
    # sign-in
    "sign_in": ("登录", "Sign in"),
    "login": ("登录名、身份证号或手机号", "Login, identity number or phone"),
    "login_help": (
        "居民可用身份证号或手机号；医务人员用工作登录名",
        "Residents: identity number or phone; staff: the login of your work account",
    ),
    "password": ("密码", "Password"),
    "credentials": ("登录名或密码不正确", "The login or the password is not right"),
    "inactive": (
        "这个账户已停用或到期，请联系机构的管理员",
        "This account is locked or has expired; please ask your institution's administrator",
    ),
    "wait": ("尝试次数过多，请 {minutes} 分钟后再试", "Too many tries; please wait {minutes} minutes"),
    "again_needed": ("为了安全，请再次输入密码", "For safety, please give your password again"),
    "no_sharing": (
        "请使用您自己的账户。账户不得共用，所有操作都会留下记录。",
        "Use your own account only: accounts are not shared, and everything done is on record.",
    ),
    # second factor
    "totp": ("两步验证", "Second factor"),
    "code": ("动态验证码", "One-time code"),
    "code_help": (
        "打开手机上的验证器，输入 6 位数字。手机不在身边时可输入一个恢复码。",
        "Open your authenticator and type the 6 digits. Without your phone, type a recovery code.",
    ),
    "code_wrong": ("验证码不正确，或者已经用过", "The code is not right, or was used already"),
    "enrol": ("设置两步验证", "Set up the second factor"),
    "enrol_why": (
        "医务人员登录需要两步验证。请按下面的步骤设置，只需一次。",
        "Staff sign in with a second factor. Set it up once, as follows.",
    ),
    "enrol_why_own": (
        "两步验证让别人即使知道密码也无法登录您的账户。",
        "With a second factor nobody can sign in as you by the password alone.",
    ),
    "enrol_1": (
        "在手机上安装一个验证器应用（支持 TOTP 的都可以）",
        "Install an authenticator on your phone (any that knows TOTP)",
    ),
    "enrol_2": ("用验证器扫描二维码，或手工输入密钥", "Scan the picture with it, or type the key"),
    "enrol_3": ("输入验证器显示的 6 位数字", "Type the 6 digits that it shows"),
    "secret": ("密钥", "Key"),
    "qr": ("两步验证二维码", "QR code for the authenticator"),
    "recovery": ("请保存恢复码", "Keep your recovery codes"),
    "recovery_why": (
        "手机丢失时，每个恢复码可以代替一次验证码。它们只显示这一次，请抄写或打印后妥善保管。",
        "Should you lose your phone, each of these stands in for one code. They are shown only now: "
        "write them down or print them, and keep them safe.",
    ),
    "recovery_saved": ("我已保存，继续", "I have kept them, go on"),
    # choice
    "choose_role": ("您以什么身份使用？", "As whom do you act?"),
    "choose_role_help": (
        "一次只在一个机构、以一个岗位工作；查阅记录会写明机构、岗位和目的。",
        "You act in one institution and one role at a time; the record of access names them, and the purpose.",
    ),
    "institution": ("机构", "Institution"),
    "role": ("岗位", "Role"),
    "purpose": ("使用目的", "Purpose"),
    "use_role": ("以此身份继续", "Go on in this role"),
    "no_role": (
        "您目前没有有效的机构岗位，请联系机构的管理员",
        "You have no current role in any institution; please ask your administrator",
    ),
    "no_role_for_app": (
        "这个应用只供指定的机构或目的使用，您的岗位不在其中",
        "This app is only for certain institutions or purposes, and none of your roles is among them",
    ),
    "bad_role": (
        "您没有这个机构的这个岗位，或目的不属于该岗位",
        "You have no such role there, or not for this purpose",
    ),
    "choose_patient": ("要使用谁的档案？", "Whose record?"),
    "choose_patient_help": (
        "您本人，或由您监护的家人",
        "Your own, or that of somebody whose guardian you are",
    ),
    "self": ("本人", "yourself"),
    "ward": ("由您监护", "your ward"),
    "patient": ("患者的健康码或患者编号", "The patient's health code or Patient id"),
    "patient_help": (
        "请扫描或输入患者出示的健康码；也可输入患者编号。姓名和身份证号在这里不能使用。",
        "Scan or type the health code that the patient shows, or type the Patient id. Names and identity numbers "
        "are of no use here.",
    ),
    "no_patient": ("没有找到这位患者，或者您无权查看", "There is no such patient, or you may not see the record"),
    "no_person": (
        "没有找到您的健康档案，请到签约的医疗机构办理",
        "There is no health record of yours; please ask at your health institution",
    ),
    # approval
    "approve_title": ("“{app}”申请使用健康档案", "“{app}” asks for access"),
    "approve_as": ("您将以下列身份授权", "You allow this as"),
    "approve_for": ("档案", "Record"),
    "approve_list": ("同意后，这个应用可以：", "If you agree, this app can:"),
    "approve_only": ("仅限", "only"),
    "approve_writes": ("会改动档案", "changes records"),
    "approve_bound": (
        "应用能看到的不会超过您本人（以上述身份）能看到的内容；每一次查阅都会留下记录。",
        "The app never sees more than you may see yourself (as named above); each access is on record.",
    ),
    "approve_bound_resident": (
        "您可以随时在“我的登录和应用”中撤销。每一次查阅都会留下记录，您可以查询。",
        "You can take this back at any time under “My sign-ins and apps”. Each access is on record, for you to read.",
    ),
    "approve_goes": ("随后将转到 {host}", "You will then be sent to {host}"),
    "approve_untick": ("不想给出的，请勾选“不给”。", "Tick “withhold” for what you do not want to give."),
    "withhold": ("不给", "withhold"),
    "approve_yes": ("同意", "Allow"),
    "approve_no": ("拒绝", "Refuse"),
    "approve_nothing": (
        "全部都选了“不给”；不想授权请点“拒绝”",
        "Everything is withheld; to give nothing, choose Refuse",
    ),
    "change_choice": ("重新选择", "Choose again"),
    # sessions
    "sessions": ("我的登录和应用", "My sign-ins and apps"),
    "sessions_here": (
        "这些地方正在以您的名义登录。不认识的请立即退出，并修改密码。",
        "You are signed in at these places. End those you do not know, and change your password.",
    ),
    "this_session": ("当前", "this one"),
    "since": ("登录时间", "Signed in"),
    "seen": ("最近使用", "Last used"),
    "address": ("地址", "Address"),
    "end_session": ("退出", "End"),
    "end_others": ("退出其他所有登录", "End all others"),
    "session_ended": ("已退出", "Ended"),
    "apps": ("已授权的应用", "Apps with access"),
    "no_apps": ("没有", "None"),
    "until": ("有效至", "Until"),
    "revoke_app": ("撤销授权", "Revoke"),
    "app_revoked": ("已撤销授权", "Revoked"),
    # account
    "account": ("我的账户", "My account"),
    "change_password": ("修改密码", "Change the password"),
    "must_change": ("请先设置新密码", "Please choose a new password first"),
    "must_change_why": (
        "您的密码由他人设置或已到期。设置新密码后继续。",
        "Your password was set by somebody else or has grown old. Choose a new one to go on.",
    ),
    "old_password": ("当前密码", "Present password"),
    "new_password": ("新密码", "New password"),
    "new_password_again": ("再输入一次新密码", "New password again"),
    "password_rules": (
        "8 至 128 个字符，包含小写字母、大写字母、数字、其他字符中的至少三种；不含登录名或姓名，不用常见密码。"
        "可以用一句话。",
        "8 to 128 characters with at least three of: lower case, upper case, digits, others; without login or name, "
        "nothing common. A sentence will do.",
    ),
    "password_save": ("保存新密码", "Save the new password"),
    "password_changed": (
        "密码已修改，其他登录和应用授权已全部退出",
        "The password is changed; all other sign-ins and apps have ended",
    ),
    "passwords_differ": ("两次输入的新密码不一致", "The two new passwords differ"),
    "old_wrong": ("当前密码不正确", "The present password is not right"),
    "totp_on": ("两步验证已开启，还有 {left} 个恢复码", "The second factor is on; {left} recovery codes are left"),
    "totp_off": ("两步验证未开启", "The second factor is off"),
    "totp_set": ("开启两步验证", "Turn it on"),
    "totp_renew": ("更换验证器", "Change the authenticator"),
    "totp_remove": ("关闭两步验证", "Turn it off"),
    "totp_removed": ("两步验证已关闭，请重新登录", "The second factor is off; please sign in again"),
    # sign-out and messages
    "sign_out": ("退出登录", "Sign out"),
    "sign_out_why": (
        "退出后，在这次登录中授权的应用也随之退出。",
        "Apps that you let in during this sign-in end with it.",
    ),
    "signed_out": ("您已退出登录", "You are signed out"),
    "signed_out_why": ("在公用电脑上，请同时关闭浏览器窗口。", "On a shared computer, close the window, too."),
    "refused": ("无法继续", "This cannot go on"),
    "flow_gone": (
        "这次请求已过期或已用过，请回到应用重新开始",
        "This request has expired or was used; please go back to the app and start again",
    ),
    "flow_other": (
        "这次请求属于另一次登录，请回到应用重新开始",
        "This request belongs to another sign-in; please go back to the app and start again",
    ),
    "foreign": ("这个请求来自别的网站，没有执行", "This request came from another site and was not carried out"),
    "csrf": (
        "页面已过期，没有执行。请返回、刷新页面后再试（浏览器要允许 Cookie）",
        "The page had expired and nothing was done. Please go back, reload it and try again (cookies are needed)",
    ),
    "bad_form": ("表单无法读取", "The form cannot be read"),
    "bad_host": (
        "服务器不在这个地址上提供服务，请联系管理员（YIDANG_BASE_URL）",
        "The server does not answer under this address; its operator sets YIDANG_BASE_URL",
    ),
    "wrong_launcher": ("这个应用是由另一位工作人员打开的", "Somebody else opened this app"),
    "crowded": (
        "现在登录的人太多，请 {minutes} 分钟后再试",
        "Too many people are signing in at this moment; please try again in {minutes} minute",
    ),
    "internal": ("服务器出错了，请稍后再试", "Something went wrong here; please try again later"),
}


def text(language: str, name: str, /, **values: object) -> str:
    """The text ``name`` (of TEXTS, or why a password is refused) in ``language`` with ``values`` filled in."""
    words = TEXTS.get(name) or REASONS[name]
    return words[LANGUAGES.index(language)].format(**values)
