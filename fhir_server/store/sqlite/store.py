"""SqliteStore: the Store protocol on one SQLite file in WAL mode. The layout is in ``schema``."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from consent import Access
from fhir_server.errors import TooCostly
from fhir_server.search.extract import PRIMARY_DATES, Extractor
from fhir_server.search.tree import Query
from fhir_server.secrets import MasterKey
from fhir_server.store.protocol import HistoryPage, HistoryScope, Page, Stored, Transaction
from fhir_server.store.sqlite import definitions, keys, maintenance, registry, rekeying, schema, text
from fhir_server.store.sqlite.access import check_access
from fhir_server.store.sqlite.bodies import Bodies, install_dictionary
from fhir_server.store.sqlite.cursor import Cursor, seal, unseal
from fhir_server.store.sqlite.explaining import Explaining
from fhir_server.store.sqlite.keys import Vault
from fhir_server.store.sqlite.names import Names
from fhir_server.store.sqlite.numbers import COUNTERS
from fhir_server.store.sqlite.openness import Open
from fhir_server.store.sqlite.pool import OutOfTime, ReaderPool, limited, settle
from fhir_server.store.sqlite.reading import Reading
from fhir_server.store.sqlite.searching import Search
from fhir_server.store.sqlite.transaction import SqliteTransaction
from fhir_server.store.sqlite.writer import Witness, Writer

T = TypeVar("T")
FILE = "records.db"
_CARE = Access.everything("care of the records")
_OUTBOX = Access.everything("audit")
_QUICK, _QUICK_STEPS = 0.004, 4000  # seconds of SQL that the event loop may spend on a search; instructions a look
_TEXT_STEP = 2000  # versions a commit while a text search waits
_TEXT_TRICKLE = 50  # versions a half second while nobody does: the index must not compete with the requests


@dataclass(slots=True)
class _Reader:
    """One connection with what reads need."""

    reading: Reading
    search: Search
    definitions: definitions.Definitions

    def close(self) -> None:
        self.reading.connection.close()


def natural_date(extractor: Extractor) -> Callable[[str], str | None]:
    """For a type, the index key of the date that alone makes the sort column; None where several may."""

    def key(type_: str) -> str | None:
        return extractor.primary_date(type_) if len(PRIMARY_DATES.get(type_, ())) == 1 else None

    return key


def wall_clock() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class SqliteStore:
    """Records in ``folder/records.db``. Made by ``SqliteStore.open``.

    ``zone`` writes instants; ``clock`` gives microseconds since 1970 UTC; a search is given up after
    ``search_seconds``; superseded versions stay searchable for pages begun up to ``keep_seconds`` ago;
    a page has at most ``include_max`` included resources. ``witness``, asked where a write is asked for, gives what
    makes the audit entry of what it wrote. ``master``: the master key (default: that of the folder).
    """

    def __init__(
        self,
        folder: Path,
        extractor: Extractor,
        *,
        zone: str = "Asia/Shanghai",
        clock: Callable[[], int] = wall_clock,
        search_seconds: float = 30.0,
        keep_seconds: float = 3600.0,
        include_max: int = 1000,
        witness: Callable[[], Witness | None] = lambda: None,
        master: MasterKey | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / FILE
        self.path.touch(mode=0o600, exist_ok=True)  # SQLite gives the files beside it the same rights
        self.extractor = extractor
        self._clock = clock
        self._keep = int(keep_seconds * 1_000_000)
        self._search_seconds = search_seconds
        self._include_max = include_max
        self._witness = witness
        self._rebuilding = False
        self._opened = Open()
        self._local = threading.local()
        self._open_readers: list[_Reader] = []
        self.vault = Vault(master or MasterKey.open(folder))
        extractor.shield.use(self.vault.master.derive("identifier index"), self.vault.master.digest)
        connection = schema.connect(self.path, writer=True, vault=self.vault)
        schema.create(connection)
        self._prepare_file(connection)
        self._secret = self.vault.master.derive("paging link")
        registry.refresh(connection, extractor)
        self._rebuilding = registry.EVERYTHING in registry.unfinished(connection)
        bodies = Bodies(connection)
        names = Names(connection, writable=True)
        search = Search(connection, names, bodies, natural_date(extractor), extractor.patient_keys)
        self._transaction = SqliteTransaction(
            connection, bodies, ZoneInfo(zone), search.find, search.gate, names, extractor
        )
        self._writing = connection
        self._writer = Writer(connection, self._transaction, folder / "write.lock", clock, self._background)
        self._pool: ReaderPool[_Reader] = ReaderPool(self._new_reader, _Reader.close, threads=2)

    @classmethod
    def open(cls, folder: Path, extractor: Extractor, **settings: Any) -> SqliteStore:
        """The store in ``folder``, made if it is not there. Settings as of the constructor.

        Raises ValueError when the file belongs to another layout.
        """
        return cls(folder, extractor, **settings)

    def _prepare_file(self, connection: Any) -> None:
        connection.execute("BEGIN IMMEDIATE")
        install_dictionary(connection)
        for name, value in (
            *COUNTERS,
            ("horizon", 0),
            ("text", 0),
            ("registry", 0),
            ("standing", 0),
            ("terminology", 0),
        ):
            connection.execute("INSERT OR IGNORE INTO state VALUES(?, ?)", (name, value))
        keys.prepare(connection, self.vault.master)
        connection.execute("COMMIT")

    # -- reads ---------------------------------------------------------------------------------

    def _new_reader(self) -> _Reader:
        connection = schema.connect(self.path, vault=self.vault)
        names, bodies = Names(connection), Bodies(connection)
        search = Search(
            connection,
            names,
            bodies,
            natural_date(self.extractor),
            self.extractor.patient_keys,
            self._include_max,
            self._opened,
        )
        keys = {type: self.extractor.indexed(type)["url"].sources[0].key for type in definitions.TYPES}
        stored = definitions.Definitions(connection, names, bodies, keys)
        return _Reader(Reading(connection, names, bodies, search.gate, search.kept), search, stored)

    def _reader(self) -> _Reader:
        """This thread's own reader."""
        try:
            reader: _Reader = self._local.reader
        except AttributeError:
            reader = self._local.reader = self._new_reader()
            self._open_readers.append(reader)
        return reader

    def read(self, type: str, id: str, access: Access) -> Stored | None:
        """The current version (body None when deleted), or None."""
        return self._reader().reading.read(type, id, access)

    def vread(self, type: str, id: str, version: int, access: Access) -> Stored | None:
        """That version, or None."""
        return self._reader().reading.vread(type, id, version, access)

    async def history(self, scope: HistoryScope, access: Access) -> HistoryPage:
        """The versions of the scope, newest first."""
        if scope.id is not None:
            return self._reader().reading.history(scope, access)
        return await self._pool.run(lambda reader: reader.reading.history(scope, access))

    def feed(self, after: int, limit: int, access: Access) -> Iterator[Stored]:
        """Versions in commit order with sequences above ``after``."""
        return iter(self._reader().reading.feed(after, limit, access))

    def definitions(self) -> definitions.Definitions:
        """The stored CodeSystems, ValueSets and ConceptMaps that are nobody's; for use in this thread."""
        return self._reader().definitions

    # -- searches ------------------------------------------------------------------------------

    async def search(self, query: Query, access: Access, cursor: str | None = None, digest: str = "") -> Page:
        """One page of matches; see the protocol."""
        binding = f"{digest}\0{access.binding or access.reason}"
        start = None if cursor is None else unseal(cursor, binding, self._secret)
        if any(text.mentions_text(node) for _, node in query.where):
            await self._follow_text(access)
        page, following, rest = await self._ask(lambda search: search.page(query, access, start))
        return replace(page, cursor=self._token(following, binding), include_cursor=self._token(rest, binding))

    async def _follow_text(self, access: Access) -> None:
        """Bring the text index up to the writes that were answered before this search."""
        deadline = time.monotonic() + self._search_seconds
        while not await self.write(lambda _: text.follow(self._writing, _TEXT_STEP), access):
            if time.monotonic() > deadline:
                raise TooCostly("the text index is still being built: try again later")

    def _token(self, cursor: Cursor | None, binding: str) -> str | None:
        return None if cursor is None else seal(cursor, binding, self._secret)

    async def count(self, query: Query, access: Access) -> int:
        """The number of matches."""
        if any(text.mentions_text(node) for _, node in query.where):
            await self._follow_text(access)
        return await self._ask(lambda search: search.count(query, access))

    async def _ask(self, work: Callable[[Search], T]) -> T:
        """Search at once where it is quick; start again in a reader thread where it is not.

        Most searches take less than the hand-over to a thread and back would.
        """
        if self._rebuilding:
            raise TooCostly("the search index is being made anew: try again later")
        mine = self._reader().search
        try:
            # Its own time, not the clock's: a machine busy with other work must not make it start twice.
            return limited(mine.connection, _QUICK, lambda: work(mine), _QUICK_STEPS, time.thread_time)
        except OutOfTime:
            pass
        seconds = self._search_seconds
        try:
            return await self._pool.run(
                lambda reader: limited(reader.search.connection, seconds, lambda: work(reader.search))
            )
        except OutOfTime:
            raise TooCostly(f"the search was given up after {seconds:g} s: make it narrower") from None

    # -- writes --------------------------------------------------------------------------------

    async def write(self, work: Callable[[Transaction], T], access: Access) -> T:
        """Run ``work`` atomically; durable when this returns."""
        check_access(access)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def done(result: T, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(settle, future, result, error)

        self._writer.submit(work, access, done, self._witness())
        return await future

    def write_now(self, work: Callable[[Transaction], T], access: Access) -> T:
        """``write`` for callers without an event loop (commands): waits for the commit."""
        check_access(access)
        ready = threading.Event()
        outcome: list[Any] = [None, None]

        def done(result: T, error: BaseException | None) -> None:
            outcome[:] = result, error
            ready.set()

        self._writer.submit(work, access, done, self._witness())
        ready.wait()
        if outcome[1] is not None:
            raise outcome[1]
        result: T = outcome[0]
        return result

    def maintain(self, work: Callable[[sqlite3.Connection, SqliteTransaction], T]) -> T:
        """Run one step of care (commands) in a commit of its own, and wait for it."""
        return self.write_now(lambda _: work(self._writing, self._transaction), _CARE)

    def noted(self, prefix: str, access: Access) -> frozenset[str]:
        """The names given to ``Transaction.once`` that begin with ``prefix``."""
        check_access(access)
        low = f"once:{prefix}"
        found = self._reader().reading.connection.execute(
            "SELECT name FROM state WHERE name>=? AND name<?", (low, low + "\U0010ffff")
        )
        return frozenset(name.removeprefix("once:") for (name,) in found)

    def grounds(self, sequence: int, access: Access) -> list[str]:
        """Why ``access`` lets the version ``sequence`` through: grounds and kinds of rules; none when it does not."""
        return self._reader().reading.grounds(sequence, access)

    def rules(self, sequence: int, access: Access) -> list[tuple[str, str]]:
        """Kind and source (``Type/id``) of each rule that opens the version ``sequence`` to ``access``."""
        return self._reader().reading.rules(sequence, access)

    def explaining(self) -> Explaining:
        """Explanations of what access decides, by the predicate itself; for use in this thread."""
        return self._reader().reading.explaining()

    def take_outbox(self, limit: int) -> list[tuple[int, bytes]]:
        """The oldest audit entries of committed writes that nobody has taken over yet."""
        run = self._reader().reading.connection.execute
        return run("SELECT seq, entry FROM outbox ORDER BY seq LIMIT ?", (limit,)).fetchall()

    def forget_outbox(self, upto: int) -> None:
        """Drop the audit entries up to ``upto``: they are in the chain. Not from an event loop."""
        self.write_now(lambda _: self._writing.execute("DELETE FROM outbox WHERE seq<=?", (upto,)), _OUTBOX)

    def keep_audit_head(self, line: str) -> None:
        """Keep the signed end of the audit chain (JSON with ``seq``), never an earlier one. Not from an event loop."""
        sql = (
            "INSERT INTO state VALUES('audit-head', ?) ON CONFLICT DO UPDATE SET value=excluded.value"
            " WHERE value->>'seq' < excluded.value->>'seq'"
        )
        self.write_now(lambda _: self._writing.execute(sql, (line,)), _OUTBOX)

    def granted(self, access: Access, patients: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """For each of these Patients (ids) the kinds of rules by which ``access`` sees anything of the file."""
        return self._reader().reading.granted(access, patients)

    def wards(self, guardian: str) -> list[str]:
        """The ids of the Patients whose guardian this Patient (id) is at present; for sign-in."""
        return self._reader().reading.wards(guardian, self._clock())

    # -- care ----------------------------------------------------------------------------------

    def _background(self, quiet: bool) -> bool:
        """One step of the housekeeping, in the writer's thread; whether there is more to do."""
        before = self._clock() - self._keep
        working = maintenance.purge(self._writer, self.extractor, self._transaction, before) > 0
        working |= self._index_step()
        working |= self._rekeying_step()
        if working or not quiet:
            return working
        self._writer.housekeeping(lambda connection, _: text.follow(connection, _TEXT_TRICKLE))
        self._writing.execute("PRAGMA wal_checkpoint(PASSIVE)")
        return False

    def _rekeying_step(self) -> bool:
        """One step of encrypting texts anew; whether there was any. Keys that others changed are forgotten."""
        self.vault.check_epoch(self._writing)
        now = self._clock()
        if not rekeying.due(self._writing, now):
            return False
        self._writer.housekeeping(lambda connection, tx: rekeying.step(connection, tx.bodies, now))
        return True

    def tidy(self) -> None:
        """Do the housekeeping that is due, and wait for it."""
        self._writer.tidy()

    def _index_step(self) -> bool:
        """One step of the reindexing jobs; whether there are any."""
        registry.refresh(self._writing, self.extractor)
        open_jobs = registry.unfinished(self._writing)
        self._rebuilding = registry.EVERYTHING in open_jobs
        if not open_jobs:
            return False
        self._writer.housekeeping(lambda connection, tx: registry.step(connection, tx, self.extractor, self._clock()))
        registry.refresh(self._writing, self.extractor)
        return True

    def jobs(self) -> list[registry.Job]:
        """The reindexing jobs, the newest first."""
        connection = self._reader().reading.connection
        found = registry.jobs(connection)
        self._rebuilding = registry.EVERYTHING in registry.unfinished(connection)
        registry.refresh(connection, self.extractor)  # what is told complete can be searched
        return found

    async def reindex(self, ids: list[str], access: Access) -> None:
        """Start the jobs of these SearchParameters anew; the id ``*`` makes all index rows anew."""
        await self.write(lambda _: self._queue_jobs(ids), access)
        self._rebuilding |= registry.EVERYTHING in ids

    def reindex_now(self, ids: list[str], access: Access) -> None:
        """``reindex`` for callers without an event loop."""
        self.write_now(lambda _: self._queue_jobs(ids), access)
        self._rebuilding |= registry.EVERYTHING in ids

    def _queue_jobs(self, ids: list[str]) -> None:
        registry.queue(self._writing, ids, self._transaction.rid, self._clock())

    def optimize(self) -> None:
        """Refresh the statistics of the file (after bulk loads)."""
        maintenance.optimize(self.path)

    def backup(self, target: Path) -> int:
        """Write a consistent copy of the records to the file ``target``, also while writing goes on.

        Returns the sequence number up to which the copy reaches. Raises FileExistsError.
        """
        return maintenance.backup(self.path, target)

    def check(self) -> Iterator[str]:
        """Problems found in the file, one sentence each; none when it is sound."""
        return maintenance.check(self.path, self.extractor, self.vault)

    def close(self) -> None:
        """Finish the waiting writes and close the files."""
        self._writer.close()
        self._pool.close()
        for reader in self._open_readers:
            reader.close()
        with suppress(sqlite3.OperationalError):  # another process writes: the next to close will do it
            self._writing.execute("PRAGMA optimize")
        self._writing.close()
