"""A transaction comes through whatever the pool does to it, and its nonce is used once."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from eth_account import Account

from contracts import (
    Call,
    Chain,
    FeeLimitError,
    GasFundsError,
    NotMinedError,
    RpcError,
    SendPolicy,
    TxReceipt,
    TxSender,
)
from contracts.answers import Fees
from tests.contracts.anvil import KEYS, Anvil

pytestmark = [pytest.mark.anvil, pytest.mark.anyio]

RECEIVER = b"\x11" * 20
POLICY = SendPolicy(bump_blocks=1, deadline_s=20, poll_s=0.01)
GWEI = 10**9


@pytest.fixture
def sender(anvil: Anvil, chain: Chain) -> TxSender:
    """A sender on a chain that mines on demand only."""
    anvil.rpc("evm_setAutomine", False)
    return TxSender(chain, KEYS[0], POLICY)


def pay(value: int = 1) -> Call:
    return Call(RECEIVER, b"", value)


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until a condition holds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def pool(anvil: Anvil, address: bytes) -> dict[int, dict[str, str]]:
    """Transactions of an address that wait in the pool, by nonce."""
    content = anvil.rpc("txpool_content")
    found: dict[int, dict[str, str]] = {}
    for part in ("queued", "pending"):
        for owner, transactions in content[part].items():
            if owner.lower() == "0x" + address.hex():
                found |= {int(nonce): each for nonce, each in transactions.items()}
    return found


def hashes_at(anvil: Anvil, address: bytes, nonce: int) -> set[bytes]:
    """The hash of the transaction that waits at a nonce, if one does."""
    waiting = pool(anvil, address)
    return {bytes.fromhex(waiting[nonce]["hash"][2:])} if nonce in waiting else set()


async def drive(anvil: Anvil, *tasks: "asyncio.Task[TxReceipt]") -> list[TxReceipt]:
    """Make blocks until some sends are done."""
    async with asyncio.timeout(20):
        while not all(each.done() for each in tasks):
            anvil.mine()
            await asyncio.sleep(0.02)
    return [each.result() for each in tasks]


def start(sender: TxSender, call: Call) -> "asyncio.Task[TxReceipt]":
    return asyncio.create_task(sender.send(call))


def mine_empty(anvil: Anvil) -> None:
    """Make a block that is too small for any transaction."""
    limit = anvil.rpc("eth_getBlockByNumber", "latest", False)["gasLimit"]
    anvil.rpc("evm_setBlockGasLimit", hex(20_999))
    anvil.mine()
    anvil.rpc("evm_setBlockGasLimit", limit)


def mine_dear(anvil: Anvil, base_fee: int) -> None:
    """Make a block that takes only what offers so much."""
    anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
    anvil.mine()


def send_from_elsewhere(
    anvil: Anvil, nonce: int, fee: int = 50 * GWEI, key: bytes = KEYS[0]
) -> bytes:
    """Another program with the same key sends a transaction."""
    transaction = {
        "type": 2,
        "chainId": 31337,
        "nonce": nonce,
        "gas": 21_000,
        "maxFeePerGas": fee,
        "maxPriorityFeePerGas": fee,
        "value": 7,
        "to": RECEIVER,
    }
    raw = Account.sign_transaction(transaction, key).raw_transaction
    return bytes.fromhex(anvil.rpc("eth_sendRawTransaction", "0x" + raw.hex())[2:])


async def test_concurrent_sends_take_successive_nonces(
    anvil: Anvil, chain: Chain, sender: TxSender
) -> None:
    before = await chain.nonce(sender.address)
    tasks = [start(sender, pay(value)) for value in range(1, 6)]
    await until(lambda: len(pool(anvil, sender.address)) == 5)
    receipts = await drive(anvil, *tasks)
    assert len({each.transaction_hash for each in receipts}) == 5
    assert await chain.nonce(sender.address) == before + 5
    assert await chain.balance(RECEIVER) == sum(range(1, 6))


async def test_a_waiting_transaction_is_replaced_at_an_eighth_more(
    anvil: Anvil, chain: Chain, sender: TxSender
) -> None:
    nonce = await chain.nonce(sender.address)
    task = start(sender, pay())
    await until(lambda: nonce in pool(anvil, sender.address))
    first = pool(anvil, sender.address)[nonce]
    mine_empty(anvil)
    await until(lambda: pool(anvil, sender.address)[nonce]["hash"] != first["hash"])
    second = pool(anvil, sender.address)[nonce]
    for field in ("maxFeePerGas", "maxPriorityFeePerGas"):
        assert int(second[field], 16) * 8 >= int(first[field], 16) * 9
    (receipt,) = await drive(anvil, task)
    assert receipt.transaction_hash.hex() != first["hash"][2:]
    assert await chain.nonce(sender.address) == nonce + 1
    assert await chain.balance(RECEIVER) == 1


async def test_a_dropped_transaction_is_handed_in_again(
    anvil: Anvil, chain: Chain, sender: TxSender
) -> None:
    nonce = await chain.nonce(sender.address)
    task = start(sender, pay())
    await until(lambda: nonce in pool(anvil, sender.address))
    anvil.rpc("anvil_dropTransaction", pool(anvil, sender.address)[nonce]["hash"])
    await until(lambda: nonce in pool(anvil, sender.address))
    await drive(anvil, task)
    assert await chain.nonce(sender.address) == nonce + 1


async def test_a_nonce_that_someone_else_used_costs_a_new_one(
    anvil: Anvil, chain: Chain, sender: TxSender
) -> None:
    nonce = await chain.nonce(sender.address)
    task = start(sender, pay())
    await until(lambda: nonce in pool(anvil, sender.address))
    rival = send_from_elsewhere(anvil, nonce)
    (receipt,) = await drive(anvil, task)
    assert receipt.transaction_hash != rival
    assert await chain.nonce(sender.address) == nonce + 2
    assert await chain.balance(RECEIVER) == 8


async def test_a_nonce_counted_too_low_is_recovered(
    anvil: Anvil, chain: Chain, sender: TxSender
) -> None:
    await drive(anvil, start(sender, pay()))
    for _ in range(3):  # The sender's own count falls behind.
        send_from_elsewhere(anvil, await chain.nonce(sender.address))
        anvil.mine()
    await drive(anvil, start(sender, pay()))
    assert await chain.balance(RECEIVER) == 1 + 3 * 7 + 1


async def test_a_nonce_counted_too_high_is_recovered_after_the_deadline(
    anvil: Anvil, chain: Chain
) -> None:
    """A send that was given up and lost by the pool leaves no gap for the next one."""
    anvil.rpc("evm_setAutomine", False)
    sender = TxSender(chain, KEYS[0], SendPolicy(bump_blocks=1000, deadline_s=0.2, poll_s=0.01))
    with pytest.raises(NotMinedError) as raised:
        await sender.send(pay())
    assert raised.value.hashes
    anvil.rpc("anvil_dropAllTransactions")
    nonce = await chain.nonce(sender.address)
    with suppress(NotMinedError):
        await sender.send(pay())
    assert list(pool(anvil, sender.address)) == [nonce]


async def test_an_occupied_nonce_is_passed_over(
    anvil: Anvil, chain: Chain, sender: TxSender
) -> None:
    """Another transaction of the key waits at a higher fee, unseen by the count of the pool."""
    nonce = await chain.nonce(sender.address)
    send_from_elsewhere(anvil, nonce)
    task = start(sender, pay())
    await until(lambda: set(pool(anvil, sender.address)) == {nonce, nonce + 1})
    await drive(anvil, task)
    assert await chain.balance(RECEIVER) == 8


async def test_a_refusal_by_fee_or_funds_comes_before_sending(anvil: Anvil, chain: Chain) -> None:
    poor = TxSender(chain, b"\x05" * 32, POLICY)
    for value in (0, 1):
        with pytest.raises(GasFundsError):
            await poor.send(pay(value))
    mean = TxSender(chain, KEYS[0], SendPolicy(fee_max=1))
    with pytest.raises(FeeLimitError):
        await mean.send(pay())
    assert await chain.balance(RECEIVER) == 0
    assert not pool(anvil, mean.address)


async def test_a_base_fee_that_leaps_is_followed(
    anvil: Anvil, chain: Chain, sender: TxSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rises just after it was read: the pool refuses one version, a dearer one is mined."""
    read_fees = chain.fees

    async def leap() -> Fees:
        fees = await read_fees()
        anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(50 * (fees.base + fees.tip)))
        monkeypatch.setattr(chain, "fees", read_fees)
        return fees

    monkeypatch.setattr(chain, "fees", leap)
    (receipt,) = await drive(anvil, start(sender, pay()))
    assert receipt.is_success
    assert await chain.balance(RECEIVER) == 1


async def test_fees_never_pass_the_limit(anvil: Anvil, chain: Chain) -> None:
    anvil.rpc("evm_setAutomine", False)
    fees = await chain.fees()
    limit = 2 * fees.base + fees.tip + 3
    sender = TxSender(chain, KEYS[0], SendPolicy(1, 1.0, 0.01, fee_max=limit))
    task = start(sender, pay())
    await until(lambda: bool(pool(anvil, sender.address)))
    while not task.done():
        mine_empty(anvil)
        for each in pool(anvil, sender.address).values():
            assert int(each["maxFeePerGas"], 16) <= limit
        await asyncio.sleep(0.02)
    with pytest.raises(NotMinedError):
        task.result()


async def test_two_processes_may_share_a_key(anvil: Anvil, chain: Chain, sender: TxSender) -> None:
    """They take the same nonce at first; all their different calls come through all the same."""
    before = await chain.nonce(sender.address)
    other = TxSender(chain, KEYS[0], POLICY)
    tasks = [start(each, pay(2**n)) for n, each in enumerate((sender, other) * 3)]
    receipts = await drive(anvil, *tasks)
    assert len({each.transaction_hash for each in receipts}) == 6
    assert await chain.nonce(sender.address) == before + 6
    assert await chain.balance(RECEIVER) == 2**6 - 1


async def test_a_transaction_that_the_pool_knows_already_is_waited_for(
    anvil: Anvil, chain: Chain, sender: TxSender
) -> None:
    """The same call signed again at the same nonce, as after a crash, is the same transaction."""
    nonce = await chain.nonce(sender.address)
    first = start(sender, pay())
    await until(lambda: nonce in pool(anvil, sender.address))
    raw = anvil.rpc("eth_getRawTransactionByHash", pool(anvil, sender.address)[nonce]["hash"])
    with pytest.raises(RpcError, match="already"):
        await chain.send_raw(bytes.fromhex(raw[2:]))
    (receipt,) = await drive(anvil, first)
    assert receipt.is_success
    assert await chain.nonce(sender.address) == nonce + 1


async def test_a_transaction_left_behind_too_cheap_gives_way(
    anvil: Anvil, chain: Chain, sender: TxSender
) -> None:
    """A process was killed while it waited, and no block takes what it offered."""
    nonce = await chain.nonce(sender.address)
    left_behind = send_from_elsewhere(anvil, nonce, fee=10 * GWEI)
    task = start(sender, pay())
    await until(lambda: set(pool(anvil, sender.address)) == {nonce, nonce + 1})
    async with asyncio.timeout(20):
        while left_behind in hashes_at(anvil, sender.address, nonce):
            mine_dear(anvil, 100 * GWEI)
            await asyncio.sleep(0.02)
    (receipt,) = await drive(anvil, task)
    assert receipt.is_success
    assert await chain.nonce(sender.address) == nonce + 2
    assert await chain.balance(RECEIVER) == 1


async def test_a_transaction_lost_before_ours_leaves_no_gap(
    anvil: Anvil, chain: Chain, sender: TxSender
) -> None:
    nonce = await chain.nonce(sender.address)
    lost = send_from_elsewhere(anvil, nonce)
    task = start(sender, pay())
    await until(lambda: set(pool(anvil, sender.address)) == {nonce, nonce + 1})
    anvil.rpc("anvil_dropTransaction", "0x" + lost.hex())
    await drive(anvil, task)
    assert await chain.nonce(sender.address) == nonce + 2
    assert await chain.balance(RECEIVER) == 1


async def test_what_a_reorganisation_took_bars_nothing(
    anvil: Anvil, chain: Chain, sender: TxSender
) -> None:
    """A send that was done is undone, in no pool, while another waits behind its nonce."""
    nonce, before = await chain.nonce(sender.address), anvil.height
    await drive(anvil, start(sender, pay(1)))
    waiting = start(sender, pay(2))
    await until(lambda: nonce + 1 in pool(anvil, sender.address))
    anvil.rpc("anvil_reorg", anvil.height - before, [])
    assert await chain.nonce(sender.address) == nonce
    await drive(anvil, waiting)
    assert await chain.balance(RECEIVER) == 2


async def test_the_next_send_takes_a_nonce_that_was_lost(
    anvil: Anvil, chain: Chain, sender: TxSender
) -> None:
    nonce = await chain.nonce(sender.address)
    lost = send_from_elsewhere(anvil, nonce)
    first = start(sender, pay(1))
    await until(lambda: set(pool(anvil, sender.address)) == {nonce, nonce + 1})
    anvil.rpc("anvil_dropTransaction", "0x" + lost.hex())
    second = start(sender, pay(2))
    await until(lambda: set(pool(anvil, sender.address)) == {nonce, nonce + 1})
    await drive(anvil, first, second)
    assert await chain.nonce(sender.address) == nonce + 2
    assert await chain.balance(RECEIVER) == 3


async def test_a_send_is_given_up_behind_the_last_block_of_any_use(
    anvil: Anvil, chain: Chain, sender: TxSender
) -> None:
    last = anvil.height + 2
    task = asyncio.create_task(sender.send(pay(), last_block=last))
    await until(lambda: bool(pool(anvil, sender.address)))
    while anvil.height < last:
        assert not task.done()
        mine_dear(anvil, 2 * POLICY.fee_max)
    with pytest.raises(NotMinedError):
        await task
    assert await chain.balance(RECEIVER) == 0


async def test_a_call_is_not_sent_twice_while_its_block_is_being_made(
    anvil: Anvil, chain: Chain, sender: TxSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anvil counts a transaction before it shows its block; that comes between two questions."""
    nonce = await chain.nonce(sender.address)
    task = start(sender, pay())
    await until(lambda: nonce in pool(anvil, sender.address))
    read_nonce, read_receipt, looks = chain.nonce, chain.receipt, 0

    async def count_early(
        address: bytes, block: int | None = None, *, with_pending: bool = False
    ) -> int:
        return await read_nonce(address, block, with_pending=with_pending or block is None)

    async def show_late(transaction_hash: bytes) -> TxReceipt | None:
        nonlocal looks
        found = await read_receipt(transaction_hash)
        looks += 1
        if looks == 2:
            anvil.mine()
        return found

    monkeypatch.setattr(chain, "nonce", count_early)
    monkeypatch.setattr(chain, "receipt", show_late)
    await until(task.done)
    assert await read_nonce(sender.address) == nonce + 1
    assert await chain.balance(RECEIVER) == 1
