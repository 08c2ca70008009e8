"""Small numbers for the words that repeat in every row: types, index keys, code systems."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

BITS = 62  # ``res.present`` has one bit for each of the first parameters of a type


class Names:
    """Numbers of types, index keys and systems, read from the file and kept in memory.

    The numbers never change once committed, so processes may keep their own copies. Only the
    writer's instance (``writable``) gives new numbers; after a rollback it must ``forget``.
    """

    def __init__(self, connection: sqlite3.Connection, writable: bool = False) -> None:
        self._connection = connection
        self._writable = writable
        self.reset()

    def reset(self) -> None:
        """Forget everything; it is read again on need."""
        self._types: dict[str, int] = {}
        self._type_names: dict[int, str] = {}
        self._params: dict[int, _Params] = {}
        self.sets: dict[tuple[int, frozenset[str]], int] = {}  # bits of sets of parameters, for postings
        self._bits: dict[tuple[int, str], int | None] = {}
        self._systems: dict[str, int] = {"": 0}
        self._fresh = False

    def forget(self) -> None:
        """Drop what was numbered since the last commit."""
        if self._fresh:
            self.reset()

    def settle(self) -> None:
        """What was numbered is committed."""
        self._fresh = False

    def type(self, name: str) -> int:
        """The number of a resource type; 0 when no such resource was ever stored (readers)."""
        number = self._types.get(name)
        if number is None:
            number = self._look_up("SELECT t FROM type WHERE name=?", (name,))
            if number is None:
                if not self._writable:
                    return 0
                number = self._insert("INSERT INTO type(name) VALUES(?)", (name,))
            self._types[name] = number
            self._type_names[number] = name
        return number

    def type_name(self, number: int) -> str:
        """The resource type of this number."""
        name = self._type_names.get(number)
        if name is None:
            name = self._connection.execute("SELECT name FROM type WHERE t=?", (number,)).fetchone()[0]
            self._type_names[number] = name
        return name

    def params(self, t: int) -> Mapping[str, int]:
        """The numbers of the index keys of type ``t``, as ``param`` gives them."""
        found = self._params.get(t)
        if found is None:
            found = self._params[t] = _Params(self, t)
        return found

    def param(self, t: int, key: str) -> int:
        """The number of an index key of type ``t``; 0 when it was never used (readers)."""
        return self.params(t)[key]

    def number_param(self, t: int, key: str) -> int:
        """``param`` from the file."""
        number = self._look_up("SELECT p FROM param WHERE t=? AND key=?", (t, key))
        if number is None:
            if not self._writable:
                return 0
            number = self._insert("INSERT INTO param(t, key) VALUES(?, ?)", (t, key))
        return number

    def bit(self, t: int, key: str) -> int | None:
        """The bit of ``res.present`` for this parameter; None when it has none.

        A reader gets -1 for a parameter that no resource ever had.
        """
        try:
            return self._bits[t, key]
        except KeyError:
            pass
        p = self.param(t, key)
        if p == 0:
            return -1
        bit: int | None = self._look_up("SELECT bit FROM param WHERE p=?", (p,))
        if bit is None:
            if not self._writable:
                return None if self._full(t) else -1
            if not self._full(t):
                bit = self._connection.execute("SELECT count(bit) FROM param WHERE t=?", (t,)).fetchone()[0]
                self._connection.execute("UPDATE param SET bit=? WHERE p=?", (bit, p))
                self._fresh = True
        self._bits[t, key] = bit
        return bit

    def _full(self, t: int) -> bool:
        count: int = self._connection.execute("SELECT count(bit) FROM param WHERE t=?", (t,)).fetchone()[0]
        return count >= BITS

    def system(self, uri: str) -> int | None:
        """The number of a code system; None when it was never used (readers)."""
        number = self._systems.get(uri)
        if number is None:
            number = self._look_up("SELECT s FROM system WHERE uri=?", (uri,))
            if number is None:
                if not self._writable:
                    return None
                number = self._insert("INSERT INTO system(uri) VALUES(?)", (uri,))
            if len(self._systems) > 50_000:  # hostile data could invent systems without end
                self._systems = {"": 0}
            self._systems[uri] = number
        return number

    def _look_up(self, sql: str, values: tuple[object, ...]) -> int | None:
        row = self._connection.execute(sql, values).fetchone()
        return None if row is None else row[0]

    def _insert(self, sql: str, values: tuple[object, ...]) -> int:
        self._fresh = True
        number = self._connection.execute(sql, values).lastrowid
        assert number is not None
        return number


class _Params(dict[str, int]):
    """Index keys of one type, looked up in the file when first met."""

    def __init__(self, names: Names, t: int) -> None:
        super().__init__()
        self._names = names
        self._t = t

    def __missing__(self, key: str) -> int:
        number = self._names.number_param(self._t, key)
        if number:  # what a reader does not find may come later
            self[key] = number
        return number
