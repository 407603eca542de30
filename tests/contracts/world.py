"""A deployed market with two suppliers, a gateway and an application, and relays to claim in it."""

import random
from dataclasses import dataclass
from pathlib import Path

from contracts import (
    Call,
    Chain,
    ClaimAccepted,
    ClaimInput,
    Market,
    SendPolicy,
    Service,
    SessionState,
    TxReceipt,
    TxSender,
    compute_service_id,
    compute_supplier_id,
)
from contracts.deployment import DeploymentPlan, Roles, deploy
from relay_mining import (
    Address,
    Claim,
    Clock,
    Domain,
    LeafProof,
    MinedReceipt,
    Params,
    Receipt,
    ReceiptBatch,
    SessionKey,
    Signer,
    SumTrie,
    UnitWeights,
    build_batch,
    build_proof,
    keccak,
    mine_receipt,
)
from tests.contracts.anvil import KEYS, Anvil

DEPLOYER, OWNER, OPERATOR, GATEWAY, APPLICATION, OTHER = KEYS
GATEWAY_SIGNER = Signer(keccak(b"the gateway's signing key"))
PARAMS = Params(
    members=3,
    target_leaves=64,
    margin_bps=12_000,
    bond_ratio_max=20,
    protocol_bps=100,
    lot_stake=1_000_000,
    lots_max=100,
    idle_epochs=0,
    delegation_fee=1_000,
    min_stake=1_000_000,
    roster_max=8,
)
POLICY = SendPolicy(poll_s=0.005, deadline_s=30)
CAP = 3_000_000
PRICE = 1_000_000
"""So that one compute unit costs one base unit."""
FEE_BPS = 500
STAKE = 50_000_000
SERVED = 2
"""The first session with a roster."""
CREATION_SALT = bytes(32)


def address(key: bytes) -> Address:
    return Signer(key).address


SERVICE = Service(
    source=address(DEPLOYER),
    spec_hash=keccak(b"a specification"),
    weights=UnitWeights(100, 10, 1, 40),
    source_bps=1_000,
    market=bytes(20),
    name="a model",
)
SERVICE_ID = compute_service_id(SERVICE)
SUPPLIER = compute_supplier_id(address(OWNER), CREATION_SALT)
RIVAL = compute_supplier_id(address(OTHER), CREATION_SALT)


@dataclass
class World:
    """The market, its chain, and a sender for each of its people."""

    anvil: Anvil
    market: Market
    clock: Clock
    senders: dict[bytes, TxSender]

    @classmethod
    async def open(cls, anvil: Anvil, book: Path) -> "World":
        """The market of an address book, through connections of its own."""
        market = await Market.connect([anvil.url], book)
        senders = {key: TxSender(market.chain, key, POLICY) for key in KEYS}
        return cls(anvil, market, await market.sessions.clock(), senders)

    @property
    def domain(self) -> Domain:
        return self.market.domain

    def key(self, number: int = SERVED) -> SessionKey:
        return SessionKey(address(APPLICATION), address(GATEWAY), SERVICE_ID, number)

    async def send(self, key: bytes, call: Call) -> TxReceipt:
        return await self.senders[key].send(call)

    async def state(self, number: int = SERVED) -> SessionState:
        return await self.market.sessions.session(self.key(number))

    def go_to(self, number: int, offset: int = 0) -> None:
        """Make blocks up to a block of a session."""
        self.anvil.mine_to(self.clock.start(number) + offset)

    def go_to_proofs(self, number: int = SERVED) -> None:
        self.anvil.mine_to(self.clock.proof_window(number).opens)

    async def locked(self) -> int:
        """Tokens that the market's contracts hold."""
        token, book = self.market.token, self.market.book
        return sum(
            [await token.balance(each) for each in (book.registry, book.escrow, book.claims)]
        )


async def build(anvil: Anvil, book: Path) -> None:
    """Deploy, and have everyone ready for session 2."""
    async with await Chain.connect([anvil.url]) as chain:
        sender = TxSender(chain, DEPLOYER, POLICY)
        head = (await chain.head()).number
        plan = DeploymentPlan(
            chain_id=chain.chain_id,
            deployer=sender.address,
            first_nonce=await chain.nonce(sender.address),
            deployment_block=head,
            clock=Clock(head, 60, 3, 2),
            params=PARAMS,
            roles=Roles(sender.address, sender.address, b"\x77" * 20, 0),
            token=None,
        )
        (await deploy(sender, chain, plan)).save(book)
    world = await World.open(anvil, book)
    market, registry, escrow = world.market, world.market.registry, world.market.escrow
    for key in (OWNER, OTHER, APPLICATION):
        await world.send(key, market.token.mint(address(key), 10**12))
        for spender in (market.book.registry, market.book.escrow):
            await world.send(key, market.token.approve(spender, 10**12))
    await world.send(DEPLOYER, registry.list_service(SERVICE))
    await world.send(GATEWAY, registry.register_gateway(GATEWAY_SIGNER.address, "http://gateway"))
    for owner, operator, supplier in ((OWNER, OPERATOR, SUPPLIER), (OTHER, OTHER, RIVAL)):
        receiver = address(owner)
        arguments = (CREATION_SALT, address(operator), receiver, "http://supplier", STAKE)
        await world.send(owner, registry.register_supplier(*arguments))
        await world.send(owner, registry.stake(supplier, STAKE))
        await world.send(owner, registry.set_listing(supplier, SERVICE_ID, PRICE))
    await world.send(APPLICATION, escrow.deposit(address(APPLICATION), 10 * CAP))
    delegation = escrow.delegate(address(GATEWAY), SERVICE_ID, CAP, FEE_BPS)
    await world.send(APPLICATION, delegation)
    await world.send(DEPLOYER, market.sessions.build_roster(SERVICE_ID))
    assert anvil.height < world.clock.start(1)
    await market.close()


@dataclass
class Served:
    """What a supplier mined in one session."""

    trie: SumTrie
    mined: dict[bytes, MinedReceipt]
    salt: bytes
    tau: int

    def prove(self, seed: bytes, points: int) -> tuple[LeafProof, ...]:
        return build_proof(self.trie, seed, points, self.mined)


def serve(
    domain: Domain,
    key: SessionKey,
    *,
    supplier: Address = SUPPLIER,
    tau: int = 15_625,
    units_max: int = 60_000,
    relays: int = 40,
    weight_max: int = 1_000_000,
    seed: int = 1,
    gateway: Signer = GATEWAY_SIGNER,
) -> Served:
    """Receipts of relays of all sizes, signed in batches, within a slice."""
    chance = random.Random(seed)
    salt = Signer(OPERATOR).session_salt(key.id)
    receipts: dict[bytes, Receipt] = {}
    weight = 0
    for index in range(relays):
        units = chance.choice((1, tau - 1 or 1, tau, tau + 1, chance.randint(1, units_max)))
        request_hash, response_hash = keccak(b"%d/%d" % (seed, index)), keccak(b"%d" % index)
        receipt = Receipt(
            session_id=key.id,
            supplier=supplier,
            request_hash=request_hash,
            response_hash=response_hash,
            salt_hash=keccak(salt),
            units=units,
            secret=gateway.receipt_secret(request_hash, response_hash),
        )
        if weight + max(units, tau) > weight_max:
            break
        digest = domain.digest(receipt)
        receipts[digest] = receipt
        if mine_receipt(digest, units, salt, tau) is not None:
            weight += max(units, tau)
    mined: dict[bytes, MinedReceipt] = {}
    leaves = []
    batches = [list(receipts)[at : at + 7] for at in range(0, len(receipts), 7)]
    for batch in batches:
        tree = build_batch(batch)
        signature = gateway.sign(domain.digest(ReceiptBatch(tree.root)))
        for index, digest in enumerate(batch):
            leaf = mine_receipt(digest, receipts[digest].units, salt, tau)
            if leaf is not None:
                mined[digest] = MinedReceipt(receipts[digest], tree.path(index), signature)
                leaves.append(leaf)
    return Served(SumTrie.build(leaves), mined, salt, tau)


async def claim(world: World, served: Served, *, bond: int | None = None) -> Claim:
    """Claim what was served in session 2, with the least bond unless another is named."""
    state = await world.state()
    member = state.member(SUPPLIER)
    assert member is not None
    root = served.trie.root
    if bond is None:
        bond = -(-root.sum // PARAMS.bond_ratio_max)
    claimed = ClaimInput(world.key(), SUPPLIER, root, bond, member)
    receipt = await world.send(OPERATOR, world.market.claims.submit([claimed]))
    (outcome,) = world.market.claims.outcomes(receipt)
    assert isinstance(outcome, ClaimAccepted), outcome
    return outcome.claim
