"""Full text: ``_text`` (narrative) and ``_content`` (all strings), found by words and by any run of Chinese characters.

https://hl7.org/fhir/R4/search.html#text. The index follows the writes: it is brought up to date when
nobody waits, and always before a text search, so that a search never misses what was answered 2xx.
It holds no word in clear: each is replaced by keyed hashes of its beginnings, so that words can still be
found by their start. Who has the file but not the key can count how often a code stands where, no more.
"""

from __future__ import annotations

import base64
import hmac
import re
import sqlite3
from functools import lru_cache

from fhir_server.search import tree
from fhir_server.search.normalise import normalise
from fhir_server.search.text import full_text
from fhir_server.store.sqlite.bodies import Bodies
from fhir_server.store.sqlite.keys import vault_of
from fhir_server.store.sqlite.sql import Sql
from profiles.lossless import parse

# FTS5 takes a run of letters as one word; Chinese has no blanks between words, so each character is one.
_CJK = re.compile("([぀-ヿ㐀-䶿一-鿿豈-﫿\U00020000-\U0003ffff])")
_WORD = re.compile(r"\w+")
_STEPS = 24  # characters of a word that are told apart
_COLUMNS = {"_text": "narrative", "_content": "content"}


def words(text: str, key: bytes) -> str:
    """The text as the index keeps it: folded words, Chinese characters apart, each as its code, blanks between."""
    return " ".join([_code(word, key) for word in _WORD.findall(_CJK.sub(r" \1 ", normalise(text)))])


@lru_cache(maxsize=100_000)
def _code(word: str, key: bytes) -> str:
    """The code of a word: it begins with the codes of the word's beginnings."""
    if len(word) == 1 and _CJK.match(word):
        return "c" + _hash(word, key, 5)
    # Beyond what anybody types, the rest of a word is one step: long runs of letters are no words.
    steps = [word[:end] for end in range(1, min(len(word), _STEPS) + 1)]
    if len(word) > _STEPS:
        steps.append(word)
    return "w" + "".join([_hash(step, key, 3) for step in steps])


def _hash(text: str, key: bytes, length: int) -> str:
    return base64.b32encode(hmac.digest(key, text.encode(), "sha256")[:5]).decode().lower()[:length]


def text_rows(t: int, node: tree.Text, key: bytes) -> Sql:
    """``SELECT rid`` of the resources of type ``t`` whose text has every word or run of the query.

    Words match from their start (``hyper`` finds hypertension), runs of Chinese characters anywhere.
    """
    phrases = [f'"{phrase}"*' for part in node.query.split() if (phrase := words(part, key))]
    if not phrases:
        return Sql("SELECT NULL WHERE 0")
    expression = f"{_COLUMNS[node.scope]} : ({_type_word(t)} AND {' AND '.join(phrases)})"
    return Sql("SELECT x.rowid FROM text x WHERE x.text MATCH ?", (expression,))


def _type_word(t: int) -> str:
    return f"yidangtype{t}"


def mentions_text(node: tree.Node) -> bool:
    """Whether a condition needs the text index."""
    match node:
        case tree.And(nodes) | tree.Or(nodes):
            return any(mentions_text(x) for x in nodes)
        case tree.Not(inner) | tree.Chain(_, _, inner) | tree.Has(_, inner):
            return mentions_text(inner)
    return isinstance(node, tree.Text)


def texts_of(t: int, body: bytes, key: bytes) -> tuple[str, str]:
    """Both index columns of a stored text."""
    narrative, content = full_text(parse(body))
    head = _type_word(t)
    return f"{head} {words(narrative, key)}", f"{head} {words(content, key)}"


def follow(connection: sqlite3.Connection, limit: int) -> bool:
    """Index up to ``limit`` versions that are not yet (in the caller's transaction); True when none is left."""
    done = connection.execute("SELECT value FROM state WHERE name='text'").fetchone()[0]
    bodies, key = Bodies(connection), vault_of(connection).text_key
    rows = connection.execute("SELECT rid, t, body FROM res WHERE rid>? ORDER BY rid LIMIT ?", (done, limit)).fetchall()
    for rid, t, body in rows:
        if body is not None:
            narrative, content = texts_of(t, bodies.unpack(body, rid), key)
            connection.execute("INSERT INTO text(rowid, narrative, content) VALUES(?,?,?)", (rid, narrative, content))
    if rows:
        connection.execute("UPDATE state SET value=? WHERE name='text'", (rows[-1][0],))
    return len(rows) < limit


def forget(connection: sqlite3.Connection, rid: int, t: int, body: bytes) -> None:
    """Remove a purged version from the index, if it was there."""
    if rid <= connection.execute("SELECT value FROM state WHERE name='text'").fetchone()[0]:
        narrative, content = texts_of(t, body, vault_of(connection).text_key)
        connection.execute(
            "INSERT INTO text(text, rowid, narrative, content) VALUES('delete',?,?,?)", (rid, narrative, content)
        )
