"""After a kill: what the receipts log knows and the usage log does not is written there too.

A debt is on the disk before its answer's last byte, its usage line only some 0.2 s after it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import orjson

from gateway.books.ledger import Ledger
from gateway.books.lines import INTERRUPTED, read_request_id
from gateway.routing.observation import Ended, Observation, Recount, Result
from gateway.settlement.outbox import Bill, OwedReceipt
from relay_mining import Hash32

Billed = tuple[OwedReceipt, Bill]


def recover(ledger: Ledger, usage: Iterable[bytes], accepted: Iterable[OwedReceipt]) -> int:
    """Complete a replayed ledger from every response ever accepted; returns how many it lacked.

    Then every request that was in flight has ended, with the debts that are known.
    """
    tried, counted = _read_known(usage)
    relays: defaultdict[Hash32, list[Billed]] = defaultdict(list)
    for each in accepted:
        if each.bill is not None:
            relays[each.request_hash].append((each, each.bill))
    lacked = 0
    for request_hash, parts in relays.items():
        parts.sort(key=lambda each: each[1].response.part)
        if "0x" + request_hash.hex() not in tried:
            ledger.observe(_tried(parts))
        for recount in _recounts(parts):
            if recount.receipt and "0x" + recount.receipt.response_hash.hex() not in counted:
                ledger.observe(recount)
                lacked += 1
    for request, state in list(ledger.requests.open.items()):
        ledger.record(Ended(read_request_id(request), state.key_id, "", 500, INTERRUPTED))
    return lacked


def _read_known(usage: Iterable[bytes]) -> tuple[set[str], set[str]]:
    """The relays whose tries, and the responses whose recounts, were written."""
    tried, counted = set[str](), set[str]()
    for record in usage:
        for line in orjson.loads(record):
            if line["kind"] == "try":
                tried.add(line.get("request", ""))
            elif line["kind"] == "recount":
                counted.add(line.get("response", ""))
    return tried, counted


def _tried(parts: Sequence[Billed]) -> Observation:
    """The try that these parts, in their order, were accepted of; charged as signed."""
    receipt, bill = parts[-1]
    return Observation(
        supplier=receipt.supplier,
        session=receipt.session,
        model=bill.model,
        key_id=bill.key_id,
        result=Result.INTERRUPTED,
        is_stream=len(parts) > 1,
        is_answer=True,
        latency_s=0.0,
        units=bill.response.units,
        input_tokens=bill.response.input_tokens,
        output_tokens=bill.response.output_tokens,
        detail="the gateway was killed",
        price=bill.price,
        request=bill.request,
        request_hash=receipt.request_hash,
        owed=len(parts),
    )


def _recounts(parts: Sequence[Billed]) -> Iterator[Recount]:
    """What each part, in their order, was signed to add and is receipted with."""
    before = 0
    for receipt, bill in parts:
        yield _recounted(receipt, bill, bill.response.units - before)
        before = bill.response.units


def _recounted(receipt: OwedReceipt, bill: Bill, claimed: int) -> Recount:
    return Recount(
        supplier=receipt.supplier,
        session=receipt.session,
        model=bill.model,
        key_id=bill.key_id,
        request_hash=receipt.request_hash,
        units_claimed=claimed,
        units_receipted=receipt.units,
        input_tokens=bill.response.input_tokens,
        output_tokens=bill.response.output_tokens,
        is_overclaim=False,
        price=bill.price,
        request=bill.request,
        receipt=receipt,
    )
