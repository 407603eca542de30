"""The handshake of a supplier that dials: bound to both sides, the session and both nonces."""

from dataclasses import replace

import pytest

from relay_mining import (
    DialOffer,
    Domain,
    Handshake,
    MalformedError,
    SignatureMismatchError,
    decode_challenge,
    encode_challenge,
)
from tests.factories import (
    DOMAIN,
    GATEWAY,
    GATEWAY_SIGNER,
    OPERATOR_SIGNER,
    SUPPLIER,
    a_hash,
    an_address,
)

OFFER = DialOffer(SUPPLIER, GATEWAY, 7, a_hash("mine"))
SHAKE = Handshake(DOMAIN, OFFER, a_hash("theirs"))
OTHERS = [
    replace(SHAKE, domain=Domain(DOMAIN.chain_id + 1, DOMAIN.verifying_contract)),
    replace(SHAKE, gateway_nonce=a_hash("another")),
    replace(SHAKE, offer=replace(OFFER, supplier=an_address("another"))),
    replace(SHAKE, offer=replace(OFFER, gateway=an_address("another"))),
    replace(SHAKE, offer=replace(OFFER, session=8)),
    replace(SHAKE, offer=replace(OFFER, nonce=a_hash("another"))),
]


@pytest.mark.parametrize("session", [0, 1, 2**64 - 1])
def test_offer_and_challenge_come_back_from_their_headers(session: int) -> None:
    offer = replace(OFFER, session=session)

    assert DialOffer.decode(offer.encode()) == offer
    assert decode_challenge(encode_challenge(a_hash("n"))) == a_hash("n")


@pytest.mark.parametrize("header", [b"", b"\xff" * 108, OFFER.encode()[:-1], OFFER.encode() + b"A"])
def test_a_header_that_is_none_is_refused(header: bytes) -> None:
    with pytest.raises(MalformedError):
        DialOffer.decode(header)
    with pytest.raises(MalformedError):
        decode_challenge(header)


def test_another_version_is_refused() -> None:
    with pytest.raises(MalformedError, match="version"):
        DialOffer.decode(b"Ag" + OFFER.encode()[2:])


def test_each_side_is_known_by_its_signature() -> None:
    assert SHAKE.dialled_by(SHAKE.sign_dial(OPERATOR_SIGNER)) == OPERATOR_SIGNER.address
    assert SHAKE.taken_by(SHAKE.sign_taken(GATEWAY_SIGNER)) == GATEWAY_SIGNER.address


@pytest.mark.parametrize("other", OTHERS)
def test_a_signature_is_good_for_one_handshake_only(other: Handshake) -> None:
    assert other.dialled_by(SHAKE.sign_dial(OPERATOR_SIGNER)) != OPERATOR_SIGNER.address
    assert other.taken_by(SHAKE.sign_taken(GATEWAY_SIGNER)) != GATEWAY_SIGNER.address


def test_neither_sides_word_stands_for_the_others() -> None:
    assert SHAKE.taken_by(SHAKE.sign_dial(OPERATOR_SIGNER)) != OPERATOR_SIGNER.address
    assert SHAKE.dialled_by(SHAKE.sign_taken(GATEWAY_SIGNER)) != GATEWAY_SIGNER.address
    with pytest.raises(SignatureMismatchError):
        SHAKE.dialled_by(bytes(65))
