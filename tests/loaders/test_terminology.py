"""Terminology files: tables with a mapping, the LOINC release, FHIR JSON, and what is wrong with them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from loaders.terminology import (
    BadFile,
    MapContent,
    Mapping,
    ResourceContent,
    SystemContent,
    contents,
    mapping_of,
    shipped_names,
)

DISEASES = (
    "主要编码,附加编码,疾病名称,状态\r\nI10.x00,,特发性(原发性)高血压,启用\r\n"
    'I10.x00x002,,高血压病,启用\r\nA02.001+,G01*,"沙门菌,脑膜炎",停用\r\n'
)


def only(path: Path, **options: Any) -> Any:
    (content,) = contents(path, **options)
    return content


def written(folder: Path, text: str, name: str = "list.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_clinical_list_keeps_its_opaque_codes(tmp_path: Path, encoding: str) -> None:
    content = only(written(tmp_path, DISEASES, encoding=encoding), mapping=mapping_of("icd-10-clinical"))
    assert isinstance(content, SystemContent)
    assert content.head["url"] == "urn:oid:2.16.156.10011.2.3.3.11.3" and content.head["version"] == "2.0"
    concepts = list(content.concepts)
    assert [one["code"] for one in concepts] == ["I10.x00", "I10.x00x002", "A02.001+"]
    assert concepts[2]["display"] == "沙门菌,脑膜炎"
    assert concepts[2]["property"] == [
        {"code": "additional", "valueString": "G01*"},
        {"code": "inactive", "valueBoolean": True},
    ]
    assert not any("parents" in one for one in concepts)


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_mapping_reads_a_list_with_its_columns(tmp_path: Path, name: str) -> None:
    mapping = mapping_of(name)
    keys = ("code", "display") if mapping.kind == "CodeSystem" else ("sourceCode", "targetCode")
    header = [mapping.columns(key)[0] for key in keys]
    path = written(tmp_path, "\t".join(header) + "\nX01.1\t甲\n")
    content = only(path, mapping=mapping)
    if isinstance(content, SystemContent):
        assert list(content.concepts) == [{"code": "X01.1", "display": "甲"}]
        assert content.head["property"] or name == "code-list"
    else:
        assert list(content.groups[0][1]) == [("X01.1", None, {"equivalence": "equivalent", "code": "甲"})]


def test_a_version_can_be_given(tmp_path: Path) -> None:
    content = only(written(tmp_path, DISEASES), mapping=mapping_of("icd-10-clinical", "2.1"))
    assert content.head["version"] == "2.1"


def test_columns_give_parents_designations_and_typed_properties(tmp_path: Path) -> None:
    values = {
        "url": "urn:x",
        "code": "c",
        "display": "d",
        "parent": "up",
        "designation": [{"column": "en", "language": "en"}],
        "property": [{"column": "days", "code": "days", "type": "integer"}, {"column": "absent", "code": "absent"}],
    }
    path = written(tmp_path, "c;d;up;en;days\n1;一;;one;3\n11;一一;1;;\n")
    concepts = list(only(path, mapping=Mapping("CodeSystem", values)).concepts)
    assert concepts[0]["designation"] == [{"language": "en", "value": "one"}]
    assert concepts[0]["property"] == [{"code": "days", "valueInteger": 3}]
    assert concepts[1] == {"code": "11", "display": "一一", "parents": ["1"]}


def test_lengths_of_codes_give_parents_where_the_mapping_says_so(tmp_path: Path) -> None:
    mapping = Mapping("CodeSystem", {"url": "urn:x", "code": "c", "parentLengths": [2, 4]})
    path = written(tmp_path, "c\n50\n5001\n500110\n")
    assert [one.get("parents") for one in only(path, mapping=mapping).concepts] == [None, ["50"], ["5001"]]


def test_a_map_between_two_families_is_read(tmp_path: Path) -> None:
    head = "临床版编码,临床版名称,医保版编码,医保版名称,对应关系"
    text = f"{head}\nI10.x00,高血压,I10.900,原发性高血压,wider\nZ99.x,其他,,,\n"
    content = only(written(tmp_path, text), mapping=mapping_of("icd-10-clinical-to-insurance"))
    assert isinstance(content, MapContent)
    ((group, mappings),) = content.groups
    assert group["target"] == "urn:yidang:icd-10-insurance"
    assert list(mappings) == [
        ("I10.x00", "高血压", {"equivalence": "wider", "code": "I10.900", "display": "原发性高血压"}),
        ("Z99.x", "其他", {"equivalence": "unmatched"}),
    ]


WRONG = [
    ("编码,名称\nA,甲\nA,乙\n", "line 3: the code 'A' was in line 2"),
    ("编码,名称\n,甲\n", "line 2: the code is missing"),
    ("号,名称\nA,甲\n", "no column for code"),
    ('编码,名称\n"A,甲\n', "line"),
    ("", "empty"),
    ("编码,名称\n", "no rows"),
    ("编码,名称\n,\n", "no rows"),
    ('编"码,"名"称\nA,甲\n', "line 1"),
    ('{"resourceType": "CodeSystem"}', "JSON"),
    ('{"resourceType":"CodeSystem","url":"u"}', "line 1|JSON"),
]


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_a_bad_table_says_which_line_and_why(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadFile, match=says):
        list(only(written(tmp_path, text), mapping=mapping_of("icd-10-clinical")).concepts)


@pytest.mark.parametrize(
    "mapping",
    ["{", "[]", '{"code": "c"}', '{"url": "u", "code": "c", "colour": "red"}', '{"kind": "Patient", "url": "u"}']
    + [
        '{"code": "c", "url": ' + rest
        for rest in (
            '["u"]}',
            '"u", "designation": ["x"]}',
            '"u", "parentLengths": 5}',
            '"u", "parentLengths": ["2"]}',
            '"u", "property": 5}',
            '"u", "property": [{"code": "p", "column": 5}]}',
            '"u", "inactive": "x"}',
            '"u", "delimiter": ";;"}',
            '"u", "delimiter": 5}',
            '"u", "display": {}}',
            '"u", "version": 2}',
            '"u", "encoding": 8}',
            '"u", "caseSensitive": "no"}',
            '"u", "title": null}',
        )
    ],
)
def test_a_bad_mapping_is_refused(tmp_path: Path, mapping: str) -> None:
    with pytest.raises(BadFile):
        mapping_of(str(written(tmp_path, mapping, "mapping.json")))


def test_an_unknown_mapping_tells_the_known_ones() -> None:
    with pytest.raises(BadFile, match="icd-10-clinical"):
        mapping_of("nothing")


def loinc_zip(path: Path) -> Path:
    parts = "LOINC_NUM,COMPONENT,PROPERTY,TIME_ASPCT,SYSTEM,SCALE_TYP,METHOD_TYP"
    rows = [
        f"{parts},CLASS,STATUS,SHORTNAME,LONG_COMMON_NAME",
        "8867-4,Heart rate,NRat,Pt,XXX,Qn,,HRTRATE.ATOM,ACTIVE,Heart rate,Heart rate",
        "1-8,Old,PrThr,Pt,Ser,Ord,,X,DEPRECATED,Old,Old thing",
    ]
    variant = [f"{parts},LONG_COMMON_NAME", "8867-4,心率,数量速率,时间点,XXX,定量,,心率"]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("LoincTable/Loinc.csv", "\n".join(rows))
        archive.writestr("AccessoryFiles/LinguisticVariants/zhCN5LinguisticVariant.csv", "\n".join(variant))
    return path


def test_a_loinc_release_comes_with_its_chinese_names(tmp_path: Path) -> None:
    content = only(loinc_zip(tmp_path / "Loinc_2.77.zip"))
    assert isinstance(content, SystemContent)
    assert content.head["url"] == "http://loinc.org" and content.head["version"] == "2.77"
    rate, old = content.concepts
    assert rate["display"] == "Heart rate"
    assert {"language": "zh-CN", "value": "心率"} in rate["designation"]
    assert {"code": "SCALE_TYP", "valueString": "Qn"} in rate["property"]
    assert {"code": "inactive", "valueBoolean": True} in old["property"]


def test_a_loinc_release_without_a_version_asks_for_it(tmp_path: Path) -> None:
    path = loinc_zip(tmp_path / "release.zip")
    with pytest.raises(BadFile, match="--version"):
        only(path)
    assert only(path, version="2.80").head["version"] == "2.80"


def test_fhir_json_is_taken_with_its_hierarchy(tmp_path: Path) -> None:
    system = {
        "resourceType": "CodeSystem",
        "url": "urn:s",
        "status": "active",
        "content": "complete",
        "concept": [{"code": "a", "concept": [{"code": "b"}]}],
    }
    valueset = {"resourceType": "ValueSet", "url": "urn:v", "status": "active"}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": system}, {"resource": valueset}]}
    first, second = contents(written(tmp_path, json.dumps(bundle), "all.json"))
    assert isinstance(first, SystemContent) and isinstance(second, ResourceContent)
    assert list(first.concepts) == [{"code": "a"}, {"code": "b", "parents": ["a"]}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.json", "{"),
        ("x.json", "[1]"),
        ("x.json", '{"resourceType": "Patient"}'),
        ("x.json", '{"resourceType": "Bundle", "entry": [5, {"resource": 5}]}'),
        ("x.json", '{"resourceType": "CodeSystem", "url": "urn:x", "concept": [{"display": "no code"}]}'),
        ("x.json", '{"resourceType": "ValueSet", "url": "urn:x", "compose": 5}'),
        ("x.json.gz", "x"),
        ("x.txt", "x"),
        ("x.zip", "x"),
    ],
)
def test_what_is_no_terminology_is_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises((BadFile, OSError)):
        list(contents(written(tmp_path, text, name)))
