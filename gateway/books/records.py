"""Reading what a gateway has written, beside it and without stopping it; for the command line."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from contracts import ClaimAccepted, Market, decode_outcome
from gateway.books.lines import Line, read_request_id
from gateway.books.stories import tell
from gateway.errors import RequestNotFoundError
from gateway.settlement.outbox import SETTLED, OwedReceipt, read_owed, read_removed
from gateway.settlement.reconciling import Comparison, Place, compare
from node.append_log import read_segments
from relay_mining import Address, Claim


@dataclass(frozen=True, slots=True)
class Records:
    """The logs of one gateway's data directory."""

    data_dir: Path

    def lines(self) -> Iterator[Line]:
        """Every line of the usage log, oldest first."""
        for record in read_log(self.data_dir / "usage"):
            yield from orjson.loads(record)

    def owed(self) -> list[OwedReceipt]:
        """Every receipt that was ever owed, in units as recounted."""
        return list(read_owed(read_log(self.data_dir / "receipts")).values())

    def receipts_of(self, request: str) -> list[OwedReceipt]:
        """The receipts of one request, in the order of their parts."""
        wanted = read_request_id(request)
        found = [each for each in self.owed() if each.bill and each.bill.request == wanted]
        return sorted(found, key=lambda each: each.bill.response.part if each.bill else 0)

    def explain(self, request: str) -> dict[str, Any]:
        """The story of a request, and how far its receipts are; raises RequestNotFoundError."""
        story = tell(request, self.lines())
        if story is None:
            raise RequestNotFoundError(
                f"the usage log has no {request}: it is older than the log, began less than 0.2 "
                "seconds ago, was refused as one of many, or is another gateway's"
            )
        settled = {
            each[1:33] for each in read_log(self.data_dir / "receipts") if each[0] == SETTLED
        }
        receipts = [
            {
                "response": "0x" + each.response_hash.hex(),
                "supplier": "0x" + each.supplier.hex(),
                "session": each.session.number,
                "units": each.units,
                "is_delivered": each.response_hash in settled,
            }
            for each in self.receipts_of(request)
        ]
        return {**story, "receipts": receipts}


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Receipts beside claims, of the sessions whose receipts are all kept."""

    compared: list[Comparison]
    removed_until: int
    """The last session that is left out, since receipts of it may be gone; -1 where none is."""


async def reconcile_logs(folders: Collection[Path], market: Market, gateway: Address) -> Reconciled:
    """The receipts that a gateway's replicas have made together beside the chain's claims.

    `folders` are their logs of receipts; one that is in several of them counts once.
    """
    clock = await market.sessions.clock()
    now = clock.session_at((await market.chain.head()).number)
    owed = read_owed(chain.from_iterable(map(read_log, folders))).values()
    removed = read_removed(chain.from_iterable(map(read_log, folders)))  # last, as it only grows
    claims = await read_claims(market, gateway)
    return Reconciled(compare(owed, claims, now, removed), removed)


def read_log(path: Path) -> Iterator[bytes]:
    """What a log has by now, even while its gateway writes it."""
    return chain.from_iterable(records for _, records in read_segments(path))


async def read_claims(market: Market, gateway: Address) -> dict[Place, Claim]:
    """Every claim that was ever accepted for sessions of a gateway."""
    reader, claims = market.events(), dict[Place, Claim]()
    while True:
        batch = await reader.read()
        for event in batch.events:
            outcome = decode_outcome(event)
            if isinstance(outcome, ClaimAccepted) and outcome.claim.session.gateway == gateway:
                claim = outcome.claim
                claims[claim.session, claim.supplier] = claim
        if not await reader.is_behind():
            return claims
