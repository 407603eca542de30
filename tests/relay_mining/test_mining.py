"""From a receipt to a leaf: the contract's own predicate, run by the supplier."""

from dataclasses import replace

import pytest

from relay_mining import (
    BATCH_PATH_MAX,
    UNITS_MAX,
    MinedReceipt,
    ProofFault,
    ReceiptBatch,
    RefusedProofError,
    coin,
    mine_receipt,
    verify_leaf,
)
from tests.factories import DOMAIN, GATEWAY_SIGNER, OPERATOR_SIGNER, a_hash
from tests.relay_mining.claimed import SALT, TAU, a_mined_receipt, in_a_batch


def one(units: int = TAU, **changes: object) -> MinedReceipt:
    (mined,) = in_a_batch([a_mined_receipt("one", units, **changes)]).values()
    return mined


def fault_of(mined: MinedReceipt, salt: bytes = SALT) -> ProofFault | None:
    try:
        verify_leaf(mined, DOMAIN, GATEWAY_SIGNER.address, salt, TAU)
    except RefusedProofError as error:
        return error.fault
    return None


@pytest.mark.parametrize("batch", [1, 2, 3, 17, 64])
def test_every_receipt_of_a_batch_is_a_leaf_by_itself(batch: int) -> None:
    for hash_, mined in in_a_batch(a_mined_receipt(n, TAU + n) for n in range(batch)).items():
        leaf = verify_leaf(mined, DOMAIN, GATEWAY_SIGNER.address, SALT, TAU)
        assert (leaf.path, leaf.weight, leaf.value) == (hash_, mined.receipt.units, b"")


def test_a_receipt_is_mined_by_its_coin() -> None:
    for name in range(200):
        hash_ = a_hash(name)
        leaf = mine_receipt(hash_, 300, SALT, TAU)
        assert (leaf is not None) == (coin(hash_, SALT) * TAU < 300 << 128)
        assert leaf is None or leaf.weight == TAU


@pytest.mark.parametrize("units", [-1, 0, UNITS_MAX + 1, 2**64])
def test_units_out_of_range_are_refused(units: int) -> None:
    with pytest.raises(RefusedProofError) as caught:
        mine_receipt(a_hash("h"), units, SALT, TAU)
    assert caught.value.fault is ProofFault.UNITS_OUT_OF_RANGE
    assert str(caught.value).startswith("UnitsOutOfRange: ")


def test_a_leaf_that_would_fail_on_the_chain_never_enters_a_claim() -> None:
    good = one()
    assert fault_of(good) is None
    assert fault_of(good, a_hash("another salt")) is ProofFault.SALT_MISMATCH
    assert fault_of(one(0)) is ProofFault.UNITS_OUT_OF_RANGE
    assert fault_of(replace(good, batch_path=(a_hash(1),))) is ProofFault.BAD_BATCH_SIGNATURE
    long = replace(good, batch_path=(a_hash(1),) * (BATCH_PATH_MAX + 1))
    assert fault_of(long) is ProofFault.PATH_MISMATCH
    lost = next(m for n in range(99) if fault_of(m := one(1, secret=a_hash(n))) is not None)
    assert fault_of(lost) is ProofFault.NOT_PAYABLE


def test_a_batch_signature_is_the_gateways_and_in_the_one_form_the_chain_takes() -> None:
    good = one()
    digest = DOMAIN.digest(ReceiptBatch(DOMAIN.digest(good.receipt)))
    assert fault_of(replace(good, batch_signature=GATEWAY_SIGNER.sign(digest))) is None
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    signature = good.batch_signature
    high_s = order - int.from_bytes(signature[32:64], "big")
    bad = [
        OPERATOR_SIGNER.sign(digest),
        signature[:64],
        signature + b"\0",
        signature[:64] + bytes([signature[64] - 27]),
        signature[:32] + high_s.to_bytes(32, "big") + bytes([55 - signature[64]]),
        bytes(65),
    ]
    for forged in bad:
        assert fault_of(replace(good, batch_signature=forged)) is ProofFault.BAD_BATCH_SIGNATURE
