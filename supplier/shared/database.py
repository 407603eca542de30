"""The shared database: its tables, and one connection for one thread at a time.

    relay_supplier   whose database it is
    relay_server     who serves: a number that only grows, a URL, and until when it is taken for
                     alive; without its row a server writes nothing
    relay_gateway    which server serves a gateway
    relay_session    the sessions served, and whether their receipts are still taken
    relay_record     the receipt log, record by record

Whatever locks a row does so in one statement of its own, so that a process that is stopped holds no
lock; the one transaction of several (`supplier.shared.shards`) is ended by the server if it idles.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias, TypeVar

import psycopg

from node.errors import OperatorError
from relay_mining import Address
from supplier.mining.postgres import STATEMENT_S, connect_options
from supplier.shared.errors import SharedDatabaseError

log = logging.getLogger(__name__)

TABLES = """
CREATE TABLE IF NOT EXISTS relay_supplier (supplier bytea PRIMARY KEY);
CREATE TABLE IF NOT EXISTS relay_server (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL,
    deadline timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS relay_gateway (gateway bytea PRIMARY KEY, server bigint NOT NULL);
CREATE TABLE IF NOT EXISTS relay_session (
    session bytea PRIMARY KEY,
    gateway bytea NOT NULL,
    number bigint NOT NULL,
    is_sealed boolean NOT NULL DEFAULT false,
    is_closed boolean NOT NULL DEFAULT false
);
CREATE INDEX IF NOT EXISTS relay_session_open ON relay_session (gateway) WHERE NOT is_closed;
CREATE TABLE IF NOT EXISTS relay_record (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session bytea NOT NULL,
    server bigint NOT NULL,
    place bigint NOT NULL,
    payload bytea NOT NULL,
    UNIQUE (server, place)
);
CREATE INDEX IF NOT EXISTS relay_record_session ON relay_record (session, id);
"""
TABLES_LOCK = 0x10DE
ASSIGN_LOCK = 0x10DF
"""Advisory locks: of whoever makes the tables, and of whoever gives a gateway to a server."""

AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
"""What a database raises that is away, or took too long."""

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"
Found = TypeVar("Found")


class Database:
    """One connection, opened when it is needed and again when it was lost, and its thread."""

    def __init__(self, url: str, statement_s: float = STATEMENT_S) -> None:
        self._url = url
        self._statement_s = statement_s
        self._connection: Connection | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="shared-database")

    async def run(self, work: Callable[[Connection], Found]) -> Found:
        """What `work` returns, in this database's thread; raises SharedDatabaseError.

        Outside of an explicit transaction each statement is one of its own.
        """
        return await asyncio.get_running_loop().run_in_executor(self._worker, self.run_here, work)

    def run_here(self, work: Callable[[Connection], Found]) -> Found:
        """As `run`, in the caller's thread, for a database that only this thread uses."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            return work(self._connection)
        except AWAY as error:
            self._drop()
            raise SharedDatabaseError(f"the shared database: {error}") from error

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection beside the other; raises SharedDatabaseError, while it is used too."""
        try:
            with self._connect() as connection:
                yield connection
        except AWAY as error:
            raise SharedDatabaseError(f"the shared database: {error}") from error

    def _connect(self) -> Connection:
        """A new connection whose commits are durable and whose waits end."""
        return psycopg.connect(self._url, autocommit=True, **connect_options(self._statement_s))

    async def close(self) -> None:
        """Let go of the connection."""
        await asyncio.get_running_loop().run_in_executor(self._worker, self._drop)
        self._worker.shutdown()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


def prepare(connection: Connection, supplier: Address) -> None:
    """Make the tables, once; raises OperatorError where they are another supplier's."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (TABLES_LOCK,))
        for statement in TABLES.split(";")[:-1]:
            connection.execute(statement.encode())
        connection.execute(
            "INSERT INTO relay_supplier SELECT %(s)s WHERE NOT EXISTS (SELECT FROM relay_supplier)",
            {"s": supplier},
        )
        found = connection.execute("SELECT supplier FROM relay_supplier").fetchone()
    if found is None or bytes(found[0]) != supplier:
        raise OperatorError(
            "shared.database_url is the database of another supplier: each needs its own"
        )
