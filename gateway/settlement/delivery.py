"""Delivering receipts: batched by supplier, one signature each, sent again until acknowledged."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import orjson

from contracts import ChainError
from gateway.errors import SigningKeyMissingError, UpstreamError
from gateway.routing.relay import RelaySigner
from gateway.routing.servers import Servers
from gateway.routing.standing import Standing
from gateway.routing.upstream import translate
from gateway.settlement.outbox import Outbox, OwedReceipt, encode_settled
from node.append_log import AppendLog
from node.http import ClientPool, HttpClientError, Timeout
from relay_mining import (
    DELIVERY_RECEIPTS_MAX,
    Address,
    Hash32,
    InvalidRelayError,
    ReceiptBatch,
    ReceiptDelivery,
    build_batch,
    decode_ack,
    encode_receipts,
    recover,
)

logger = logging.getLogger("gateway.settlement.delivery")

RETRY_S_MIN = 0.5
RETRY_S_MAX = 30.0
CONNECT_S = 5.0
TIMEOUT = Timeout(CONNECT_S, 15.0, 15.0, 20.0)


@dataclass(frozen=True, slots=True)
class SupplierAddress:
    """Where a supplier is and which keys acknowledge for it."""

    url: str
    operators: frozenset[Address]
    dials_out: bool = False
    """Whether it takes no connections: the URL is that of the lines it opens."""
    owner: Address = b""


Locate = Callable[[Address, int], Awaitable[SupplierAddress]]
"""The address of a supplier as of a session."""


class ReceiptsRefusedError(UpstreamError):
    """The supplier refuses a batch, and would refuse it again."""


@dataclass(frozen=True, slots=True)
class SupplierWord:
    """What a supplier says of a delivery: a signed acknowledgement, but for what it refuses."""

    acknowledgement: bytes
    refused: frozenset[Hash32] = frozenset()
    why: str = ""


def read_refusal(body: bytes) -> SupplierWord:
    """The receipts that a supplier refuses, and its acknowledgement of the others.

    Raises ReceiptsRefusedError where the refusal names none: then it is of the batch as a whole.
    """
    why = body[:300].decode("utf-8", "replace")
    try:
        parsed = orjson.loads(body)
        refused = frozenset(bytes.fromhex(each["receipt"]) for each in parsed["refused"])
        acknowledgement = bytes.fromhex(parsed["acknowledged"])
    except (ValueError, KeyError, TypeError):
        refused, acknowledgement = frozenset(), b""
    if not refused:
        raise ReceiptsRefusedError(why)
    return SupplierWord(acknowledgement, refused, why)


@dataclass(slots=True)
class _Retry:
    failing_since: float | None = None
    due: float = 0.0
    pause_s: float = RETRY_S_MIN
    size_max: int = DELIVERY_RECEIPTS_MAX


@dataclass(slots=True)
class Deliverer:
    """Sends what the outbox holds; `flush_s` bounds how long a receipt waits for company."""

    outbox: Outbox
    log: AppendLog
    signer: RelaySigner
    pool: ClientPool
    locate: Locate
    standing: Standing
    flush_s: float = 0.25
    servers: Servers = field(default_factory=Servers)
    delivered: int = 0
    """Receipts acknowledged since the start."""
    refused: int = 0
    """Receipts suppliers refused for good since the start."""
    _retries: dict[Address, _Retry] = field(default_factory=dict)
    _busy: set[Address] = field(default_factory=set)

    async def run(self) -> None:
        """Deliver until cancelled; a supplier that fails does not hold up the others."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(self.flush_s)
                now = asyncio.get_running_loop().time()
                for supplier in self.outbox.suppliers:
                    if supplier not in self._busy and self._retry(supplier).due <= now:
                        self._busy.add(supplier)
                        tasks.create_task(self._deliver_all(supplier))

    async def flush(self) -> None:
        """Try once more to deliver everything, before the gateway stops."""
        suppliers = [each for each in self.outbox.suppliers if each not in self._busy]
        self._busy.update(suppliers)
        await asyncio.gather(*(self._deliver_all(each) for each in suppliers))

    async def drop_expired(self, session_min: int) -> int:
        """Forget receipts of sessions before `session_min`; how many there were."""
        expired = self.outbox.expired(session_min)
        if expired:
            logger.warning("receipts are too late", extra={"receipts": len(expired)})
            await self._settle(expired)
        return len(expired)

    @property
    def overdue_s(self) -> float:
        """For how long the supplier that takes no receipts has taken none; 0 where all do."""
        now = time.monotonic()
        retries = (self._retries.get(supplier) for supplier in self.outbox.suppliers)
        since = [each.failing_since for each in retries if each and each.failing_since is not None]
        return now - min(since, default=now)

    def _retry(self, supplier: Address) -> _Retry:
        return self._retries.setdefault(supplier, _Retry())

    async def _deliver_all(self, supplier: Address) -> None:
        retry = self._retry(supplier)
        try:
            left = self.outbox.owed_to(supplier)  # what comes meanwhile gathers for the next time
            while left > 0 and (batch := self.outbox.next_batch(supplier, retry.size_max)):
                await self._deliver(supplier, batch)
                left -= len(batch)
                retry.pause_s, retry.size_max = RETRY_S_MIN, DELIVERY_RECEIPTS_MAX
                retry.failing_since = None
        except ReceiptsRefusedError as error:
            await self._narrow(supplier, retry, str(error))
        except (UpstreamError, SigningKeyMissingError, ChainError) as error:
            if retry.failing_since is None:
                retry.failing_since = time.monotonic()
            retry.due = asyncio.get_running_loop().time() + retry.pause_s
            retry.pause_s = min(retry.pause_s * 2, RETRY_S_MAX)
            logger.info(
                "receipts are not acknowledged", extra={"supplier": supplier, "why": str(error)}
            )
        finally:
            self._busy.discard(supplier)

    async def _narrow(self, supplier: Address, retry: _Retry, why: str) -> None:
        """Find the receipt a refusal is about: halve the batch, and give up on a single one."""
        if retry.size_max > 1:
            size = len(self.outbox.next_batch(supplier, retry.size_max))
            retry.size_max = max(1, size // 2)
            return
        batch = self.outbox.next_batch(supplier, 1)
        logger.warning("a receipt is refused", extra={"supplier": supplier, "why": why})
        self.refused += len(batch)
        await self._settle(batch)

    async def _deliver(self, supplier: Address, batch: Sequence[OwedReceipt]) -> None:
        key = self.signer.key_of(batch[0].signer)
        domain = self.signer.domain
        receipts = tuple((owed.session, owed.receipt(key)) for owed in batch)
        digests = [domain.digest(receipt) for _, receipt in receipts]
        signature = key.sign(domain.digest(ReceiptBatch(build_batch(digests).root)))
        body = encode_receipts(ReceiptDelivery(receipts, signature))
        place = await self.locate(supplier, batch[-1].session.number)
        word = await self._post(place.url, body)
        good = [digest for digest in digests if digest not in word.refused]
        if good:
            self._verify_ack(word.acknowledgement, good, place)
        await self._settle(batch)
        self.delivered += len(good)
        self.refused += len(batch) - len(good)
        if word.refused:
            logger.warning("receipts are refused", extra={"supplier": supplier, "why": word.why})
        self.standing.of(supplier).receipted += sum(
            owed.units for owed, digest in zip(batch, digests, strict=True)
            if digest not in word.refused
        )  # fmt: skip

    def _verify_ack(self, body: bytes, digests: Sequence[Hash32], place: SupplierAddress) -> None:
        domain = self.signer.domain
        try:
            signed = decode_ack(body)
            signatory = recover(domain.digest(signed.ack), signed.signature)
        except InvalidRelayError as error:
            raise UpstreamError(f"the acknowledgement is malformed: {error}") from error
        if signed.ack.root != build_batch(digests).root or signatory not in place.operators:
            raise UpstreamError("the acknowledgement is of another batch or by another key")

    async def _post(self, registered: str, body: bytes) -> SupplierWord:
        headers = ((b"content-type", b"application/octet-stream"),)
        route = self.servers.route(registered, CONNECT_S)
        while True:
            url = route.url + "/lode/v1/receipts"
            try:
                answer = await self.pool.request(
                    b"POST", url, headers, body, TIMEOUT, replay_safe=True
                )
            except HttpClientError as error:
                if not await route.is_worth_another(error):
                    raise translate(error) from error
            else:
                if not await route.is_elsewhere(answer.status, answer.headers):
                    break
        if answer.status == 200:
            return SupplierWord(answer.body)
        if answer.status in (400, 413, 422):
            return read_refusal(answer.body)
        raise UpstreamError(f"status {answer.status}")

    async def _settle(self, batch: Sequence[OwedReceipt]) -> None:
        await self.log.append_many([encode_settled(each.response_hash) for each in batch])
        for each in batch:
            state = self.standing.of(each.supplier)
            state.owed = max(0, state.owed - each.units)
        self.outbox.settle(each.response_hash for each in batch)
