"""A stranger who proves what is not his: garbage, a copied proof, a proof again, a dearer claim.

Everything it needs is public: claims are in events, proofs in the calldata of whoever proved.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import orjson

from adversaries.cheat import Cheat, Finding, Line
from adversaries.scene import POLL_S, Scene
from contracts import (
    Call,
    ClaimAccepted,
    ClaimPaid,
    ContractError,
    Event,
    Market,
    SettleRefused,
    TxSender,
    decode_outcome,
)
from node.http import ClientPool
from relay_mining import Claim, Hash32, LeafProof, keccak

DEADLINE_S = 200.0
CLAIM_ENDS = 4 + 13 * 32
"""Where the claim's struct ends in the calldata of a proof: selector, then thirteen words."""
SETTLED = "Claims_ClaimUnknown"
"""What the contract says of a claim that is settled, or was never made."""
GARBAGE = LeafProof(
    request_hash=keccak(b"request"),
    response_hash=keccak(b"response"),
    units=1_000,
    secret=keccak(b"secret"),
    batch_path=(),
    batch_signature=bytes(65),
    siblings=b"",
)


def _cheat(name: str, does: str, check: str) -> Cheat:
    return Cheat(name, "stranger", does, Line.CONTRACT, check)


GARBAGE_PROOF = _cheat(
    "garbage proof", "proves somebody else's claim with made-up leaves", "Proof_"
)
COPIED_PROOF = _cheat(
    "proof of another claim", "proves a claim with the leaves that proved another", "Proof_"
)
PROOF_AGAIN = _cheat("one proof twice", "sends a good proof a second time", SETTLED)
DEARER_CLAIM = _cheat(
    "dearer price", "settles an open claim with ten times its price and value", SETTLED
)


class Stranger:
    """Anybody with gas, who watches the chain."""

    def __init__(self, market: Market, key: bytes) -> None:
        self.market = market
        self.sender = TxSender(market.chain, key)
        self._events = market.events(confirmations=0)
        self.open: dict[Hash32, Claim] = {}
        self.paid: dict[Hash32, Event] = {}
        """Payments by claim."""
        self.late: set[Hash32] = set()
        """Claims that others had proved before we got there."""

    async def watch(self) -> None:
        """Take in what is new on the chain."""
        for event in (await self._events.read()).events:
            match decode_outcome(event):
                case ClaimAccepted(claim):
                    self.open[claim.id] = claim
                case ClaimPaid() as paid:
                    self.open.pop(paid.claim_id, None)
                    self.paid[paid.claim_id] = event
                case _:
                    continue

    async def challenged(self) -> tuple[Claim, int]:
        """A claim of others that awaits its proof, and how many leaves it has to open."""
        while True:
            await self.watch()
            for claim in (each for each in self.open.values() if each.id not in self.late):
                challenge = await self.market.claims.challenge(claim)
                if challenge.seed is not None and challenge.points:
                    return claim, challenge.points
            await asyncio.sleep(POLL_S)

    async def attempt(self, cheat: Cheat, call: Call) -> Finding:
        """Send a call; what refused it."""
        try:
            await self.sender.send(call)
        except ContractError as error:
            return Finding(cheat, f"contract: {error.name}", after="at once", cost="none")
        return Finding(cheat, "nobody", after="at once")

    async def prove(
        self, cheat: Cheat, call: Callable[[Claim, int], Call]
    ) -> tuple[Claim, Finding]:
        """A challenged claim that is not ours, and what refused a proof of it.

        Where its owner proves it while ours is on its way, another is taken.
        """
        while True:
            claim, points = await self.challenged()
            found = await self.attempt(cheat, call(claim, points))
            if SETTLED not in found.met:
                return claim, found
            self.late.add(claim.id)

    async def garbage(self) -> Finding:
        """Made-up leaves for a challenged claim."""
        prove = self.market.claims.prove
        claim, found = await self.prove(
            GARBAGE_PROOF, lambda claim, points: prove(claim, keccak(b"salt"), [GARBAGE] * points)
        )
        is_open = await self.market.claims.is_open(claim)
        return replace(found, cost="none: the claim stays open" if is_open else "")

    async def copied(self, calldata: bytes) -> Finding:
        """A proof as somebody sent it, under another claim that is challenged."""

        def copy(claim: Claim, _: int) -> Call:
            own = self.market.claims.prove(claim, bytes(32), ())
            return replace(own, data=own.data[:CLAIM_ENDS] + calldata[CLAIM_ENDS:])

        _, found = await self.prove(COPIED_PROOF, copy)
        return found

    async def again(self, calldata: bytes) -> Finding:
        """A proof that has paid its claim, once more."""
        return await self.attempt(PROOF_AGAIN, Call(self.market.claims.address, calldata))

    async def dearer(self) -> Finding:
        """A claim that awaits its proof, settled as if it were worth ten times as much."""
        claim, _ = await self.challenged()
        forged = replace(claim, price=10 * claim.price, value=10 * claim.value)
        receipt = await self.sender.send(self.market.claims.settle([forged]))
        refused = [
            each.error.name
            for each in self.market.claims.outcomes(receipt)
            if isinstance(each, SettleRefused)
        ]
        met = f"contract: {refused[0]}" if refused else "nobody"
        return Finding(DEARER_CLAIM, met, after="at once", cost="none")

    async def seen_proof(self, rpc: str) -> bytes:
        """The calldata of somebody's proof that paid a claim, from the chain."""
        selector = self.market.claims.prove(next(iter(self.open.values())), bytes(32), ()).data[:4]
        async with ClientPool() as pool:
            while True:
                await self.watch()
                for event in self.paid.values():
                    data = await _calldata(pool, rpc, event.transaction_hash)
                    if data.startswith(selector):
                        return data
                await asyncio.sleep(POLL_S)


async def _calldata(pool: ClientPool, rpc: str, transaction: Hash32) -> bytes:
    body = orjson.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "eth_getTransactionByHash",
            "params": ["0x" + transaction.hex()],
        }
    )
    answer = await pool.request(b"POST", rpc, ((b"content-type", b"application/json"),), body)
    text: str = orjson.loads(answer.body)["result"]["input"]
    return bytes.fromhex(text[2:])


async def run(scene: Scene) -> list[Finding]:
    """Everything a stranger can try with claims that are not his."""
    async with asyncio.timeout(DEADLINE_S), await Market.connect([scene.rpc], scene.book) as market:
        stranger = Stranger(market, scene.keys[0])
        found = [await stranger.garbage(), await stranger.dearer()]
        calldata = await stranger.seen_proof(scene.rpc)
        return [*found, await stranger.again(calldata), await stranger.copied(calldata)]
