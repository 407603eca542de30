"""Our EIP-712 digests are held against eth-account's, which walks the schema."""

from dataclasses import fields
from typing import Any

import pytest
from Crypto.Hash import keccak as reference_keccak
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import (
    Ack,
    BodyHasher,
    Cancel,
    Dial,
    DialTaken,
    Domain,
    Receipt,
    ReceiptBatch,
    RelayRequest,
    RelayResponse,
    Status,
    keccak,
    request_body_hash,
)
from relay_mining.messages import Message
from tests.factories import DOMAIN, a_receipt, a_request, a_response

HASHES = st.one_of(st.sampled_from([bytes(32), b"\xff" * 32]), st.binary(min_size=32, max_size=32))
ADDRESSES = st.one_of(
    st.sampled_from([bytes(20), b"\xff" * 20]), st.binary(min_size=20, max_size=20)
)


def uints(bits: int) -> st.SearchStrategy[int]:
    edges = st.sampled_from([0, 1, 2 ** (bits - 1), 2**bits - 1])
    return st.one_of(edges, st.integers(0, 2**bits - 1))


MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(RelayRequest, HASHES, ADDRESSES, HASHES, uints(64), uints(64), HASHES),
    st.builds(
        RelayResponse,
        HASHES,
        HASHES,
        HASHES,
        uints(32),
        uints(32),
        uints(32),
        uints(64),
        st.sampled_from(Status),
        HASHES,
        uints(32),
    ),
    st.builds(Receipt, HASHES, ADDRESSES, HASHES, HASHES, HASHES, uints(64), HASHES),
    st.builds(ReceiptBatch, HASHES),
    st.builds(Cancel, HASHES),
    st.builds(Ack, HASHES),
    st.builds(Dial, ADDRESSES, ADDRESSES, uints(64), HASHES, HASHES),
    st.builds(DialTaken, ADDRESSES, ADDRESSES, uints(64), HASHES, HASHES),
)
DOMAINS = st.builds(Domain, st.one_of(st.just(31337), uints(256)), ADDRESSES)


def reference_digest(domain: Domain, message: Any) -> bytes:
    name, _, members = message.TYPE.decode().rstrip(")").partition("(")
    types = [dict(zip(("type", "name"), m.split(" "), strict=True)) for m in members.split(",")]
    values = [getattr(message, field.name) for field in fields(message)]
    signable = encode_typed_data(
        full_message={
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                name: types,
            },
            "primaryType": name,
            "domain": {
                "name": "Lode",
                "version": "1",
                "chainId": domain.chain_id,
                "verifyingContract": "0x" + domain.verifying_contract.hex(),
            },
            "message": {
                kind["name"]: "0x" + value.hex() if kind["type"] == "address" else value
                for kind, value in zip(types, values, strict=True)
            },
        }
    )
    return slow_keccak(b"\x19" + signable.version + signable.header + signable.body)


def slow_keccak(data: bytes) -> bytes:
    return reference_keccak.new(digest_bits=256, data=data).digest()


@given(DOMAINS, MESSAGES)
def test_digests_are_those_of_eth_account(domain: Domain, message: Message) -> None:
    assert domain.digest(message) == reference_digest(domain, message)


@given(st.binary(max_size=300))
def test_keccak_is_the_chains(data: bytes) -> None:
    assert keccak(data) == slow_keccak(data)


def test_keccak_has_the_known_digest_of_nothing() -> None:
    expected = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak(b"").hex() == expected


def test_the_same_message_has_another_digest_on_another_chain_or_contract() -> None:
    request = a_request()
    elsewhere = (
        Domain(DOMAIN.chain_id + 1, DOMAIN.verifying_contract),
        Domain(DOMAIN.chain_id, bytes(20)),
    )
    assert len({domain.digest(request) for domain in (DOMAIN, *elsewhere)}) == 3


def test_messages_of_one_field_never_stand_for_each_other() -> None:
    value = b"\x07" * 32
    assert len({DOMAIN.digest(kind(value)) for kind in (ReceiptBatch, Cancel, Ack)}) == 3


@pytest.mark.parametrize("message", [a_request(), a_response(), a_receipt()])
def test_every_field_is_under_the_digest(message: Any) -> None:
    values = {field.name: getattr(message, field.name) for field in fields(message)}
    for name, value in values.items():
        if isinstance(value, bytes):
            other: Any = bytes([value[0] ^ 1]) + value[1:]
        else:
            other = Status.TIMEOUT if isinstance(value, Status) else value + 1
        changed = type(message)(**(values | {name: other}))
        assert DOMAIN.digest(changed) != DOMAIN.digest(message), name


@pytest.mark.parametrize("message", [a_request(), a_response(), a_receipt(), Ack(bytes(32))])
def test_a_field_that_does_not_fit_its_type_is_refused(message: Any) -> None:
    values = {field.name: getattr(message, field.name) for field in fields(message)}
    for name, value in values.items():
        if isinstance(value, Status):
            continue
        wrongs: list[Any] = (
            [value[:-1], value + b"\0", b""] if isinstance(value, bytes) else [-1, 2**64]
        )
        for wrong in wrongs:
            with pytest.raises(ValueError, match=r"instead of|outside"):
                type(message)(**(values | {name: wrong}))


def test_a_request_body_hash_covers_method_path_and_bytes() -> None:
    base = request_body_hash(b"POST", b"/v1/chat/completions", b"{}")
    others = (
        request_body_hash(b"PUT", b"/v1/chat/completions", b"{}"),
        request_body_hash(b"POST", b"/v1/completions", b"{}"),
        request_body_hash(b"POST", b"/v1/chat/completions", b"{} "),
        request_body_hash(b"POST", b"/v1/chat/completions", b"\n{}"),
        request_body_hash(b"POST", b"/v1/chat/completions", b""),
    )
    assert base not in others
    assert len(set(others)) == len(others)


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_every_prefix_of_a_stream_has_its_own_hash(chunks: list[bytes]) -> None:
    hasher = BodyHasher()
    for end, chunk in enumerate(chunks, start=1):
        before = hasher.copy()
        hasher.update(chunk)
        assert hasher.digest() == BodyHasher(b"".join(chunks[:end])).digest()
        assert before.digest() == BodyHasher(b"".join(chunks[: end - 1])).digest()
