"""Sending transactions from one key until each is mined: nonces, fees, replacements, reverts.

A transaction is tried against the newest state first, so a refusal costs no gas. Its nonce is
taken under a lock and kept; while it is not mined it is sent again if the pool lost it, and
replaced at a higher fee if the pool kept it too long. Several sends may wait at the same time.
"""

import asyncio
import time
from dataclasses import dataclass, field

from eth_account import Account

from contracts.chain import Call, Chain, Fees, TxReceipt
from contracts.errors import (
    ChainUnavailableError,
    FeeLimitError,
    GasFundsError,
    NotMinedError,
    RpcError,
    UnknownRevertError,
)
from relay_mining import Address, Hash32, Signer

GAS_MARGIN_PERCENT = 25
"""Gas offered above the estimate, as the state may change before the transaction is mined."""

GAS_MAX = 2**24
"""Most gas a transaction may ask for (EIP-7825)."""


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """How a sender behaves; fees in wei a gas."""

    bump_blocks: int = 3
    """Blocks after which a transaction that is not mined is replaced."""
    deadline_s: float = 300.0
    poll_s: float = 0.5
    fee_max: int = 500 * 10**9
    """Most that is offered for a gas, base fee and tip together."""


@dataclass(slots=True)
class _Pending:
    """One nonce's transaction: every version of it sent so far, the newest last."""

    call: Call
    nonce: int
    gas: int
    tip: int
    fee: int
    sent_block: int
    taken_block: int | None = None
    """Where the nonce was first seen used without one of our versions being found mined."""
    raw: bytes = b""
    hashes: list[Hash32] = field(default_factory=list)


class _NonceTakenError(Exception):
    """Another transaction was mined with the nonce."""


class TxSender:
    """Sends from one key; one sender a key and process, any number of processes.

    `send` may raise ContractError before or after sending, GasFundsError, FeeLimitError,
    NotMinedError, and Chain's errors.
    """

    def __init__(self, chain: Chain, private_key: bytes, policy: SendPolicy | None = None) -> None:
        self._chain = chain
        self._account = Account.from_key(private_key)
        self._policy = policy or SendPolicy()
        self._lock = asyncio.Lock()
        self._in_flight: set[int] = set()
        self.address: Address = Signer(private_key).address

    async def send(self, call: Call) -> TxReceipt:
        """Send a call and return once it is mined and has succeeded."""
        deadline = time.monotonic() + self._policy.deadline_s
        while True:
            pending = await self._submit(call)
            try:
                receipt = await self._wait(pending, deadline)
            except _NonceTakenError:
                continue
            finally:
                self._in_flight.discard(pending.nonce)
            if not receipt.is_success:
                await self._raise_revert(call, receipt)
            return receipt

    async def _submit(self, call: Call) -> _Pending:
        """Sign and hand in a new transaction; the nonce is used up only once a pool has it."""
        async with self._lock:
            gas = await self._estimate(call)
            fees = await self._chain.fees()
            head = await self._chain.head()
            free = await self._chain.nonce(self.address, with_pending=True)
            pending = _Pending(
                call=call,
                nonce=max(free, 1 + max(self._in_flight, default=-1)),
                gas=_offer_gas(gas),
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
            raise _translate(error) from error

    async def _hand_in(self, pending: _Pending) -> None:
        """The first version into the pool, at the first nonce that is free."""
        while True:
            self._sign(pending)
            try:
                await self._chain.send_raw(pending.raw)
            except RpcError as error:
                if _is_known(error) or _is_fee_low(error):
                    return  # What no pool has is handed in again, and dearer, while it is awaited.
                if not (_is_nonce_low(error) or _is_underpriced(error)):
                    raise _translate(error) from error
                pending.hashes.clear()
                free = await self._chain.nonce(self.address, with_pending=True)
                pending.nonce = max(free, pending.nonce + 1)
            except ChainUnavailableError:
                return  # A pool may have it: waiting finds out, and sends it again if not.
            else:
                return

    async def _wait(self, pending: _Pending, deadline: float) -> TxReceipt:
        while True:
            try:
                receipt = await self._look(pending)
                if receipt is not None:
                    return receipt
            except ChainUnavailableError:
                if time.monotonic() >= deadline:
                    raise
            if time.monotonic() >= deadline:
                raise NotMinedError(pending.nonce, tuple(pending.hashes))
            await asyncio.sleep(self._policy.poll_s)

    async def _look(self, pending: _Pending) -> TxReceipt | None:
        """The receipt, if there is one; else whatever helps the transaction along."""
        mined_count = await self._chain.nonce(self.address)
        for each in reversed(pending.hashes):
            receipt = await self._chain.receipt(each)
            if receipt is not None:
                return receipt
        head = await self._chain.head()
        if mined_count > pending.nonce:
            self._check_taken(pending, head.number)
            return None
        pending.taken_block = None
        if not await self._chain.is_known(pending.hashes[-1]):
            await self._hand_in_again(pending)
        elif head.number >= pending.sent_block + self._policy.bump_blocks:
            await self._replace(pending, head.number)
        return None

    def _check_taken(self, pending: _Pending, head: int) -> None:
        """Give the nonce up only blocks later: an endpoint may know the count before the receipt,
        and a call given up too early would be sent twice."""
        if pending.taken_block is None:
            pending.taken_block = head
        if head >= pending.taken_block + self._policy.bump_blocks:
            raise _NonceTakenError

    async def _hand_in_again(self, pending: _Pending) -> None:
        try:
            await self._chain.send_raw(pending.raw)
        except RpcError as error:
            # An older version came back in its stead, or the base fee has risen beyond it.
            if _is_underpriced(error) or _is_fee_low(error):
                await self._replace(pending, pending.sent_block)
            elif not (_is_known(error) or _is_nonce_low(error)):
                raise _translate(error) from error

    async def _replace(self, pending: _Pending, block: int) -> None:
        """A new version at 12.5 % more, the least that pools take; none above the fee limit."""
        pending.sent_block = block
        fees = await self._chain.fees()
        tip = max(_bump(pending.tip), fees.tip)
        fee = max(_bump(pending.fee), 2 * fees.base + tip)
        if fee > self._policy.fee_max:
            return
        pending.tip, pending.fee = tip, fee
        self._sign(pending)
        try:
            await self._chain.send_raw(pending.raw)
        except RpcError as error:
            if any(
                is_so(error) for is_so in (_is_known, _is_nonce_low, _is_underpriced, _is_fee_low)
            ):
                return  # It was mined meanwhile, or the pool asks for more: look again.
            raise _translate(error) from error

    def _initial_fee(self, fees: Fees) -> int:
        """Twice the base fee, so that it may rise for six full blocks, within the limit."""
        if fees.base + fees.tip > self._policy.fee_max:
            raise FeeLimitError(
                f"the chain asks {fees.base + fees.tip} wei for a gas,"
                f" the limit is {self._policy.fee_max}"
            )
        return min(2 * fees.base + fees.tip, self._policy.fee_max)

    def _sign(self, pending: _Pending) -> None:
        transaction: dict[str, object] = {
            "type": 2,
            "chainId": self._chain.chain_id,
            "nonce": pending.nonce,
            "gas": pending.gas,
            "maxFeePerGas": pending.fee,
            "maxPriorityFeePerGas": pending.tip,
            "value": pending.call.value,
            "data": pending.call.data,
        }
        if pending.call.to is not None:
            transaction["to"] = pending.call.to
        signed = self._account.sign_transaction(transaction)
        pending.raw = bytes(signed.raw_transaction)
        pending.hashes.append(bytes(signed.hash))

    async def _raise_revert(self, call: Call, receipt: TxReceipt) -> None:
        """Raise why a mined transaction failed, found by running it again before its block."""
        for block in (receipt.block_number - 1, receipt.block_number):
            await self._chain.read(call, block, sender=self.address)
        raise UnknownRevertError(
            "Revert",
            {"transaction": receipt.transaction_hash},
            "the state changed within its block; look at it again and resend if still needed",
        )


def _offer_gas(estimate: int) -> int:
    """The estimate and a margin, within what a transaction may ask for."""
    return max(estimate, min(estimate + estimate * GAS_MARGIN_PERCENT // 100, GAS_MAX))


def _bump(fee: int) -> int:
    """12.5 % more, rounded up."""
    return fee + -(-fee // 8)


def _is_known(error: RpcError) -> bool:
    text = error.message.lower()
    return "already known" in text or "already imported" in text or "known transaction" in text


def _is_nonce_low(error: RpcError) -> bool:
    text = error.message.lower()
    return "nonce too low" in text or "nonce is too low" in text or "oldnonce" in text


def _is_underpriced(error: RpcError) -> bool:
    return "underpriced" in error.message.lower()


def _is_fee_low(error: RpcError) -> bool:
    return "less than block base fee" in error.message.lower()


def _translate(error: RpcError) -> Exception:
    if "insufficient funds" in error.message.lower():
        return GasFundsError("the sending key cannot pay for the gas: fund its address")
    return error
