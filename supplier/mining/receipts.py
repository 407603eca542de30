"""Taking in receipts: verify, log durably, count, acknowledge. Retries change nothing.

A batch is one signature. Every receipt in it is checked by the contract's own leaf predicate and
against the response it is for; what is good is logged and acknowledged even where others are
refused, and nothing is acknowledged before it is durable here.
"""

import asyncio
from dataclasses import dataclass

import orjson

from node.append_log import LogFailed
from relay_mining import (
    Ack,
    Address,
    Domain,
    Hash32,
    Leaf,
    MalformedError,
    MinedReceipt,
    Receipt,
    ReceiptBatch,
    ReceiptDelivery,
    SignatureMismatchError,
    SignedAck,
    Signer,
    build_batch,
    decode_receipts,
    encode_ack,
    recover,
)
from supplier.errors import MalformedRelayError, ReceiptRefusedError, WrongSignerError
from supplier.metrics import Metrics
from supplier.mining.alone import ALONE, Sharding
from supplier.mining.books import Books
from supplier.mining.judging import judge_receipt
from supplier.mining.receipt_log import Log, SessionSealedError
from supplier.mining.records import Receipted, Record
from supplier.mining.session_book import SessionBook
from supplier.server.serving import SignerOf


class PartlyRefusedError(ReceiptRefusedError):
    """Some receipts of a batch were refused; the others are durable."""

    def __init__(self, refused: list[tuple[Hash32, str]], acknowledged: bytes) -> None:
        super().__init__(f"{len(refused)} receipts of the batch were refused: {refused[0][1]}")
        self.refused = refused
        self.acknowledged = acknowledged
        """An encoded acknowledgement of the others, in their order; empty where there are none."""

    def body(self) -> bytes:
        """OpenAI's error JSON, with `refused` (hashes and reasons) and `acknowledged` in hex."""
        error = {"message": str(self), "type": self.kind, "code": self.code, "param": None}
        refused = [{"receipt": each.hex(), "reason": reason} for each, reason in self.refused]
        return orjson.dumps(
            {"error": error, "refused": refused, "acknowledged": self.acknowledged.hex()}
        )


@dataclass(frozen=True, slots=True)
class _Checked:
    book: SessionBook
    receipt: Receipt
    digest: Hash32
    leaf: Leaf | None
    path: tuple[Hash32, ...]


class ReceiptDesk:
    """Where gateways deliver receipts."""

    def __init__(
        self, books: Books, log: Log, domain: Domain, signer_of: SignerOf, metrics: Metrics,
        sharding: Sharding = ALONE,
    ) -> None:  # fmt: skip
        self._books = books
        self._log = log
        self._domain = domain
        self._signer_of = signer_of
        self._metrics = metrics
        self._sharding = sharding
        self._pending: dict[Hash32, asyncio.Task[None]] = {}
        self.has_failed = False
        """Whether the log failed: what is counted may not be durable, only a restart helps."""

    async def deliver(self, body: bytes) -> bytes:
        """The signed acknowledgement of a delivery, once it is durable.

        Raises MalformedRelayError, WrongSignerError, MisdirectedError, ReceiptRefusedError, and
        LogFailed where the disk fails or a session was sealed (then nothing is acknowledged).
        """
        if self.has_failed:
            raise LogFailed("the receipt log failed; restart this supplier")
        delivery = self._decode(body)
        digests = [self._domain.digest(receipt) for _, receipt in delivery.receipts]
        tree = build_batch(digests)
        signer = self._recover(tree.root, delivery.signature)
        gateway = delivery.receipts[0][0].gateway
        if not self._sharding.owns(gateway):
            await self._sharding.require_known(gateway)
        checked: list[_Checked] = []
        refused: list[tuple[Hash32, str]] = []
        waiting: list[asyncio.Task[None]] = []
        for index, (_, receipt) in enumerate(delivery.receipts):
            digest = digests[index]
            try:
                one = self._check(receipt, digest, signer, tree.path(index))
            except ReceiptRefusedError as error:
                refused.append((digest, str(error)))
                continue
            if one is not None:
                self._books.apply_receipt(one.book, receipt, digest, one.leaf)
                self._observe(one)
                checked.append(one)
            elif digest in self._pending:
                waiting.append(self._pending[digest])
        await self._write(checked, delivery.signature)
        for task in waiting:
            await asyncio.shield(task)
        if refused:
            bad = {digest for digest, _ in refused}
            digests = [digest for digest in digests if digest not in bad]
        operator = self._signer_of(delivery.receipts[-1][0].number)
        acknowledged = self._acknowledge(digests, operator)
        if refused:
            raise PartlyRefusedError(refused, acknowledged)
        return acknowledged

    def _acknowledge(self, digests: list[Hash32], signer: Signer) -> bytes:
        """The signed word that these receipts are durable; empty for none."""
        if not digests:
            return b""
        ack = Ack(build_batch(digests).root)
        return encode_ack(SignedAck(ack, signer.sign(self._domain.digest(ack))))

    def _observe(self, one: _Checked) -> None:
        price = one.book.facts.terms.price
        self._metrics.count("receipted", one.receipt.units, price)
        if one.leaf is not None:
            self._metrics.count("payable", one.leaf.weight, price)
        self._metrics.receipts.labels("accepted").inc()

    def _decode(self, body: bytes) -> ReceiptDelivery:
        try:
            delivery = decode_receipts(body)
        except MalformedError as error:
            raise MalformedRelayError(f"the delivery does not parse: {error}") from error
        if len({key.gateway for key, _ in delivery.receipts}) > 1:
            raise MalformedRelayError("the delivery names more than one gateway")
        return delivery

    def _recover(self, root: Hash32, signature: bytes) -> Address:
        try:
            return recover(self._domain.digest(ReceiptBatch(root)), signature)
        except SignatureMismatchError as error:
            raise WrongSignerError(f"the batch is signed by no key: {error}") from error

    def _check(
        self, receipt: Receipt, digest: Hash32, signer: Address, path: tuple[Hash32, ...]
    ) -> _Checked | None:
        """The receipt, checked; None for one that is here already."""
        book = self._books.sessions.get(receipt.session_id)
        if book is None:
            raise ReceiptRefusedError("no such session is open here")
        if signer != book.facts.gateway_signer:
            raise ReceiptRefusedError("not signed by the gateway's key on record")
        if digest in book.receipts:
            return None
        leaf = judge_receipt(book, self._books.supplier, receipt, digest)
        return _Checked(book, receipt, digest, leaf, path)

    async def _write(self, checked: list[_Checked], signature: bytes) -> None:
        if not checked:
            return
        digests = [one.digest for one in checked]
        # A task of its own: a caller that is cancelled must not leave receipts that are counted,
        # not durable, and acknowledged to whoever asks next.
        task = self._log.begin(_records(checked, signature))
        for digest in digests:
            self._pending[digest] = task
        task.add_done_callback(lambda done: self._written(done, checked))
        await asyncio.shield(task)

    def _written(self, task: asyncio.Task[None], checked: list[_Checked]) -> None:
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, SessionSealedError):
            self._take_back(failure.sessions, checked)
        elif task.cancelled() or failure is not None:
            self.has_failed = True
        for one in checked:
            self._pending.pop(one.digest, None)

    def _take_back(self, sealed: frozenset[Hash32], checked: list[_Checked]) -> None:
        """Receipts that were counted when another server had sealed their session: refused."""
        for one in checked:
            if one.book.session_id in sealed:
                self._books.seal(one.book)
                one.book.receipts.discard(one.digest)


def _records(checked: list[_Checked], signature: bytes) -> list[Record]:
    return [Receipted.of(MinedReceipt(one.receipt, one.path, signature)) for one in checked]
