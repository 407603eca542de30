"""Receipts at one relay server: durable a second, and the memory of those that wait for a claim.

Deliveries of a gateway's are made beforehand and posted over real sockets, some at a time; each
receipt is decoded, checked against the contract's leaf predicate, logged, synced and acknowledged.
The server is a process of its own, and its processor time is what a receipt costs. Memory is what a
process grows by that enters relays and receipts into a supplier's books, without a server.

Run: python -m benchmarks.bench_receipts
"""

import argparse
import asyncio
import multiprocessing
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.bench_relay_servers import LAVISH, run_engine, run_relay_server, started
from benchmarks.measuring import processor_s, resident_mb
from node.http import ClientPool, run
from relay_mining import Receipt, SessionKey, keccak, mine_receipt
from supplier.mining.books import Books
from supplier.server.accounts import Relay
from tests.factories import DOMAIN, GATEWAY_SIGNER, OPERATOR_SIGNER, SUPPLIER, a_hash, a_session
from tests.supplier.market import RelayWorld, batch, facts_of

AT_ONCE = 4
"""Deliveries under way."""
UNITS = 100
SIZES = (1, 32, 1024)
"""Receipts a delivery; 1,024 are the most."""
ENTERED = 250_000
MILLION = 10**6
CAP = 10**24
"""Of the session, and as many leaves of it: so many relays may be owed a receipt at once."""


def new_receipt(key: SessionKey) -> Receipt:
    """A receipt of a relay that nobody remembers, as after a restart."""
    request_hash, response_hash = secrets.token_bytes(32), secrets.token_bytes(32)
    return Receipt(
        session_id=key.id,
        supplier=SUPPLIER,
        request_hash=request_hash,
        response_hash=response_hash,
        salt_hash=keccak(OPERATOR_SIGNER.session_salt(key.id)),
        units=UNITS,
        secret=GATEWAY_SIGNER.receipt_secret(request_hash, response_hash),
    )


async def deliver(url: str, pid: int, bodies: Sequence[bytes]) -> tuple[float, float]:
    """Seconds, and processor seconds of the server, for all deliveries."""
    waiting = iter(bodies)
    async with ClientPool() as pool:
        world = RelayWorld(url, pool, *(None,) * 6)  # type: ignore[arg-type]
        await world.relay(session=a_session())  # opens the session

        async def work() -> None:
            for body in waiting:
                answer = await pool.request(b"POST", url + "/lode/v1/receipts", (), body)
                assert answer.status == 200, answer.body

        began, before = time.monotonic(), processor_s([pid])
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        return time.monotonic() - began, processor_s([pid]) - before


def measure_durable(size: int, count: int) -> str:
    """One line of the first table."""
    key = a_session()
    bodies = [
        batch(tuple((key, new_receipt(key)) for _ in range(size)), GATEWAY_SIGNER)
        for _ in range(count // size)
    ]
    receipts = size * len(bodies)
    with (
        started(run_engine) as (_, port),
        started(run_relay_server, port, "", "server") as (pid, url),
    ):
        seconds, spent = run(deliver(str(url), pid, bodies))
    return f"| {size:,} | {receipts / seconds:,.0f} | {1e6 * spent / receipts:.0f} |"


def enter(count: int) -> tuple[float, float, float]:
    """Resident MB: before, once so many relays are owed a receipt, and once all have theirs."""
    key, books = a_session(), Books(SUPPLIER, LAVISH)
    facts, salt = facts_of(key, cap=CAP, target_leaves=CAP), OPERATOR_SIGNER.session_salt(key.id)
    book = books.open(facts, salt)
    empty = resident_mb([os.getpid()])
    relays = []
    for _ in range(count):
        relay = Relay(secrets.token_bytes(32), 2 * UNITS)
        books.reserve(book, relay, secrets.token_bytes(32))
        response_hash = secrets.token_bytes(32)
        books.sign(book, relay, response_hash, UNITS)
        books.end(book, relay)
        books.delivered(book, relay, response_hash, time.monotonic())
        relays.append((relay.request_hash, response_hash))
    owed = resident_mb([os.getpid()])
    template = replace(new_receipt(key), secret=a_hash("secret"))
    while relays:
        request_hash, response_hash = relays.pop()
        receipt = replace(template, request_hash=request_hash, response_hash=response_hash)
        digest = DOMAIN.digest(receipt)
        leaf = mine_receipt(digest, UNITS, salt, facts.terms.tau)
        books.apply_receipt(book, receipt, digest, leaf)
    return empty, owed, resident_mb([os.getpid()])


def measure_memory(count: int) -> str:
    """Both lines of the second table, from a process of their own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        empty, owed, receipted = pool.apply(enter, (count,))
    scale = MILLION / count
    return (
        f"| served, their receipts not here yet | {(owed - empty) * scale:,.0f} |\n"
        f"| receipted, their session not claimed yet | {(receipted - empty) * scale:,.0f} |"
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--receipts", type=int, default=50_000, help="delivered in each size")
    parser.add_argument("--entered", type=int, default=ENTERED, help="into the books")
    options = parser.parse_args()
    print("| receipts a delivery | durable a second | processor time of each, us |")
    print("|---|---|---|")
    for size in SIZES:
        print(measure_durable(size, options.receipts if size > 1 else options.receipts // 16))
    print("\n| 10^6 relays | MB |\n|---|---|")
    print(measure_memory(options.entered))


if __name__ == "__main__":
    main()
