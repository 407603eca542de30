"""From an accepted answer to a receipt: log the debt, recount, keep evidence, hand to delivery."""

import asyncio
import base64
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import orjson

from gateway.routing.observation import Observe, Recount
from gateway.routing.relay import Served
from gateway.routing.standing import Standing
from gateway.settlement.counting import UNKNOWN, Count, CountJob
from gateway.settlement.outbox import Bill, Outbox, OwedReceipt, encode_lowered, encode_owed
from gateway.settlement.recounting import RecountWorker
from gateway.settlement.spool import Spool
from node.append_log import AppendLog
from relay_mining import receipt_units, value_class

logger = logging.getLogger("gateway.settlement.settling")

BATCH_MAX = 128
GATHER_S = 0.1
"""Answers of so long share one sync and one trip to the worker; a kill loses none meanwhile."""


@value_class
class Verdict:
    """What a relay is receipted with."""

    units: int
    is_overclaim: bool


def judge(served: Served, count: Count) -> Verdict:
    """`min(signed units, recount)`, and whether the signed counts are beyond tolerance.

    Where the gateway cannot count, the signed count stands, which `maxUnits` has bounded.
    """
    response, weights = served.response, served.relay.session.service.weights
    inputs, outputs = response.input_tokens, response.output_tokens
    is_overclaim = False
    if count.input_tokens is not None and count.input_tokens_max is not None:
        is_overclaim = inputs > count.input_tokens_max
        inputs = min(inputs, count.input_tokens)
    if count.output_tokens is not None and count.output_tokens_max is not None:
        is_overclaim = is_overclaim or outputs > count.output_tokens_max
        outputs = min(outputs, count.output_tokens)
    counted = weights.units(inputs, min(response.cached_tokens, inputs), outputs)
    return Verdict(min(response.units, counted), is_overclaim)


def decide(served: Served, count: Count) -> Verdict:
    """The receipt of one response: of a part, what it adds by both counts.

    Parts are decided in their order; one that is decided again gets the same.
    """
    verdict, part = judge(served, count), served.response.part
    before = sum(units for each, units in served.receipts.items() if each < part)
    units = served.receipts[part] = receipt_units(served.added, verdict.units, before)
    return Verdict(units, verdict.is_overclaim)


@value_class
class Debt:
    """An accepted answer, the receipt that is owed for it as signed, and the record of that."""

    served: Served
    receipt: OwedReceipt
    record: bytes


@dataclass(slots=True)
class Settler:
    """Takes accepted answers; `run` works them off in order, in batches."""

    outbox: Outbox
    log: AppendLog
    spool: Spool
    worker: RecountWorker
    standing: Standing
    observe: Observe
    evidence: Path
    """A directory of signed over-claims."""
    _queue: deque[Debt] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def owe(self, served: Served) -> None:
        """Take an accepted answer whose receipt is owed; a kill from now on does not lose it."""
        receipt = _owed(served)
        debt = Debt(served, receipt, encode_owed(receipt))
        self.spool.add(debt.record)
        self._queue.append(debt)
        self.standing.of(served.supplier).owed += served.added
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Answers not yet handed to delivery."""
        return len(self._queue)

    async def run(self) -> None:
        """Work until cancelled; what comes while one lot is worked off gathers for the next."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_S)
            self._wake.clear()
            await self.drain()

    async def drain(self) -> None:
        """Settle what has been taken so far; an answer stays in the queue until it is settled."""
        left = len(self._queue)
        if not left:
            return
        self.spool.turn()
        while left > 0:
            batch = tuple(islice(self._queue, min(left, BATCH_MAX)))
            await self._settle(batch)
            left -= len(batch)
        self.spool.settle()

    async def _settle(self, batch: Sequence[Debt]) -> None:
        _, counts = await asyncio.gather(
            self.log.append_many([each.record for each in batch]),
            self.worker.count([_job(each.served) for each in batch]),
        )
        verdicts = [decide(each.served, count) for each, count in zip(batch, counts, strict=True)]
        await self.log.append_many(
            encode_lowered(each.receipt.response_hash, verdict.units)
            for each, verdict in zip(batch, verdicts, strict=True)
            if verdict.units < each.receipt.units
        )
        for debt, count, verdict in zip(batch, counts, verdicts, strict=True):
            if verdict.is_overclaim:
                await asyncio.to_thread(self._keep_evidence, debt.served, count)
            if count == UNKNOWN:
                logger.warning(
                    "an answer could not be recounted", extra={"supplier": debt.served.supplier}
                )
            receipt = self._hand_over(debt.receipt, verdict.units)
            self._report(debt.served, receipt, verdict)
            self._queue.popleft()

    def _hand_over(self, owed: OwedReceipt, units: int) -> OwedReceipt:
        """Give a receipt to delivery, which never sees more units than the recount found."""
        if units < owed.units:
            self.standing.of(owed.supplier).owed -= owed.units - units
            owed = replace(owed, units=units)
        if units > 0:
            self.outbox.add(owed)
        return owed

    def _report(self, served: Served, receipt: OwedReceipt, verdict: Verdict) -> None:
        self.observe(
            Recount(
                supplier=served.supplier,
                session=served.relay.session.key,
                model=served.relay.request.model,
                key_id=served.relay.key_id,
                request_hash=served.request_hash,
                units_claimed=served.added,
                units_receipted=verdict.units,
                input_tokens=served.response.input_tokens,
                output_tokens=served.response.output_tokens,
                is_overclaim=verdict.is_overclaim,
                price=served.relay.session.price_of(served.supplier),
                request=served.relay.id,
                receipt=receipt,
            )
        )

    def _keep_evidence(self, served: Served, count: Count) -> None:
        self.evidence.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"{served.supplier.hex()}-{served.request_hash.hex()}.json"
        (self.evidence / name).write_bytes(encode_evidence(served, count))
        logger.warning("a supplier over-claims: dropped", extra={"supplier": served.supplier})


def encode_evidence(served: Served, count: Count) -> bytes:
    """A signed over-claim with everything needed to check it again, as JSON."""
    key, response = served.relay.session.key, served.response
    return orjson.dumps(
        {
            "supplier": "0x" + served.supplier.hex(),
            "application": "0x" + key.application.hex(),
            "gateway": "0x" + key.gateway.hex(),
            "service": "0x" + key.service.hex(),
            "session": key.number,
            "path": served.relay.request.endpoint.value.decode(),
            "request_hash": "0x" + served.request_hash.hex(),
            "response_hash": "0x" + served.response_hash.hex(),
            "body_hash": "0x" + response.body_hash.hex(),
            "salt_hash": "0x" + response.salt_hash.hex(),
            "status": int(response.status),
            "part": response.part,
            "units": response.units,
            "input_tokens": response.input_tokens,
            "cached_tokens": response.cached_tokens,
            "output_tokens": response.output_tokens,
            "signature": "0x" + served.signature.hex(),
            "recount": {"input_tokens": count.input_tokens, "output_tokens": count.output_tokens},
            "request_body": base64.b64encode(served.relay.body).decode(),
            "answer": base64.b64encode(served.answer).decode(),
        },
        option=orjson.OPT_INDENT_2,
    )


def load_dropped(evidence: Path, standing: Standing) -> None:
    """Drop every supplier there is evidence against."""
    for path in evidence.glob("*-*.json"):
        standing.of(bytes.fromhex(path.name.split("-")[0])).is_dropped = True


def _owed(served: Served) -> OwedReceipt:
    session = served.relay.session
    return OwedReceipt(
        session=session.key,
        signer=session.signer,
        supplier=served.supplier,
        request_hash=served.request_hash,
        response_hash=served.response_hash,
        salt_hash=served.response.salt_hash,
        units=served.added,
        bill=Bill(
            served.relay.id,
            served.relay.key_id,
            served.relay.request.model,
            session.price_of(served.supplier),
            served.response,
            served.signature,
        ),
    )


def _job(served: Served) -> CountJob:
    request = served.relay.request
    return CountJob(
        service=served.relay.session.key.service,
        endpoint=request.endpoint,
        body=served.relay.body,
        answer=served.answer,
        is_stream=request.is_stream,
        asked=datetime.now(UTC),
    )
