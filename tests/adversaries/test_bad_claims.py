"""Every supplier that cheats in its claims, under the contract's own verdict in Python."""

from collections import Counter
from pathlib import Path

import pytest

from adversaries.copier import CopyingMiner
from adversaries.defaulter import DefaultingMiner
from adversaries.hoarder import HoardingMiner
from adversaries.inflator import InflatingMiner
from adversaries.inventor import InventingMiner
from adversaries.replayer import ReplayingMiner
from adversaries.splitter import SplittingMiner
from adversaries.zoo import SUPPLIERS
from relay_mining import (
    Claim,
    ProofFault,
    RefusedProofError,
    compute_value,
    minimum_bond,
    verify_proof,
)
from supplier.mining.miner import Miner
from supplier.mining.session_book import SessionBook
from tests.factories import DOMAIN, SUPPLIER, a_hash, a_session
from tests.supplier.market import FakeMarket, RelayWorld, facts_of, relay_world, salt_hash_of

pytestmark = pytest.mark.anyio
RELAYS = 12
CHALLENGES = 60
CHEATS: dict[str, type[Miner]] = {
    "inventor": InventingMiner,
    "inflator": InflatingMiner,
    "copier": CopyingMiner,
    "hoarder": HoardingMiner,
    "defaulter": DefaultingMiner,
    "splitter": SplittingMiner,
}


async def served(world: RelayWorld) -> SessionBook:
    """A session in which some relays were served and receipted."""
    for _ in range(RELAYS):
        signed, response = await world.relay()
        assert (await world.deliver(world.receipt(signed, response))).status == 200
    return world.books.sessions[a_session().id]


def verdicts(miner: Miner, book: SessionBook) -> Counter[ProofFault | None]:
    """What the contract says to the proofs of many challenges of one point; None is good."""
    root = miner.trie(book)[0].root
    value = compute_value(root.sum, book.facts.terms.price)
    bond = minimum_bond(value, 10)
    claim = Claim(SUPPLIER, book.key, root, value, bond, book.facts.terms.tau, 0, 1_000_000)
    found: Counter[ProofFault | None] = Counter()
    for number in range(CHALLENGES):
        seed = a_hash(number)
        leaves = miner.proof(book, seed, 1)
        try:
            verify_proof(claim, DOMAIN, book.facts.gateway_signer, book.salt, 1, seed, leaves)
        except RefusedProofError as error:
            found[error.fault] += 1
        else:
            found[None] += 1
    return found


def promised(name: str) -> set[str]:
    return {each.removeprefix("Proof_") for each in SUPPLIERS[name].check.split("|")}


@pytest.mark.parametrize("name", CHEATS)
async def test_bad_leaves_are_refused_for_the_promised_fault(tmp_path: Path, name: str) -> None:
    async with relay_world(tmp_path, market=FakeMarket(cap=9_000_000)) as world:
        book = await served(world)
        honest = verdicts(Miner(SUPPLIER, DOMAIN, world.log), book)
        cheating = verdicts(CHEATS[name](SUPPLIER, DOMAIN, world.log), book)

    assert honest == {None: CHALLENGES}
    assert {each.value for each in cheating if each} <= promised(name)
    refused = CHALLENGES - cheating[None]
    assert refused == CHALLENGES if SUPPLIERS[name].is_all_bad else refused > 0


async def test_the_claim_of_a_cheat_stays_within_its_slice(tmp_path: Path) -> None:
    async with relay_world(tmp_path, market=FakeMarket(cap=3 * 4 * 310)) as world:
        book = await served_within(world, 3)
        for cheat in CHEATS.values():
            root = cheat(SUPPLIER, DOMAIN, world.log).trie(book)[0].root
            assert 0 < root.sum <= book.facts.terms.slice_units


async def served_within(world: RelayWorld, relays: int) -> SessionBook:
    for _ in range(relays):
        signed, response = await world.relay(max_units=600)
        await world.deliver(world.receipt(signed, response))
    return world.books.sessions[a_session().id]


async def test_receipts_of_a_past_session_are_refused_in_the_next(tmp_path: Path) -> None:
    async with relay_world(tmp_path, market=FakeMarket(cap=3_000_000)) as world:
        first = await served(world)
        miner = ReplayingMiner(SUPPLIER, DOMAIN, world.log)
        assert verdicts(miner, first) == {None: CHALLENGES}

        following = a_session(number=8)
        second = world.books.open(facts_of(following, cap=3_000_000), first.salt)
        assert salt_hash_of(following) != first.salt_hash
        cheating = verdicts(miner, second)

    assert cheating[None] == 0
    assert {each.value for each in cheating if each} <= promised("replayer")
