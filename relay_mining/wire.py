"""The headers between gateway and supplier, and the frame that stands for one in a stream.

Integers are big-endian, every field has a fixed width, and nothing may be left over: a message has
exactly one encoding, and a decoder answers any other bytes with MalformedError. Signatures are
carried, not checked, here.

    request header   base64url( 1 | session 80 | supplier 20 maxUnits 8 expiry 8 nonce 32 | sig 65 )
    response header  base64url( 1 | saltHash 32 input 4 cached 4 output 4 units 8 status 1
                                    serviceSpecHash 32 part 4 | sig 65 )
    session          application 20 gateway 20 service 32 number 8
"""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

from relay_mining.errors import MalformedError
from relay_mining.messages import RelayRequest, RelayResponse, Status
from relay_mining.session import SessionKey
from relay_mining.types import (
    SIGNATURE_BYTES,
    UNITS_MAX,
    Hash32,
    Signature,
    require_bytes,
)
from relay_mining.values import value_class

WIRE_VERSION = 1
REQUEST_HEADER = b"lode-request"
RESPONSE_HEADER = b"lode-response"
STREAM_FRAME_PREFIX = b": lode-response "
"""An SSE comment, which ordinary clients ignore, comes before the `data: [DONE]` of a stream."""
STREAM_FRAME_SUFFIX = b"\n\n"

_REQUEST = struct.Struct(">B20s20s32sQ20sQQ32s65s")
_RESPONSE = struct.Struct(">B32sIIIQB32sI65s")

REQUEST_HEADER_CHARS = (_REQUEST.size * 4 + 2) // 3
RESPONSE_HEADER_CHARS = (_RESPONSE.size * 4 + 2) // 3


@value_class
class SignedRequest:
    """A relay request, the session it belongs to, and the gateway's signature."""

    session: SessionKey
    request: RelayRequest
    signature: Signature

    def __post_init__(self) -> None:
        require_bytes("signature", self.signature, SIGNATURE_BYTES)


@value_class
class SignedResponse:
    """A relay response and the operator's signature."""

    response: RelayResponse
    signature: Signature

    def __post_init__(self) -> None:
        require_bytes("signature", self.signature, SIGNATURE_BYTES)


def encode_request_header(signed: SignedRequest) -> str:
    """Return the value of the header `lode-request`; the body hash is not in it."""
    session, request = signed.session, signed.request
    if request.session_id != session.id:
        raise ValueError("the request belongs to another session")
    require_valid(_is_request_valid(request))
    return to_base64(
        _REQUEST.pack(
            WIRE_VERSION,
            session.application,
            session.gateway,
            session.service,
            session.number,
            request.supplier,
            request.max_units,
            request.expiry,
            request.nonce,
            signed.signature,
        )
    )


def decode_request_header(text: str, body_hash: Hash32) -> SignedRequest:
    """Return the request in a header, for the body that came with it (else MalformedError)."""
    raw = from_base64(text, REQUEST_HEADER_CHARS)
    version, application, gateway, service, number, *rest = _REQUEST.unpack(raw)
    supplier, max_units, expiry, nonce, signature = rest
    require_version(version)
    session = SessionKey(application, gateway, service, number)
    request = RelayRequest(session.id, supplier, body_hash, max_units, expiry, nonce)
    if not _is_request_valid(request):
        raise MalformedError(f"a request of {max_units} units")
    return SignedRequest(session, request, signature)


def encode_response_header(signed: SignedResponse) -> str:
    """Return the value of the header `lode-response`; request and body hash are not in it."""
    response = signed.response
    require_valid(_is_response_valid(response))
    return to_base64(
        _RESPONSE.pack(
            WIRE_VERSION,
            response.salt_hash,
            response.input_tokens,
            response.cached_tokens,
            response.output_tokens,
            response.units,
            response.status,
            response.service_spec_hash,
            response.part,
            signed.signature,
        )
    )


def decode_response_header(text: str, request_hash: Hash32, body_hash: Hash32) -> SignedResponse:
    """Return the response in a header to a request, for the body received (else MalformedError)."""
    raw = from_base64(text, RESPONSE_HEADER_CHARS)
    version, salt_hash, input_tokens, cached_tokens, output_tokens, *rest = _RESPONSE.unpack(raw)
    units, status, spec_hash, part, signature = rest
    require_version(version)
    try:
        known_status = Status(status)
    except ValueError as error:
        raise MalformedError(f"status {status}") from error
    response = RelayResponse(
        request_hash,
        body_hash,
        salt_hash,
        input_tokens,
        cached_tokens,
        output_tokens,
        units,
        known_status,
        spec_hash,
        part,
    )
    if not _is_response_valid(response):
        raise MalformedError("a response with impossible counts")
    return SignedResponse(response, signature)


def encode_stream_frame(signed: SignedResponse) -> bytes:
    """Return the SSE frame that carries a signed response inside a stream."""
    return STREAM_FRAME_PREFIX + encode_response_header(signed).encode() + STREAM_FRAME_SUFFIX


def decode_stream_frame(frame: bytes, request_hash: Hash32, body_hash: Hash32) -> SignedResponse:
    """Return the signed response of a whole SSE frame, its blank line included.

    `body_hash` covers everything streamed before the frame. Raises MalformedError.
    """
    size = len(STREAM_FRAME_PREFIX) + RESPONSE_HEADER_CHARS + len(STREAM_FRAME_SUFFIX)
    if (
        len(frame) != size
        or not frame.startswith(STREAM_FRAME_PREFIX)
        or not frame.endswith(STREAM_FRAME_SUFFIX)
    ):
        raise MalformedError("not a lode-response frame")
    value = frame[len(STREAM_FRAME_PREFIX) : -len(STREAM_FRAME_SUFFIX)]
    return decode_response_header(value.decode("latin-1"), request_hash, body_hash)


def _is_request_valid(request: RelayRequest) -> bool:
    return 0 < request.max_units <= UNITS_MAX


def _is_response_valid(response: RelayResponse) -> bool:
    return response.units <= UNITS_MAX and response.cached_tokens <= response.input_tokens


def require_valid(is_valid: bool) -> None:
    """Refuse to encode what a decoder refuses (ValueError)."""
    if not is_valid:
        raise ValueError("a message that no decoder takes")


def require_version(version: int) -> None:
    """Refuse another version of the format (MalformedError)."""
    if version != WIRE_VERSION:
        raise MalformedError(f"wire version {version}")


def to_base64(raw: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_base64(text: str, chars: int) -> bytes:
    """The bytes that `to_base64` wrote as `chars` characters (MalformedError for other text)."""
    if len(text) != chars:
        raise MalformedError(f"a header of {len(text)} characters instead of {chars}")
    try:
        raw = urlsafe_b64decode(text + "=" * (-chars % 4))
    except (Base64Error, ValueError) as error:
        raise MalformedError("not base64url") from error
    if to_base64(raw) != text:
        raise MalformedError("not canonical base64url")
    return raw
