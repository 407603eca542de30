import hashlib
import hmac

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import SignatureMismatchError, Signer, Verifier, recover
from tests.factories import GATEWAY_SIGNER, OPERATOR_SIGNER, a_hash

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER = ORDER // 2
KEYS = st.one_of(st.sampled_from([1, 2, ORDER - 1]), st.integers(1, ORDER - 1)).map(
    lambda key: key.to_bytes(32, "big")
)
DIGESTS = st.one_of(st.sampled_from([bytes(32), b"\xff" * 32]), st.binary(min_size=32, max_size=32))


def high_s_twin(signature: bytes) -> bytes:
    """The other signature that plain ECDSA accepts for the same message."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


@given(KEYS, DIGESTS)
def test_signatures_are_those_of_eth_account(key: bytes, digest: bytes) -> None:
    signer, account = Signer(key), Account.from_key(key)
    assert signer.address == bytes.fromhex(account.address[2:])
    assert signer.sign(digest) == bytes(account.unsafe_sign_hash(digest).signature)
    assert recover(digest, signer.sign(digest)) == signer.address


@given(KEYS, DIGESTS)
def test_of_the_two_signatures_of_ecdsa_only_one_is_taken(key: bytes, digest: bytes) -> None:
    signer = Signer(key)
    signature = signer.sign(digest)
    assert len(signature) == 65
    assert signature[64] in (27, 28)
    assert int.from_bytes(signature[32:64], "big") <= HALF_ORDER
    with pytest.raises(SignatureMismatchError, match="high s"):
        recover(digest, high_s_twin(signature))


@given(DIGESTS, st.one_of(st.binary(max_size=70), st.binary(min_size=65, max_size=65)))
def test_no_bytes_raise_anything_else(digest: bytes, signature: bytes) -> None:
    try:
        address = recover(digest, signature)
    except SignatureMismatchError:
        return
    assert len(address) == 20


@pytest.mark.parametrize("v", [0, 1, 26, 29, 30, 255])
def test_a_v_the_chain_does_not_know_is_refused(v: int) -> None:
    digest = a_hash("message")
    signature = GATEWAY_SIGNER.sign(digest)
    with pytest.raises(SignatureMismatchError, match="with v"):
        recover(digest, signature[:64] + bytes([v]))


@pytest.mark.parametrize("cut", [slice(64), slice(0), slice(1, 65)])
def test_a_signature_of_another_length_is_refused(cut: slice) -> None:
    digest = a_hash("message")
    signature = GATEWAY_SIGNER.sign(digest)
    for wrong in (signature[cut], signature + b"\0"):
        with pytest.raises(SignatureMismatchError, match="bytes"):
            recover(digest, wrong)


@pytest.mark.parametrize(
    ("r", "s"), [(0, 1), (1, 0), (ORDER, 1), (2**256 - 1, 1), (1, HALF_ORDER + 1), (1, ORDER)]
)
def test_numbers_outside_the_curve_order_are_refused(r: int, s: int) -> None:
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"\x1b"
    with pytest.raises(SignatureMismatchError):
        recover(a_hash("message"), signature)


def test_the_largest_low_s_is_taken() -> None:
    signature = (1).to_bytes(32, "big") + HALF_ORDER.to_bytes(32, "big") + b"\x1b"
    assert len(recover(a_hash("message"), signature)) == 20


def test_a_verifier_refuses_everyone_else_before_and_after_it_knows_the_key() -> None:
    verifier = Verifier(GATEWAY_SIGNER.address)
    for name in ("first", "second"):
        digest = a_hash(name)
        good = GATEWAY_SIGNER.sign(digest)
        wrong_v = good[:64] + bytes([55 - good[64]])
        for bad in (
            OPERATOR_SIGNER.sign(digest),
            GATEWAY_SIGNER.sign(a_hash("another")),
            wrong_v,
            high_s_twin(good),
            good[:64],
            bytes(65),
        ):
            with pytest.raises(SignatureMismatchError):
                verifier.verify(digest, bad)
        verifier.verify(digest, good)


@pytest.mark.parametrize("key", [bytes(32), ORDER.to_bytes(32, "big"), b"\x01" * 31, b"\x01" * 33])
def test_what_is_no_private_key_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Signer(key)


def test_a_signer_does_not_show_its_key() -> None:
    key = b"\x42" * 32
    assert repr(Signer(key)) == f"Signer(0x{Signer(key).address.hex()})"


def test_secrets_are_the_prf_the_design_names() -> None:
    key = b"\x42" * 32
    signer = Signer(key)
    request, response, session = a_hash("request"), a_hash("response"), a_hash("session")

    def prf(key: bytes, message: bytes) -> bytes:
        return hmac.new(key, message, hashlib.sha256).digest()

    assert signer.receipt_secret(request, response) == prf(
        prf(key, b"lode/receipt-secret"), request + response
    )
    assert signer.session_salt(session) == prf(prf(key, b"lode/session-salt"), session)


def test_secrets_differ_by_key_and_message_and_repeat_otherwise() -> None:
    a, b, c = a_hash("a"), a_hash("b"), a_hash("c")
    secrets = [
        GATEWAY_SIGNER.receipt_secret(a, b),
        GATEWAY_SIGNER.receipt_secret(b, a),
        GATEWAY_SIGNER.receipt_secret(a, c),
        OPERATOR_SIGNER.receipt_secret(a, b),
        OPERATOR_SIGNER.session_salt(a),
        OPERATOR_SIGNER.session_salt(b),
    ]
    assert len(set(secrets)) == len(secrets)
    assert GATEWAY_SIGNER.receipt_secret(a, b) == secrets[0]


def test_secrets_of_ambiguous_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        GATEWAY_SIGNER.receipt_secret(bytes(31), bytes(33))
    with pytest.raises(ValueError, match="33 bytes"):
        OPERATOR_SIGNER.session_salt(bytes(33))
