"""What became of everything that was served: the logs of both sides held against the chain."""

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts import Market
from gateway.settlement.outbox import OwedReceipt
from localnet.audit import Audit, Relay, SupplierAudit, read_owed, read_sessions
from localnet.compose import GATEWAYS
from localnet.ledger import ChainBooks
from localnet.provision import Done
from relay_mining import Address
from tests.compose.project import ARCHIVE, SUPPLIERS, Compose


@dataclass(frozen=True, slots=True)
class Books:
    """One supplier's, everything settled; units in compute units, payment in token base units."""

    supplier: str
    served: int
    """Units it signed for."""
    acknowledged: int
    """Units receipted."""
    relay_max: int
    """Units of the largest receipt."""
    paid: int
    voided: int
    """Claims."""
    audit: SupplierAudit
    """Receipt by receipt, and leaf by leaf."""

    @property
    def unreceipted(self) -> int:
        """Units that were signed for and never receipted."""
        return self.served - self.acknowledged

    @property
    def is_whole(self) -> bool:
        """Whether all that a gateway accepted is receipted, and all that is payable was paid."""
        audit = self.audit
        return not audit.breaches and not audit.lost and not self.voided and audit.claimed > 0


def read_books(compose: Compose) -> list[Books]:
    """The suppliers' books, once everything that was served is settled."""
    compose.wait_settled()
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_read_books(compose, Path(folder)))


async def _read_books(compose: Compose, folder: Path) -> list[Books]:
    shared = compose.copy(SUPPLIERS[0], "/market/shared", folder / "shared")
    owed: dict[Relay, OwedReceipt] = {}
    for name in GATEWAYS:
        log = compose.copy(name, f"/market/{name}/gateway/receipts", folder / name)
        owed |= await read_owed(log)
    async with await Market.connect([compose.chain], shared / "addressbook.json") as market:
        chain = ChainBooks()
        await chain.read(market)
        audit = Audit(market.domain, owed, chain.claims)
    ids = Done(shared / "done")
    return [
        await _read_one(compose, audit, name, bytes.fromhex(ids.read(name)), folder)
        for name in SUPPLIERS
    ]


async def _read_one(
    compose: Compose, audit: Audit, name: str, supplier: Address, folder: Path
) -> Books:
    status = compose.supplier(name)
    sessions = await read_sessions(compose.copy(name, ARCHIVE.format(name), folder / name))
    units = [each.units for books in sessions.values() for each in books.receipts.values()]
    totals: Mapping[str, Any] = status["totals"]
    return Books(
        supplier=name,
        served=int(totals["served"]),
        acknowledged=int(totals["receipted"]),
        relay_max=max(units, default=0),
        paid=int(totals["paid"]),
        voided=sum(each["outcome"].startswith("voided") for each in status["sessions"]),
        audit=audit.check(name, supplier, sessions),
    )
