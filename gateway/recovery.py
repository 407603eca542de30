"""After a kill: what the receipts log knows and the usage log does not is written there too.

A debt is on the disk before its answer's last byte, its usage line only some 0.2 s after it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import orjson

from gateway.ledger import Ledger
from gateway.lines import read_request_id
from gateway.observation import Ended, Observation, Recount, Result
from gateway.outbox import Bill, OwedReceipt
from relay_mining import Hash32

INTERRUPTED = "interrupted"
"""The code of a request that a kill ended."""
Billed = tuple[OwedReceipt, Bill]


def recover(ledger: Ledger, usage: Iterable[bytes], owed: Iterable[OwedReceipt]) -> int:
    """Complete a replayed ledger from every receipt ever owed; returns how many it lacked.

    Then every request that was in flight has ended.
    """
    tried, counted = _read_known(usage)
    relays: defaultdict[Hash32, list[Billed]] = defaultdict(list)
    for each in owed:
        if each.bill is not None and "0x" + each.response_hash.hex() not in counted:
            relays[each.request_hash].append((each, each.bill))
    for request_hash, parts in relays.items():
        if "0x" + request_hash.hex() not in tried:
            ledger.observe(_tried(parts))
        for receipt, bill in parts:
            ledger.observe(_recounted(receipt, bill))
    for request, state in list(ledger.requests.open.items()):
        ledger.record(Ended(read_request_id(request), state.key_id, "", 500, INTERRUPTED))
    return sum(map(len, relays.values()))


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
    receipt, bill = max(parts, key=lambda each: each[1].response.part)
    return Observation(
        supplier=receipt.supplier,
        session=receipt.session,
        model=bill.model,
        key_id=bill.key_id,
        result=Result.INTERRUPTED,
        is_stream=len(parts) > 1,
        is_answer=True,
        latency_s=0.0,
        units=sum(each.units for each, _ in parts),
        input_tokens=bill.response.input_tokens,
        output_tokens=bill.response.output_tokens,
        detail="the gateway was killed",
        price=bill.price,
        request=bill.request,
        request_hash=receipt.request_hash,
        owed=len(parts),
    )


def _recounted(receipt: OwedReceipt, bill: Bill) -> Recount:
    return Recount(
        supplier=receipt.supplier,
        session=receipt.session,
        model=bill.model,
        key_id=bill.key_id,
        request_hash=receipt.request_hash,
        units_claimed=receipt.units,
        units_receipted=receipt.units,
        input_tokens=bill.response.input_tokens,
        output_tokens=bill.response.output_tokens,
        is_overclaim=False,
        price=bill.price,
        request=bill.request,
        receipt=receipt,
    )
