"""Python and Solidity agree on every hash, weight and draw, the edges of each range included."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from contracts import Service, compute_service_id, compute_supplier_id
from contracts.abi import encode_values, load_abi
from contracts.claims import encode_claim
from contracts.service import encode_service
from contracts.sessions import encode_key
from relay_mining import (
    AMOUNT_MAX,
    UNITS_MAX,
    Ack,
    Cancel,
    Claim,
    Domain,
    DrawnMember,
    InvalidClaimError,
    Receipt,
    ReceiptBatch,
    RelayRequest,
    RelayResponse,
    RosterEntry,
    SessionKey,
    SignatureMismatchError,
    Signer,
    Status,
    TrieRoot,
    UnitWeights,
    build_batch,
    challenge_points,
    challenge_seed,
    coin,
    compute_terms,
    compute_value,
    draw_members,
    draw_shares,
    is_payable,
    keccak,
    leaf_weight,
    minimum_bond,
    points_required,
    recover,
    verify_member,
    weigh_by_cost,
)
from tests.contracts.cases import UINT32, UINT64, Draw, Harness, cases

pytestmark = [pytest.mark.anvil, pytest.mark.anyio]

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


async def test_ids(harness: Harness) -> None:
    for draw in cases():
        key = SessionKey(draw.address(), draw.address(), draw.hash(), draw.pick(0, UINT64))
        assert await harness("sessionId", encode_key(key)) == key.id
        owner, salt = draw.address(), draw.hash()
        assert await harness("supplierId", owner, salt) == compute_supplier_id(owner, salt)
        root = TrieRoot(draw.hash(), draw.pick(0, UINT64), draw.pick(0, UINT64))
        amounts = [draw.pick(0, AMOUNT_MAX) for _ in range(2)]
        claim = Claim(
            supplier=draw.address(),
            session=key,
            root=root,
            value=amounts[0],
            bond=amounts[1],
            tau=draw.pick(0, UINT64),
            fee_bps=draw.pick(0, 65535),
            price=draw.pick(0, UINT64),
        )
        assert await harness("claimId", claim.supplier, key.id) == claim.id
        inputs = load_abi("test/Harness").functions["claimHash"].inputs
        encoded = encode_values(inputs, [encode_claim(claim)])
        assert await harness("claimHash", encode_claim(claim)) == keccak(encoded)
        weights = sorted(draw.pick(0, UINT64) for _ in range(2))
        service = Service(
            source=draw.address(),
            spec_hash=draw.hash(),
            weights=UnitWeights(draw.pick(0, UINT64), weights[1], weights[0], draw.pick(0, UINT64)),
            source_bps=draw.pick(0, 65535),
            market=draw.address(),
            name=draw.random.choice(("", "a", "ä" * 16, "b" * 32, "c" * 33, "名" * 40)),
        )
        assert await harness("serviceId", encode_service(service)) == compute_service_id(service)


async def test_messages(harness: Harness) -> None:
    for draw in cases():
        domain = Domain(draw.pick(0, 2**256 - 1), draw.address())
        separator = await harness("domainSeparator", domain.chain_id, domain.verifying_contract)
        assert separator == domain.separator
        request = RelayRequest(
            draw.hash(),
            draw.address(),
            draw.hash(),
            draw.pick(0, UINT64),
            draw.pick(0, UINT64),
            draw.hash(),
        )
        fields = _fields(request)
        assert await harness("requestDigest", separator, *fields) == domain.digest(request)
        response = RelayResponse(
            draw.hash(),
            draw.hash(),
            draw.hash(),
            *(draw.pick(0, UINT32) for _ in range(3)),
            draw.pick(0, UINT64),
            draw.random.choice(list(Status)),
            draw.hash(),
            draw.pick(0, UINT32),
        )
        fields = _fields(response)
        assert await harness("responseDigest", separator, fields) == domain.digest(response)
        receipt = Receipt(
            draw.hash(),
            draw.address(),
            draw.hash(),
            draw.hash(),
            draw.hash(),
            draw.pick(0, UINT64),
            draw.hash(),
        )
        fields = _fields(receipt)
        assert await harness("receiptDigest", separator, *fields) == domain.digest(receipt)
        small = {"batchDigest": ReceiptBatch, "cancelDigest": Cancel, "ackDigest": Ack}
        for name, kind in small.items():
            value = draw.hash()
            assert await harness(name, separator, value) == domain.digest(kind(value))


async def test_batches(harness: Harness) -> None:
    for size in (1, 2, 3, 4, 5, 7, 8, 9, 33):
        leaves = [keccak(b"%d" % index) for index in range(size)]
        tree = build_batch(leaves)
        for index in {0, size // 2, size - 1}:
            assert await harness("batchRoot", leaves[index], tree.path(index)) == tree.root


async def test_signatures(harness: Harness) -> None:
    signer, digest = Signer(keccak(b"a key")), keccak(b"a digest")
    good = signer.sign(digest)
    r, s, v = good[:32], int.from_bytes(good[32:64], "big"), good[64]
    half, top = ORDER // 2, ORDER - 1
    signatures = [good, good[:64], good + b"\0", b"", bytes(65), r + bytes(32) + good[64:]]
    signatures += [r + good[32:64] + bytes([each]) for each in (0, 1, 26, 27, 28, 29, 255)]
    signatures += [r + each.to_bytes(32, "big") + bytes([v]) for each in (1, half, half + 1, top)]
    signatures.append(r + (ORDER - s).to_bytes(32, "big") + bytes([55 - v]))
    for each in (0, 1, ORDER - 1, ORDER, 2**256 - 1):
        signatures.append(each.to_bytes(32, "big") + good[32:])
    for each in signatures:
        try:
            expected = recover(digest, each)
        except SignatureMismatchError:
            expected = bytes(20)
        assert await harness("recover", digest, each) == expected, each.hex()
    assert recover(digest, good) == signer.address


async def test_sampling(harness: Harness) -> None:
    for draw in cases(30):
        digest, salt = draw.hash(), draw.hash()
        tossed = coin(digest, salt)
        assert await harness("coin", digest, salt) == tossed
        tau = draw.pick(1, UNITS_MAX)
        edge = min(max(tossed * tau >> 128, 1), UNITS_MAX - 1)
        for units in (1, edge, edge + 1, draw.pick(1, UNITS_MAX)):
            expected = is_payable(digest, salt, units, tau)
            assert await harness("isPayable", digest, salt, units, tau) == expected
            assert await harness("leafWeight", units, tau) == leaf_weight(units, tau)
    key = SessionKey(bytes(20), bytes(20), bytes(32), 0)
    for draw in cases(30):
        cap, price = draw.pick(0, AMOUNT_MAX), draw.pick(1, UINT64)
        leaves = draw.pick(1, UINT32)
        terms = compute_terms(key, cap, 1, price, leaves)
        assert await harness("tau", terms.slice_amount, price, leaves) == terms.tau
        units = draw.pick(0, UNITS_MAX)
        try:
            expected = compute_value(units, price)
        except InvalidClaimError:
            assert await harness("value", units, price) > AMOUNT_MAX
        else:
            assert await harness("value", units, price) == expected


async def test_challenges(harness: Harness) -> None:
    for draw in cases(30):
        seed, claim_id = draw.hash(), draw.hash()
        mixed = challenge_seed(seed, claim_id)
        assert await harness("challengeSeed", seed, claim_id) == mixed
        value, bond = draw.pick(0, AMOUNT_MAX), draw.pick(1, AMOUNT_MAX)
        margin, ratio = draw.pick(10_000, UINT32), draw.pick(1, 65535)
        for each in (seed, mixed):
            expected = points_required(value, bond, margin, each)
            assert await harness("pointsRequired", value, bond, margin, each) == expected
        assert await harness("minimumBond", value, ratio) == minimum_bond(value, ratio)
        total = draw.pick(1, UINT64)
        points = challenge_points(mixed, 5, total)
        assert await harness("challengePoints", mixed, 5, total) == points


async def test_draws(harness: Harness) -> None:
    shapes = [(1,), (1, 1), (UINT32,), (1, UINT32 - 1), (UINT32 - 1, 1), (5, 3, 9, 1, 7), (1,) * 12]
    for (number, weights), members in product(enumerate(shapes), (1, 2, 3, 255)):
        draw = Draw((number, members))
        entries = tuple(
            RosterEntry(keccak(b"%d" % index)[:20], 1 + index, weight)
            for index, weight in enumerate(weights)
        )
        seed, session_id = draw.hash(), draw.hash()
        drawn = draw_members(entries, seed, session_id, members)
        tried = list(drawn)
        for each in drawn:
            tried += [
                replace(each, draw=each.draw + 1),
                replace(each, draw=each.draw, earlier=(*each.earlier, each.index)),
                replace(each, index=(each.index + 1) % len(entries)),
                replace(each, index=len(entries)),
                replace(each, earlier=each.earlier[1:]),
                DrawnMember(each.index, 64, each.earlier),
            ]
        structs = [(each.supplier, each.unit_price, each.weight) for each in entries]
        for each in tried:
            arguments = (seed, session_id, members, each.index, each.draw, each.earlier)
            supplier = entries[min(each.index, len(entries) - 1)].supplier
            try:
                verify_member(entries, seed, session_id, members, supplier, each)
                expected = True
            except InvalidClaimError:
                expected = False
            assert await harness("isMember", structs, *arguments) is expected, each


async def test_shares_of_allotted_rosters(harness: Harness) -> None:
    most = 2**25 - 1
    shapes: list[tuple[tuple[int, int], ...]] = [
        ((1, 1),),
        ((1, 1), (2, 1)),
        ((2**64 - 1, most), (1, 1), (7, 3)),
        tuple((1 + index, 5) for index in range(5)),
        tuple((10**6 + index, 1 + index % 4) for index in range(12)),
        ((2**64 - 1, most),) * 128,
    ]
    for (number, shape), members in product(enumerate(shapes), (1, 3, 5, 64)):
        draw = Draw((number, members))
        entries = tuple(
            RosterEntry(keccak(b"%d" % index)[:20], price, units)
            for index, (price, units) in enumerate(shape)
        )
        weighed, seed, session_id = weigh_by_cost(entries), draw.hash(), draw.hash()
        ours = draw_shares(weighed, seed, session_id, members)
        parts = [0] * len(entries)
        for member, part in zip(ours.members, ours.parts, strict=True):
            parts[member.index] = part
        structs = [(each.supplier, each.unit_price, each.weight) for each in entries]
        theirs = [(each.supplier, each.unit_price, each.weight) for each in weighed]
        found = await harness("partsOf", structs, seed, session_id, members)
        assert (list(found[0]), list(found[1]), found[2]) == (theirs, parts, ours.whole)
        assert sum(parts) == ours.whole
        for cap in (0, 1, 5, 10**9 + 7, 2**96 - 1):
            for member, part in zip(ours.members, ours.parts, strict=True):
                share = (2**96 - 1, part, ours.whole)
                assert await harness("slice", cap, share) == ours.slice(cap, member)


def _fields(message: Any) -> tuple[Any, ...]:
    return tuple(getattr(message, each) for each in message.__slots__)
