"""The protocol's own bytes: refused with MalformedError, or decoded to what encodes to them."""

from collections.abc import Callable
from typing import Any

from relay_mining import (
    Ack,
    Cancel,
    DialOffer,
    MalformedError,
    ReceiptDelivery,
    SignedAck,
    SignedCancel,
    SignedRequest,
    SignedResponse,
    Status,
    decode_ack,
    decode_cancel,
    decode_challenge,
    decode_receipts,
    decode_request_header,
    decode_response_header,
    decode_stream_frame,
    encode_ack,
    encode_cancel,
    encode_challenge,
    encode_receipts,
    encode_request_header,
    encode_response_header,
    encode_stream_frame,
)
from tests.factories import (
    GATEWAY,
    GATEWAY_SIGNER,
    SUPPLIER,
    a_hash,
    a_receipt,
    a_request,
    a_response,
    a_session,
)
from tests.fuzz.target import Target

BODY = a_hash("body")
SIGNATURE = GATEWAY_SIGNER.sign(a_hash("anything"))
REQUEST = SignedRequest(a_session(), a_request(), SIGNATURE)
RESPONSES = tuple(
    SignedResponse(a_response(status=status, units=units), SIGNATURE)
    for status, units in ((Status.OK, 1_500), (Status.LENGTH, 1), (Status.REFUSED, 0))
)
DELIVERIES = tuple(
    ReceiptDelivery(
        tuple((a_session(), a_receipt(request=name, units=name + 1)) for name in range(count)),
        SIGNATURE,
    )
    for count in (1, 2, 5)
)


def _round_trip(
    decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]
) -> Callable[[bytes], bool]:
    def run(data: bytes) -> bool:
        try:
            message = decode(data)
        except MalformedError:
            return False
        assert encode(message) == data, "two encodings of one message"
        return True

    return run


def _text(data: bytes) -> str:
    return data.decode("latin-1")


TARGETS = (
    Target(
        "relay request header",
        (encode_request_header(REQUEST).encode(),),
        _round_trip(
            lambda data: decode_request_header(_text(data), BODY),
            lambda signed: encode_request_header(signed).encode(),
        ),
    ),
    Target(
        "relay response header",
        tuple(encode_response_header(each).encode() for each in RESPONSES),
        _round_trip(
            lambda data: decode_response_header(_text(data), BODY, BODY),
            lambda signed: encode_response_header(signed).encode(),
        ),
    ),
    Target(
        "response frame of a stream",
        tuple(encode_stream_frame(each) for each in RESPONSES),
        _round_trip(lambda data: decode_stream_frame(data, BODY, BODY), encode_stream_frame),
    ),
    Target(
        "delivery of receipts",
        tuple(encode_receipts(each) for each in DELIVERIES),
        _round_trip(decode_receipts, encode_receipts),
    ),
    Target(
        "acknowledgement",
        (encode_ack(SignedAck(Ack(a_hash("root")), SIGNATURE)),),
        _round_trip(decode_ack, encode_ack),
    ),
    Target(
        "offer of a supplier that dials",
        (DialOffer(SUPPLIER, GATEWAY, 7, a_hash("nonce")).encode(),),
        _round_trip(DialOffer.decode, DialOffer.encode),
    ),
    Target(
        "challenge to a supplier that dials",
        (encode_challenge(a_hash("nonce")),),
        _round_trip(decode_challenge, encode_challenge),
    ),
    Target(
        "cancellation",
        (encode_cancel(SignedCancel(Cancel(a_hash("request")), SIGNATURE)),),
        _round_trip(decode_cancel, encode_cancel),
    ),
)
