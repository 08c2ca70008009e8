"""References by canonical URL: which rows name which resources by ``url``, with ``|version`` or without.

https://hl7.org/fhir/R4/references.html#canonical. A reference without version means every version;
one with a version only the resource that has it.
"""

from __future__ import annotations

from fhir_server.store.sqlite.sql import Sql

_VERSIONED = "FROM tok v WHERE v.p=x.p AND v.code=x.code AND v.sk=x.sk AND v.rid=x.rid AND v.s<>0"
_SAME_VERSION = (
    "SELECT 1 FROM tok v CROSS JOIN system y ON y.s=v.s CROSS JOIN tok w"
    " ON w.p IN (SELECT p FROM param WHERE key='version') AND w.code=y.uri AND w.sk=u.sk AND w.rid=u.rid"
    " WHERE v.p=x.p AND v.code=x.code AND v.sk=x.sk AND v.rid=x.rid AND v.s<>0"
)


def pairs(p: int, target: int | None) -> Sql:
    """``tok x JOIN tok u … WHERE …``: rows x of index key ``p`` and rows u of the resources that they name.

    ``target`` is the type number of the resources named; None: any type.
    """
    of_type = Sql("") if target is None else Sql(" AND t=?", (target,))
    urls = Sql("(SELECT p FROM param WHERE key='url'") + of_type + ")"
    version = f"(NOT EXISTS(SELECT 1 {_VERSIONED}) OR EXISTS({_SAME_VERSION}))"
    named = Sql(" AND u.code=x.code AND u.s=0 WHERE x.p=? AND x.s=0 AND ", (p,))
    return Sql("tok x JOIN tok u ON u.p IN ") + urls + named + version
