"""What signing and checking one relay costs each side, and what eth-account takes for the same.

Microseconds of processor time, the best of many short rounds. eth-account is run with the same
library for the curve (coincurve) that is used here.

Run: python -m benchmarks.bench_messages
"""

import json
import os
from collections.abc import Callable

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data

from benchmarks.measuring import time_us
from relay_mining import (
    Domain,
    Receipt,
    RelayRequest,
    RelayResponse,
    SessionKey,
    SignedRequest,
    SignedResponse,
    Signer,
    Status,
    Verifier,
    decode_request_header,
    decode_response_header,
    encode_request_header,
    encode_response_header,
    keccak,
    request_body_hash,
)

DOMAIN = Domain(31337, b"\x05" * 20)
GATEWAY, OPERATOR = Signer(keccak(b"gateway")), Signer(keccak(b"operator"))
SESSION = SessionKey(b"\x01" * 20, b"\x02" * 20, b"\x03" * 32, 7)
SUPPLIER, SALT_HASH, SPEC = b"\x04" * 20, keccak(b"salt"), keccak(b"spec")
BODY = json.dumps(
    {"model": "lode-demo", "messages": [{"role": "user", "content": "x" * 400}]}
).encode()
PATH = b"/v1/chat/completions"


def sign_request() -> str:
    """The gateway's side of a request."""
    body_hash = request_body_hash(b"POST", PATH, BODY)
    request = RelayRequest(SESSION.id, SUPPLIER, body_hash, 10_000, 1_900_000_000, os.urandom(32))
    signature = GATEWAY.sign(DOMAIN.digest(request))
    return encode_request_header(SignedRequest(SESSION, request, signature))


TYPED_DATA_TYPES = {
    "RelayRequest": [
        {"name": "sessionId", "type": "bytes32"},
        {"name": "supplier", "type": "address"},
        {"name": "bodyHash", "type": "bytes32"},
        {"name": "maxUnits", "type": "uint64"},
        {"name": "expiry", "type": "uint64"},
        {"name": "nonce", "type": "bytes32"},
    ]
}


def encode_as_typed_data(request: RelayRequest) -> SignableMessage:
    """A request as eth-account sees it."""
    domain = {
        "name": "Lode", "version": "1", "chainId": DOMAIN.chain_id,
        "verifyingContract": DOMAIN.verifying_contract,
    }  # fmt: skip
    message = {
        "sessionId": request.session_id, "supplier": request.supplier,
        "bodyHash": request.body_hash, "maxUnits": request.max_units,
        "expiry": request.expiry, "nonce": request.nonce,
    }  # fmt: skip
    return encode_typed_data(domain, TYPED_DATA_TYPES, message)


def digest_with_eth_account(request: RelayRequest) -> bytes:
    """The digest of a request by eth-account."""
    signable = encode_as_typed_data(request)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def compare(request: RelayRequest, verifier: Verifier) -> None:
    """Print what eth-account takes beside ours; both give the same bytes."""
    digest = DOMAIN.digest(request)
    signature = GATEWAY.sign(digest)
    signable = encode_as_typed_data(request)
    account = Account.from_key(keccak(b"gateway"))
    if digest_with_eth_account(request) != digest:
        raise RuntimeError("eth-account digests otherwise")
    if bytes(account.sign_message(signable).signature) != signature:
        raise RuntimeError("eth-account signs otherwise")
    rows: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("digest", lambda: DOMAIN.digest(request), lambda: digest_with_eth_account(request)),
        ("sign", lambda: GATEWAY.sign(digest), lambda: account.unsafe_sign_hash(digest)),
        (
            "recover",
            lambda: verifier.verify(digest, signature),
            lambda: Account._recover_hash(digest, signature=signature),
        ),
    ]
    print(f"\n{'':12} {'here us':>9} {'eth-account us':>15} {'ratio':>7}")
    for name, ours, theirs in rows:
        mine, other = time_us(ours), time_us(theirs)
        print(f"{name:12} {mine:9.1f} {other:15.1f} {other / mine:7.1f}")


def main() -> None:
    """Print the tables."""
    request_header = sign_request()
    verifier, operator = Verifier(GATEWAY.address), Verifier(OPERATOR.address)
    body_hash = request_body_hash(b"POST", PATH, BODY)
    signed = decode_request_header(request_header, body_hash)
    digest = DOMAIN.digest(signed.request)

    def check_request() -> bytes:
        one = decode_request_header(request_header, request_body_hash(b"POST", PATH, BODY))
        found = DOMAIN.digest(one.request)
        verifier.verify(found, one.signature)
        return found

    def sign_response() -> str:
        answer = request_body_hash(b"", b"", BODY)
        response = RelayResponse(digest, answer, SALT_HASH, 9, 0, 30, 1390, Status.OK, SPEC)
        return encode_response_header(
            SignedResponse(response, OPERATOR.sign(DOMAIN.digest(response)))
        )

    response_header = sign_response()

    def check_response() -> bytes:
        answer = request_body_hash(b"", b"", BODY)
        one = decode_response_header(response_header, digest, answer)
        found = DOMAIN.digest(one.response)
        operator.verify(found, one.signature)
        return found

    response_hash = check_response()

    def make_receipt() -> bytes:
        secret = GATEWAY.receipt_secret(digest, response_hash)
        receipt = Receipt(SESSION.id, SUPPLIER, digest, response_hash, SALT_HASH, 1390, secret)
        return DOMAIN.digest(receipt)

    signature = GATEWAY.sign(digest)
    rows: list[tuple[str, Callable[[], object]]] = [
        ("keccak, 64 bytes", lambda: keccak(b"\x01" * 64)),
        ("EIP-712 digest of a request", lambda: DOMAIN.digest(signed.request)),
        ("sign", lambda: GATEWAY.sign(digest)),
        ("verify (recover)", lambda: verifier.verify(digest, signature)),
        ("gateway: request, hashed, signed, encoded", sign_request),
        ("supplier: request, decoded, checked", check_request),
        ("supplier: response, signed, encoded", sign_response),
        ("gateway: response, decoded, checked", check_response),
        ("gateway: receipt, its secret and digest", make_receipt),
    ]
    costs = {name: time_us(work) for name, work in rows}
    costs["a relay, gateway's side"] = sum(
        cost for name, cost in costs.items() if name.startswith("gateway:")
    )
    costs["a relay, supplier's side"] = sum(
        cost for name, cost in costs.items() if name.startswith("supplier:")
    )
    for name, cost in costs.items():
        print(f"{name:45} {cost:9.1f} us")
    compare(signed.request, verifier)


if __name__ == "__main__":
    main()
