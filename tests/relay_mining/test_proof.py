"""The verdict on a proof: honest ones pass, and every bad leaf is bad by itself."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import contracts
from relay_mining import (
    NODE_BYTES,
    Leaf,
    LeafProof,
    ProofFault,
    RefusedProofError,
    SumTrie,
    TrieRoot,
    build_proof,
    challenge_points,
    hash_leaf,
    verify_proof,
)
from relay_mining.sum_trie import hash_inner
from tests.factories import DOMAIN, GATEWAY_SIGNER, a_hash, a_session, an_address
from tests.relay_mining.claimed import (
    SALT,
    SEED,
    TAU,
    ClaimedSession,
    a_claimed_session,
    a_mined_receipt,
    claim_trie,
    in_a_batch,
)

HONEST = a_claimed_session()


def test_an_honest_proof_is_accepted_at_every_point() -> None:
    assert HONEST.fault(HONEST.proof(40), 40) is None
    assert build_proof(HONEST.trie, SEED, 40, HONEST.mined) == HONEST.proof(40)
    assert HONEST.fault((), 0) is None


def test_a_single_leaf_needs_no_siblings() -> None:
    session = a_claimed_session([TAU])
    (leaf,) = session.proof(1)
    assert leaf.siblings == b""
    assert session.fault((leaf,), 1) is None


def change(proof: tuple[LeafProof, ...], **changes: object) -> tuple[LeafProof, ...]:
    return (replace(proof[0], **changes), *proof[1:])  # type: ignore[arg-type]


def test_every_field_of_a_leaf_is_bound() -> None:
    proof = HONEST.proof()
    leaf = proof[0]
    moved = {ProofFault.ROOT_MISMATCH, ProofFault.NOT_PAYABLE}  # another hash, another coin
    assert HONEST.fault(change(proof, request_hash=a_hash(0))) in moved
    assert HONEST.fault(change(proof, response_hash=a_hash(0))) in moved
    assert HONEST.fault(change(proof, secret=a_hash(0))) in moved
    assert HONEST.fault(change(proof, units=leaf.units + 1)) in moved
    for units in (-1, 0, 2**63, 2**64):
        assert HONEST.fault(change(proof, units=units)) is ProofFault.UNITS_OUT_OF_RANGE
    for path in (leaf.batch_path[:-1], (*leaf.batch_path, a_hash(0)), leaf.batch_path[::-1]):
        fault = HONEST.fault(change(proof, batch_path=path))
        assert fault is ProofFault.BAD_BATCH_SIGNATURE
    too_long = leaf.batch_path + (a_hash(0),) * 17
    assert HONEST.fault(change(proof, batch_path=too_long)) is ProofFault.PATH_MISMATCH
    fault = HONEST.fault(change(proof, batch_signature=bytes(65)))
    assert fault is ProofFault.BAD_BATCH_SIGNATURE


def test_siblings_are_taken_as_they_are_or_not_at_all() -> None:
    proof = HONEST.proof()
    siblings = proof[0].siblings
    for cut in (siblings[:-1], siblings + b"\0", siblings + bytes(257 * NODE_BYTES)):
        assert HONEST.fault(change(proof, siblings=cut)) is ProofFault.MALFORMED_SIBLINGS
    for other in (siblings[:-NODE_BYTES], siblings + bytes(NODE_BYTES), b""):
        assert HONEST.fault(change(proof, siblings=other)) is ProofFault.ROOT_MISMATCH
    wrapped = bytes(32) + b"\xff" * 16 + siblings[NODE_BYTES:]
    assert HONEST.fault(change(proof, siblings=wrapped)) is ProofFault.SUM_OVERFLOW


def test_leaves_are_as_many_as_points_and_in_their_order() -> None:
    proof = HONEST.proof()
    for leaves in ((), proof[:-1], (*proof, proof[0])):
        assert HONEST.fault(leaves) is ProofFault.WRONG_LEAF_COUNT
    points = challenge_points(SEED, 40, HONEST.claim.root.sum)
    first = HONEST.trie.open(points[0]).leaf
    other = next(point for point in points if HONEST.trie.open(point).leaf != first)
    swapped = (HONEST.leaf_proof(other), *proof[1:])
    assert HONEST.fault(swapped) is ProofFault.POINT_NOT_COVERED


def test_another_salt_session_supplier_or_gateway_is_refused() -> None:
    proof = HONEST.proof()
    moved = (ProofFault.ROOT_MISMATCH, ProofFault.NOT_PAYABLE)

    def fault(session: ClaimedSession, salt: bytes = SALT, **known: bytes) -> ProofFault:
        signer = known.pop("signer", GATEWAY_SIGNER.address)
        with pytest.raises(RefusedProofError) as caught:
            verify_proof(session.claim, DOMAIN, signer, salt, 3, SEED, proof, **known)
        return caught.value.fault

    assert fault(HONEST, a_hash("another salt")) in moved
    assert fault(HONEST, salt_hash=a_hash(0)) is ProofFault.SALT_MISMATCH
    assert fault(HONEST, bytes(31)) is ProofFault.SALT_MISMATCH
    assert fault(HONEST, signer=an_address(0)) is ProofFault.BAD_BATCH_SIGNATURE
    for changed in ({"session": a_session(number=8)}, {"supplier": an_address(1)}):
        claim = replace(HONEST.claim, **changed)  # type: ignore[arg-type]
        assert fault(replace(HONEST, claim=claim)) in moved


def bad_session(leaf: Leaf) -> ClaimedSession:
    """A claim with one bad leaf so heavy that most points hit it."""
    return a_claimed_session([TAU, 3 * TAU], extra=[leaf])


def open_bad(session: ClaimedSession, bad: bytes, name: str, units: int) -> set[ProofFault | None]:
    """The verdicts on the bad leaf, opened with the receipt that comes nearest to it."""
    (mined,) = in_a_batch([a_mined_receipt(name, units)]).values()
    known = replace(session, mined={**session.mined, bad: mined})
    verdicts = set()
    for point in challenge_points(SEED, 200, session.claim.root.sum):
        if session.trie.open(point).leaf.path == bad:
            verdicts.add(only_fault(known, point))
    assert verdicts, "the bad leaf was never challenged"
    return verdicts


def only_fault(session: ClaimedSession, point: int) -> ProofFault | None:
    """The verdict on one point, whatever the challenge."""
    leaf = session.leaf_proof(point)
    for nonce in range(10_000):
        seed = a_hash(f"seed {nonce}")
        (drawn,) = challenge_points(seed, 1, session.claim.root.sum)
        if session.trie.open(drawn).leaf.path == session.trie.open(point).leaf.path:
            break
    try:
        verify_proof(session.claim, DOMAIN, GATEWAY_SIGNER.address, SALT, 1, seed, (leaf,))
    except RefusedProofError as error:
        return error.fault
    return None


def test_an_invented_leaf_is_refused() -> None:
    session = bad_session(Leaf(a_hash("invented"), 50 * TAU))
    verdicts = open_bad(session, a_hash("invented"), "no such receipt", 50 * TAU)
    assert verdicts == {ProofFault.ROOT_MISMATCH}


@pytest.mark.parametrize("excess", [1, 50 * TAU])
def test_an_inflated_leaf_is_refused(excess: int) -> None:
    hash_ = DOMAIN.digest(a_mined_receipt("real", 2 * TAU))
    session = bad_session(Leaf(hash_, 2 * TAU + excess))
    assert open_bad(session, hash_, "real", 2 * TAU) == {ProofFault.ROOT_MISMATCH}


def test_a_leaf_the_coin_left_out_is_refused() -> None:
    name, hash_ = next(
        (str(n), hash_)
        for n in range(99)
        if (hash_ := DOMAIN.digest(a_mined_receipt(n, 1)))
        and open_alone(n) is ProofFault.NOT_PAYABLE
    )
    session = bad_session(Leaf(hash_, TAU))
    assert open_bad(session, hash_, name, 1) == {ProofFault.NOT_PAYABLE}


def open_alone(name: int) -> ProofFault | None:
    mined = in_a_batch([a_mined_receipt(name, 1)])
    trie = SumTrie.build([Leaf(hash_, TAU) for hash_ in mined])
    return only_fault(claim_trie(trie, mined), 0)


def test_a_duplicate_sits_where_its_key_does_not_belong_and_is_refused() -> None:
    mined = in_a_batch([a_mined_receipt("real", 2 * TAU)])
    (hash_,) = mined
    leaf = Leaf(hash_, 2 * TAU)
    top = hash_inner(hash_leaf(leaf), hash_leaf(leaf))
    root = TrieRoot(top[:32], 4 * TAU, 2)
    session = claim_trie(SumTrie.build([leaf]), mined, root)
    honest_side = 2 * TAU if hash_[0] & 0x80 else 0
    for seed in map(a_hash, range(40)):
        (point,) = challenge_points(seed, 1, 4 * TAU)
        proof = replace(session.leaf_proof(0), siblings=hash_leaf(leaf))
        is_its_own_place = honest_side <= point < honest_side + 2 * TAU
        if is_its_own_place:
            verify_proof(session.claim, DOMAIN, GATEWAY_SIGNER.address, SALT, 1, seed, (proof,))
            continue
        with pytest.raises(RefusedProofError, match="PointNotCovered"):
            verify_proof(session.claim, DOMAIN, GATEWAY_SIGNER.address, SALT, 1, seed, (proof,))


def test_a_misplaced_leaf_is_refused() -> None:
    mined = in_a_batch(a_mined_receipt(n, 2 * TAU) for n in range(8))
    low = Leaf(next(hash_ for hash_ in mined if hash_[0] < 0x80), 2 * TAU)
    high = Leaf(next(hash_ for hash_ in mined if hash_[0] >= 0x80), 2 * TAU)
    top = hash_inner(hash_leaf(high), hash_leaf(low))  # each on the other's side
    session = claim_trie(SumTrie.build([low, high]), mined, TrieRoot(top[:32], 4 * TAU, 2))
    for point, sibling in ((0, high), (0, low), (2 * TAU, low), (2 * TAU, high)):
        proof = replace(session.leaf_proof(point), siblings=hash_leaf(sibling))
        for seed in map(a_hash, range(5)):
            with pytest.raises(RefusedProofError, match="RootMismatch"):
                verify_proof(session.claim, DOMAIN, GATEWAY_SIGNER.address, SALT, 1, seed, (proof,))


def test_a_sum_that_no_leaf_stands_under_is_refused() -> None:
    trie = HONEST.trie
    top = trie.root.encode()
    ghost = a_hash("nothing") + (10**6).to_bytes(8, "big") + (1).to_bytes(8, "big")
    root = TrieRoot(hash_inner(top, ghost)[:32], trie.root.sum + 10**6, trie.root.count + 1)
    session = claim_trie(trie, HONEST.mined, root)
    verdicts = {session.fault((leaf,), 1) for leaf in HONEST.proof(20)}
    assert None not in verdicts


def test_solidity_names_its_errors_as_the_faults_are_named() -> None:
    sources = Path(contracts.__file__).parent.joinpath("src").rglob("*.sol")
    text = "\n".join(source.read_text() for source in sources)
    declared = set(re.findall(r"error Proof_(\w+)\(", text))
    assert declared == {fault.value for fault in ProofFault} - {"SaltMismatch"}
