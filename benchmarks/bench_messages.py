"""What signing and checking one relay costs each side, in microseconds of one core.

Run: python -m benchmarks.bench_messages
"""

import json
import os
import time
from collections.abc import Callable

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


def time_us(work: Callable[[], object], seconds: float = 0.5) -> float:
    """Microseconds of one call: the best of five rounds."""
    work()
    count, best = 1, float("inf")
    while True:
        began = time.perf_counter()
        for _ in range(count):
            work()
        spent = time.perf_counter() - began
        if spent > seconds / 5:
            break
        count *= 2
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(count):
            work()
        best = min(best, (time.perf_counter() - began) / count)
    return best * 1e6


def sign_request() -> str:
    """The gateway's side of a request."""
    body_hash = request_body_hash(b"POST", PATH, BODY)
    request = RelayRequest(SESSION.id, SUPPLIER, body_hash, 10_000, 1_900_000_000, os.urandom(32))
    signature = GATEWAY.sign(DOMAIN.digest(request))
    return encode_request_header(SignedRequest(SESSION, request, signature))


def main() -> None:
    """Print the table."""
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


if __name__ == "__main__":
    main()
