"""Python and Solidity come to the same verdict on every opened leaf, good or tampered with."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from contracts import ContractError
from relay_mining import (
    UNITS_MAX,
    Claim,
    Domain,
    InvalidProofError,
    Leaf,
    LeafOpening,
    LeafProof,
    ProofFault,
    Signer,
    SumTrie,
    TrieRoot,
    challenge_points,
    compute_value,
    keccak,
    verify_opening,
    verify_proof,
)
from tests.contracts.cases import UINT64, Draw, Harness
from tests.contracts.world import GATEWAY, GATEWAY_SIGNER, PRICE, SUPPLIER, World, address, serve

pytestmark = [pytest.mark.anvil, pytest.mark.anyio]


async def verdict(check: Awaitable[Any]) -> str:
    """The name of the proof error that a call reverts with; empty if it does not."""
    try:
        await check
    except ContractError as error:
        return error.name.removeprefix("Proof_")
    return ""


def python_verdict(check: Callable[[], object]) -> str:
    try:
        check()
    except InvalidProofError as error:
        return str(error.fault)  # type: ignore[attr-defined]
    return ""


def tries() -> Iterator[list[Leaf]]:
    """Leaves of tries: single, neighbours down to the last bit, the ends of the key space."""
    low, high = bytes(32), b"\xff" * 32
    last_bit = bytes(31) + b"\1"
    yield [Leaf(low, 1)]
    yield [Leaf(high, UINT64)]
    yield [Leaf(low, 7), Leaf(last_bit, 9)]
    yield [Leaf(low, UINT64 - 1), Leaf(high, 1)]
    yield [Leaf(low, 1), Leaf(last_bit, 2), Leaf(b"\x80" + bytes(31), 3), Leaf(high, 4)]
    yield [Leaf(keccak(b"%d" % index), 1 + index * 1000) for index in range(50)]


def broken(trie: SumTrie, point: int) -> Iterator[tuple[TrieRoot, int, LeafOpening]]:
    """An opening that is good, and what a cheat would make of it."""
    root, good = trie.root, trie.open(point)
    leaf, siblings = good.leaf, good.siblings
    yield root, point, good
    for other in {0, point + 1, leaf.weight + good.start, good.start, root.sum - 1, UINT64}:
        if 0 <= other <= UINT64:
            yield root, other, good
    for weight in {0, leaf.weight - 1, min(leaf.weight + 1, UINT64), UINT64}:
        yield root, point, replace(good, leaf=replace(leaf, weight=weight))
    for path in (keccak(leaf.path), leaf.path[:-1] + bytes([leaf.path[-1] ^ 1])):
        yield root, point, replace(good, leaf=replace(leaf, path=path))
    yield root, point, replace(good, siblings=(bytes(48), *siblings))
    yield root, point, replace(good, siblings=(bytes(48),) * 256)
    yield root, point, replace(good, siblings=(bytes(48),) * 257)
    yield root, point, replace(good, siblings=(b"\xff" * 48, *siblings))
    yield root, point, replace(good, siblings=(bytes(40) + b"\xff" * 8, *siblings))
    if siblings:
        yield root, point, replace(good, siblings=siblings[1:])
        yield root, point, replace(good, siblings=siblings[::-1])
    yield replace(root, sum=(root.sum + 1) % 2**64), point, good
    yield replace(root, count=root.count + 1), point, good
    yield replace(root, digest=keccak(root.digest)), point, good


async def test_openings(harness: Harness) -> None:
    seen = set()
    for number, leaves in enumerate(tries()):
        trie, draw = SumTrie.build(leaves), Draw(number)
        for point in {0, trie.root.sum - 1, trie.root.sum // 2, draw.pick(0, trie.root.sum - 1)}:
            for root, at, opening in broken(trie, point):
                start = _start_of(opening)
                given = replace(opening, start=start)
                expected = python_verdict(lambda: verify_opening(root, at, given))  # noqa: B023
                found = await verdict(
                    harness(
                        "verifyOpening",
                        root.digest,
                        root.sum,
                        root.count,
                        at,
                        opening.leaf.path,
                        opening.leaf.weight,
                        b"".join(opening.siblings),
                    )
                )
                assert found == expected, (number, at, opening)
                seen.add(found)
    assert seen >= {"", "MalformedSiblings", "SumOverflow", "RootMismatch", "PointNotCovered"}


def tampered(
    claim: Claim, salt: bytes, good: LeafProof
) -> Iterator[tuple[Claim, bytes, LeafProof]]:
    """A leaf that is good, and what a cheat would make of it, of its claim or of its salt."""
    key, root = claim.session, claim.root
    yield claim, salt, good
    yield claim, keccak(salt), good
    for other in (
        replace(claim, tau=1),
        replace(claim, tau=claim.tau * 2),
        replace(claim, supplier=bytes(20)),
        replace(claim, session=replace(key, number=key.number + 1)),
        replace(claim, session=replace(key, gateway=bytes(20))),
        replace(claim, root=replace(root, sum=root.sum + 1)),
        replace(claim, root=replace(root, count=root.count - 1)),
    ):
        yield other, salt, good
    for leaf in (
        replace(good, units=0),
        replace(good, units=UNITS_MAX),
        replace(good, units=UNITS_MAX + 1),
        replace(good, units=good.units + 1),
        replace(good, secret=keccak(good.secret)),
        replace(good, request_hash=good.response_hash),
        replace(good, batch_path=(*good.batch_path, bytes(32))),
        replace(good, batch_path=(bytes(32),) * 16),
        replace(good, batch_path=(bytes(32),) * 17),
        replace(good, batch_signature=b""),
        replace(good, batch_signature=bytes(65)),
        replace(good, batch_signature=good.batch_signature[:64]),
        replace(good, batch_signature=Signer(keccak(b"no gateway")).sign(bytes(32))),
        replace(good, siblings=good.siblings[:-1]),
        replace(good, siblings=good.siblings[48:]),
        replace(good, siblings=good.siblings + bytes(48)),
        replace(good, siblings=b"\xff" * 48 + good.siblings),
        replace(good, siblings=bytes(48 * 257)),
    ):
        yield claim, salt, leaf


async def test_leaves_of_a_claim(world: World) -> None:
    """The deployed contract's verdict on a leaf, case by case that of the reference."""
    key, domain = world.key(), world.domain
    served = serve(domain, key)
    root = served.trie.root
    value = compute_value(root.sum, PRICE)
    claim = Claim(SUPPLIER, key, root, value, value, served.tau, 500, PRICE)
    seen = set()
    for seed in (keccak(b"%d" % index) for index in range(6)):
        (good,) = served.prove(seed, 1)
        for claimed, salt, leaf in tampered(claim, served.salt, good):
            for drawn in (seed, keccak(seed)):
                found = await _chain_verdict(world, claimed, salt, drawn, leaf)
                assert found == _reference_verdict(domain, claimed, salt, drawn, leaf), leaf
                seen.add(found)
    assert seen == {each.value for each in ProofFault} - {"WrongLeafCount", "SaltMismatch"} | {""}


async def _chain_verdict(
    world: World, claim: Claim, salt: bytes, seed: bytes, leaf: LeafProof
) -> str:
    (point,) = challenge_points(seed, 1, claim.root.sum)
    return await verdict(world.market.claims.check_leaf(claim, salt, point, leaf))


def _reference_verdict(
    domain: Domain, claim: Claim, salt: bytes, seed: bytes, leaf: LeafProof
) -> str:
    is_known = claim.session.gateway == address(GATEWAY)
    signer = GATEWAY_SIGNER.address if is_known else bytes(20)
    return python_verdict(lambda: verify_proof(claim, domain, signer, salt, 1, seed, (leaf,)))


def _start_of(opening: LeafOpening) -> int:
    """Where the siblings say that the leaf starts, so that the point alone decides."""
    key, depth, start = int.from_bytes(opening.leaf.path, "big"), len(opening.siblings), 0
    for index, sibling in enumerate(opening.siblings[:256]):
        at = depth - 1 - index
        if at < 256 and key >> (255 - at) & 1:
            start += int.from_bytes(sibling[32:40], "big")
    return start
