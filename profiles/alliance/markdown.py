"""The guide as Markdown for ``docs/guide``: what the server's pages show, for reading in the repository.

``python -m profiles.alliance`` writes it; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from profiles.alliance import tables
from profiles.alliance.build import VERSION, Resource, guide
from profiles.alliance.examples import Example, examples


def pages() -> dict[str, str]:
    """File names of ``docs/guide`` and their texts."""
    found = {"README.md": _index(), "extensions.md": _extensions(), "terminology.md": _terminology()}
    for section in guide().sections:
        profiles = [one for name in section.names if (one := guide().profile(name)) is not None]
        found[f"{section.key}.md"] = _page(section.title, [_structure(one) for one in profiles])
    return found | {"mapping.md": _mapping()}


def _page(title: str, parts: Iterable[str]) -> str:
    note = "<!-- 由 python -m profiles.alliance 生成 / generated: edit profiles/alliance/data -->"
    return "\n\n".join([f"# {title}", note, *parts]) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _title(one: Resource) -> str:
    return " ".join(tables.titles(one))


def _index() -> str:
    rows = [
        [f"[{_title(one)}]({section.key}.md#{tables.name_of(one)})", one["type"], _code(one["url"])]
        for section in guide().sections
        for name in section.names
        if (one := guide().profile(name)) is not None
    ]
    parts = [
        f"Version {VERSION}, FHIR R4. 服务器在 `/guide` 提供同样的页面；`yidang guide export FILE.tgz` 导出 FHIR 包。"
        "The server shows the same at `/guide`; `yidang guide export FILE.tgz` writes it as a FHIR package.",
        "每个规范列出的元素都要支持：能存、能取、能显示。"
        "Every element that a profile lists is must-support: systems store it, give it back and show it.",
        "[扩展 Extensions](extensions.md) · [术语 Terminology](terminology.md) · [国标对照 National names](mapping.md)",
        _table(["规范 Profile", "类型 Type", "URL"], rows),
        "## 查询参数 Search parameters",
        _table(
            ["查询", "含义 Finds", "表达式 Expression"],
            [
                [_code(f"{one['base'][0]}?{one['code']}="), one["description"], _code(one["expression"])]
                for one in guide().search_parameters
            ],
        ),
    ]
    return _page("县域医共体健康档案实施指南 County medical alliance guide", parts)


def _extensions() -> str:
    return _page("扩展 Extensions", [_structure(one) for one in guide().extensions])


def _structure(one: Resource) -> str:
    """A section on a profile or extension."""
    facts = [f"{_code(one['url'])} · {one['type']}"]
    above = tables.parents(one)
    facts.append(f"基于 based on {_title(above[0])}" if above else f"基于 based on {_code(one['baseDefinition'])}")
    if "context" in one:
        facts.append("用于 on " + ", ".join(each["expression"] for each in one["context"]))
    facts += tables.documents(one)
    parts = [f'<a id="{tables.name_of(one)}"></a>\n\n## {_title(one)}', one["description"], " · ".join(facts)]
    heads = ["元素 Element", "基数", "名称 Name", "类型与取值 Type, values", "国标名称 National"]
    parts.append(_table(heads, map(_line, tables.lines(one, inherited=False))))
    rules = tables.rules(one, inherited=False)
    if rules:
        parts.append("\n".join(f"- `{rule.key}` ({rule.severity}) {rule.human}" for rule in rules))
    example = examples().get(tables.name_of(one))
    if example is not None:
        parts.append(_fails(example))
    return "\n\n".join(parts)


def _line(line: tables.Line) -> list[str]:
    values = [" | ".join(kind.text for kind in line.types)]
    if line.bound is not None:
        values.append(f"{line.bound.name or line.bound.url} ({line.bound.strength})")
    values.append(_code(line.fixed))
    names = " ".join([line.zh, line.en, *map(_code, line.rules)]).strip() or "不使用 not used"
    national = "；".join(filter(None, (line.data_element, line.document)))
    card = line.card if line.types else ""
    return [_code(line.element), card, names, "<br>".join(filter(None, values)), national]


def _fails(example: Example) -> str:
    rows = [
        [
            fail.why,
            "<br>".join(f"`{path}` → `{tables.changed_to(value)}`" for path, value in fail.changes.items()),
            "<br>".join(f"`{element}` {words}" for element, words in fail.errors),
        ]
        for fail in example.fails
    ]
    source = f"[示例 Example](../../profiles/alliance/examples/{example.profile}.json)"
    table = _table(["原因 Why", "改动 Change", "错误 Errors"], rows)
    return f"{source}；不合格的改动 changes of it that fail:\n\n{table}"


def _terminology() -> str:
    parts = []
    for one in guide().value_sets:
        codes = tables.codes(one)
        systems = ", ".join(_code(part["system"]) for part in one["compose"]["include"])
        rows = [[_code(code.code), code.zh, code.en] for code in codes]
        heading = f'<a id="{tables.name_of(one)}"></a>\n\n## {_title(one)}'
        text = f"{_code(one['url'])} · {systems}"
        parts += [heading, text, _table(["代码", "名称", "English"], rows)]
    return _page("术语 Terminology", parts)


def _mapping() -> str:
    parts = [
        "名称与编号取自公开使用的实例，落地前请与标准文本核对。"
        "Names and numbers were collected from public use of WS 363, WS 365, WS 445, WS/T 483 and WS/T 500;"
        " check them against the standards."
    ]
    for section in guide().sections:
        found = tables.national(section)
        if found:
            rows = [
                [one.data_element, one.document, f"{one.zh} {one.en}", _code(one.element), _title(one.profile)]
                for one in found
            ]
            heads = ["数据元 Data element", "文档位置 In documents", "名称 Name", "FHIR", "规范 Profile"]
            parts += [f"## {section.title}", _table(heads, rows)]
    return _page("与国家标准的对照 National names", parts)
