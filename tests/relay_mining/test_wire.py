"""One encoding for every message, and MalformedError for all other bytes."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import (
    DELIVERY_RECEIPTS_MAX,
    RECEIPTS_BYTES_MAX,
    STREAM_FRAME_PREFIX,
    UNITS_MAX,
    Ack,
    Cancel,
    MalformedError,
    Receipt,
    ReceiptDelivery,
    RelayRequest,
    RelayResponse,
    SessionKey,
    SignedAck,
    SignedCancel,
    SignedRequest,
    SignedResponse,
    Status,
    decode_ack,
    decode_cancel,
    decode_receipts,
    decode_request_header,
    decode_response_header,
    decode_stream_frame,
    encode_ack,
    encode_cancel,
    encode_receipts,
    encode_request_header,
    encode_response_header,
    encode_stream_frame,
)
from tests.factories import (
    DOMAIN,
    GATEWAY_SIGNER,
    a_hash,
    a_receipt,
    a_request,
    a_response,
    a_session,
)

UINT32_MAX = 2**32 - 1
UINT64_MAX = 2**64 - 1
BODY = a_hash("body")
SIGNATURE = GATEWAY_SIGNER.sign(a_hash("anything"))

HASHES = st.binary(min_size=32, max_size=32)
ADDRESSES = st.binary(min_size=20, max_size=20)
SIGNATURES = st.binary(min_size=65, max_size=65)


def up_to(most: int, least: int = 0) -> st.SearchStrategy[int]:
    return st.one_of(st.sampled_from([least, least + 1, most]), st.integers(least, most))


SESSIONS = st.builds(SessionKey, ADDRESSES, ADDRESSES, HASHES, up_to(UINT64_MAX))


@st.composite
def signed_requests(draw: st.DrawFn) -> SignedRequest:
    session = draw(SESSIONS)
    request = RelayRequest(
        session.id,
        draw(ADDRESSES),
        draw(HASHES),
        draw(up_to(UNITS_MAX, 1)),
        draw(up_to(UINT64_MAX)),
        draw(HASHES),
    )
    return SignedRequest(session, request, draw(SIGNATURES))


@st.composite
def signed_responses(draw: st.DrawFn) -> SignedResponse:
    tokens = draw(up_to(UINT32_MAX))
    response = RelayResponse(
        draw(HASHES),
        draw(HASHES),
        draw(HASHES),
        tokens,
        draw(st.one_of(st.sampled_from([0, tokens]), st.integers(0, tokens))),
        draw(up_to(UINT32_MAX)),
        draw(up_to(UNITS_MAX)),
        draw(st.sampled_from(Status)),
        draw(HASHES),
        draw(up_to(UINT32_MAX)),
    )
    return SignedResponse(response, draw(SIGNATURES))


@st.composite
def receipts(draw: st.DrawFn) -> tuple[SessionKey, Receipt]:
    session = draw(SESSIONS)
    hashes = [draw(HASHES) for _ in range(3)]
    units = draw(up_to(UNITS_MAX, 1))
    return session, Receipt(session.id, draw(ADDRESSES), *hashes, units, draw(HASHES))


DELIVERIES = st.builds(
    ReceiptDelivery, st.lists(receipts(), min_size=1, max_size=4).map(tuple), SIGNATURES
)
SIGNED_REQUEST = SignedRequest(a_session(), a_request(), SIGNATURE)
SIGNED_RESPONSE = SignedResponse(a_response(), SIGNATURE)
DELIVERY = ReceiptDelivery(
    tuple((a_session(), a_receipt(request=index)) for index in range(3)), SIGNATURE
)


def read_request(text: str) -> SignedRequest:
    return decode_request_header(text, BODY)


def read_response(text: str) -> SignedResponse:
    return decode_response_header(text, SIGNED_RESPONSE.response.request_hash, a_hash("answer"))


def read_frame(frame: bytes) -> SignedResponse:
    return decode_stream_frame(frame, SIGNED_RESPONSE.response.request_hash, a_hash("answer"))


HEADERS = [
    (encode_request_header(SIGNED_REQUEST), read_request),
    (encode_response_header(SIGNED_RESPONSE), read_response),
]
BODIES: list[tuple[bytes, Callable[[bytes], object]]] = [
    (encode_receipts(DELIVERY), decode_receipts),
    (encode_ack(SignedAck(Ack(a_hash("root")), SIGNATURE)), decode_ack),
    (encode_cancel(SignedCancel(Cancel(a_hash("request")), SIGNATURE)), decode_cancel),
    (encode_stream_frame(SIGNED_RESPONSE), read_frame),
]


def raw_of(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text_of(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@given(signed_requests())
def test_requests_come_back_as_they_were_sent(signed: SignedRequest) -> None:
    text = encode_request_header(signed)
    assert decode_request_header(text, signed.request.body_hash) == signed


@given(signed_responses())
def test_responses_come_back_as_they_were_sent(signed: SignedResponse) -> None:
    hashes = (signed.response.request_hash, signed.response.body_hash)
    assert decode_response_header(encode_response_header(signed), *hashes) == signed
    frame = encode_stream_frame(signed)
    assert decode_stream_frame(frame, *hashes) == signed
    assert frame.startswith(STREAM_FRAME_PREFIX)
    assert frame.count(b"\n") == 2
    assert frame.endswith(b"\n\n")


@given(DELIVERIES)
def test_deliveries_come_back_as_they_were_sent(delivery: ReceiptDelivery) -> None:
    assert decode_receipts(encode_receipts(delivery)) == delivery


@given(HASHES, SIGNATURES)
def test_acks_and_cancels_come_back_as_they_were_sent(value: bytes, signature: bytes) -> None:
    ack, cancel = SignedAck(Ack(value), signature), SignedCancel(Cancel(value), signature)
    assert decode_ack(encode_ack(ack)) == ack
    assert decode_cancel(encode_cancel(cancel)) == cancel
    assert encode_cancel(cancel) == value + signature


def test_headers_have_the_layout_of_the_design() -> None:
    session, request = SIGNED_REQUEST.session, SIGNED_REQUEST.request
    assert raw_of(HEADERS[0][0]) == b"".join(
        (
            b"\x01",
            session.application,
            session.gateway,
            session.service,
            session.number.to_bytes(8, "big"),
            request.supplier,
            request.max_units.to_bytes(8, "big"),
            request.expiry.to_bytes(8, "big"),
            request.nonce,
            SIGNATURE,
        )
    )
    response = SIGNED_RESPONSE.response
    assert raw_of(HEADERS[1][0]) == b"".join(
        (
            b"\x01",
            response.salt_hash,
            response.input_tokens.to_bytes(4, "big"),
            response.cached_tokens.to_bytes(4, "big"),
            response.output_tokens.to_bytes(4, "big"),
            response.units.to_bytes(8, "big"),
            bytes([response.status]),
            response.service_spec_hash,
            response.part.to_bytes(4, "big"),
            SIGNATURE,
        )
    )


def test_a_signature_does_not_survive_another_body() -> None:
    request = a_request()
    signature = GATEWAY_SIGNER.sign(DOMAIN.digest(request))
    text = encode_request_header(SignedRequest(a_session(), request, signature))
    read = decode_request_header(text, a_hash("another body"))
    assert DOMAIN.digest(read.request) != DOMAIN.digest(request)


@given(st.one_of(st.text(max_size=400), st.binary(max_size=150).map(text_of)))
def test_no_text_raises_anything_else(text: str) -> None:
    for _, decode in HEADERS:
        with pytest.raises(MalformedError):
            decode(text)


@pytest.mark.parametrize(("text", "decode"), HEADERS)
@given(data=st.data())
def test_headers_of_the_right_length_are_messages_or_malformed(
    text: str, decode: Callable[[str], object], data: st.DataObject
) -> None:
    size = len(raw_of(text))
    noise = data.draw(st.binary(min_size=size - 1, max_size=size - 1))
    encode = encode_request_header if decode is read_request else encode_response_header
    try:
        message = decode(text_of(b"\x01" + noise))
    except MalformedError:
        return
    assert encode(message) == text_of(b"\x01" + noise)  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "decode"), HEADERS)
def test_headers_in_another_spelling_are_refused(
    text: str, decode: Callable[[str], object]
) -> None:
    last = text[:-1] + chr(ord(text[-1]) + 1)  # the spare bits of the last character
    raw = raw_of(text)
    for wrong in (
        "",
        text[:-1],
        text + "A",
        text + "=",
        text + "\n",
        " " + text,
        text[:10] + "+" + text[11:],
        text[:10] + "/" + text[11:],
        text[:10] + "=" + text[11:],
        text[:10] + "\n" + text[11:],
        text[:10] + "\0" + text[11:],
        text[:10] + "é" + text[11:],
        text[:10] + "\ud800" + text[11:],
        last,
        text_of(raw[:-1]),
        text_of(raw + b"\0"),
        text_of(b"\0" + raw[1:]),
        text_of(b"\x02" + raw[1:]),
        text * 10_000,
    ):
        with pytest.raises(MalformedError):
            decode(wrong)


@pytest.mark.parametrize(("body", "decode"), BODIES)
def test_truncated_and_prolonged_bodies_are_refused(
    body: bytes, decode: Callable[[bytes], object]
) -> None:
    decode(body)
    for wrong in (b"", body[:1], body[:-1], body[1:], body + b"\0", body + body):
        with pytest.raises(MalformedError):
            decode(wrong)


@given(st.binary(max_size=900))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    for _, decode in BODIES:
        try:
            decode(body)
        except MalformedError:
            continue
        assert len(body) == 97  # any such bytes are an acknowledgement and a cancellation


@pytest.mark.parametrize(("body", "decode"), BODIES)
@given(data=st.data())
def test_a_flipped_bit_is_refused_or_another_message(
    body: bytes, decode: Callable[[bytes], object], data: st.DataObject
) -> None:
    at, bit = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(0, 7))
    changed = body[:at] + bytes([body[at] ^ (1 << bit)]) + body[at + 1 :]
    try:
        message = decode(changed)
    except MalformedError:
        return
    assert message != decode(body)


@pytest.mark.parametrize(
    "count", [0, 2, 4, DELIVERY_RECEIPTS_MAX, DELIVERY_RECEIPTS_MAX + 1, UINT32_MAX]
)
def test_a_count_that_is_not_the_bodys_is_refused(count: int) -> None:
    body = encode_receipts(DELIVERY)
    with pytest.raises(MalformedError, match="a delivery of"):
        decode_receipts(body[:66] + count.to_bytes(4, "big") + body[70:])


def test_an_empty_delivery_is_refused() -> None:
    with pytest.raises(MalformedError, match="0 receipts"):
        decode_receipts(b"\x01" + SIGNATURE + bytes(4))
    with pytest.raises(ValueError, match="no decoder"):
        encode_receipts(replace(DELIVERY, receipts=()))


def test_the_largest_delivery_is_taken() -> None:
    delivery = ReceiptDelivery((DELIVERY.receipts[0],) * DELIVERY_RECEIPTS_MAX, SIGNATURE)
    body = encode_receipts(delivery)
    assert len(body) == RECEIPTS_BYTES_MAX
    assert len(decode_receipts(body).receipts) == DELIVERY_RECEIPTS_MAX


def test_one_receipt_more_is_neither_written_nor_read() -> None:
    receipts = (DELIVERY.receipts[0],) * (DELIVERY_RECEIPTS_MAX + 1)
    with pytest.raises(ValueError, match="no decoder"):
        encode_receipts(replace(DELIVERY, receipts=receipts))
    body = encode_receipts(replace(DELIVERY, receipts=receipts[1:]))
    one = (len(body) - 70) // DELIVERY_RECEIPTS_MAX
    longer = body[:66] + len(receipts).to_bytes(4, "big") + body[70:] + body[-one:]
    with pytest.raises(MalformedError, match="1025 receipts"):
        decode_receipts(longer)


@pytest.mark.parametrize("units", [0, UNITS_MAX + 1, UINT64_MAX])
def test_receipts_that_can_never_pay_are_refused(units: int) -> None:
    body = encode_receipts(DELIVERY)
    at = len(body) - 40
    with pytest.raises(MalformedError, match="units"):
        decode_receipts(body[:at] + units.to_bytes(8, "big") + body[at + 8 :])
    receipt = (a_session(), a_receipt(units=units))
    with pytest.raises(ValueError, match="no decoder"):
        encode_receipts(replace(DELIVERY, receipts=(receipt,)))


@pytest.mark.parametrize("units", [0, UNITS_MAX + 1, UINT64_MAX])
def test_requests_of_impossible_units_are_refused(units: int) -> None:
    raw = raw_of(HEADERS[0][0])
    with pytest.raises(MalformedError, match="units"):
        read_request(text_of(raw[:101] + units.to_bytes(8, "big") + raw[109:]))
    wrong = SignedRequest(a_session(), a_request(max_units=units), SIGNATURE)
    with pytest.raises(ValueError, match="no decoder"):
        encode_request_header(wrong)


@pytest.mark.parametrize("status", [7, 8, 255])
def test_an_unknown_status_is_refused(status: int) -> None:
    raw = raw_of(HEADERS[1][0])
    with pytest.raises(MalformedError, match="status"):
        read_response(text_of(raw[:53] + bytes([status]) + raw[54:]))


@pytest.mark.parametrize("change", [{"cached_tokens": 101}, {"units": UNITS_MAX + 1}])
def test_responses_of_impossible_counts_are_refused(change: dict[str, int]) -> None:
    raw = raw_of(HEADERS[1][0])
    response = replace(a_response(), **change)
    counts = b"".join(
        (
            response.input_tokens.to_bytes(4, "big"),
            response.cached_tokens.to_bytes(4, "big"),
            response.output_tokens.to_bytes(4, "big"),
            response.units.to_bytes(8, "big"),
        )
    )
    with pytest.raises(MalformedError, match="counts"):
        read_response(text_of(raw[:33] + counts + raw[53:]))
    with pytest.raises(ValueError, match="no decoder"):
        encode_response_header(SignedResponse(response, SIGNATURE))


def test_a_message_of_another_session_is_not_encoded() -> None:
    other = a_session(number=8)
    with pytest.raises(ValueError, match="another session"):
        encode_request_header(SignedRequest(other, a_request(), SIGNATURE))
    with pytest.raises(ValueError, match="another session"):
        encode_receipts(ReceiptDelivery(((other, a_receipt()),), SIGNATURE))


@pytest.mark.parametrize("signature", [SIGNATURE[:-1], SIGNATURE + b"\0", b""])
def test_a_signature_of_another_length_is_not_carried(signature: bytes) -> None:
    for build in (
        lambda: SignedRequest(a_session(), a_request(), signature),
        lambda: SignedResponse(a_response(), signature),
        lambda: ReceiptDelivery((), signature),
        lambda: SignedAck(Ack(bytes(32)), signature),
        lambda: SignedCancel(Cancel(bytes(32)), signature),
    ):
        with pytest.raises(ValueError, match="signature"):
            build()
