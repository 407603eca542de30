"""The shared parts of relay servers over one PostgreSQL, without their processes."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg

from relay_mining import Address, Domain
from supplier.mining.books import Books
from supplier.mining.store import Store
from supplier.shared import Database
from supplier.shared.membership import Membership
from supplier.shared.shards import Shards
from supplier.shared.shared_log import SharedLog
from tests.factories import DOMAIN, SUPPLIER
from tests.supplier.market import CREDIT

LEASE_S = 60.0
"""Of servers that live as long as their test; those that are to die move their own clock."""


@dataclass
class Clock:
    """Monotonic seconds that a test moves."""

    ahead: float = 0.0

    def now(self) -> float:
        return time.monotonic() + self.ahead


@dataclass
class Server:
    """One relay server's shared parts, without a network."""

    url: str
    membership: Membership
    log: SharedLog
    shards: Shards
    books: Books
    store: Store
    clock: Clock
    databases: list[Database] = field(default_factory=list)


@asynccontextmanager
async def a_server(
    database_url: str, name: str, supplier: Address = SUPPLIER, domain: Domain = DOMAIN
) -> AsyncIterator[Server]:
    """A server that has joined; its end is sudden."""
    clock, databases = Clock(), [Database(database_url) for _ in range(3)]
    membership = Membership(databases[0], f"http://{name}", LEASE_S, clock.now)
    log, store = SharedLog(databases[1], membership), Store(database_url)
    store.make_tables()
    books = Books(supplier, CREDIT)
    shards = Shards(databases[2], membership, log, books, store, domain, clock.now)
    await membership.join(supplier)
    try:
        yield Server(f"http://{name}", membership, log, shards, books, store, clock, databases)
    finally:
        for each in databases:
            await each.close()
        store.close()


def let_lease_pass(database_url: str, server: Server) -> None:
    """As if a server had been silent for its whole lease; its own clock knows."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE relay_server SET deadline = now() - interval '1 s' WHERE number = %s",
            (server.membership.number,),
        )
    server.clock.ahead += LEASE_S
