"""Sending transactions from one key until each is mined: nonces, fees, replacements, reverts.

A transaction is tried against the newest state first, so a refusal costs no gas. Its nonce is
taken under a lock and kept; while it is not mined it is sent again if the pool lost it, and
replaced at a higher fee if the pool kept it too long. Several sends may wait at the same time.
What bars the way with a lower nonce, left behind by a process that was killed or lost by a
reorganisation, is replaced by a payment of nothing: of a call there is never a version with a
second nonce, as both could be mined.
"""

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from typing import Protocol

from contracts.answers import Fees, TxReceipt
from contracts.chain import Call, Chain
from contracts.errors import (
    ChainUnavailableError,
    FeeLimitError,
    NotMinedError,
    RpcError,
    UnknownRevertError,
)
from contracts.pending import Bar, Pending, bump_fee, offer_gas
from contracts.refusals import (
    is_fee_low,
    is_known,
    is_nonce_low,
    is_passing,
    is_underpriced,
    translate,
)
from relay_mining import Address, Signer

log = logging.getLogger(__name__)

TRANSFER_GAS = 21_000
BAR_PATIENCE = 2
"""Times `bump_blocks` that a transaction which is not ours may bar the way of ours."""


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """How a sender behaves; fees in wei a gas."""

    bump_blocks: int = 3
    """Blocks after which a transaction that is not mined is replaced."""
    deadline_s: float = 300.0
    poll_s: float = 0.5
    fee_max: int = 500 * 10**9
    """Most that is offered for a gas, base fee and tip together."""


class _NonceTakenError(Exception):
    """Another transaction was mined with the nonce."""


class Sender(Protocol):
    """Whoever sends transactions: one key's `TxSender`, or a choice among several."""

    @property
    def address(self) -> Address:
        """Whom the next call comes from."""
        ...

    async def send(self, call: Call, *, last_block: int | None = None) -> TxReceipt:
        """Send a call and return once it is mined and has succeeded."""
        ...


class TxSender:
    """Sends from one key; one sender a key and process, any number of processes.

    `send` may raise ContractError before or after sending, GasFundsError, FeeLimitError,
    NotMinedError, and Chain's errors.
    """

    def __init__(self, chain: Chain, private_key: bytes, policy: SendPolicy | None = None) -> None:
        from eth_account import Account  # slow to load: for those who send

        self._chain = chain
        self._account = Account.from_key(private_key)
        self._policy = policy or SendPolicy()
        self._lock = asyncio.Lock()
        self._in_flight: set[int] = set()
        self._bar: Bar | None = None
        self.address: Address = Signer(private_key).address

    async def send(self, call: Call, *, last_block: int | None = None) -> TxReceipt:
        """Send a call and return once it is mined and has succeeded.

        Where there is a `last_block` in which it is of use, this is its deadline, however long
        that takes; else it is the policy's.
        """
        limit_s = self._policy.deadline_s if last_block is None else math.inf
        deadline = time.monotonic() + limit_s
        while True:
            pending = await self._submit(call)
            try:
                receipt = await self._wait(pending, deadline, last_block)
            except _NonceTakenError:
                continue
            finally:
                self._in_flight.discard(pending.nonce)
            if not receipt.is_success:
                await self._raise_revert(call, receipt)
            return receipt

    async def _submit(self, call: Call) -> Pending:
        """Sign and hand in a new transaction; the nonce is used up only once a pool has it."""
        gas = await self._estimate(call)
        async with self._lock:
            fees = await self._chain.fees()
            head = await self._chain.head()
            pending = Pending(
                call=call,
                nonce=await self._free_nonce(),
                gas=offer_gas(gas),
                tip=fees.tip,
                fee=self._initial_fee(fees),
                sent_block=head.number,
            )
            await self._hand_in(pending)
            self._in_flight.add(pending.nonce)
            return pending

    async def _estimate(self, call: Call) -> int:
        try:
            return await self._chain.estimate_gas(call, self.address)
        except RpcError as error:
            raise translate(error) from error

    async def _free_nonce(self, least: int = 0) -> int:
        """The lowest nonce that neither a pool nor one of our waiting sends has."""
        nonce = max(least, await self._chain.nonce(self.address, with_pending=True))
        while nonce in self._in_flight:
            nonce += 1
        return nonce

    async def _hand_in(self, pending: Pending) -> None:
        """The first version into the pool, at the first nonce that is free."""
        while True:
            pending.sign(self._account, self._chain.chain_id)
            try:
                await self._chain.send_raw(pending.raw)
            except RpcError as error:
                if is_known(error) or is_fee_low(error):
                    return  # What no pool has is handed in again, and dearer, while it is awaited.
                if not (is_nonce_low(error) or is_underpriced(error)):
                    raise translate(error) from error
                pending.hashes.clear()
                pending.nonce = await self._free_nonce(pending.nonce + 1)
            except ChainUnavailableError:
                return  # A pool may have it: waiting finds out, and sends it again if not.
            else:
                return

    async def _wait(self, pending: Pending, deadline: float, last_block: int | None) -> TxReceipt:
        while True:
            is_over = time.monotonic() >= deadline
            try:
                head = (await self._chain.head()).number
                is_over = is_over or (last_block is not None and head >= last_block)
                receipt = await self._look(pending, head)
                if receipt is not None:
                    return receipt
            except ChainUnavailableError:
                if is_over:
                    raise
            if is_over:
                raise NotMinedError(pending.nonce, tuple(pending.hashes))
            await asyncio.sleep(self._policy.poll_s)

    async def _look(self, pending: Pending, head: int) -> TxReceipt | None:
        """The receipt, if there is one; else whatever helps the transaction along.

        The head comes first: what is mined in it is seen by all that is asked after it.
        """
        mined_count = await self._chain.nonce(self.address, head)
        for each in reversed(pending.hashes):
            receipt = await self._chain.receipt(each)
            if receipt is not None:
                return receipt
        if mined_count > pending.nonce:
            self._check_taken(pending, head)
            return None
        pending.taken_block = None
        if not await self._chain.is_known(pending.hashes[-1]):
            await self._hand_in_again(pending)
        elif head >= pending.sent_block + self._policy.bump_blocks:
            await self._replace(pending, head)
        if mined_count < min(self._in_flight) == pending.nonce:
            await self._clear_way(mined_count, head, pending.fee)
        return None

    def _check_taken(self, pending: Pending, head: int) -> None:
        """Give the nonce up only blocks later: an endpoint may know the count before the receipt,
        and a call given up too early would be sent twice."""
        if pending.taken_block is None:
            pending.taken_block = head
        if head >= pending.taken_block + self._policy.bump_blocks:
            raise _NonceTakenError

    async def _clear_way(self, nonce: int, head: int, fee: int) -> None:
        """Have a nonce before all of ours mined, once it has barred their way for long enough."""
        if self._bar is None or self._bar.nonce != nonce:
            self._bar = Bar(nonce, head)
        bar, patience = self._bar, BAR_PATIENCE * self._policy.bump_blocks
        if head < bar.since_block + patience:
            return
        async with self._lock:
            if nonce in self._in_flight:
                return  # A new send of ours has found it free.
            bar.since_block = head
            bar.fee = min(max(2 * bar.fee, fee), self._policy.fee_max)
            log.warning("nonce %d is not mined and bars the way: it is given to nothing", nonce)
            nothing = Pending(Call(self.address, b""), nonce, TRANSFER_GAS, bar.fee, bar.fee, head)
            nothing.sign(self._account, self._chain.chain_id)
            try:
                await self._chain.send_raw(nothing.raw)
            except RpcError as error:
                if not is_passing(error):
                    raise translate(error) from error

    async def _hand_in_again(self, pending: Pending) -> None:
        try:
            await self._chain.send_raw(pending.raw)
        except RpcError as error:
            # An older version came back in its stead, or the base fee has risen beyond it.
            if is_underpriced(error) or is_fee_low(error):
                await self._replace(pending, pending.sent_block)
            elif not (is_known(error) or is_nonce_low(error)):
                raise translate(error) from error

    async def _replace(self, pending: Pending, block: int) -> None:
        """A new version at 12.5 % more, the least that pools take; none above the fee limit."""
        pending.sent_block = block
        fees = await self._chain.fees()
        tip = max(bump_fee(pending.tip), fees.tip)
        fee = max(bump_fee(pending.fee), 2 * fees.base + tip)
        if fee > self._policy.fee_max:
            return
        pending.tip, pending.fee = tip, fee
        pending.sign(self._account, self._chain.chain_id)
        try:
            await self._chain.send_raw(pending.raw)
        except RpcError as error:
            if not is_passing(error):
                raise translate(error) from error

    def _initial_fee(self, fees: Fees) -> int:
        """Twice the base fee, so that it may rise for six full blocks, within the limit."""
        if fees.base + fees.tip > self._policy.fee_max:
            raise FeeLimitError(
                f"the chain asks {fees.base + fees.tip} wei for a gas,"
                f" the limit is {self._policy.fee_max}"
            )
        return min(2 * fees.base + fees.tip, self._policy.fee_max)

    async def _raise_revert(self, call: Call, receipt: TxReceipt) -> None:
        """Raise why a mined transaction failed, found by running it again before its block."""
        for block in (receipt.block_number - 1, receipt.block_number):
            await self._chain.read(call, block, sender=self.address)
        raise UnknownRevertError(
            "Revert",
            {"transaction": receipt.transaction_hash},
            "the state changed within its block; look at it again and resend if still needed",
        )
